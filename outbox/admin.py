"""Agents and their keys, for the people who run them; what the ledger wrote is in ``records``.

Guarantees: a key's text is shown once, in the answer to the POST that issued it, and neither it nor its hash
at any other time; a day's limit that is set at noon counts the morning;
an agent's name never changes, since scopes are made of it, and no agent is deleted.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from outbox import (
    admin_audit,
    admin_numbers,
    admin_policies,
    admin_webhooks,
    arrivals,
    budgets,
    keys,
    records,
    uncertain,
    watching,
)
from outbox.forms import IssueKeyForm
from outbox.models import Agent, ApiKey, Organisation
from outbox.telling import link
from reputation.admin import StreamAdmin
from reputation.models import Stream
from reputation.viewing import FixedOnce, ReadOnly, ReadOnlyInline, clock, confirm, stamp

# importing them registers their pages
__all__ = [
    "admin_audit",
    "admin_numbers",
    "admin_policies",
    "admin_webhooks",
    "arrivals",
    "records",
    "uncertain",
    "watching",
]

admin.site.site_url = None
admin.site.enable_nav_sidebar = False  # tables need the room; without JavaScript it cannot be folded away


class ApiKeyInline(ReadOnlyInline):
    """An agent's keys; what they are made of is not even read."""

    model = ApiKey
    fields = readonly_fields = (
        "key",
        "name",
        "scopes",
        clock("created_at"),
        clock("last_used_at"),
        clock("expires_at"),
        "end",
    )
    ordering = ("-pk",)
    verbose_name_plural = "keys"
    may_revoke = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        # an inline is made anew for each request
        self.may_revoke = request.user.has_perm("outbox.change_apikey")
        return super().get_queryset(request).defer("secret_hash")

    @admin.display(description="key")
    def key(self, key: ApiKey) -> SafeString:
        return link("apikey", key.pk, str(key))

    @admin.display(description="revoked")
    def end(self, key: ApiKey) -> Any:
        if key.revoked_at:
            return stamp(key.revoked_at)
        if not self.may_revoke:
            return "-"
        return format_html(
            '<a class="ao-do" href="{}">revoke</a>', reverse("admin:outbox_apikey_revoke", args=[key.pk])
        )


@admin.register(Agent)
class AgentAdmin(FixedOnce):
    change_form_template = "admin/outbox/agent/change_form.html"
    fixed = ("name",)
    inlines = (ApiKeyInline,)
    list_display = ("name", "stream", "enabled", "exempt_now", "limits", "owner")
    list_filter = ("enabled", "exempt", "stream")
    list_select_related = ("stream", "owner")
    search_fields = ("name", "stream__name", "owner__username")
    search_help_text = "Name of an agent, its stream or its owner."
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "stream", "owner", "enabled")}),
        (
            "Limits",
            {
                "fields": (
                    "requests_per_minute",
                    "recipients_per_message",
                    "recipients_per_run",
                    "recipients_per_hour",
                    "recipients_per_day",
                    "domains_per_run",
                    "attachment_mib_per_run",
                    "attachment_mib_per_day",
                    "exempt",
                )
            },
        ),
    )

    @admin.display(description="exempt", ordering="exempt")
    def exempt_now(self, agent: Agent) -> str:
        return "yes" if agent.exempt else "no"

    @admin.display(description="limits: requests; recipients")
    def limits(self, agent: Agent) -> str:
        return (
            f"{agent.requests_per_minute:,} a minute; {agent.recipients_per_message:,} a message, "
            f"{agent.recipients_per_run:,} a run, {agent.recipients_per_hour:,} an hour, "
            f"{agent.recipients_per_day:,} a day"
        )


@admin.register(Organisation)
class OrganisationAdmin(FixedOnce):
    """One row at most."""

    list_display = ("__str__", "recipients_per_day")
    fields = ("recipients_per_day",)
    ordering = ("pk",)

    def has_add_permission(self, request: HttpRequest, _row: Any = None) -> bool:
        return super().has_add_permission(request) and not Organisation.objects.exists()

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if _is_new(obj.recipients_per_day, form):
                budgets.begin(None)


