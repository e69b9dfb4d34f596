"""How people find messages: the words they search by, and the filters beside a list.

Guarantees: every search is one that an index answers, whatever was typed: an id, an address, a Message-ID or a
run's name. Words in a subject (``subject: invoice``) are looked for within a period only, one range of the key. Times
become keys, since keys sort by time. Refuses to look for words in bodies: that would read everything.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, Func, Model, OuterRef, Q, QuerySet, UUIDField
from django.http import HttpRequest
from django.utils import timezone

from outbox import ids
from outbox.addresses import BadAddress, parse_mailbox
from outbox.lifecycle import CODES, MOVES, Status
from outbox.models import Delivery, Message, Run
from outbox.outcomes import Fault
from reputation import sql

NOTHING: Final = Q(pk__in=())

# Recipients are indexed with the messages; each message's deliveries are one range of the primary key.
TO: Final[LiteralString] = """
SELECT d.id FROM (SELECT id FROM outbox_message WHERE addresses && %(to)s ORDER BY id DESC LIMIT 1000) AS m
JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
WHERE d.recipient = ANY(%(to)s)
"""

PERIODS: Final = {
    "1h": ("Past hour", timedelta(hours=1)),
    "24h": ("Past 24 hours", timedelta(days=1)),
    "7d": ("Past 7 days", timedelta(days=7)),
    "30d": ("Past 30 days", timedelta(days=30)),
}
BOUNDS: Final = ("past", "since", "until")
SUBJECT: Final = "subject:"
SUBJECT_DAYS: Final = 7
BAD_PERIOD: Final = "A period wants dates and times such as 2026-11-22T04:00 (UTC). Choose them again."


class _LastOf(Func):
    """The greatest key a message's delivery can have, as ``ids.last_delivery_of`` makes it."""

    template = "(left(%(expressions)s::text, 33) || 'fff')::uuid"
    output_field = UUIDField()


def message_query(words: str) -> Q:
    """The messages these words name: ``msg_...``, ``dlv_...``, a recipient, a Message-ID or a run."""
    if key := ids.parsed("msg", words) or uuid_of(words):
        return Q(pk=key)
    if key := ids.parsed("dlv", words):
        return Q(pk=ids.message_of(key))
    if key := _message_of_header(words):
        return Q(pk=key)
    if "@" in words:
        return Q(addresses__overlap=_spellings(words))
    # asked first, since a subquery of no run made the planner read every message
    return Q(run__in=list(Run.objects.filter(name=words).values_list("pk", flat=True)[:1000]))


def subject_of(words: str) -> str:
    """The words of a subject that these ask for, or nothing."""
    beginning, rest = words[: len(SUBJECT)], words[len(SUBJECT) :]
    return rest.strip() if beginning.lower() == SUBJECT else ""


def lately() -> Q:
    """Of the days in which subjects are looked for when nobody has chosen a period."""
    return Q(pk__gte=_floor(timezone.now() - timedelta(days=SUBJECT_DAYS)))


def delivery_query(words: str) -> Q:
    """The deliveries these words name: ``dlv_...``, ``msg_...``, a Message-ID or a recipient."""
    if key := ids.parsed("dlv", words) or uuid_of(words):
        return Q(pk=key)
    if key := ids.parsed("msg", words) or _message_of_header(words):
        return Q(pk__gt=key, pk__lte=ids.last_delivery_of(key))
    if "@" in words:
        return Q(pk__in=[row.id for row in sql.rows(TO, {"to": _spellings(words)})])
    return NOTHING


def attempt_query(words: str) -> Q:
    """The attempts of a delivery or of a whole message."""
    if key := ids.parsed("dlv", words) or uuid_of(words):
        return Q(delivery=key)
    if key := ids.parsed("msg", words) or _message_of_header(words):
        return Q(delivery__gt=key, delivery__lte=ids.last_delivery_of(key))
    return NOTHING


def event_query(words: str) -> Q:
    """The events of a message or of one delivery."""
    if key := ids.parsed("msg", words) or _message_of_header(words) or uuid_of(words):
        return Q(message=key)
    if key := ids.parsed("dlv", words):
        return Q(message=ids.message_of(key), delivery=key)
    return NOTHING


def lane_query(scope: str) -> Q:
    """The lanes in a scope."""
    return Q(scopes__contains=[scope])


