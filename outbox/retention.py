"""Mail that is over and old is forgotten by whole months: content, attempts, events, deliveries, what came back.

Guarantees: as long as a delivery is open, its month and all later ones stay. What is kept for other reasons stays too:
suppressions, the audit, decisions, counts. Runs as the owner, for the application may not take anything from the story.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from reputation import sql
from reputation.sql import OWNER

PAGE: Final = 10_000

# A delivery lives 60 days, its return-path a month longer, what belonged to a request 100 days.
FEWEST: Final = 4

OLD: Final[LiteralString] = """
SELECT to_timestamp(right(c.relname, 7) || ' UTC', 'YYYY_MM TZ') AS month FROM pg_class AS c
JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = 'outbox_message'::regclass
WHERE c.relname ~ '_[0-9]{4}_[0-9]{2}$'
  AND right(c.relname, 7) < to_char((ao_now() AT TIME ZONE 'UTC') - %s * interval '1 month', 'YYYY_MM')
ORDER BY month
"""

FORGET_MONTH: Final[LiteralString] = "SELECT ao_forget_month(%s) AS open"

# Of months that are gone, by their keys, which begin with their time. Messages only of a clock that was wrong: their
# months' own are in the partitions.
END: Final[LiteralString] = """
SELECT ao_uuid_floor(((%s::timestamptz AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC') AS key
"""
SIGNALS: Final[LiteralString] = """
DELETE FROM outbox_signal WHERE id IN (SELECT id FROM outbox_signal WHERE delivery_id < %(end)s LIMIT %(page)s)
"""
DELIVERIES: Final[LiteralString] = """
DELETE FROM outbox_delivery WHERE id IN (
    SELECT id FROM outbox_delivery WHERE id < %(end)s AND finished_at IS NOT NULL LIMIT %(page)s)
"""
MESSAGES: Final[LiteralString] = """
DELETE FROM outbox_message WHERE id IN (
    SELECT id FROM outbox_message AS m WHERE id < %(end)s AND NOT EXISTS (
        SELECT FROM outbox_delivery AS d WHERE d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid)
    LIMIT %(page)s)
"""


@dataclass(frozen=True, slots=True)
class Month:
    """A month that was looked at: how many rows went with its deliveries, and how many deliveries keep it."""

    begins: datetime
    rows: int
    open: int


def forget(keep: int) -> Iterator[Month]:
    """Forget the months before the last ``keep`` whole ones, oldest first, until one is kept by what is open in it.

    Raises:
        ValueError: fewer than may be.
        django.db.Error: somebody reads a table for long, a dump perhaps; what was forgotten stays forgotten.
    """
    if keep < FEWEST:
        raise ValueError(f"at least {FEWEST} months are kept: so long may reports come back")
    for row in sql.rows(OLD, [keep], using=OWNER):
        if left := sql.one(FORGET_MONTH, [row.month], using=OWNER).open:
            yield Month(row.month, 0, left)
            return
        yield Month(row.month, _sweep(row.month), 0)


def _sweep(month: datetime) -> int:
    """Delete what is in no partition of the month, page by page; how many rows."""
    params = {"end": sql.one(END, [month], using=OWNER).key, "page": PAGE}
    return sum(sql.exhaust(each, params, using=OWNER) for each in (SIGNALS, DELIVERIES, MESSAGES))
