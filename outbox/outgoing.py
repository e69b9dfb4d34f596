"""What goes out now, for somebody who was woken: how much, by whom, to where, and what the servers say to it.

Read only, and cheap however much waits or flows: what went out is read from the newest end of the attempts' key, at
most ``LOOKED`` of them; what a stop would catch is counted lane by lane, no further than ``COUNTED``. Whoever shows a
figure shows with it that it was cut off.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from outbox.meanings import meaning
from reputation import sql

WINDOW_SECONDS: Final = 300
BUCKET_SECONDS: Final = 5
LOOKED: Final = 3_000
COUNTED: Final = 1_000
LANES: Final = 5_000
SAMPLES: Final = 3
REPLIES: Final = 4

# The newest conversations that were cleared to send their dot, by where they came from and how long ago.
DOTS: Final[LiteralString] = """
WITH recent AS MATERIALIZED (
    SELECT id, delivery_id, ended_at, cleared_at FROM outbox_attempt
    WHERE id >= ao_uuid_floor(statement_timestamp() - %(window)s * interval '1 second')
    ORDER BY id DESC LIMIT %(looked)s
)
SELECT a.name AS agent, s.name AS stream, l.provider, l.run_id AS run,
       floor(greatest(extract(epoch FROM statement_timestamp() - r.ended_at), 0) / %(bucket)s)::int AS ago,
       count(*) AS dots, min(u.created_at) AS since, min(r.ended_at) AS first,
       (array_agg(r.delivery_id ORDER BY r.id DESC))[1:%(samples)s] AS newest,
       (SELECT count(*) FROM recent) AS looked,
       (SELECT extract(epoch FROM statement_timestamp() - min(ended_at))::float8 FROM recent) AS span
FROM recent AS r JOIN outbox_delivery AS d ON d.id = r.delivery_id JOIN outbox_lane AS l ON l.id = d.lane_id
JOIN outbox_agent AS a ON a.id = l.agent_id JOIN reputation_stream AS s ON s.id = l.stream_id
JOIN outbox_run AS u ON u.id = l.run_id
WHERE r.cleared_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5
"""

# What a stop would catch. Lanes without work sleep for ever, so they are passed over where work is counted.
EFFECTS: Final[LiteralString] = """
WITH sending AS MATERIALIZED (
    SELECT d.cleared_at, ao_scopes(l.scopes, d.recipient) AS scopes
    FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id WHERE d.status = 'sending' LIMIT %(lanes)s
)
SELECT wanted.scope, lanes.n >= %(lanes)s AS cut, queued.n AS queued, held.n AS held, now.leased, now.cleared
FROM unnest(%(scopes)s::varchar[]) AS wanted (scope)
CROSS JOIN LATERAL (
    SELECT count(*) AS n, array_agg(id) AS ids, array_agg(id) FILTER (WHERE busy) AS busy FROM (
        SELECT id, state <> 'asleep' OR wake_at < ao_now() + interval '1 year' AS busy FROM outbox_lane
        WHERE scopes @> ARRAY[wanted.scope] LIMIT %(lanes)s) AS t
) AS lanes
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT FROM unnest(lanes.busy) AS lane (id) CROSS JOIN LATERAL (
            SELECT FROM outbox_delivery AS d WHERE d.lane_id = lane.id AND d.status IN ('queued', 'deferred')
            LIMIT %(counted)s) AS due LIMIT %(counted)s) AS t
) AS queued
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT FROM unnest(lanes.ids) AS lane (id) CROSS JOIN LATERAL (
            SELECT FROM outbox_delivery AS d WHERE d.lane_id = lane.id AND d.status = 'held'
            LIMIT %(counted)s) AS kept LIMIT %(counted)s) AS t
) AS held
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE cleared_at IS NULL) AS leased, count(cleared_at) AS cleared
    FROM sending WHERE wanted.scope = ANY (scopes)
) AS now
"""

# The first due delivery of the lanes that password resets and the like travel in, stopped ones included.
OLDEST: Final[LiteralString] = """
SELECT due.id, due.at, extract(epoch FROM ao_now() - due.at)::float8 AS seconds, l.state, s.name AS stream, l.provider
FROM outbox_lane AS l JOIN reputation_stream AS s ON s.id = l.stream_id
CROSS JOIN (VALUES (0), (1), (2)) AS of (priority)
CROSS JOIN LATERAL (
    SELECT d.id, d.next_attempt_at AS at FROM outbox_delivery AS d
    WHERE d.lane_id = l.id AND d.status IN ('queued', 'deferred') AND d.priority = of.priority
      AND d.next_attempt_at <= ao_now() ORDER BY d.next_attempt_at LIMIT 1
) AS due
WHERE l.tier = 0 AND (l.state <> 'asleep' OR l.wake_at <= ao_now()) ORDER BY due.at LIMIT 1
"""

# The newest reply of each kind that a provider gave, and how often among those looked at.
SAID: Final[LiteralString] = """
WITH recent AS MATERIALIZED (
    SELECT * FROM outbox_attempt WHERE id >= ao_uuid_floor(statement_timestamp() - interval '15 minutes')
      AND fault NOT IN ('not_cleared', 'stale_clearance', 'site_busy')  -- our own words
    ORDER BY id DESC LIMIT %(looked)s
)
SELECT DISTINCT ON (l.provider, r.outcome, r.code, r.reply_code) l.provider, r.outcome, r.code, r.reply_code, r.reply,
       r.fault, r.host, r.ended_at AS at, r.delivery_id AS delivery,
       count(*) OVER (PARTITION BY l.provider, r.outcome, r.code, r.reply_code) AS times
