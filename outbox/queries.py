"""Query strings, read as strictly as bodies: an unknown parameter is an error, since a filter that is ignored
answers another question than the one asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final
from uuid import UUID

from django.http import QueryDict

from outbox import ids
from outbox.addresses import BadText, parse_mailbox
from outbox.fields import moment
from outbox.lifecycle import Status
from outbox.openapi import parameter
from outbox.problems import Violation, refused
from outbox.story import Filter, Stretch

MAX_LIMIT: Final = 100
MAX_WAIT: Final = 55

LIST_PARAMETERS: Final = [
    parameter("run_id", "query", "Only of this run."),
    parameter("status", "query", "Any delivery stands so.", enum=[str(status) for status in Status]),
    parameter("to", "query", "This address is among the recipients.", format="email"),
    parameter("since", "query", "Accepted at this instant or later.", format="date-time"),
    parameter("until", "query", "Accepted before this instant.", format="date-time"),
    parameter("limit", "query", "At most so many.", type="integer", minimum=1, maximum=MAX_LIMIT, default=20),
    parameter("after", "query", "Go on after this message, to older ones."),
    parameter(
        "before",
        "query",
        "Go back before this message, to newer ones; those accepted at once may be missed.",
    ),
]
EVENTS_PARAMETERS: Final = [
    parameter(
        "limit", "query", "At most so many; all without it.", type="integer", minimum=1, maximum=MAX_LIMIT
    ),
    parameter("after", "query", "Go on after this event, to later ones."),
    parameter("before", "query", "Go back before this event, to earlier ones."),
]
WAIT_PARAMETERS: Final = [
    parameter(
        "wait", "query", "Hold the answer so many seconds.", type="integer", minimum=0, maximum=MAX_WAIT
    ),
    parameter("after_version", "query", "The version you know.", type="integer", minimum=0),
]


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to hold the answer, and which version the caller has seen."""

    seconds: int = 0
    after_version: int | None = None


def filter_of(query: QueryDict) -> Filter:
    """The filter in a list's query string. Raises Refused(validation_failed)."""
    return Filter(**_one_way(_read(query, _LIST)))


def stretch_of(query: QueryDict) -> Stretch:
    """The stretch of a story in a query string. Raises Refused(validation_failed)."""
    return Stretch(**_one_way(_read(query, _EVENTS)))


def wait_of(query: QueryDict) -> Wait:
    """The wait in a message's query string. Raises Refused(validation_failed)."""
    read = _read(query, _WAIT)
    return Wait(read.get("wait", 0), read.get("after_version"))


def seconds_until(instant: str | None, now: datetime) -> int:
    """Whole seconds for a Retry-After header, at least one."""
    if instant is None:
        return 1
    return max(ceil((datetime.fromisoformat(instant).astimezone(UTC) - now).total_seconds()), 1)


def _read(query: QueryDict, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    read, violations = {}, []
    for name, values in query.lists():
        try:
            read[name] = _judge(name, values, known)
        except BadText as error:
            violations.append(Violation(f"/{name[:100]}", error.code, error.detail))
    if violations:
        raise _invalid(violations)
    return read


def _one_way(read: dict[str, Any]) -> dict[str, Any]:
    if "after" in read and "before" in read:
        raise _invalid([Violation("/before", "bad_value", "Give after or before, not both.")])
    return read


def _judge(name: str, values: list[Any], known: Mapping[str, Callable[[str], Any]]) -> Any:
    if name not in known:
        raise BadText("unknown_field", "There is no such parameter.")
    if len(values) > 1:
        raise BadText("too_many", "Give it once.")
    return known[name](str(values[0]))


def _invalid(violations: list[Violation]) -> Exception:
    detail = "The query string is not valid; pointers name its parameters."
    return refused("validation_failed", detail, violations=tuple(violations[:MAX_LIMIT]))


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 10 and lowest <= int(value) <= highest):
            raise BadText("bad_value", f"A whole number from {lowest} to {highest}.")
        return int(value)

    return read


def _status(value: str) -> str:
    if value not in set(Status):
        raise BadText("bad_value", "One of " + ", ".join(Status) + ".")
    return value


def _id(prefix: str, what: str) -> Callable[[str], UUID]:
    def read(value: str) -> UUID:
        key = ids.parsed(prefix, value)
        if key is None:
            raise BadText("bad_value", f"{what} id, like {prefix}_...")
        return key

    return read


def _recipient(value: str) -> list[str]:
    mailbox = parse_mailbox(value)
    return [mailbox.addr, mailbox.folded]


def _instant(value: str) -> datetime:
    return moment(value.replace(" ", "+"))  # a plus that nobody escaped


def _name(value: str) -> str:
    if "\0" in value or len(value) > 128:
        raise BadText("bad_value", "A run id has at most 128 characters.")
    return value


_LIST: Final[Mapping[str, Callable[[str], Any]]] = {
    "run_id": _name,
    "status": _status,
    "to": _recipient,
    "since": _instant,
    "until": _instant,
    "limit": _number(1, MAX_LIMIT),
    "after": _id("msg", "A message"),
    "before": _id("msg", "A message"),
}
_EVENTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "limit": _number(1, MAX_LIMIT),
    "after": _id("evt", "An event"),
    "before": _id("evt", "An event"),
}
_WAIT: Final[Mapping[str, Callable[[str], Any]]] = {
    "wait": _number(0, MAX_WAIT),
    "after_version": _number(0, 999_999_999),
}
