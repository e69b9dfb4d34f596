"""After a stop: the ramps that it covered begin again lower, or where they stood before.

A scope that is wider than one agent's mail has put a whole lane's standing in doubt. Its sending domains' ramps step
down to a tenth of their cap, at least to five a day, and earn their way back like any other. Where people agree that it
was a false alarm they return to the step they were on. Ramps of transactional streams are left alone: they open whole.

Guarantees: however often it is asked for one reopening, a ramp steps down once; what it moved since stays moved.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Final, LiteralString

from reputation import allowance, sql
from reputation.ramps import Steps

SHARE: Final = Fraction(1, 10)
LEAST: Final = 5

# Scopes of one agent, run or cluster, or of one recipient's domain, say nothing about a whole ramp.
COVERED: Final[LiteralString] = """
SELECT r.id FROM reputation_ramp AS r JOIN reputation_sendingdomain AS d ON d.name = r.key
JOIN reputation_stream AS s ON s.id = d.stream_id JOIN reputation_route AS t ON t.id = d.route_id
WHERE r.kind = 'domain' AND s.kind <> 'transactional' AND CASE %(kind)s::text
    WHEN 'stream' THEN s.name = %(key)s WHEN 'domain' THEN d.name = %(key)s WHEN 'provider' THEN r.provider = %(key)s
    WHEN 'domain_provider' THEN d.name || '/' || r.provider = %(key)s WHEN 'route' THEN t.name = %(key)s
    WHEN 'source' THEN host(t.source_address) = %(key)s ELSE %(kind)s::text IN ('agents', 'all') END
  AND NOT EXISTS (SELECT FROM reputation_rampevent AS e
                  WHERE e.ramp_id = r.id AND e.evidence @> jsonb_build_object('reopening', %(reopening)s::bigint))
ORDER BY r.id
"""

# Ramps that stand where this reopening put them.
LOWERED: Final[LiteralString] = """
SELECT r.id, (e.evidence->>'from')::int AS step
FROM reputation_rampevent AS e JOIN reputation_ramp AS r ON r.id = e.ramp_id
WHERE e.evidence @> jsonb_build_object('reopening', %(reopening)s::bigint) AND e.kind = 'stepped_down'
  AND e.at > ao_now() - interval '7 days' AND r.step = e.step ORDER BY r.id
"""


def step_down(scope: str, reopening: int) -> int:
    """Let the ramps of a scope begin lower; how many did."""
    kind, _, key = scope.partition(":")
    found = sql.rows(COVERED, {"kind": kind, "key": key, "reopening": reopening})
    why = f"{scope} was stopped and opens in steps."
    note = {"reopening": reopening, "scope": scope}
    moves = [allowance.move(row.id, _lower, kind="stepped_down", why=why, note=note) for row in found]
    return sum(move is not None for move in moves)


def restore(scope: str, reopening: int) -> int:
    """Put ramps back that this reopening has lowered and nothing has moved since; how many."""
    why = f"The stop of {scope} was a false alarm."
    moves = [
        allowance.move(row.id, _back_to(row.step), kind="restored", why=why, note={"scope": scope})
        for row in sql.rows(LOWERED, {"reopening": reopening})
    ]
    return sum(move is not None for move in moves)


def _back_to(step: int) -> Callable[[Steps, int], int]:
    return lambda ladder, _: min(step, ladder.top)


def _lower(ladder: Steps, step: int) -> int:
    cap = ladder.cap(step)
    return step if cap is None else min(step, ladder.within(max(cap * SHARE, Fraction(LEAST))))
