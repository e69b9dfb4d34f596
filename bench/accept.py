"""Accepting: what a post costs beside a bare view that inserts a row, and beside a busy dispatcher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from statistics import mean

from bench.http import Load, Posted, posted
from bench.installation import free_port
from bench.line import Line, at_least, below, note, percentile
from bench.stand import Stand

SECONDS = 4.0
BATCH, BATCH_TARGET = 200, 6_000
TABLE = (
    "CREATE TABLE IF NOT EXISTS bench_row (id bigserial PRIMARY KEY, recipient text, subject text, body text)"
)
APPLICATION = "bench.rivals.bare_ninja:application"
CALM = {
    "threads": 2,
    "seconds": 8.0,
    "pause": 0.02,
}  # far below what the server can do: latency, not throughput
BUSY_BACKLOG = 30_000


def throughput(stand: Stand) -> Iterator[Line]:
    """Single posts and batches, both servers up, by turns."""
    stand.backlog.empty()
    with _both(stand) as bare_port:
        yield at_least(_compared(stand, bare_port, 0), 0.4)
        line = _compared(stand, bare_port, BATCH)
        met = line.value is not None and (line.value >= BATCH_TARGET or (line.ratio or 0) >= 0.25)
        target = f">= {BATCH_TARGET} messages/s or ratio >= 0.25"
        yield Line(
            line.measure,
            line.value,
            line.unit,
            line.n,
            line.yardstick,
            line.yardstick_value,
            target,
            met,
            line.more,
        )
    stand.backlog.empty()


def beside_delivery(stand: Stand) -> Iterator[Line]:
    """The 99th percentile of a calm stream of posts, without and with dispatchers at full speed."""
    stand.backlog.empty()
    load = Load(stand.installation.web_port, "/v1/messages", stand.installation.api_key, **CALM)  # type: ignore[arg-type]
    with stand.installation.web():
        posted(load, stand.installation.folder)
        idle = posted(load, stand.installation.folder)
        with stand.installation.workers():
            stand.backlog.enter(BUSY_BACKLOG)
            stand.backlog.settle_down()
            stand.backlog.release()
            busy = posted(load, stand.installation.folder)
            left = BUSY_BACKLOG - stand.backlog.finished()
    value, yardstick = percentile(busy.latencies, 0.99), percentile(idle.latencies, 0.99)
    more = {"p50": percentile(busy.latencies, 0.5), "idle_p50": percentile(idle.latencies, 0.5)}
    more |= {"still_waiting_at_the_end": left}
    line = Line(
        "accept_p99_beside_delivery", value, "ms", len(busy.latencies), "idle p99", yardstick, more=more
    )
    yield below(line, 5 * yardstick)
    stand.backlog.empty()


@contextlib.contextmanager
def _both(stand: Stand) -> Iterator[int]:
    port = free_port()
    with stand.installation.connect() as connection:
        connection.execute(TABLE)
        role = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_app'").fetchone()
        assert role is not None
        connection.execute(f"GRANT ALL ON bench_row, bench_row_id_seq TO {role[0]}")
    with stand.installation.web(), stand.installation.serving(APPLICATION, port):
        yield port


def _compared(stand: Stand, bare_port: int, batch: int) -> Line:
    """The product before and after the bare view."""
    suffix = "/batch" if batch else ""
    threads = 4 if batch else 8
    key, path = stand.installation.api_key, f"/v1/messages{suffix}"
    ours = Load(stand.installation.web_port, path, key, threads, SECONDS, batch=batch)
    theirs = Load(bare_port, path, key, threads, SECONDS, batch=batch, wrapped=False)
    for load in (ours, theirs):
        posted(Load(load.port, path, key, threads, 0.5, 0.0, batch, load.wrapped), stand.installation.folder)
    runs: list[Posted] = []
    for load in (ours, theirs, ours):
        runs.append(posted(load, stand.installation.folder))
        note(f"  {path}: {runs[-1].per_second * max(batch, 1):,.0f} messages/s")
    before, bare, after = (run.per_second * max(batch, 1) for run in runs)
    n = sum(len(run.latencies) for run in runs[::2]) * max(batch, 1)
    more = {"before_and_after": [before, after], "p99_ms": percentile(runs[2].latencies, 0.99)}
    unit, peer = (
        "messages/s",
        "bare django-ninja view, bulk_create" if batch else "bare django-ninja view, one row",
    )
    return Line(
        f"accept_{'batch' if batch else 'single'}", mean([before, after]), unit, n, peer, bare, more=more
    )