FROM recent AS r JOIN outbox_delivery AS d ON d.id = r.delivery_id JOIN outbox_lane AS l ON l.id = d.lane_id
ORDER BY l.provider, r.outcome, r.code, r.reply_code, r.id DESC
"""


@dataclass(frozen=True, slots=True)
class Share:
    """How many dots went out in one scope (``stream:receipts``) within the window."""

    scope: str
    dots: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The dots of the window. ``buckets`` are counts per ``BUCKET_SECONDS``, oldest first.

    ``span``: of how many seconds they are; less than the window where only the newest ``LOOKED`` attempts were read.
    ``rows``: the same by agent, stream, provider, run and moment, for whoever asks who sends.
    """

    dots: int
    span: float
    cut: bool
    buckets: tuple[int, ...]
    streams: tuple[Share, ...]
    agents: tuple[Share, ...]
    providers: tuple[Share, ...]
    rows: tuple[sql.Row, ...] = ()

    @property
    def per_second(self) -> float:
        return self.dots / self.span if self.span else 0.0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a stop of a scope would catch now. Counts end at ``COUNTED``; ``cut``: some lanes were not looked at."""

    scope: str
    cut: bool
    queued: int
    held: int
    leased: int
    cleared: int


@dataclass(frozen=True, slots=True)
class Oldest:
    """The transactional delivery that is due longest; ``state`` is its lane's."""

    id: UUID
    at: datetime
    seconds: float
    state: str
    stream: str
    provider: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider's servers said, word for word, how often lately, and what it means."""

    provider: str
    outcome: str
    code: str
    reply_code: int | None
    reply: str
    fault: str
    host: str
    at: datetime
    delivery: UUID
    times: int
    meaning: str


def flow() -> Flow:
    """The dots of the last minutes."""
    given = {"window": WINDOW_SECONDS, "bucket": BUCKET_SECONDS, "looked": LOOKED, "samples": SAMPLES}
    rows = sql.rows(DOTS, given)
    cut = bool(rows) and rows[0].looked >= LOOKED
    return Flow(
        dots=sum(row.dots for row in rows),
        span=max(rows[0].span, 1.0) if cut else WINDOW_SECONDS,
        cut=cut,
        buckets=_buckets(rows),
        streams=_shares("stream", rows),
        agents=_shares("agent", rows),
        providers=_shares("provider", rows),
        rows=tuple(rows),
    )


def effects(scopes: Sequence[str]) -> dict[str, Effect]:
    """What stopping each of these would catch now; nothing of a recipients' domain, which no lane is made for."""
    counted = [scope for scope in scopes if not scope.startswith("recipient_domain:")]
    given = {"scopes": counted, "lanes": LANES, "counted": COUNTED + 1}
    return {row.scope: Effect(*row) for row in sql.rows(EFFECTS, given)}


def oldest_transactional() -> Oldest | None:
    """The transactional delivery that is due longest, or None if none is."""
    row = sql.one(OLDEST)
    return Oldest(*row) if row else None


def replies() -> dict[str, list[Said]]:
    """By provider what was said last, refusals first, then newest first."""
    found: dict[str, list[Said]] = {}
    for row in sorted(sql.rows(SAID, {"looked": LOOKED}), key=_by_trouble):
        said = found.setdefault(row.provider, [])
        if len(said) < REPLIES:
            said.append(_said(row))
    return found


def _by_trouble(row: sql.Row) -> tuple[str, bool, float]:
    return row.provider, row.outcome in {"delivered", "relayed"}, -row.at.timestamp()


def _said(row: sql.Row) -> Said:
    return Said(**row._asdict(), meaning=meaning(row.reply_code, row.reply))


def _buckets(rows: Iterable[sql.Row]) -> tuple[int, ...]:
    count = WINDOW_SECONDS // BUCKET_SECONDS
    filled = Counter[int]()
    for row in rows:
        filled[min(row.ago, count - 1)] += row.dots
    return tuple(filled[ago] for ago in reversed(range(count)))


def _shares(kind: str, rows: Iterable[sql.Row]) -> tuple[Share, ...]:
    counted = Counter[str]()
    for row in rows:
        counted[getattr(row, kind)] += row.dots
    return tuple(Share(f"{kind}:{name}", dots) for name, dots in counted.most_common())
