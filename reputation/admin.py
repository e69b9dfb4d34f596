"""Streams, sending domains with their keys, routes, and what the switch did: for the people who run them.

Guarantees: private keys and relay passwords never come out; what scopes are named after is fixed once it is
made; what the switch did is only shown. Refuses nothing by itself: ``forms`` and ``keyring`` do.
"""

from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from reputation import keyring
from reputation.forms import MakeKeyForm, ProviderSuffixForm, RouteForm, SendingDomainForm
from reputation.models import (
    KnownDomain,
    OpenStop,
    ProviderSuffix,
    Route,
    SendingDomain,
    SigningKey,
    Stream,
    SwitchEvent,
)
from reputation.providers import OTHER
from reputation.viewing import (
    FixedOnce,
    ModelAdmin,
    ReadOnly,
    ReadOnlyInline,
    block,
    chip,
    clock,
    confirm,
    visible,
)

TXT_STRING: Final = 255  # RFC 1035 §3.3: one string of a TXT record; receivers join them (RFC 6376 §3.6.2.2)
ALGORITHMS: Final = {"rsa-sha256": "RSA", "ed25519-sha256": "Ed25519"}


def txt_strings(record: str) -> str:
    """A TXT record's value as zone files want it: quoted strings of at most 255 octets, one a line."""
    parts = (record[start : start + TXT_STRING] for start in range(0, len(record), TXT_STRING))
    return "\n".join(f'"{part}"' for part in parts)


@admin.register(Stream)
class StreamAdmin(FixedOnce):
    fixed = ("name", "kind")
    readonly_fields = ("policy_version",)
    fields = ("name", "kind", "resend_uncertain", "policy_version")
    list_display = (
        "name",
        "kind",
        "sending_domain",
        "policy_version",
        "resend_uncertain",
        clock("created_at"),
    )
    list_filter = ("kind", "resend_uncertain")
    list_select_related = ("domain",)
    search_fields = ("name", "domain__name")
    search_help_text = "Name of a stream or of its sending domain."
    ordering = ("name",)

    @admin.display(description="sending domain")
    def sending_domain(self, stream: Stream) -> str:
        return str(getattr(stream, "domain", "none yet"))


@admin.register(Route)
class RouteAdmin(FixedOnce):
    form = RouteForm
    fixed = ("name",)
    readonly_fields = ("password_is",)
    list_display = ("name", "means", "host", "port", "security", "ehlo", "password_is")
    list_filter = ("means", "security")
    search_fields = ("name", "host", "ehlo")
    search_help_text = "Name, host or EHLO name."
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "means", "ehlo", "source_address")}),
        (
            "Relay",
            {
                "fields": (
                    "host",
                    "port",
                    "security",
                    "ca_file",
                    "username",
                    "password_is",
                    "password",
                    "forget_password",
                )
            },
        ),
        ("What the relay does", {"fields": ("keeps_envelope_sender", "keeps_message_id", "signs_itself")}),
    )

    @admin.display(description="password now")
    def password_is(self, route: Route) -> str:
        return "set" if route.password_sealed else "none"


class SigningKeyInline(ReadOnlyInline):
    """Keys with the record to publish; the private half is not even read."""

    model = SigningKey
    fields = readonly_fields = ("kind", "state_now", clock("created_at"), "record", "moves")
    ordering = ("-pk",)
    verbose_name_plural = "signing keys"

    def get_queryset(self, request: HttpRequest) -> QuerySet[SigningKey]:
        return super().get_queryset(request).select_related("domain").defer("private_sealed")

    @admin.display(description="algorithm")
    def kind(self, key: SigningKey) -> str:
        return ALGORITHMS[key.algorithm]

    @admin.display(description="state")
    def state_now(self, key: SigningKey) -> SafeString:
        return chip(key.state)

    @admin.display(description="TXT record to publish")
    def record(self, key: SigningKey) -> SafeString:
        shown = '<code class="ao-copy">{}.</code><pre class="ao-copy">{}</pre>'
        return format_html(shown, str(key), txt_strings(key.public_record))

    @admin.display(description="")
    def moves(self, key: SigningKey) -> SafeString:
        links = (
            (reverse("admin:reputation_sendingdomain_move_key", args=[key.domain_id, key.pk, word]), word)
            for word, move in keyring.MOVES.items()
            if key.state in move.origins
        )
        return format_html_join(" ", '<a class="ao-do" href="{}">{}</a>', links)


