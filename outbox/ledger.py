"""The only writer of delivery state.

Every move is one guarded statement (from which states, under which session and attempt) and one event, in one
short transaction on the database's clock; none is open across the network. A guard that does not hold moves
nothing: a late worker changes nothing it no longer owns. Clearance is the one move that must serialise with a
trip; it lives in the database as ``ao_clear`` and is called here. The SQL of all others is in ``statements``.

Refuses: to guess. What a dead worker held is queued again only while its dot was provably not sent; otherwise
it is ``uncertain``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import transaction

from outbox import held_statements, ids, statements, stop_statements
from outbox.lifecycle import OPEN, Status, origins
from reputation import allowance, feedback, outlook, sql

SETTLED_CHANNEL: Final = "ao_settled"

# A delivery whose worker died this often before its dot is suspected of killing workers: a person looks at it.
POISON_AFTER: Final = 5
# The transactional preset's second chance for an uncertain delivery.
RESEND_AFTER: Final = "2 minutes"
# Lanes a claim visits at most.
LANES: Final = 64
NEVER: Final = "9999-12-31 00:00+00"
# What a receiver's word moves a delivery to; anything else it says is an event.
REPORTED: Final = {"bounced": Status.BOUNCED, "delivered": Status.DELIVERED}
# A report of these is early: the attempt it speaks of has yet to be settled.
UNSETTLED: Final = sorted(str(status) for status in OPEN - {Status.UNCERTAIN})


@dataclass(frozen=True, slots=True)
class Claimed:
    """One delivery under our lease. ``attempt`` is the fencing token; ``now`` the database's time of the claim."""

    id: UUID
    message_id: UUID
    attempt: int
    tries: int
    recipient: str
    expires_at: datetime
    domain_id: int
    provider: str
    tier: int
    scopes: list[str]
    agent_id: int
    agent: str
    exempt: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one attempt. ``wait`` is in seconds from the settle; ``spoke`` says a server was spoken to.

    ``evidence`` is what it tells of the domain's health: accepted, bounced, slowed, refused, or nothing.
    """

    id: UUID
    attempt: int
    status: str
    code: str
    wait: float | None = None
    spoke: bool = False
    seconds: float | None = None
    phase: str = ""
    host: str = ""
    address: str = ""
    tls: str = ""
    reply_code: int | None = None
    reply: str = ""
    fault: str = ""
    selectors: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Testimony:
    """What a receiver says of a delivery after it took it. ``kind`` is one of ``Signal.Kind``.

    ``code`` is from the closed list of the status that the kind moves to; a delay or a complaint has none.
    """

    delivery: UUID
    kind: str
    source: str
    reason: str
    code: str = ""
    hard: bool = False
    enhanced: str = ""
    reporter: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """The delivery that a new testimony is about, and whether it moved."""

    mail: feedback.Mail
    moved: bool


def enter(
    messages: Sequence[Mapping[str, Any]], deliveries: Sequence[Mapping[str, Any]], *, actor: str
) -> None:
    """Write accepted messages with their deliveries and events, and wake their lanes. In the caller's transaction."""
    fields = {"messages": _json(messages), "deliveries": _json(deliveries), "actor": actor}
    sql.count(statements.ENTER, fields)


def enter_attachments(parts: Sequence[tuple[UUID, int, str, str, str | None, bytes]]) -> None:
    """Write attachments (message, ordinal, filename, content type, content id, bytes). In the caller's transaction."""
    if parts:
        sql.count(statements.ENTER_ATTACHMENTS, [list(column) for column in zip(*parts, strict=True)])


def claim(session: int, *, tier: int, limit: int, last_agent: int = 0, lanes: int = LANES) -> list[Claimed]:
    """Take up to ``limit`` due deliveries of one tier under a session's lease, each with its allowance reserved.

    Fairly over agents, from the one after ``last_agent`` on, and over each one's lanes. An empty answer means: nothing
    due and allowed in the lanes visited. A session that was ended gets nothing.
    """
    fields = {
        "session": session,
        "tier": tier,
        "limit": limit,
        "lanes": lanes,
        "last": last_agent,
        "never": NEVER,
    }
    for again in (True, False):
        taken, waiting = sql.together((statements.CLAIM, fields), (allowance.UNOPENED, ()))
        # also when there is other work: a day that nobody opens would wait for the end of everybody else's mail
        opened = allowance.open_days([row.id for row in waiting])
        if taken or not opened or not again:
            break
    return [Claimed(*row) for row in taken]


def waits() -> dict[int, float]:
    """By tier, the seconds until a lane may have due work: zero or less for now. One without any work is missing."""
    return {row.tier: row.seconds for row in sql.rows(statements.WAITS) if row.seconds is not None}


def contents(message_ids: Iterable[UUID], largest: int, *, bound: bool = True) -> dict[UUID, sql.Row]:
    """The accepted content of these messages, by id; those above ``largest`` octets are left out.

    ``bound``: with what was approved of those that were held.
    """
    given = {"ids": list(message_ids), "largest": largest, "bound": bound}
    return {row.id: row for row in sql.rows(statements.CONTENTS, given)}


