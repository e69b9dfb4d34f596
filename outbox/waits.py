"""How long what is held now may wait for a person: said to agents, and asked at the door.

From the requests that were decided lately, and from those that wait: nobody is promised the pace of yesterday while the
oldest has waited longer than that. Read at most once in a few seconds by each process.
"""

import threading
import time
from dataclasses import dataclass
from typing import Final, LiteralString

from reputation import sql

SECONDS: Final = 5.0  # that an answer is good for

# Nobody waits longer than this: what was not decided by then has lapsed (``approvals.LIFE``).
LONGEST: Final = 86400.0

# Decided lately: from a request's opening to the first word of a person about it, or to its lapse. Ahead: what waits,
# at the time that each took while some waited; the time in which nothing did says nothing of how quick people are.
# Nothing was ever decided and nothing waits: nobody knows.
PROJECT: Final[LiteralString] = """
WITH answered AS (
    SELECT a.opened_at, min(c.at) AS at
    FROM (SELECT * FROM outbox_decision WHERE at > ao_now() - interval '7 days' ORDER BY at DESC LIMIT 2000) AS c
    JOIN outbox_approval AS a ON a.id = c.approval_id
    WHERE a.stream_id = %(stream)s AND c.kind IN ('release', 'waves', 'part', 'refuse', 'lapse')
    GROUP BY a.id ORDER BY min(c.at) DESC LIMIT 200
), decided AS (
    SELECT at - opened_at AS wait, at - greatest(opened_at, lag(at) OVER (ORDER BY at)) AS took FROM answered
), known AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM wait)) AS p50,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM wait)) AS p90,
           extract(epoch FROM avg(took)) AS each
    FROM decided
), ahead AS (
    SELECT count(*) AS n, extract(epoch FROM ao_now() - min(a.opened_at)) AS oldest
    FROM outbox_approval AS a WHERE a.ended_at IS NULL AND a.stream_id = %(stream)s
      AND NOT EXISTS (SELECT FROM outbox_decision AS c WHERE c.approval_id = a.id)
)
SELECT greatest(p50, n * each)::float8 AS p50, greatest(p90, p50, oldest, n * each)::float8 AS p90
FROM known, ahead
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long what is held now may wait for a person, in seconds; None where nobody knows."""

    p50: float | None
    p90: float | None


_lock = threading.Lock()
_known: dict[int, tuple[float, Wait]] = {}


def projected_wait(stream_id: int) -> Wait:
    """How long mail of a stream that is held now would wait for a person; at most a few seconds old."""
    until, wait = _known.get(stream_id, (0.0, Wait(None, None)))
    if time.monotonic() < until:
        return wait
    row = sql.one(PROJECT, {"stream": stream_id})
    wait = Wait(*(None if each is None else min(each, LONGEST) for each in row))
    with _lock:
        _known[stream_id] = (time.monotonic() + SECONDS, wait)
    return wait


def forget() -> None:
    """Ask again at the next call."""
    with _lock:
        _known.clear()
