"""Agents and their keys, and what became of every message: for people.

Guarantees: what the ledger wrote is only shown, whole and as it was said, escaped; a key's text is shown once,
in the answer to the POST that issued it; a page of any list costs the same number of statements however many
rows it has. Refuses to render what agents sent: HTML is shown as its source.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from outbox import ids, keys, searching, telling
from outbox.forms import IssueKeyForm
from outbox.models import Agent, Answer, ApiKey, Attempt, Delivery, Event, Lane, Message, Run, Session
from outbox.searching import CodeFilter, PeriodFilter, RunFilter, StatusFilter
from outbox.telling import delivery_link, filtered, link, message_link
from reputation.viewing import FixedOnce, ReadOnly, ReadOnlyInline, block, chip, confirm, visible

admin.site.site_url = None


class ApiKeyInline(ReadOnlyInline):
    """An agent's keys; what they are made of is not even read."""

    model = ApiKey
    fields = readonly_fields = ("key", "name", "scopes", "created_at", "last_used_at", "expires_at", "end")
    ordering = ("-pk",)
    verbose_name_plural = "keys"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return super().get_queryset(request).defer("secret_hash")

    @admin.display(description="key")
    def key(self, key: ApiKey) -> SafeString:
        return link("apikey", key.pk, str(key))

    @admin.display(description="revoked")
    def end(self, key: ApiKey) -> Any:
        if key.revoked_at:
            return key.revoked_at
        return format_html(
            '<a class="ao-do" href="{}">revoke</a>', reverse("admin:outbox_apikey_revoke", args=[key.pk])
        )


@admin.register(Agent)
class AgentAdmin(FixedOnce):
    change_form_template = "admin/outbox/agent/change_form.html"
    fixed = ("name",)
    inlines = (ApiKeyInline,)
    list_display = (
        "name",
        "stream",
        "enabled",
        "exempt",
        "requests_per_minute",
        "recipients_per_message",
        "recipients_per_run",
        "recipients_per_hour",
        "recipients_per_day",
        "owner",
    )
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
                    "exempt",
                )
            },
        ),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """Keys are issued and revoked, never changed."""

    change_form_template = "admin/outbox/apikey/change_form.html"
    list_display = ("__str__", "agent", "kind", "name", "scopes", "last_used_at", "expires_at", "revoked_at")
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


