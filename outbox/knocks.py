"""Who still knocks at a closed door: posts that were refused because of a stop or a key, counted by agent and minute.

A storm costs nothing: a refusal adds one to a number in memory (``counting``), of which one row an agent, code and
minute is made. An accepted post is not looked at.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

from outbox import counting
from reputation import sql

COUNTED: Final = frozenset({"stopped", "unauthenticated", "key_expired", "agent_disabled"})
MINUTES: Final = 30
MINUTE: Final = timedelta(minutes=1)

# In one order, so that processes which write at once wait for each other and never in a circle.
ADD: Final[LiteralString] = """
INSERT INTO outbox_refusedposts AS r (minute, agent_id, code, posts)
SELECT date_trunc('minute', statement_timestamp()), agent, code, posts
FROM unnest(%(agents)s::bigint[], %(codes)s::text[], %(posts)s::int[]) AS t (agent, code, posts) ORDER BY agent, code
ON CONFLICT (minute, agent_id, code) DO UPDATE SET posts = r.posts + excluded.posts
"""

FORGET: Final[LiteralString] = """
DELETE FROM outbox_refusedposts WHERE minute < statement_timestamp() - interval '30 days'
"""

KNOCKED: Final[LiteralString] = """
SELECT minute, code, sum(posts)::int AS posts FROM outbox_refusedposts
WHERE minute > statement_timestamp() - %(minutes)s * interval '1 minute' AND agent_id = ANY (%(agents)s)
GROUP BY minute, code ORDER BY minute
"""

NOW: Final[LiteralString] = "SELECT date_trunc('minute', statement_timestamp()) AS minute"


@dataclass(frozen=True, slots=True)
class Knocking:
    """Refused posts of the last half hour: a number for each minute, oldest first, the last one not yet whole."""

    since: datetime
    minutes: tuple[int, ...]
    codes: tuple[tuple[str, int], ...]

    @property
    def posts(self) -> int:
        return sum(self.minutes)

    @property
    def a_minute(self) -> int:
        """In the last whole minute, or in this one if that was worse."""
        return max(self.minutes[-2:])


def note(agent_id: int, code: str, posts: int = 1) -> None:
    """Count refused posts of an agent, if their code is one that is counted; returns at once."""
    if agent_id and code in COUNTED:
        _refused.add((agent_id, code), posts)


def knocking(agents: Sequence[int]) -> Knocking:
    """Refused posts of these agents in the last half hour."""
    now = sql.one(NOW).minute
    found = sql.rows(KNOCKED, {"agents": list(agents), "minutes": MINUTES})
    minutes, codes = [0] * MINUTES, Counter[str]()
    for row in found:
        minutes[MINUTES - 1 - max((now - row.minute) // MINUTE, 0)] += row.posts
        codes[row.code] += row.posts
    return Knocking(now - (MINUTES - 1) * MINUTE, tuple(minutes), tuple(codes.most_common()))


def forget() -> int:
    """Drop counts of a month ago; how many rows that were."""
    return sql.count(FORGET)


def _add(counts: Counter[tuple[int, str]]) -> None:
    agents, codes = zip(*counts, strict=True)
    sql.count(ADD, {"agents": list(agents), "codes": list(codes), "posts": list(counts.values())})


_refused: Final = counting.Tally("refused posts", _add)
