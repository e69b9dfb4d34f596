"""What a responder needs to see of a stop: what is closed, who has heard, what had been cleared before it.

Read only. The proof needs nobody's acknowledgement: after the trip's commit plus a clearance's validity, only
deliveries cleared before it can have been dotted, and their number is known.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, LiteralString
from uuid import UUID

from reputation import sql
from reputation.killswitch import Stop, open_stops

WORKERS: Final[LiteralString] = """
SELECT id, name, started_at, epoch_seen, lease_until, lease_until > clock_timestamp() AS alive
FROM outbox_session WHERE ended_at IS NULL ORDER BY id
"""

BACKLOG: Final[LiteralString] = """
SELECT status, count(*) AS deliveries,
       CASE WHEN status IN ('queued', 'deferred') THEN min(next_attempt_at) END AS oldest FROM outbox_delivery
WHERE status IN ('held', 'queued', 'deferred', 'sending', 'uncertain') GROUP BY status ORDER BY status
"""

# Who was cleared and had not ended when the stop began, and who was cleared while it lasted (nobody, or guarantee 3 is
# broken). What is still under a lease, and what ended since: from both ends of that stretch of the attempts' key, so
# that a stop of last week costs no more than one of a minute ago. A dot without any clearance counts as one after.
CLEARED: Final[LiteralString] = """
WITH settled AS MATERIALIZED (
    (SELECT id, delivery_id, cleared_at, phase IN ('dot', 'replied') AS dotted FROM outbox_attempt
     WHERE id >= ao_uuid_floor(%(at)s) AND id < ao_uuid_floor(%(end)s) ORDER BY id LIMIT %(looked)s)
    UNION
    (SELECT id, delivery_id, cleared_at, phase IN ('dot', 'replied') AS dotted FROM outbox_attempt
     WHERE id >= ao_uuid_floor(%(at)s) AND id < ao_uuid_floor(%(end)s) ORDER BY id DESC LIMIT %(looked)s)
), found AS (
    SELECT id, cleared_at, bool_or(dotted) AS dotted FROM (
        SELECT delivery_id AS id, cleared_at, dotted FROM settled WHERE cleared_at IS NOT NULL OR dotted
        UNION ALL
        SELECT id, cleared_at, false FROM outbox_delivery WHERE status = 'sending' AND cleared_at IS NOT NULL
    ) AS t GROUP BY id, cleared_at
), told AS (
    SELECT f.cleared_at, f.dotted, coalesce(f.cleared_at > %(at)s, true) AS after, d.id, d.recipient, d.status, d.code
    FROM found AS f JOIN outbox_delivery AS d ON d.id = f.id JOIN outbox_lane AS l ON l.id = d.lane_id
    WHERE %(scope)s = ANY (ao_scopes(l.scopes, d.recipient))
      AND (f.cleared_at < %(end)s OR f.cleared_at IS NULL)
)
SELECT looked.n AS looked, told.* FROM (SELECT count(*) AS n FROM settled) AS looked LEFT JOIN told ON true
ORDER BY cleared_at, id
"""

# How far the proof looks: attempts that ended since, from either end.
LOOKED: Final = 10_000
FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)

WAITING: Final[LiteralString] = """
SELECT count(*) AS deliveries FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE d.status IN ('queued', 'deferred')
  AND %(scope)s = ANY (ao_scopes(l.scopes, d.recipient))
"""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker session: the newest switch epoch it acknowledged, and whether its lease holds."""

    id: int
    name: str
    started_at: datetime
    epoch_seen: int
    lease_until: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries are open in one status, and when the first of those that wait is due."""

    status: str
    deliveries: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Fate:
    """A delivery that had been cleared when a stop began, and what became of it since."""

    id: UUID
    recipient: str
    status: str
    code: str
    cleared_at: datetime


@dataclass(frozen=True, slots=True)
class Clearances:
    """Who was cleared before a stop and unfinished then; how many were cleared, and dotted, while it lasted: 0.

    ``looked`` attempts ended since and were looked at; ``all_of_them`` says that there were no more.
    """

    before: tuple[Fate, ...]
    after: int
    dots_after: int
    looked: int
    all_of_them: bool


@dataclass(frozen=True, slots=True)
class StopProof:
    """A stop, how many dots were already cleared when it committed, and how many after it (0)."""

    stop: Stop
    cleared_before: int
    cleared_after: int


def workers() -> list[Worker]:
    """Every worker session that has not ended."""
    return [Worker(*row) for row in sql.rows(WORKERS)]


def backlog() -> list[Backlog]:
    """What is open, by status."""
    return [Backlog(*row) for row in sql.rows(BACKLOG)]


def waiting(scope: str) -> int:
    """How many deliveries of a scope wait now, due or deferred."""
    return int(sql.one(WAITING, {"scope": scope}).deliveries)


def stops() -> list[StopProof]:
    """Every open stop with its proof."""
    return [_proof(stop) for stop in open_stops()]


def clearances(scope: str, at: datetime, until: datetime | None = None) -> Clearances:
    """Who was cleared around a stop of ``scope`` that committed at ``at`` and was resumed at ``until``, if it was."""
    given = {"scope": scope, "at": at, "end": until or FOREVER, "looked": LOOKED}
    first, *_ = rows = sql.rows(CLEARED, given)
    found = [row for row in rows if row.id is not None]
    late = [row for row in found if row.after]
    return Clearances(
        before=tuple(
            Fate(row.id, row.recipient, row.status, row.code, row.cleared_at)
            for row in found
            if not row.after
        ),
        after=len(late),
        dots_after=sum(row.dotted for row in late),
        looked=first.looked,
        all_of_them=first.looked < 2 * LOOKED,
    )


def _proof(stop: Stop) -> StopProof:
    found = clearances(stop.scope, stop.tripped_at)
    return StopProof(stop, len(found.before), found.after)
