"""Sending domains: enrolled, checked, given keys, watched while they warm up, retired.

Guarantees: what is done here is done by ``domains`` and ``keyring``, asked for by POST, and logged with who did
it; private keys never come out; a name and its stream are fixed once they are enrolled.
"""

import contextlib
import logging
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Final

from celery import current_app
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from reputation import domains, keyring, overview
from reputation.forms import EnrolForm, MakeKeyForm, ReasonForm, RetireForm, SendingDomainForm
from reputation.models import Ramp, RecordCheck, SendingDomain, SigningKey
from reputation.vault import BadMasterKey
from reputation.viewing import Beside, FixedOnce, chip, confirm

logger = logging.getLogger(__name__)

VALVES: Final = (
    ("closed", "closed somewhere"),
    ("slow", "slow somewhere"),
    ("trial", "on trial somewhere"),
    ("open", "open everywhere"),
)


class ValveFilter(admin.SimpleListFilter):
    """Domains that some provider has slowed or closed."""

    title = parameter_name = "valve"

    def lookups(self, _request: HttpRequest, _admin: Any) -> tuple[tuple[str, str], ...]:
        return VALVES

    def queryset(self, _request: HttpRequest, queryset: QuerySet[SendingDomain]) -> QuerySet[SendingDomain]:
        mine = Ramp.objects.filter(kind=Ramp.Kind.DOMAIN, key=OuterRef("name"))
        if self.value() == Ramp.Valve.OPEN:
            return queryset.exclude(Exists(mine.exclude(valve=Ramp.Valve.OPEN)))
        known = self.value() in Ramp.Valve.values
        return queryset.filter(Exists(mine.filter(valve=self.value()))) if known else queryset


