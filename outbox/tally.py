"""How much came in and what became of it, by day: what a flood of forgeries leaves behind, at no write of its own."""

from collections import Counter
from typing import Final, LiteralString

from outbox import counting
from reputation import sql

# In one order, so that processes which write at once wait for each other and never in a circle.
ADD: Final[LiteralString] = """
INSERT INTO outbox_returncount (day, source, "end", messages)
SELECT (ao_now() AT TIME ZONE 'UTC')::date, t.source, t.ending, t.n
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS t (source, ending, n) ORDER BY t.source, t.ending
ON CONFLICT (day, source, "end") DO UPDATE SET messages = outbox_returncount.messages + excluded.messages
"""


def count(source: str, end: str) -> None:
    """Count one message that came in by this door and ended so; returns at once."""
    _came_in.add((source, str(end)))


def _add(counts: Counter[tuple[str, str]]) -> None:
    sources, ends = zip(*counts, strict=True)
    sql.count(ADD, [list(sources), list(ends), list(counts.values())])


_came_in: Final = counting.Tally("counts of what came in", _add)
