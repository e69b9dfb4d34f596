"""What a responder needs to see of a stop: what is closed, who has heard, what had been cleared before it.

Read only. The proof needs nobody's acknowledgement: after the trip's commit plus a clearance's validity, only
deliveries cleared before it can have been dotted, and their number is known.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from reputation import sql
from reputation.killswitch import Stop, open_stops

WORKERS: Final[LiteralString] = """
SELECT id, name, started_at, epoch_seen, lease_until > clock_timestamp() AS alive
FROM outbox_session WHERE ended_at IS NULL ORDER BY id
"""

BACKLOG: Final[LiteralString] = """
SELECT status, count(*) AS deliveries,
       CASE WHEN status IN ('queued', 'deferred') THEN min(next_attempt_at) END AS oldest FROM outbox_delivery
WHERE status IN ('held', 'queued', 'deferred', 'sending', 'uncertain') GROUP BY status ORDER BY status
"""

# Cleared and unfinished at the trip; cleared after it. The latter stays 0, or guarantee 3 is broken.
CLEARED: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE d.cleared_at <= %(at)s AND (d.finished_at IS NULL OR d.finished_at > %(at)s)) AS before,
       count(*) FILTER (WHERE d.cleared_at > %(at)s) AS after
FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE l.scopes @> ARRAY[%(scope)s]::varchar[] AND d.cleared_at > %(at)s - interval '15 minutes'
"""


WAITING: Final[LiteralString] = """
SELECT count(*) AS deliveries FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE d.status IN ('queued', 'deferred')
  AND %(scope)s = ANY (l.scopes || ('recipient_domain:' || split_part(d.recipient, '@', 2)))
"""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker session: the newest switch epoch it acknowledged, and whether its lease holds."""

    id: int
    name: str
    started_at: datetime
    epoch_seen: int
    alive: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries are open in one status, and when the first of those that wait is due."""

    status: str
    deliveries: int
    oldest: datetime | None


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


def _proof(stop: Stop) -> StopProof:
    row = sql.one(CLEARED, {"at": stop.tripped_at, "scope": stop.scope})
    return StopProof(stop, row.before, row.after)
