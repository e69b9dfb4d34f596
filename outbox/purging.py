"""What waited behind a stop is thrown away: set aside at once, cancelled for good an hour later unless it is undone.

Guarantees: what exists when a person asks is set aside and nothing that comes later; undone, it waits again as before
(where the scope was resumed meanwhile: like what opens in steps); ended, budgets have it back. Batches are short
transactions, so anybody goes on where somebody died. Whom it concerned can be read for ever.

Refuses: to undo after the hour; a purge without a reason.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final, LiteralString
from uuid import UUID

from django.db import transaction

from outbox import alarm, ledger, recheck
from reputation import sql
from reputation.models import OpenStop, Purge, Reopening
from reputation.suppression_lists import line
from reputation.switchlog import MOST

UNDO_WITHIN: Final[LiteralString] = "1 hour"
BATCH: Final = 1_000

BEGIN: Final[LiteralString] = """
INSERT INTO reputation_purge (event_id, scope, who, why, at, until, state, deliveries, undone_by)
VALUES (%(event)s, %(scope)s, %(who)s, %(why)s, clock_timestamp(), ao_now() + %(within)s::interval, 'setting', 0, '')
RETURNING id
"""

# Keys begin with the instant they were made at: what came since the purge is not looked at.
ONES: Final[LiteralString] = "SELECT id FROM waiting WHERE id < ao_uuid_floor(%(at)s) LIMIT %(most)s"
TO_SET_ASIDE: Final[LiteralString] = "".join((recheck.LANES, ONES))

# Of two purges of one delivery the last one counts.
ASIDE: Final[LiteralString] = """
SELECT d.id FROM outbox_lane AS l JOIN outbox_delivery AS d ON d.lane_id = l.id AND d.status = 'held'
CROSS JOIN LATERAL (SELECT e.note FROM outbox_event AS e
    WHERE e.message_id = d.message_id AND e.delivery_id = d.id AND e.kind = 'set_aside'
    ORDER BY e.id DESC LIMIT 1) AS last
WHERE (l.scopes @> ARRAY[%(scope)s]::varchar[] OR %(domain)s::text <> '') AND d.code = 'set_aside'
  AND last.note = %(purge)s LIMIT %(most)s
"""

HOLD: Final[LiteralString] = (
    "SELECT id FROM reputation_purge WHERE id = %s AND state = %s FOR UPDATE SKIP LOCKED"
)

SET: Final[LiteralString] = "UPDATE reputation_purge SET deliveries = deliveries + %s WHERE id = %s"

# from -> to, of one row
NEXT_STATE: Final[LiteralString] = """
UPDATE reputation_purge SET state = %(to)s::text,
    set_at = CASE WHEN %(to)s::text = 'aside' THEN clock_timestamp() ELSE set_at END
WHERE id = %(id)s AND state = %(origin)s
"""

UNDO: Final[LiteralString] = """
UPDATE reputation_purge SET state = 'undoing', undone_by = %s, set_at = coalesce(set_at, clock_timestamp())
WHERE id = %s AND state IN ('setting', 'aside') AND until > ao_now()
"""

TIME_IS_UP: Final[LiteralString] = (
    "UPDATE reputation_purge SET state = 'ending' WHERE state = 'aside' AND until <= ao_now()"
)

# Everybody whom a purge concerned, in the order they were set aside: from the story, whatever became of them since.
AFFECTED: Final[LiteralString] = """
SELECT e.id, d.recipient, d.status, d.code, m.created_at, m.subject, a.name AS agent, r.name AS run, s.name AS stream,
       l.provider, m.id AS message_id
FROM outbox_event AS e JOIN outbox_delivery AS d ON d.id = e.delivery_id JOIN outbox_message AS m ON m.id = e.message_id
JOIN outbox_lane AS l ON l.id = d.lane_id JOIN outbox_agent AS a ON a.id = l.agent_id
JOIN outbox_run AS r ON r.id = l.run_id JOIN reputation_stream AS s ON s.id = l.stream_id
WHERE e.id > %(last)s AND e.id < ao_uuid_floor(%(end)s + interval '1 second') AND e.kind = 'set_aside'
  AND e.note = %(purge)s ORDER BY e.id LIMIT %(most)s