def attachments(message_ids: Iterable[UUID]) -> dict[UUID, list[sql.Row]]:
    """The attachments of these messages, in order, by message."""
    found: dict[UUID, list[sql.Row]] = {}
    for row in sql.rows(statements.ATTACHMENTS, [list(message_ids)]):
        found.setdefault(row.message_id, []).append(row)
    return found


def clear(session: int, wanted: Sequence[tuple[UUID, int]]) -> set[UUID]:
    """Clear these (delivery, attempt) pairs for their dots; the answer holds those that may send it.

    Not to be called inside a transaction: the clearance is its commit.
    """
    pairs = [list(column) for column in zip(*wanted, strict=True)]
    return {row.id for row in sql.rows(statements.CLEAR, [session, *pairs])}


def settle(session: int, settlements: Sequence[Settlement]) -> set[UUID]:
    """Write what became of these attempts; the answer holds those that were still ours to settle."""
    given = [{name: getattr(one, name) for name in Settlement.__slots__} for one in settlements]
    fields = {"settled": _json(given), "session": session, "resend": RESEND_AFTER, "never": NEVER}
    moved = sql.rows(statements.SETTLE, fields)
    # After the commit of the settle: a lane that is not woken, because we died between the two, is found by the poll.
    _wake([row for row in moved if row.due])
    _reopen(moved)
    return {row.id for row in moved}


def rescue() -> list[sql.Row]:
    """Take back what dead sessions held: undotted is queued again, cleared is uncertain."""
    with transaction.atomic():
        sql.count(statements.END_DEAD_SESSIONS)
        moved = sql.rows(
            statements.TAKE_BACK, {"poison": POISON_AFTER, "resend": RESEND_AFTER, "never": NEVER}
        )
        _wake([row for row in moved if row.due])
    _reopen(moved)
    return moved


def disown(session: int, held: Sequence[UUID]) -> int:
    """Queue again what a session has claimed and its worker does not hold; how many deliveries that were.

    To be called by that worker alone, between its claims.
    """
    with transaction.atomic():
        moved = sql.rows(statements.DISOWN, {"session": session, "held": list(held)})
        _wake(moved)
    _reopen(moved)
    return len(moved)


def relane(session: int, one: Claimed, provider: str, domain: str) -> bool:
    """Queue a claimed delivery again in the lane of another provider; whether it was still ours, and undotted."""
    ramp = allowance.ramp_of(domain, provider)
    fields = {"id": one.id, "attempt": one.attempt, "session": session, "provider": provider, "ramp": ramp}
    with transaction.atomic():
        moved = sql.rows(statements.RELANE, fields)
        _wake(moved)
    _reopen(moved)
    return bool(moved)


def expire(limit: int = 1000) -> int:
    """End what waits past its life, at most ``limit`` deliveries; how many that were."""
    with transaction.atomic():
        return len(sql.rows(statements.EXPIRE, [limit]))


def resend_uncertain() -> int:
    """Queue uncertain deliveries again whose stream says so, once each; how many that were."""
    with transaction.atomic():
        moved = sql.rows(statements.RESEND)
        _wake(moved)
    return len(moved)


def cancel_message(message_id: UUID, code: str, actor: str) -> int:
    """Cancel whatever of a message is not yet cleared; how many deliveries that were."""
    fields = {"first": message_id, "last": ids.last_delivery_of(message_id), "code": code, "actor": actor}
    with transaction.atomic():
        moved = sql.rows(statements.CANCEL, fields)
        if moved:
            sql.rows(statements.TELL_SETTLED)
    _reopen(moved)
    return len(moved)


@dataclass(frozen=True, slots=True)
class Page:
    """Where a walk over messages has come to, and how many deliveries it cancelled there."""

    last: UUID
    cancelled: int


def cancel_runs(run_ids: Sequence[int], after: UUID | None, limit: int, actor: str) -> Page | None:
    """Cancel whatever of the next ``limit`` messages of these runs is not yet cleared; None if there are no more."""
    fields = {"runs": list(run_ids), "after": after, "limit": limit, "code": "run_cancelled", "actor": actor}
    with transaction.atomic():
        row = sql.one(statements.CANCEL_RUNS, fields)
        if row.cancelled:
            sql.rows(statements.TELL_SETTLED)
    if row.purses:
        sql.count(statements.REOPEN, [row.purses])
    return Page(row.last, row.cancelled) if row.last else None


def report(said: Testimony) -> Heard | None:
    """Write down what a receiver says, and move the delivery if that says so; None if it was known already.

    In the caller's transaction: what follows from it stands or falls with it.
    """
    target = REPORTED.get(said.kind)
    fields = {name: getattr(said, name) for name in Testimony.__slots__}
    settled = [str(status) for status in origins(target) if status not in UNSETTLED] if target else []
    places = {"target": target and str(target), "origins": settled, "unsettled": UNSETTLED}
    row = sql.one(statements.REPORT, fields | places)
    if row is None:
        return None
    mail = feedback.Mail(**{name: getattr(row, name) for name in feedback.Mail.__slots__})
    return Heard(mail, row.moved)