def uuid_of(words: str) -> UUID | None:
    """The key in this text, as PostgreSQL prints keys, or None."""
    try:
        return UUID(words)
    except ValueError:
        return None


class StatusFilter(admin.SimpleListFilter):
    """Messages of which any delivery stands so."""

    title = parameter_name = "status"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(status, status) for status in Status]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        if self.value() not in set(Status):
            return queryset
        mine = Delivery.objects.filter(pk__gt=OuterRef("pk"), pk__lte=_LastOf(OuterRef("pk")))
        return queryset.filter(Exists(mine.filter(status=self.value())))


class ClosedListFilter(admin.SimpleListFilter):
    """A column whose values are a closed list: the table is not searched for what it holds."""

    values: tuple[str, ...] = ()

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value}) if value in self.values else queryset


class CodeFilter(ClosedListFilter):
    title = parameter_name = "code"
    values = tuple(sorted(frozenset[str]().union(*CODES.values())))


class OutcomeFilter(ClosedListFilter):
    title = parameter_name = "outcome"
    values = tuple(status for status in Status if status in MOVES[Status.SENDING])


class FaultFilter(ClosedListFilter):
    title = parameter_name = "fault"
    values = tuple(Fault)


class EventStatusFilter(ClosedListFilter):
    title = parameter_name = "status"
    values = tuple(Status)


class RunFilter(admin.SimpleListFilter):
    """One run, by a link from a message or a run: shown only while it is on."""

    title, parameter_name = "run", "run"

    def lookups(self, request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        key = _number(request.GET.get("run"))
        run = Run.objects.filter(pk=key).first() if key else None
        return [(str(key), run.name)] if run else []

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        key = _number(self.value())
        return queryset.filter(run_id=key) if key else queryset


class PeriodFilter(admin.ListFilter):
    """When: a click, or two instants in UTC. Asked of the primary key, which begins with the time."""

    title = "time"
    template = "admin/period_filter.html"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.others: list[tuple[str, str]] = []
        for name in BOUNDS:
            if given := params.pop(name, None):
                self.used_parameters[name] = str(given[-1])

    def expected_parameters(self) -> list[str | None]:
        return [*BOUNDS]

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        self.others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in BOUNDS
            for value in values
        ]
        yield self._choice(changelist, "Any time", None, not self.used_parameters)
        for past, (label, _) in PERIODS.items():
            yield self._choice(changelist, label, past, self.used_parameters.get("past") == past)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            since, until = self._bounds()
        except ValueError:
            messages.error(request, BAD_PERIOD)
            return queryset.none()
        return self.between(queryset, since, until)

    def between(
        self, queryset: QuerySet[Any], since: datetime | None, until: datetime | None
    ) -> QuerySet[Any]:
        """The rows from one instant up to another, as far as they are given."""
        if since:
            queryset = queryset.filter(pk__gte=_floor(since))
        return queryset.filter(pk__lt=_floor(until)) if until else queryset

    def _bounds(self) -> tuple[datetime | None, datetime | None]:
        given = self.used_parameters
        if past := given.get("past"):
            if past not in PERIODS:
                raise ValueError(past)
            return timezone.now() - PERIODS[past][1], None
        return _instant(given.get("since")), _instant(given.get("until"))

    def _choice(self, changelist: ChangeList, label: str, past: str | None, on: bool) -> dict[str, Any]:
        link = changelist.get_query_string({"past": past} if past else {}, [*BOUNDS])
        return {"display": label, "query_string": link, "selected": on}


def _number(text: str | None) -> int | None:
    """A row's number, or None for what is none or larger than any."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def _spellings(address: str) -> list[str]:
    """An address as agents may have written it; one that is none is looked for as it is."""
    try:
        mailbox = parse_mailbox(address)
    except BadAddress:
        return [address]
    return sorted({address, mailbox.addr, mailbox.folded})


def _message_of_header(words: str) -> UUID | None:
    """The message behind a Message-ID of ours: its local part is the message's own id."""
    local, at, _ = words.strip("<> ").partition("@")
    return ids.parsed("msg", f"msg_{local}") if at else None


def _instant(text: object) -> datetime | None:
    """An instant, in UTC where it names no zone. Raises ValueError."""
    if not text:
        return None
    at = datetime.fromisoformat(str(text))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _floor(at: datetime) -> UUID:
    """The least key of an instant: RFC 9562 §5.7 begins with 48 bits of Unix milliseconds."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)
