"""What the ledger wrote, in the admin: messages, deliveries, attempts, events, and what they hang on.

Guarantees: nothing here can be changed; a page of any list is the same number of statements however many rows
it has. Large tables are searched by the exact words of ``searching``; a message's page is ``telling``'s.
"""

from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from outbox import ids, searching, telling
from outbox.models import Answer, Attempt, Delivery, Event, Lane, Message, Run, Session
from outbox.searching import CodeFilter, PeriodFilter, RunFilter, StatusFilter
from outbox.telling import delivery_link, filtered, message_link
from reputation.viewing import Beside, ReadOnly, block, chip, clock, visible


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
        self, _request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        words = search_term.strip()
        return (queryset.filter(self.named(words)) if words else queryset), False


class Told(Beside, Searchable):
    """A row whose page is its story."""

    change_form_template = "admin/story.html"
    tell: Callable[[Any], dict[str, Any]]
    name: Callable[[Any], str]
    told_with: tuple[str, ...] = ()

    def get_fieldsets(self, _request: HttpRequest, _row: Any = None) -> list[Any]:
        return []

    def get_object(self, request: HttpRequest, object_id: str, _field: str | None = None) -> Any:
        key = searching.uuid_of(object_id)
        return (
            self.get_queryset(request).select_related(*self.told_with).filter(pk=key).first() if key else None
        )

    def beside(self, _request: HttpRequest, row: Any, _form: Any) -> dict[str, Any]:
        return {"subtitle": self.name(row), **self.tell(row)}


@admin.register(Message)
class MessageAdmin(Told):
    named = staticmethod(searching.message_query)
    tell = staticmethod(telling.of_message)
    told_with = ("agent", "stream", "domain", "run")
    search_help_text = (
        "A msg_ or dlv_ id, a recipient's address, a Message-ID, a run, or subject: and words of one."
    )
    list_display = (clock("created_at", "accepted"), "line", "to", "standing", "agent", "stream", "name")
    list_filter = (RunFilter, PeriodFilter, StatusFilter, "agent", "stream")
    list_select_related = ("agent", "stream")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MessageList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        wanted = searching.subject_of(search_term)
        if not wanted:
            return super().get_search_results(request, queryset, search_term)
        if not any(request.GET.get(bound) for bound in searching.BOUNDS):
            queryset = queryset.filter(searching.lately())
            said = f"Subjects of the past {searching.SUBJECT_DAYS} days. Choose a period to look in others."
            self.message_user(request, said)
        return queryset.filter(subject__icontains=wanted), False

    @admin.display(description="message")
    def name(self, message: Message) -> str:
        return ids.printed("msg", message.pk)

    @admin.display(description="subject")
    def line(self, message: Message) -> str:
        return visible(message.subject) or "(none)"

    @admin.display(description="recipients")
    def to(self, message: Message) -> str:
        first, *others = message.addresses or [""]
        return visible(first) + (f" +{len(others)}" if others else "")

    @admin.display(description="deliveries")
    def standing(self, message: Any) -> SafeString:
        shown: SafeString = message.chips
        return shown


@admin.register(Delivery)
class DeliveryAdmin(Told):
    named = staticmethod(searching.delivery_query)
    tell = staticmethod(telling.of_delivery)
    told_with = ("lane__agent", "lane__stream", "lane__run")
    search_help_text = "A dlv_ or msg_ id, a Message-ID, or a recipient's address."
    list_display = ("name", "to", "standing", "code", "agent", "provider", clock("finished_at"))
    list_filter = (PeriodFilter, "status", CodeFilter)
    list_select_related = ("lane__agent",)

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
    list_display = (clock("ended_at"), "end", "reply_code", "said", "host", "delivery_link", "number")
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
        "signed",
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

    @admin.display(description="signed with")
    def signed(self, attempt: Attempt) -> str:
        return telling.signed_with(attempt)

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
    list_display = (clock("at"), "kind", "standing", "code", "delivery_link", "actor", "noted")
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
    list_display = (
        "name",
        "agent",
        "lineage",
        "on_behalf_of",
        clock("created_at"),
        clock("cancelled_at"),
        "messages",
    )
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


WAKES: Final = clock("wake_at", "wakes", never="asleep")


@admin.register(Lane)
class LaneAdmin(Searchable):
    named = staticmethod(searching.lane_query)
    list_display = ("id", "agent", "run", "stream", "domain", "provider", "shown_state", WAKES, "tier")
    list_filter = ("state", "tier", "stream", "agent")
    list_select_related = ("agent", "run", "stream", "domain")
    search_help_text = "A scope in full, such as provider:gmail or agent:demo."
    fields = ("stream", "domain", "provider", "agent", "run", "scopes", "tier", "shown_state", WAKES)

    @admin.display(description="state")
    def shown_state(self, lane: Lane) -> SafeString:
        return chip(lane.state)


@admin.register(Session)
class SessionAdmin(ReadOnly):
    list_display = (
        "id",
        "name",
        clock("started_at"),
        clock("lease_until"),
        clock("ended_at"),
        "epoch_seen",
    )
    list_filter = (("ended_at", admin.EmptyFieldListFilter),)
    search_fields = ("name",)
    search_help_text = "Part of a session's name: host or process."


@admin.register(Answer)
class AnswerAdmin(ReadOnly):
    list_display = ("key", "agent", "status", "message_shown", clock("created_at"))
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