admin.site.unregister(Stream)


@admin.register(Stream)
class LimitedStreamAdmin(StreamAdmin):
    """A stream's page, where a limit that is new counts what was accepted today."""

    def save_model(self, request: HttpRequest, obj: Stream, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if _is_new(obj.recipients_per_day, form):
                budgets.begin(obj.pk)


def _is_new(limit: int | None, form: Any) -> bool:
    return limit is not None and form.initial.get("recipients_per_day") is None


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """Keys are issued and revoked, never changed."""

    change_form_template = "admin/outbox/apikey/change_form.html"
    list_display = (
        "__str__",
        "agent",
        "kind",
        "name",
        "scopes",
        clock("last_used_at"),
        clock("expires_at"),
        clock("revoked_at"),
    )
    list_filter = ("kind", ("revoked_at", admin.EmptyFieldListFilter), "agent")
    list_select_related = ("agent",)
    search_fields = ("prefix", "name", "agent__name")
    search_help_text = "Beginning of a key (ao_live_...), its name or its agent."
    fields = ("kind", "agent", "name", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).defer("secret_hash")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str
    ) -> tuple[QuerySet[ApiKey], bool]:
        if search_term.startswith("ao_live_"):
            return queryset.filter(prefix=search_term[8:16]), False
        return super().get_search_results(request, queryset, search_term)

    def has_add_permission(self, request: HttpRequest, _row: Any = None) -> bool:
        return request.user.has_perm("outbox.add_apikey")

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(self.revoke)
        return [path("<int:key>/revoke/", revoke, name="outbox_apikey_revoke"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask what the key is for; the answer to the POST shows it, once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = IssueKeyForm(request.POST or None, initial={"agent": request.GET.get("agent")})
        if form.is_valid():
            return self._issue(request, form.cleaned_data)
        return confirm(
            self,
            request,
            title="Issue a key",
            form=form,
            question="The key is shown once, on the next page. Have the place ready where it will be kept.",
            button="Issue the key",
            back=reverse("admin:outbox_apikey_changelist"),
        )

    def revoke(self, request: HttpRequest, key: int) -> HttpResponse:
        """Ask, then close the door to a key from its next request on."""
        if not request.user.has_perm("outbox.change_apikey"):
            raise PermissionDenied
        row = get_object_or_404(ApiKey.objects.select_related("agent"), pk=key)
        if request.method == "POST":
            self._revoke(request, row)
            return HttpResponseRedirect(_page_of_owner(row))
        return confirm(
            self,
            request,
            title=f"Revoke {row}",
            question="Its next request is refused, and it cannot be brought back. Mail that was accepted "
            "with it goes on; to stop that too, trip its agent.",
            button="Revoke",
            back=_page_of_owner(row),
        )

    def _issue(self, request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
        scopes = given["scopes"] if given["agent"] else ()
        row, text = keys.issue(given["agent"], given["kind"], scopes, given["name"], given["expires_at"])
        self.log_addition(request, row, f"Issued {row}.")
        whose = f"agent {row.agent}" if row.agent else f"kind {row.kind}"
        once = {"sentence": f"The new key of {whose}:", "secret": text}
        return confirm(self, request, title="The new key", shown_once=once, back=_page_of_owner(row))

    def _revoke(self, request: HttpRequest, row: ApiKey) -> None:
        if ApiKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=Now()):
            self.log_change(request, row, f"Revoked {row}.")
            self.message_user(request, f"{row} is revoked.")
        else:
            self.message_user(request, f"{row} was revoked before.")


def _page_of_owner(key: ApiKey) -> str:
    """Where to go after something was done to a key: its agent's page, or the list of keys."""
    if key.agent_id is None:
        return reverse("admin:outbox_apikey_changelist")
    return reverse("admin:outbox_agent_change", args=[key.agent_id])
