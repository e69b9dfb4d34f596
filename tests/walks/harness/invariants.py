"""What must hold when all is quiet, whatever was killed: L, D, S and K.

**L** every accepted delivery is there, once, and final, held or uncertain. **D** the oracle has each (Message-ID,
recipient) at most once, unless it was uncertain and resent by choice. **S** we say delivered or relayed exactly when
the oracle has it; an uncertain one may be either. **K** nothing was cleared while a stop covered it, and every dot
seen after a trip's commit belongs to a delivery cleared before it. The oracle testifies by the return-path, which
names the delivery; that X-AO-Ref, Message-ID and recipient name the same one is checked beside it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from outbox import verp
from simulator.oracle import Entry

if TYPE_CHECKING:
    from tests.walks.harness.inside import Switched
    from tests.walks.harness.installation import Installation

DELIVERIES = """
SELECT d.id, d.status, d.code, d.resent, d.recipient, d.cleared_at, m.header_id, l.scopes,
       ARRAY(SELECT a.cleared_at FROM outbox_attempt AS a
             WHERE a.delivery_id = d.id AND a.cleared_at IS NOT NULL) AS cleared_before
FROM outbox_delivery AS d JOIN outbox_message AS m ON m.id = d.message_id JOIN outbox_lane AS l ON l.id = d.lane_id
"""

FINAL = {"delivered", "relayed", "bounced", "expired", "suppressed", "cancelled", "refused"}
TAKEN = {"delivered", "relayed"}
RESTING = FINAL | {"held", "uncertain"}


@dataclass(frozen=True, slots=True)
class Overshoot:
    """One stop: cleared before its commit and dotted after it, and seconds from the commit to the last such dot."""

    scope: str
    dots: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The counts of one check."""

    accepted: int
    statuses: Counter[str]
    dots: int
    overshoots: tuple[Overshoot, ...]

    def __str__(self) -> str:
        told = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        stops = "".join(
            f"; {one.scope} stopped: {one.dots} dots after it, the last {one.seconds * 1000:.1f} ms after"
            for one in self.overshoots
        )
        return f"accepted {self.accepted} = {told}; oracle {self.dots}{stops}"


def check(here: Installation) -> Report:
    """Raises AssertionError for the first invariant that does not hold."""
    rows = {row.id: row for row in here.ask(DELIVERIES)}  # type: ignore[arg-type]
    entries = [(delivery_of(entry), entry) for entry in here.oracle()]
    _nothing_lost(here, rows)
    _oracle_names_deliveries(rows, entries)
    _never_twice(rows, entries)
    _said_as_seen(rows, entries)
    overshoots = tuple(_stopped(stop, end, rows, entries) for stop, end in here.stops)
    return Report(len(here.accepted), Counter(row.status for row in rows.values()), len(entries), overshoots)


def _nothing_lost(here: Installation, rows: dict[UUID, Any]) -> None:
    """Rows beyond the accepted ones are posts whose commit was not seen by the one who posted."""
    accepted = [one.delivery for one in here.accepted]
    assert len(accepted) == len(set(accepted)), "L: an id was given twice"
    lost = set(accepted) - rows.keys()
    assert not lost, f"L: accepted and gone: {sorted(lost)[:5]}"
    moving = Counter(
        row.status for row in rows.values() if row.status not in RESTING | {"queued", "deferred"}
    )
    assert not moving, f"L: not at rest: {moving}"
    stories = here.ask("SELECT delivery_id FROM outbox_event WHERE kind = 'accepted'")
    assert Counter(row.delivery_id for row in stories) == Counter(rows.keys()), "L: not accepted exactly once"


def _oracle_names_deliveries(rows: dict[UUID, Any], entries: list[tuple[UUID, Entry]]) -> None:
    for delivery, entry in entries:
        row = rows.get(delivery)
        assert row is not None, f"the oracle has {entry.mail_from}, which nobody accepted"
        assert (row.header_id, row.recipient) == (entry.message_id, entry.rcpt)
        assert entry.delivery_ref == verp.token_in(entry.mail_from)


def _never_twice(rows: dict[UUID, Any], entries: list[tuple[UUID, Entry]]) -> None:
    twice = {delivery: n for delivery, n in Counter(delivery for delivery, _ in entries).items() if n > 1}
    wrong = {delivery: n for delivery, n in twice.items() if not rows[delivery].resent}
    assert not wrong, f"D: dotted more than once: {wrong}"


def _said_as_seen(rows: dict[UUID, Any], entries: list[tuple[UUID, Entry]]) -> None:
    seen = {delivery for delivery, _ in entries}
    unseen = [row.id for row in rows.values() if row.status in TAKEN and row.id not in seen]
    assert not unseen, f"S: delivered and never seen: {unseen[:5]}"
    unsaid = {rows[one].status for one in seen} - TAKEN - {"uncertain"}
    assert not unsaid, f"S: seen by the oracle, but we say {unsaid}"


def _stopped(
    stop: Switched, end: Switched | None, rows: dict[UUID, Any], entries: list[tuple[UUID, Entry]]
) -> Overshoot:
    def within(at: datetime | None) -> bool:
        return at is not None and at > stop.at and (end is None or at < end.at)

    covered = {row.id: row for row in rows.values() if _covers(stop.scope, row)}
    late = [row.id for row in covered.values() if any(map(within, [row.cleared_at, *row.cleared_before]))]
    assert not late, f"K: cleared after {stop.scope} was stopped: {late[:5]}"
    begin, until = stop.at.timestamp(), end.at.timestamp() if end else float("inf")
    dots = [(one, entry.t_dot) for one, entry in entries if one in covered and begin < entry.t_dot < until]
    for delivery, _ in dots:
        cleared = [at for at in (covered[delivery].cleared_at, *covered[delivery].cleared_before) if at]
        assert min(cleared) <= stop.at, f"K: {delivery} was dotted uncleared"
    return Overshoot(stop.scope, len(dots), max((at - begin for _, at in dots), default=0.0))


def _covers(scope: str, row: Any) -> bool:
    return scope in row.scopes or scope == f"recipient_domain:{row.recipient.rpartition('@')[2]}"


def delivery_of(entry: Entry) -> UUID:
    """The delivery named in a return-path; that it is genuine is for another test."""
    import base64

    token = verp.token_in(entry.mail_from)
    assert token is not None, f"no token in {entry.mail_from}"
    return UUID(bytes=base64.b32decode(token.upper())[:16])