"""

FLOOR: Final[LiteralString] = "SELECT ao_uuid_floor(%s) AS id"

COLUMNS: Final = (
    *(
        "recipient",
        "status",
        "code",
        "accepted_at",
        "subject",
        "agent",
        "run",
        "stream",
        "provider",
        "message",
    ),
)


def begin(stop: OpenStop, *, who: str, why: str) -> Purge:
    """Throw away what waits behind a stop now.

    Raises:
        ValueError: no reason was given.
    """
    if not why.strip():
        raise ValueError("Say why it is thrown away.")
    given = {"event": stop.epoch, "scope": stop.scope, "who": who[:200], "why": why.strip()[:MOST]}
    key = sql.one(BEGIN, given | {"within": UNDO_WITHIN}).id
    return Purge.objects.get(pk=key)


def undo(purge: Purge, *, who: str) -> bool:
    """Put back what was set aside; False if the hour is over, or somebody has undone it already."""
    return sql.count(UNDO, [who[:200], purge.pk]) == 1


def advance(key: int, seconds: float = recheck.IN_REQUEST) -> Purge:
    """Go on with a purge until nothing is to be done now, or the time is over; how it stands then."""
    until = time.monotonic() + seconds
    row = Purge.objects.get(pk=key)
    while row.state in STEPS and _batch(row) and time.monotonic() < until:
        row.refresh_from_db()
    row.refresh_from_db()
    return row


def tend(seconds: float = recheck.IN_TICK) -> None:
    """End what nobody has undone within the hour, and go on with every purge a little."""
    sql.count(TIME_IS_UP)
    with recheck.alone() as ours:
        for row in Purge.objects.filter(state__in=list(STEPS)).order_by("pk") if ours else ():
            advance(row.pk, seconds)


def name(purge: Purge) -> str:
    """The note by which the events of a purge are known."""
    return f"purge {purge.pk}"


def affected(purge: Purge) -> Iterator[str]:
    """Everybody whom it concerned as CSV, a line at a time, with its header; no cell runs in a spreadsheet."""
    yield line(COLUMNS)
    last = sql.one(FLOOR, [purge.at]).id
    given = {"purge": name(purge), "end": purge.set_at or purge.until, "most": BATCH}
    while rows := sql.rows(AFFECTED, {**given, "last": last}):
        for row in rows:
            told = (row.recipient, row.status, row.code, row.created_at.isoformat(), row.subject)
            yield line((*told, row.agent, row.run, row.stream, row.provider, str(row.message_id)))
        last = rows[-1].id


def of_scope(scope: str, since: int, upto: int | None) -> list[Purge]:
    """Every purge behind the stop of a scope that began at one epoch and ended at another, newest first."""
    found = Purge.objects.filter(scope=scope, event__gte=since)
    if upto is not None:
        found = found.filter(event__lt=upto)
    return list(found.order_by("-pk")[:20])


def _batch(row: Purge) -> bool:
    """One batch of what its state wants; whether there may be more to do at once."""
    state, (statement, work, target) = row.state, STEPS[row.state]
    kind, _, key = row.scope.partition(":")
    domain = key if kind == "recipient_domain" else ""
    given = {"scope": row.scope, "domain": domain, "purge": name(row), "at": row.at, "most": BATCH}
    # asked first: what comes back between the two is found
    awaited = state == Purge.State.SETTING and recheck.under_way(row.scope, row.at)
    found = [one.id for one in sql.rows(statement, given)]
    if awaited and not found:
        return False
    with transaction.atomic():
        if not sql.rows(HOLD, [row.pk, state]):
            return False
        if not found:
            sql.count(NEXT_STATE, {"id": row.pk, "origin": state, "to": target})
            return False
        work(row, found)
    if state == Purge.State.UNDOING:
        alarm.ring()
    return True


def _set_aside(row: Purge, found: list[UUID]) -> None:
    sql.count(SET, [ledger.set_aside(found, name(row), row.who), row.pk])


def _put_back(row: Purge, found: list[UUID]) -> None:
    ledger.put_back(found, name(row), row.undone_by, _waits(row.scope))


def _waits(scope: str) -> tuple[str, str] | None:
    """For how long what is put back into a scope waits: as what was put off when it opened."""
    if OpenStop.objects.filter(scope=scope).exists():
        return None
    glass = Reopening.objects.filter(scope=scope, glass=True, state=Reopening.State.OPEN).exists()
    return recheck.BEHIND_GLASS if glass else recheck.WATCHED


def _throw_away(row: Purge, found: list[UUID]) -> None:
    ledger.throw_away(found, name(row), row.who)


Work = Callable[[Purge, list[UUID]], None]

# state -> what is looked for, what is done with it, and the state when there is nothing left
STEPS: Final[dict[str, tuple[LiteralString, Work, str]]] = {
    "setting": (TO_SET_ASIDE, _set_aside, "aside"),
    "undoing": (ASIDE, _put_back, "undone"),
    "ending": (ASIDE, _throw_away, "done"),
}
