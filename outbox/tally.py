"""How much came in and what became of it, by day: what a flood of forgeries leaves behind.

Counted in memory and written down every few seconds, in one statement, so that a forgery costs no write of its own.
What a process that is killed had not written is lost: these are figures for people, no rule reads them.
"""

import logging
import threading
import time
from collections import Counter
from typing import Final, LiteralString

from django.db import Error

from reputation import sql

logger = logging.getLogger(__name__)

WRITE_SECONDS: Final = 5.0

ADD: Final[LiteralString] = """
INSERT INTO outbox_returncount (day, source, "end", messages)
SELECT (ao_now() AT TIME ZONE 'UTC')::date, t.source, t.ending, t.n
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS t (source, ending, n) ORDER BY t.source, t.ending
ON CONFLICT (day, source, "end") DO UPDATE SET messages = outbox_returncount.messages + excluded.messages
"""


class _Tally:
    def __init__(self) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        self.written_at = float("-inf")
        self.lock = threading.Lock()

    def taken(self, seconds: float) -> Counter[tuple[str, str]] | None:
        """What is to be written now, if it was not written for so long; whoever gets it writes it."""
        now = time.monotonic()
        with self.lock:
            if not self.counted or now - self.written_at < seconds:
                return None
            found, self.counted, self.written_at = self.counted, Counter(), now
        return found


_tally = _Tally()


def count(source: str, end: str) -> None:
    """Count one message, and write down what was counted if it is time."""
    add(source, end)
    write(WRITE_SECONDS)


def add(source: str, end: str) -> None:
    """Count one message, without a word to the database."""
    with _tally.lock:
        _tally.counted[source, end] += 1


def write(older_than: float = 0.0) -> None:
    """Write down what was counted, if the last time is so many seconds ago; never fails."""
    found = _tally.taken(older_than)
    if found is None:
        return
    sources, ends = zip(*found, strict=True)
    try:
        sql.count(ADD, [list(sources), [str(end) for end in ends], list(found.values())])
    except Error as error:
        logger.warning("counts of what came in are lost: %s", error)
