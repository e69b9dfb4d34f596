"""Claim, clear and settle as the backlog grows, with statistics fresh and stale, and how large the hot tables get.

No SMTP and no worker: the ledger's own functions, one caller, on rows entered by SQL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.line import Line, below, note, percentile
from bench.stand import Stand

ROUNDS, GROUP = 30, 200
FLAT = 1.5
SMALL, LARGE, HUGE = 10_000, 100_000, 1_000_000
HOT = ("outbox_delivery", "outbox_lane", "outbox_session")
HOT_LIMIT = 300.0  # after a million, when autovacuum has long found its pace; fewer say nothing about it
Times = dict[str, float]

SIZE = "SELECT sum(pg_total_relation_size(t::regclass)) / 1048576.0 FROM unnest(%s::text[]) AS t"


def growing(stand: Stand, sizes: Sequence[int] = (LARGE,)) -> Iterator[Line]:
    """Each step at the large sizes against the same step at 10,000."""
    for fresh in (True, False):
        small = _measured(stand, SMALL, fresh)
        for size in sizes:
            large = _measured(stand, size, fresh)
            for step, value in large.items():
                yield _flat(f"{step}_{size}_{'fresh' if fresh else 'stale'}", value, small[step])
    stand.backlog.empty()


def hot_tables(stand: Stand, n: int = LARGE) -> Iterator[Line]:
    """Megabytes of the hot tables with their indexes after `n` were handled, as autovacuum finds them."""
    stand.backlog.empty()
    stand.backlog.enter(n)
    stand.backlog.release()
    with _Caller() as caller:
        while caller.round(500, stand)["n"]:
            pass
    with stand.installation.connect() as connection:
        row = connection.execute(SIZE, [list(HOT)]).fetchone()
        size = float(str(row[0])) if row else 0.0
    line = Line("hot_tables", size, "MB", n)
    yield below(line, HOT_LIMIT) if n >= HUGE else line
    stand.backlog.empty()


def deep(stand: Stand) -> Iterator[Line]:
    """The million."""
    from bench.memory import flat

    yield from growing(stand, (LARGE, HUGE))
    yield from hot_tables(stand, HUGE)
    yield from flat(stand, HUGE)


class _Caller:
    """One session that claims, clears and settles, with a connection (and its plans) of its own."""

    def __enter__(self) -> _Caller:
        from outbox import sessions

        self.session = sessions.begin("bench")
        return self

    def __exit__(self, *_: object) -> None:
        from django.db import connection

        from outbox import sessions

        sessions.end(self.session)
        connection.close()

    def round(self, group: int, stand: Stand) -> dict[str, float]:
        """Milliseconds of each step for one group, and how many it had."""
        from outbox import ledger, sessions

        sessions.renew(self.session, 0)
        stand.backlog.release()
        claim, claimed = _timed(lambda: ledger.claim(self.session, tier=1, limit=group))
        if not claimed:
            return {"n": 0}
        pairs = [(each.id, each.attempt) for each in claimed]
        clear, cleared = _timed(lambda: ledger.clear(self.session, pairs))
        settle, settled = _timed(lambda: ledger.settle(self.session, [_settlement(*pair) for pair in pairs]))
        assert len(cleared) == len(settled) == len(claimed)
        return {"claim": claim, "clear": clear, "settle": settle, "n": len(claimed)}


def _measured(stand: Stand, n: int, fresh: bool) -> Times:
    stand.backlog.empty()
    switch = "ALTER TABLE outbox_delivery SET (autovacuum_enabled = {})"
    with stand.installation.connect() as connection:
        connection.execute(switch.format("off"))
        stand.backlog.settle_down()  # so the statistics say: empty
        stand.backlog.enter(n)
        if fresh:
            stand.backlog.settle_down()
        with _Caller() as caller:
            rounds = [caller.round(GROUP, stand) for _ in range(ROUNDS)]
        connection.execute(switch.format("on"))
    # the quicker quarter: what the step takes, not what others on the machine took from it
    times = {step: percentile([each[step] for each in rounds], 0.25) for step in ("claim", "clear", "settle")}
    note(
        f"  {n:,} waiting, {'fresh' if fresh else 'stale'}: { ({s: round(t, 1) for s, t in times.items()}) }"
    )
    return times


def _flat(measure: str, value: float, yardstick: float) -> Line:
    met = value <= FLAT * yardstick
    more = {"rows": GROUP}
    return Line(measure, value, "ms", ROUNDS, f"{SMALL:,} waiting", yardstick, f"ratio <= {FLAT}", met, more)


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = call()
    return 1000 * (time.perf_counter() - began), answer


def _settlement(key: Any, attempt: int) -> Any:
    from outbox.ledger import Settlement

    return Settlement(
        id=key,
        attempt=attempt,
        status="delivered",
        code="accepted_by_server",
        spoke=True,
        seconds=0.05,
        phase="replied",
        host="mx.gmail.test",
        address="127.0.0.2",
        reply_code=250,
        reply="2.0.0 OK",
        selectors="bench",
    )
