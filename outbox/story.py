"""What became of messages: the reads behind ``GET /v1/messages`` and everything under it.

An agent sees its own messages only; what belongs to somebody else does not exist. A message's version is the
number of its events. It is read before the deliveries are, so a caller that waits for the next version can
see a change twice but never miss one. No query per row: a page is two statements, as one message is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from outbox import ids
from outbox.lifecycle import Status, message_status
from outbox.payloads import Accepted, AcceptedDelivery, accepted_body
from outbox.problems import instant
from reputation import sql
from reputation.outlook import outlooks

MESSAGES: Final[LiteralString] = """
SELECT m.id, m.created_at, m.scheduled_at, m.expires_at, m.header_id, m.decision, m.refused, s.name AS stream,
       r.name AS run, (SELECT count(*) FROM outbox_event AS e WHERE e.message_id = m.id) AS version,
       (SELECT e.note FROM outbox_event AS e WHERE e.message_id = m.id AND e.kind = 'refused'
        ORDER BY e.id DESC LIMIT 1) AS refusal
FROM outbox_message AS m
JOIN reputation_stream AS s ON s.id = m.stream_id
JOIN outbox_run AS r ON r.id = m.run_id
WHERE m.agent_id = %(agent)s
"""

LINEAGE: Final[LiteralString] = """
SELECT r.lineage FROM outbox_message AS m JOIN outbox_run AS r ON r.id = m.run_id WHERE m.id = %s AND m.agent_id = %s
"""

# Keys are made of the same clock reading as created_at, in milliseconds; the range is for the index.
FILTERS: Final[Mapping[str, LiteralString]] = {
    "id": "AND m.id = %(id)s",
    "run_id": "AND m.run_id = (SELECT id FROM outbox_run WHERE agent_id = %(agent)s AND name = %(run_id)s)",
    "status": """AND EXISTS (SELECT FROM outbox_delivery AS d WHERE d.status = %(status)s
                 AND d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid)""",
    "to": "AND m.addresses && %(to)s",
    "since": "AND m.created_at >= %(since)s AND m.id >= ao_uuid_floor(%(since)s - interval '1 second')",
    "until": "AND m.created_at < %(until)s AND m.id < ao_uuid_floor(%(until)s + interval '1 second')",
    "after": "AND m.id < %(after)s",
    "before": "AND m.id > %(before)s",
}
NEWEST_FIRST: Final[LiteralString] = "ORDER BY m.id DESC LIMIT %(rows)s"
OLDEST_FIRST: Final[LiteralString] = "ORDER BY m.id LIMIT %(rows)s"

# A message's deliveries are one range of the primary key.
DELIVERIES: Final[LiteralString] = """
SELECT d.id, d.recipient, d.status, d.code, d.attempt, d.next_attempt_at, d.finished_at, l.state = 'shut' AS shut,
       l.domain_id, l.provider
FROM unnest(%s::uuid[], %s::uuid[]) AS m (first, last)
JOIN outbox_delivery AS d ON d.id > m.first AND d.id <= m.last
JOIN outbox_lane AS l ON l.id = d.lane_id
ORDER BY d.id
"""

EVENTS: Final[LiteralString] = """
SELECT e.id, e.at, e.kind, e.status, e.code, e.actor, e.note, e.delivery_id, d.recipient, a.number, a.host,
       a.address, a.tls, a.reply_code, a.reply, a.phase, a.fault, a.seconds
FROM outbox_event AS e
LEFT JOIN outbox_delivery AS d ON d.id = e.delivery_id
LEFT JOIN outbox_attempt AS a
    ON a.delivery_id = e.delivery_id AND a.number = e.attempt AND e.kind <> 'claimed'
WHERE e.message_id = %(id)s
"""
EVENTS_AFTER: Final[LiteralString] = "AND e.id > %(after)s"
EVENTS_BEFORE: Final[LiteralString] = "AND e.id < %(before)s"
FORWARD: Final[LiteralString] = "ORDER BY e.id LIMIT %(rows)s"  # LIMIT NULL is none
BACKWARD: Final[LiteralString] = "ORDER BY e.id DESC LIMIT %(rows)s"

OWNED: Final[LiteralString] = "SELECT 1 AS yes FROM outbox_message WHERE id = %(id)s AND agent_id = %(agent)s"

PULSE: Final[LiteralString] = """
SELECT (SELECT count(*) FROM outbox_event WHERE message_id = %(id)s) AS version,
       NOT EXISTS (SELECT FROM outbox_delivery
                   WHERE id > %(id)s AND id <= %(last)s AND finished_at IS NULL) AS final
"""

WAITING: Final = frozenset({Status.QUEUED, Status.DEFERRED})


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages: None is any. ``after`` goes on to older ones, ``before`` back to newer ones."""

    run_id: str | None = None
    status: str | None = None
    to: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: UUID | None = None
    before: UUID | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which events of a message's story: all of them unless told. ``after`` goes on, ``before`` goes back."""

    after: UUID | None = None
    before: UUID | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """How far a message is: its version, and whether every delivery is final."""

    version: int
    final: bool


def owns(agent_id: int, message_id: UUID) -> bool:
    """Whether this message is this agent's."""
    return sql.one(OWNED, {"agent": agent_id, "id": message_id}) is not None


def pulse(message_id: UUID) -> Pulse:
    """The version of a message now, cheaply."""
    row = sql.one(PULSE, {"id": message_id, "last": ids.last_delivery_of(message_id)})
    assert row is not None  # two scalars, whether or not there is such a message
    return Pulse(row.version, row.final)