class DomainList(ChangeList):
    """A page of domains with the records and the valves of them all: two statements more, however many rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = list(self.result_list)
        right = Count("pk", filter=Q(verdict__in=["right", "advice"]))
        counted = RecordCheck.objects.filter(domain__in=rows).values("domain")
        checks = {one["domain"]: one for one in counted.annotate(all=Count("pk"), right=right).order_by()}
        turned: dict[str, list[Ramp]] = defaultdict(list)
        narrowed = Ramp.objects.exclude(valve=Ramp.Valve.OPEN).order_by("provider")
        for ramp in narrowed.filter(kind=Ramp.Kind.DOMAIN, key__in=[row.name for row in rows]):
            turned[ramp.key].append(ramp)
        for row in rows:
            row.check_counts, row.turned = checks.get(row.pk), turned[row.name]
        self.result_list = rows


@admin.register(SendingDomain)
class SendingDomainAdmin(Beside, FixedOnce):
    form = SendingDomainForm
    change_form_template = "admin/reputation/sendingdomain/change_form.html"
    fixed = ("name", "stream")
    readonly_fields = ("organisation",)
    list_display = ("name", "standing", "records_right", "valves", "stream", "route", "organisation")
    list_filter = ("state", ValveFilter, "stream__kind", "route")
    list_select_related = ("stream", "route", "organisation")
    search_fields = ("name", "organisation__name", "default_sender", "stream__name")
    search_help_text = "Domain, sender or stream."
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "stream", "organisation", "route", "default_sender")}),
        ("Transport and signing", {"fields": ("require_tls", "ed25519", "rotate_after_days")}),
        ("Warming up", {"fields": ("preset", "own_steps", "target")}),
    )

    class Media:
        js = ("outbox/copy.js", "outbox/progress.js")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return DomainList

    @admin.display(description="state", ordering="state")
    def standing(self, domain: SendingDomain) -> SafeString:
        return chip(domain.state)

    @admin.display(description="records")
    def records_right(self, domain: Any) -> str:
        counts = domain.check_counts
        return f"{counts['right']} of {counts['all']} right" if counts else "not checked yet"

    @admin.display(description="valves")
    def valves(self, domain: Any) -> SafeString | str:
        return (
            format_html_join(" ", "{}", ((chip(ramp.valve, ramp.provider),) for ramp in domain.turned))
            or "open"
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SendingDomain]:
        return super().get_queryset(request).select_related("stream", "route", "organisation")

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "reputation_sendingdomain"
        ours = [
            path("<int:domain>/check/", view(self.check_now), name=f"{name}_check"),
            path("<int:domain>/retire/", view(self.retire), name=f"{name}_retire"),
            path("<int:domain>/keys/make/", view(self.make_key), name=f"{name}_make_key"),
            path("<int:domain>/keys/<int:key>/<slug:word>/", view(self.move_key), name=f"{name}_move_key"),
        ]
        return [*ours, *super().get_urls()]

    def beside(self, request: HttpRequest, row: Any, _form: Any) -> dict[str, Any]:
        return {"overview": overview.of_domain(row, _asked_at(request))} if row else {}

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Ask what is to be enrolled, then show on its page all that it has to publish."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = EnrolForm(request.POST or None)
        if form.is_valid() and (row := self._enrolled(request, form)):
            self.log_addition(request, row, f"Enrolled {row}.")
            self.message_user(request, f"{row} is enrolled. Publish the records below, then check them.")
            return HttpResponseRedirect(_page(row))
        return confirm(
            self,
            request,
            title="Enrol a sending domain",
            form=form,
            question="It sends nothing until its records are published and checked.",
            button="Enrol",
            back=reverse("admin:reputation_sendingdomain_changelist"),
        )

    def _enrolled(self, request: HttpRequest, form: EnrolForm) -> SendingDomain | None:
        given = form.cleaned_data
        try:
            return domains.enrol(
                given["stream"],
                given["name"],
                given["route"],
                given["default_sender"],
                who=request.user.get_username(),
                preset=given["preset"],
                ed25519=given["ed25519"],
            )
        except domains.NotEnrolled as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        except BadMasterKey as error:
            form.add_error(None, f"Its keys cannot be encrypted: {error}. Set AO_MASTER_KEYS and restart.")
        return None

    def check_now(self, request: HttpRequest, domain: int) -> HttpResponse:
        """Have every record looked up again by a worker; the page that follows shows how far that has come."""
        row = self._allowed(request, domain, "reputation.change_sendingdomain")
        if request.method != "POST" or row.state == SendingDomain.State.RETIRED:
            return HttpResponseRedirect(_page(row))
        try:
            current_app.send_task("outbox.verify_domain", [row.pk], ignore_result=True, expires=60)
        except (
            Exception
        ) as error:  # whatever the broker's client raises: beat checks it within the hour anyway
            logger.warning("could not ask a worker to check %s: %s", row, error)
            self.message_user(request, "No worker could be reached: try again.", messages.ERROR)
            return HttpResponseRedirect(_page(row))
        return HttpResponseRedirect(f"{_page(row)}?asked={timezone.now().timestamp():.3f}")

    def retire(self, request: HttpRequest, domain: int) -> HttpResponse:
        """Ask for the domain's name, then let it send nothing any more."""
        row = self._allowed(request, domain, "reputation.change_sendingdomain")
        form = RetireForm(request.POST or None, name=row.name)
        if form.is_valid():
            domains.retire(row.pk)
            return self._done(request, row, "Retired.", f"{row} is retired.")
        return confirm(
            self,
            request,
            title=f"Retire {row}",
            form=form,
            question="It sends nothing any more, what waits included, and there is no way back.",
            button="Retire",
            back=_page(row),
        )

    def make_key(self, request: HttpRequest, domain: int) -> HttpResponse:
        """Ask for the algorithm, then make a key that nobody signs with yet."""
        row = self._allowed(request, domain, "reputation.add_signingkey")
        form = MakeKeyForm(request.POST or None)
        if form.is_valid():
            key = keyring.make(row, form.cleaned_data["algorithm"], who=request.user.get_username())
            said = f"Key {key.selector} is made. Publish its record; once a check has seen it, it can be activated."
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
        """Ask why, then do with a key what the word says."""
        if not request.user.has_perm("reputation.change_signingkey"):
            raise PermissionDenied
        if word not in keyring.MOVES:
            raise Http404
        keys = SigningKey.objects.select_related("domain").defer("private_sealed")
        row = get_object_or_404(keys, pk=key, domain=domain)
        given = request.POST if request.method == "POST" else None
        form = ReasonForm(given)
        form.fields["why"].required = keyring.MOVES[word].owes_reason
        if form.is_valid():
            return self._moved(request, row, word, form.cleaned_data["why"])
        return confirm(
            self,
            request,
            title=f"{word.capitalize()} {row}",
            form=form,
            question=keyring.MOVES[word].consequence,
            button=word.capitalize(),
            back=_page(row.domain),
        )

    def _moved(self, request: HttpRequest, key: SigningKey, word: str, why: str) -> HttpResponse:
        if not keyring.move(key, word, who=request.user.get_username(), why=why):
            stale = f"Key {key.selector} had changed meanwhile and was left alone: look at its state below."
            self.message_user(request, stale, messages.WARNING)
            return HttpResponseRedirect(_page(key.domain))
        said = f"Key {key.selector} is {keyring.MOVES[word].target} now."
        return self._done(request, key.domain, f"{word.capitalize()} key {key.selector}.", said)

    def _done(self, request: HttpRequest, domain: SendingDomain, record: str, said: str) -> HttpResponse:
        """Back to the page, whose list of records follows the keys there are."""
        if domain.state != SendingDomain.State.RETIRED:
            domains.to_publish(domain)
        self.log_change(request, domain, record)
        self.message_user(request, said)
        return HttpResponseRedirect(_page(domain))

    def _allowed(self, request: HttpRequest, domain: int, permission: str) -> SendingDomain:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=domain)


def _asked_at(request: HttpRequest) -> datetime | None:
    """When a check was asked for, by the address of the page that answered."""
    with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(float(request.GET["asked"]), UTC)
    return None


def _page(domain: SendingDomain) -> str:
    return reverse("admin:reputation_sendingdomain_change", args=[domain.pk])