@admin.register(SendingDomain)
class SendingDomainAdmin(FixedOnce):
    form = SendingDomainForm
    change_form_template = "admin/reputation/sendingdomain/change_form.html"
    fixed = ("name", "stream")
    readonly_fields = ("organisation", "state")
    fields = (
        "name",
        "stream",
        "organisation",
        "state",
        "route",
        "default_sender",
        "ed25519",
        "require_tls",
        "preset",
        "own_steps",
        "target",
        "rotate_after_days",
    )
    inlines = (SigningKeyInline,)
    list_display = (
        "name",
        "stream",
        "route",
        "default_sender",
        "state",
        "ed25519",
        "organisation",
    )
    list_filter = ("state", "ed25519", "stream__kind", "route")
    list_select_related = ("stream", "route", "organisation")
    search_fields = ("name", "organisation__name", "default_sender", "stream__name")
    search_help_text = "Domain, sender or stream."
    ordering = ("name",)

    def get_urls(self) -> list[URLPattern]:
        keys, view = "<int:domain>/keys/", self.admin_site.admin_view
        ours = [
            path(f"{keys}make/", view(self.make_key), name="reputation_sendingdomain_make_key"),
            path(
                f"{keys}<int:key>/<slug:word>/", view(self.move_key), name="reputation_sendingdomain_move_key"
            ),
        ]
        return [*ours, *super().get_urls()]

    def make_key(self, request: HttpRequest, domain: int) -> HttpResponse:
        """Ask for the algorithm, then make a key that nobody signs with yet."""
        if not request.user.has_perm("reputation.add_signingkey"):
            raise PermissionDenied
        row = get_object_or_404(SendingDomain, pk=domain)
        form = MakeKeyForm(request.POST or None)
        if form.is_valid():
            key = keyring.make(row, form.cleaned_data["algorithm"])
            said = f"Key {key.selector} is made. Publish its record, then activate it."
            return self._done(request, row, f"Made key {key.selector}.", said)
        return confirm(
            self,
            request,
            title=f"Make a signing key for {row}",
            form=form,
            question="It signs nothing until it is activated.",
            button="Make a key",
            back=_page(row),
        )

    def move_key(self, request: HttpRequest, domain: int, key: int, word: str) -> HttpResponse:
        """Ask, then activate or revoke a key."""
        if not request.user.has_perm("reputation.change_signingkey"):
            raise PermissionDenied
        if word not in keyring.MOVES:
            raise Http404
        row = get_object_or_404(SigningKey.objects.select_related("domain"), pk=key, domain=domain)
        if request.method == "POST":
            return self._moved(request, row, word)
        return confirm(
            self,
            request,
            title=f"{word.capitalize()} {row}",
            question=keyring.MOVES[word].consequence,
            button=word.capitalize(),
            back=_page(row.domain),
        )

    def _moved(self, request: HttpRequest, key: SigningKey, word: str) -> HttpResponse:
        if not keyring.move(key, word):
            stale = f"Key {key.selector} had changed meanwhile and was left alone: look at its state below."
            self.message_user(request, stale, messages.WARNING)
            return HttpResponseRedirect(_page(key.domain))
        said = f"Key {key.selector} is {keyring.MOVES[word].target} now."
        return self._done(request, key.domain, f"{word.capitalize()} key {key.selector}.", said)

    def _done(self, request: HttpRequest, domain: SendingDomain, record: str, said: str) -> HttpResponse:
        self.log_change(request, domain, record)
        self.message_user(request, said)
        return HttpResponseRedirect(_page(domain))


@admin.register(ProviderSuffix)
class ProviderSuffixAdmin(ModelAdmin):
    form = ProviderSuffixForm
    list_display = ("suffix", "family")
    list_filter = ("family",)
    search_fields = ("suffix", "family")
    search_help_text = "Ending of an MX host's name, or a provider's family."
    ordering = ("suffix",)


class FamilyFilter(admin.SimpleListFilter):
    """Families by the small table of suffixes: the large one is not searched for what it holds."""

    title = parameter_name = "family"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        known = ProviderSuffix.objects.order_by("family").values_list("family", flat=True).distinct()
        return [(family, family) for family in [*known, OTHER]]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[KnownDomain]) -> QuerySet[KnownDomain]:
        return queryset.filter(family=self.value()) if self.value() else queryset


@admin.register(KnownDomain)
class KnownDomainAdmin(ReadOnly):
    list_display = ("domain", "family", clock("learned_at"))
    list_filter = (FamilyFilter,)
    ordering = ("domain",)
    search_fields = ("=domain",)
    search_help_text = "A recipient's domain, in full."


@admin.register(OpenStop)
class OpenStopAdmin(ReadOnly):
    list_display = ("scope", clock("tripped_at"), "who", "reason", "epoch")
    fields = ("scope", clock("tripped_at"), "who", "reason", "epoch")
    ordering = ("-epoch",)
    search_fields = ("scope", "who")
    search_help_text = "Scope, or who tripped it."

    @admin.display(description="why")
    def reason(self, stop: OpenStop) -> str:
        return visible(stop.why)


@admin.register(SwitchEvent)
class SwitchEventAdmin(ReadOnly):
    list_display = ("epoch", clock("at"), "action_now", "scope", "who", "reason")
    fields = ("epoch", "at", "action", "scope", "who", "reason_in_full")
    list_filter = ("action",)
    search_fields = ("scope", "who")
    search_help_text = "Scope, or who did it."

    @admin.display(description="action")
    def action_now(self, event: SwitchEvent) -> SafeString:
        return chip(event.action)

    @admin.display(description="why")
    def reason(self, event: SwitchEvent) -> str:
        return visible(event.why)

    @admin.display(description="why")
    def reason_in_full(self, event: SwitchEvent) -> SafeString:
        return block(event.why)


def _page(domain: SendingDomain) -> str:
    return reverse("admin:reputation_sendingdomain_change", args=[domain.pk])
