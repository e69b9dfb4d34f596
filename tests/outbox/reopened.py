"""Stops to end in tests: mail behind them, and what stands where."""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest

from outbox import ledger, recheck
from outbox.models import Agent
from reputation import killswitch, reopening, sql
from reputation.models import OpenStop, Reopening
from tests.pages.desk import posted

WAITING: LiteralString = """
SELECT l.provider, d.next_attempt_at - statement_timestamp() AS wait FROM outbox_delivery AS d
JOIN outbox_lane AS l ON l.id = d.lane_id WHERE d.status IN ('queued', 'deferred')
"""


def backlog(agent: Agent, **domains: int) -> None:
    """So many messages to each of these (``gmail=60`` is to gmail.test)."""
    for domain, count in domains.items():
        for first in range(0, count, 50):
            posted(agent, *({"to": f"n{n}@{domain}.test"} for n in range(first, min(first + 50, count))))


def stopped(scope: str, who: str = "rita") -> OpenStop:
    killswitch.trip(scope, who=who, why="a test")
    return OpenStop.objects.get(pk=scope)


def begun(scope: str, **how: Any) -> Reopening:
    """A reopening in steps by one who did not make the stop."""
    row = reopening.ask(OpenStop.objects.get(pk=scope), who="omar", why="mended", **how)
    assert row
    return row


def reopened(scope: str) -> Reopening:
    row = recheck.advance(begun(scope).pk, 60)
    assert row.state == "open"
    return row


def due_at_once() -> Counter[str]:
    """By provider, how many that wait may go now."""
    return Counter(row.provider for row in sql.rows(WAITING) if row.wait.total_seconds() <= 0)


def put_off() -> list[float]:
    """After how many minutes the others are due, in order."""
    waits = (row.wait.total_seconds() / 60 for row in sql.rows(WAITING))
    return sorted(minutes for minutes in waits if minutes > 0)


@contextmanager
def killed_in(monkeypatch: Any, step: str, at: int) -> Iterator[None]:
    """Whoever works dies as soon as this step of the ledger's is done for the ``at``-th time."""
    work, calls = getattr(ledger, step), itertools.count(1)

    def dies(*args: Any) -> Any:
        done = work(*args)
        if next(calls) == at:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(ledger, step, dies)
        with pytest.raises(KeyboardInterrupt):
            yield


def ask(live_db: Any, statement: LiteralString, *params: Any) -> list[Any]:
    """Rows of a statement, as the owner."""
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        cursor = owner.execute(statement, params)
        return cursor.fetchall() if cursor.description else []