def catch_up(limit: int = 1000) -> int:
    """Move what was reported before it was settled; how many deliveries that were."""
    return len(sql.rows(statements.CATCH_UP, [limit]))


def release_rechecked(limit: int = 1000) -> int:
    """Queue what was held for its domain's records or for weak evidence, and is no more; how many deliveries."""
    with transaction.atomic():
        moved = sql.rows(statements.RELEASE_RECHECKED, [limit])
        _wake(moved)
    return len(moved)


def look_again(reasons: Mapping[UUID, str], actor: str) -> dict[str, int]:
    """End or hold what may not go out any more of these waiting deliveries; how many, by their new status.

    ``reasons``: why its recipient may not be mailed now, or nothing. In the caller's transaction.
    """
    given = {"ids": list(reasons), "reasons": list(reasons.values()), "actor": actor}
    return {row.status: row.n for row in sql.rows(stop_statements.LOOK_AGAIN, given)}


@dataclass(frozen=True, slots=True)
class Staging:
    """How a scope opens in steps: by provider (``together``: of all) the last delivery of those that go first.

    The others are due ``after`` a while, spread over ``spread`` (intervals). Only what is due before ``horizon`` is
    touched; ``pull``: the first were put off before, and are due at once.
    """

    cuts: Mapping[str, str]
    horizon: datetime
    after: str
    spread: str
    together: bool = False
    pull: bool = False


def stage(found: Sequence[UUID], plan: Staging, actor: str) -> int:
    """Put off those of these waiting deliveries that do not go first; how many. In the caller's transaction."""
    given = {name: getattr(plan, name) for name in Staging.__slots__} | {"cuts": _json(plan.cuts)}
    lanes = sql.rows(stop_statements.STAGE, given | {"ids": list(found), "actor": actor})
    _wake(lanes)
    return sum(row.later for row in lanes)


def set_aside(found: Sequence[UUID], purge: str, actor: str) -> int:
    """Take these waiting deliveries out of the way; how many that were. In the caller's transaction."""
    given = {"ids": list(found), "purge": purge, "actor": actor}
    return int(sql.one(stop_statements.SET_ASIDE, given).n)


def put_back(found: Sequence[UUID], purge: str, actor: str, step: tuple[str, str] | None) -> int:
    """Queue again what was set aside; how many. ``step``: how long it waits at least, spread over how long."""
    after, spread = step or ("0", "0")
    given = {"ids": list(found), "purge": purge, "actor": actor, "open": step is not None}
    moved = sql.rows(stop_statements.PUT_BACK, given | {"after": after, "spread": spread})
    _wake(moved)
    return len(moved)


def throw_away(found: Sequence[UUID], purge: str, actor: str) -> int:
    """Cancel what was set aside, budgets given back; how many. In the caller's transaction."""
    given = {"ids": list(found), "purge": purge, "actor": actor}
    return int(sql.one(stop_statements.THROW_AWAY, given).n)


def conclude(reasons: Mapping[UUID, str], verdict: str, actor: str, note: str) -> list[sql.Row]:
    """Release, refuse or lapse these held deliveries as was decided; those that moved. In the caller's transaction.

    ``reasons``: why its recipient may not be mailed now, or nothing. What may not go now stays held and is not in it.
    """
    given = {"ids": list(reasons), "reasons": list(reasons.values()), "verdict": verdict}
    moved = sql.rows(held_statements.CONCLUDE, given | {"actor": actor, "note": note})
    _wake([row for row in moved if row.status == "queued"])
    return moved


def tally_waiting() -> int:
    """Count what waits behind each ramp, for forecasts, if anything warms up at all; how many ramps changed."""
    if not sql.one(statements.ANY_RAMP).found:
        return 0
    return outlook.tally({row.ramp_id: row.n for row in sql.rows(statements.COUNT_WAITING)})


def rouse() -> int:
    """Wake lanes that were overlooked: the guarantee behind the hint; how many that were."""
    return sql.count(statements.ROUSE) + sql.count(statements.ROUSE_SHUT)


def unpark(scope: str) -> int:
    """Let claims visit the lanes of a resumed scope again; how many lanes that were."""
    return sql.count(statements.UNPARK, [scope])


def _wake(lanes: Sequence[sql.Row]) -> None:
    earliest: dict[int, datetime] = {}
    for row in lanes:
        earliest[row.lane_id] = min(earliest.get(row.lane_id, row.due), row.due)
    if earliest:
        sql.count(statements.WAKE, [list(earliest), list(earliest.values())])


def _reopen(moved: Sequence[sql.Row]) -> None:
    purses = {row.back for row in moved if row.back is not None}
    if purses:
        sql.count(statements.REOPEN, [list(purses)])


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
