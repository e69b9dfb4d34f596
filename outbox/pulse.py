"""Is mail going out: how late what is due is, when the last dot was, what is in doubt, who works.

Read only, each from an index that the walk has anyway and no further than it says, so that it may be asked every few
seconds beside the walk. What waits for its allowance, or behind a stop, is not late.
"""

from collections.abc import Mapping
from typing import Final, LiteralString

from reputation import sql

LOOKED: Final = 10_000  # attempts looked back on for the last dot
# A dot's answer is waited for ten minutes (RFC 5321 §4.5.3.2.6), and a dead worker's lease on top.
LATELY: Final = "15 minutes"
TIERS: Final = ("transactional", "agents")

LATE: Final[LiteralString] = """
SELECT t.tier, coalesce(extract(epoch FROM ao_now() - (
    SELECT min(due.at) FROM (
        SELECT id, scopes FROM outbox_lane WHERE tier = t.tier AND state = 'awake'
        UNION ALL
        SELECT id, scopes FROM outbox_lane WHERE tier = t.tier AND state = 'asleep' AND wake_at <= ao_now()
    ) AS l CROSS JOIN LATERAL (
        SELECT d.next_attempt_at AS at FROM outbox_delivery AS d
        WHERE d.lane_id = l.id AND d.status IN ('queued', 'deferred') AND d.next_attempt_at <= ao_now()
        ORDER BY d.priority, d.next_attempt_at LIMIT 1
    ) AS due WHERE NOT EXISTS (SELECT FROM reputation_openstop AS o WHERE o.scope = ANY (l.scopes))
))::float8, 0) AS seconds FROM (VALUES (0), (1)) AS t (tier) ORDER BY t.tier
"""

LAST_DOT: Final[LiteralString] = """
SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 AS seconds FROM (
    SELECT cleared_at AS at FROM (SELECT cleared_at FROM outbox_attempt ORDER BY id DESC LIMIT %(looked)s) AS newest
    UNION ALL
    SELECT cleared_at FROM outbox_delivery WHERE status = 'sending'
) AS cleared
"""

NEWLY_UNCERTAIN: Final[LiteralString] = """
SELECT count(*) AS n FROM outbox_delivery
WHERE status = 'uncertain' AND cleared_at > clock_timestamp() - %(lately)s::interval
"""

# Young sessions are still about to read the epoch for the first time.
DEAF: Final[LiteralString] = """
SELECT s.id, s.name, s.epoch_seen, e.epoch, extract(epoch FROM clock_timestamp() - e.at)::float8 AS seconds
FROM outbox_session AS s, (
    SELECT epoch, at FROM reputation_switchevent WHERE at < clock_timestamp() - %(patience)s * interval '1 second'
    ORDER BY epoch DESC LIMIT 1
) AS e
WHERE s.ended_at IS NULL AND s.lease_until > clock_timestamp() AND s.epoch_seen < e.epoch
  AND s.started_at < clock_timestamp() - %(patience)s * interval '1 second' ORDER BY s.id
"""

# Seconds since a lease last held; no row: one holds now.
UNMANNED: Final[LiteralString] = """
SELECT extract(epoch FROM clock_timestamp() - max(least(ended_at, lease_until)))::float8 AS seconds FROM outbox_session
HAVING NOT coalesce(bool_or(ended_at IS NULL AND lease_until > clock_timestamp()), false)
"""


def lateness() -> Mapping[str, float]:
    """Seconds that the first due delivery of each tier is late: of those that may go, 0 if none is."""
    return {TIERS[row.tier]: row.seconds for row in sql.rows(LATE)}


def since_last_dot() -> float | None:
    """Seconds since a delivery was last cleared for its dot; None if none of the newest attempts was."""
    seconds: float | None = sql.one(LAST_DOT, {"looked": LOOKED}).seconds
    return seconds


def newly_uncertain() -> int:
    """Deliveries that were cleared within ``LATELY`` and are uncertain now."""
    return int(sql.one(NEWLY_UNCERTAIN, {"lately": LATELY}).n)


def deaf(patience: float) -> list[sql.Row]:
    """Sessions whose lease holds and which have not acknowledged an epoch that is older than ``patience`` seconds."""
    return sql.rows(DEAF, {"patience": patience})


def unmanned() -> float | None:
    """Seconds since the last worker was there, infinite if there never was one; None if there is one now."""
    row = sql.one(UNMANNED)
    if row is None:
        return None
    return float("inf") if row.seconds is None else float(row.seconds)
