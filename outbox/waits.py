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

# Decided lately: from a request's opening to the first word of a person about it, or to its lapse. Ahead: what waits,
# at the pace of the last day. Nothing was ever decided and nothing waits: nobody knows.
PROJECT: Final[LiteralString] = """
WITH decided AS (
    SELECT extract(epoch FROM min(c.at) - a.opened_at) AS wait, min(c.at) > ao_now() - interval '1 day' AS today
    FROM (SELECT * FROM outbox_decision WHERE at > ao_now() - interval '7 days' ORDER BY at DESC LIMIT 2000) AS c
    JOIN outbox_approval AS a ON a.id = c.approval_id
    WHERE a.stream_id = %(stream)s AND c.kind IN ('release', 'waves', 'part', 'refuse', 'lapse')
    GROUP BY a.id ORDER BY min(c.at) DESC LIMIT 200
), known AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY wait) AS p50,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY wait) AS p90, count(*) FILTER (WHERE today) AS today
    FROM decided
), ahead AS (
    SELECT count(*) AS n, extract(epoch FROM ao_now() - min(a.opened_at)) AS oldest
    FROM outbox_approval AS a WHERE a.ended_at IS NULL AND a.stream_id = %(stream)s
      AND NOT EXISTS (SELECT FROM outbox_decision AS c WHERE c.approval_id = a.id)
)
SELECT greatest(p50, n * 86400.0 / nullif(today, 0))::float8 AS p50,
       greatest(p90, p50, oldest, n * 86400.0 / nullif(today, 0))::float8 AS p90
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
    wait = Wait(row.p50, row.p90)
    with _lock:
        _known[stream_id] = (time.monotonic() + SECONDS, wait)
    return wait


def forget() -> None:
    """Ask again at the next call."""
    with _lock:
        _known.clear()