class MessageList(ChangeList):
    """A page of messages with the deliveries of them all: one statement more, however many rows."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Message]:
        found: QuerySet[Message] = super().get_queryset(request, *args, **kwargs)
        return found.defer("text", "html", "headers", "addressing", "decision", "context", "tags", "refused")

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = list(self.result_list)
        chips = telling.statuses([message.pk for message in rows])
        for message in rows:
            message.chips = chips[message.pk]
        self.result_list = rows


class Searchable(ReadOnly):
    """A large table, searched by the exact words of ``searching``, never by ``LIKE``."""

    search_fields = ("pk",)  # so that there is a box; what is typed there goes to named()
    named: Callable[[str], Q]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        words = search_term.strip()
        return (queryset.filter(self.named(words)) if words else queryset), False


class Told(Searchable):
    """A row whose page is its story."""

    change_form_template = "admin/story.html"
    tell: Callable[[Any], dict[str, Any]]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return []

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        return super().render_change_form(request, context | self.tell(obj), add, change, form_url, obj)


@admin.register(Message)
class MessageAdmin(Told):
    named = staticmethod(searching.message_query)
    tell = staticmethod(telling.of_message)
    search_help_text = "A msg_ or dlv_ id, a recipient's address, a Message-ID, or a run."
    list_display = ("name", "created_at", "agent", "stream", "line", "standing")
    list_filter = (RunFilter, PeriodFilter, StatusFilter, "agent", "stream")
    list_select_related = ("agent", "stream")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MessageList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = self.get_queryset(request).select_related("agent", "stream", "domain", "run")
        key = searching.uuid_of(object_id)
        return found.filter(pk=key).first() if key else None

    @admin.display(description="message")
    def name(self, message: Message) -> str:
        return ids.printed("msg", message.pk)

    @admin.display(description="subject")
    def line(self, message: Message) -> str:
        return visible(message.subject) or "(none)"

    @admin.display(description="deliveries")
    def standing(self, message: Any) -> SafeString:
        shown: SafeString = message.chips
        return shown


@admin.register(Delivery)
class DeliveryAdmin(Told):
    named = staticmethod(searching.delivery_query)
    tell = staticmethod(telling.of_delivery)
    search_help_text = "A dlv_ or msg_ id, a Message-ID, or a recipient's address."
    list_display = ("name", "to", "standing", "code", "agent", "provider", "attempt", "finished_at")
    list_filter = (PeriodFilter, "status", CodeFilter)
    list_select_related = ("lane__agent",)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = self.get_queryset(request).select_related("lane__agent", "lane__stream", "lane__run")
        key = searching.uuid_of(object_id)
        return found.filter(pk=key).first() if key else None

    @admin.display(description="delivery")
    def name(self, delivery: Delivery) -> str:
        return ids.printed("dlv", delivery.pk)

    @admin.display(description="recipient")
    def to(self, delivery: Delivery) -> str:
        return visible(delivery.recipient)

    @admin.display(description="status")
    def standing(self, delivery: Delivery) -> SafeString:
        return chip(delivery.status)

    @admin.display(description="agent")
    def agent(self, delivery: Delivery) -> str:
        return delivery.lane.agent.name

    @admin.display(description="provider")
    def provider(self, delivery: Delivery) -> str:
        return delivery.lane.provider


@admin.register(Attempt)
class AttemptAdmin(Searchable):
    named = staticmethod(searching.attempt_query)
    search_help_text = "A dlv_ or msg_ id, or a Message-ID."
    list_display = ("number", "ended_at", "delivery_link", "host", "reply_code", "said", "end")
    list_filter = (PeriodFilter, searching.OutcomeFilter, searching.FaultFilter)
    fields = (
        "delivery_link",
        "number",
        "ended_at",
        "seconds",
        "phase",
        "host",
        "address",
        "tls",
        "selectors",
        "reply_code",
        "said",
        "fault",
        "cleared_at",
        "end",
        "code",
        "session_id",
    )

    @admin.display(description="delivery")
    def delivery_link(self, attempt: Attempt) -> SafeString:
        return delivery_link(attempt.delivery_id)

    @admin.display(description="reply")
    def said(self, attempt: Attempt) -> str:
        return visible(attempt.reply)

    @admin.display(description="outcome")
    def end(self, attempt: Attempt) -> SafeString:
        return chip(attempt.outcome)


@admin.register(Event)
class EventAdmin(Searchable):
    named = staticmethod(searching.event_query)
    search_help_text = "A msg_ or dlv_ id, or a Message-ID."
    list_display = ("at", "kind", "standing", "code", "message_link", "delivery_link", "actor", "noted")
    list_filter = (PeriodFilter, searching.EventStatusFilter)
    fields = (
        "at",
        "kind",
        "standing",
        "code",
        "message_link",
        "delivery_link",
        "attempt",
        "actor",
        "noted",
    )

    @admin.display(description="message")
    def message_link(self, event: Event) -> SafeString:
        return message_link(event.message_id)

    @admin.display(description="delivery")
    def delivery_link(self, event: Event) -> SafeString | None:
        return delivery_link(event.delivery_id) if event.delivery_id else None

    @admin.display(description="status")
    def standing(self, event: Event) -> SafeString:
        return chip(event.status)

    @admin.display(description="note")
    def noted(self, event: Event) -> str:
        return visible(event.note)


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ("name", "agent", "lineage", "on_behalf_of", "created_at", "cancelled_at", "messages")
    list_filter = (("cancelled_at", admin.EmptyFieldListFilter), "agent")
    list_select_related = ("agent",)
    search_fields = ("=name",)
    search_help_text = "A run's name, in full."
    fields = (
        "name",
        "agent",
        "lineage",
        "on_behalf_of",
        "purpose_shown",
        "created_at",
        "cancelled_at",
        "messages",
    )

    @admin.display(description="purpose")
    def purpose_shown(self, run: Run) -> SafeString:
        return block(run.purpose)

    @admin.display(description="")
    def messages(self, run: Run) -> SafeString:
        return filtered("message", "messages", run=run.pk)


@admin.register(Lane)
class LaneAdmin(ReadOnly):
    list_display = ("id", "agent", "run", "stream", "domain", "provider", "parked", "wake_at", "tier")
    list_filter = ("parked", "tier", "stream", "agent")
    list_select_related = ("agent", "run", "stream", "domain")
    search_fields = ("pk",)
    search_help_text = "A scope in full, such as provider:gmail or agent:demo."
    fields = ("stream", "domain", "provider", "agent", "run", "scopes", "tier", "parked", "wake_at", "naps")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lane], search_term: str
    ) -> tuple[QuerySet[Lane], bool]:
        scope = search_term.strip()
        return (queryset.filter(scopes__contains=[scope]) if scope else queryset), False


@admin.register(Session)
class SessionAdmin(ReadOnly):
    list_display = ("id", "name", "started_at", "lease_until", "ended_at", "epoch_seen")
    list_filter = (("ended_at", admin.EmptyFieldListFilter),)
    search_fields = ("name",)
    search_help_text = "Part of a session's name: host or process."


@admin.register(Answer)
class AnswerAdmin(ReadOnly):
    list_display = ("key", "agent", "status", "message_shown", "created_at")
    list_filter = ("agent",)
    list_select_related = ("agent",)
    ordering = ("-created_at",)
    search_fields = ("=key",)
    search_help_text = "An idempotency key, in full."
    fields = ("key", "agent", "status", "message_shown", "created_at", "body_shown")

    @admin.display(description="message")
    def message_shown(self, answer: Answer) -> SafeString | None:
        return message_link(answer.message_id) if answer.message_id else None

    @admin.display(description="body")
    def body_shown(self, answer: Answer) -> SafeString:
        return block(answer.body)


def _page_of_owner(key: ApiKey) -> str:
    """Where to go after something was done to a key: its agent's page, or the list of keys."""
    if key.agent_id is None:
        return reverse("admin:outbox_apikey_changelist")
    return reverse("admin:outbox_agent_change", args=[key.agent_id])