def one(agent_id: int, message_id: UUID) -> dict[str, Any] | None:
    """The body of one message, or None if this agent has no such message."""
    found = _bodies(sql.rows(MESSAGES + FILTERS["id"], {"agent": agent_id, "id": message_id}))
    return found[0] if found else None


def lineage(agent_id: int, message_id: UUID) -> tuple[str, ...]:
    """The names of the runs that a message belongs to, from the root down; none if there is no such message."""
    row = sql.one(LINEAGE, [message_id, agent_id])
    return tuple(row.lineage) if row else ()


def page(agent_id: int, wanted: Filter) -> tuple[list[dict[str, Any]], bool]:
    """Messages, newest first, and whether there are more in the direction asked for."""
    given = {name: value for name in FILTERS if (value := getattr(wanted, name, None)) is not None}
    order = OLDEST_FIRST if wanted.before else NEWEST_FIRST
    statement = " ".join([MESSAGES, *(FILTERS[name] for name in given), order])
    found = sql.rows(statement, {**given, "agent": agent_id, "rows": wanted.limit + 1})
    shown = sorted(found[: wanted.limit], key=lambda row: row.id, reverse=True)
    return _bodies(shown), len(found) > wanted.limit


def events(message_id: UUID) -> list[dict[str, Any]]:
    """The whole story of one message, oldest first; what a server said stands with the event it caused."""
    return stretch(message_id, Stretch())[0]


def stretch(message_id: UUID, wanted: Stretch) -> tuple[list[dict[str, Any]], bool]:
    """Part of that story, oldest first, and whether there is more of it in the direction asked for."""
    rows = None if wanted.limit is None else wanted.limit + 1
    fields = {"id": message_id, "after": wanted.after, "before": wanted.before, "rows": rows}
    bounds = EVENTS_AFTER if wanted.after else EVENTS_BEFORE if wanted.before else ""
    found = sql.rows(" ".join([EVENTS, bounds, BACKWARD if wanted.before else FORWARD]), fields)
    shown = sorted(found[: wanted.limit], key=lambda row: row.id)
    return [_event_body(row) for row in shown], len(found) > len(shown)


def _bodies(messages: list[sql.Row]) -> list[dict[str, Any]]:
    deliveries = _deliveries([row.id for row in messages])
    return [_message_body(row, deliveries[row.id]) for row in messages]


def _deliveries(messages: Iterable[UUID]) -> defaultdict[UUID, list[sql.Row]]:
    firsts = list(messages)
    found: defaultdict[UUID, list[sql.Row]] = defaultdict(list)
    for row in sql.rows(DELIVERIES, [firsts, [ids.last_delivery_of(each) for each in firsts]]):
        found[ids.message_of(row.id)].append(row)
    return found


def _message_body(row: sql.Row, deliveries: list[sql.Row]) -> dict[str, Any]:
    decision = sql.loads(row.decision)
    status = message_status([Status(each.status) for each in deliveries])
    held = Counter(each.provider for each in deliveries if each.status == Status.HELD)
    accepted = Accepted(
        id=row.id,
        status=str(status),
        created_at=row.created_at,
        header_id=row.header_id,
        stream=row.stream,
        run_id=row.run,
        verdict=decision["verdict"],
        reasons=tuple(decision["reasons"]),
        policy_version=decision["policy_version"],
        deliveries=tuple(_delivery(each, held) for each in deliveries),
        refused=tuple(sql.loads(row.refused)),
        budget={},
        scheduled_at=row.scheduled_at,
        expires_at=row.expires_at,
        approval=decision.get("approval") if status is Status.HELD else None,
    )
    body = accepted_body(accepted)
    body["version"] = row.version
    body["refusal"] = row.refusal
    body["deliveries"] = [
        shown | _progress(delivery) for shown, delivery in zip(body["deliveries"], deliveries, strict=True)
    ]
    return body


def _delivery(row: sql.Row, held: Mapping[str, int]) -> AcceptedDelivery:
    return AcceptedDelivery(row.id, row.recipient, row.status, row.code or None, _forecast(row, held))


def _forecast(row: sql.Row, held: Mapping[str, int]) -> datetime | None:
    """When it is due; behind its ramp, when all that waits there would be through. What is held, by provider, is told
    as at the door: when all of it would be through if it were let go now."""
    if row.status not in WAITING and row.status != Status.HELD:
        return None
    due: datetime = row.next_attempt_at
    if row.status in WAITING and not row.shut:
        return due
    waits = held[row.provider] if row.status == Status.HELD else 0
    end = outlooks(row.domain_id, [row.provider])[row.provider].at(waits)
    return end and max(end, due)


def _progress(row: sql.Row) -> dict[str, Any]:
    return {
        "attempts": row.attempt,
        "next_attempt_at": instant(row.next_attempt_at) if row.status in WAITING else None,
        "finished_at": instant(row.finished_at) if row.finished_at else None,
    }


def _event_body(row: sql.Row) -> dict[str, Any]:
    delivery = row.delivery_id and {"id": ids.printed("dlv", row.delivery_id), "to": row.recipient}
    return {
        "id": ids.printed("evt", row.id),
        "at": instant(row.at),
        "type": row.kind,
        "delivery": delivery,
        "status": row.status,
        "code": row.code or None,
        "actor": row.actor or None,
        "note": row.note or None,
        "attempt": _attempt_body(row) if row.number is not None else None,
    }


def _attempt_body(row: sql.Row) -> dict[str, Any]:
    names = ("number", "host", "address", "tls", "reply_code", "reply", "phase", "fault", "seconds")
    return {name: None if getattr(row, name) == "" else getattr(row, name) for name in names}
