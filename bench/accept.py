"""Accepting: what a post costs beside a bare view that inserts a row, and beside a busy dispatcher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from statistics import mean

from bench.backlog import Backlog
from bench.http import Load, Posted, posted
from bench.installation import Installation, free_port
from bench.line import Line, at_least, below, note, percentile
from bench.sink import Sink

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


def throughput(installation: Installation, backlog: Backlog, sink: Sink) -> Iterator[Line]:
    """Single posts and batches, both servers up, by turns."""
    backlog.empty()
    with _both(installation) as bare_port:
        yield at_least(_compared(installation, bare_port, 0), 0.4)
        line = _compared(installation, bare_port, BATCH)
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
    backlog.empty()


def beside_delivery(installation: Installation, backlog: Backlog, sink: Sink) -> Iterator[Line]:
    """The 99th percentile of a calm stream of posts, without and with dispatchers at full speed."""
    backlog.empty()
    load = Load(installation.web_port, "/v1/messages", installation.api_key, **CALM)  # type: ignore[arg-type]
    with installation.web():
        posted(load, installation.folder)
        idle = posted(load, installation.folder)
        with installation.workers():
            backlog.enter(BUSY_BACKLOG)
            backlog.settle_down()
            backlog.release()
            busy = posted(load, installation.folder)
            left = BUSY_BACKLOG - backlog.finished()
    value, yardstick = percentile(busy.latencies, 0.99), percentile(idle.latencies, 0.99)
    more = {"p50": percentile(busy.latencies, 0.5), "idle_p50": percentile(idle.latencies, 0.5)}
    more |= {"still_waiting_at_the_end": left}
    line = Line(
        "accept_p99_beside_delivery", value, "ms", len(busy.latencies), "idle p99", yardstick, more=more
    )
    yield below(line, 5 * yardstick)
    backlog.empty()


@contextlib.contextmanager
def _both(installation: Installation) -> Iterator[int]:
    port = free_port()
    with installation.connect() as connection:
        connection.execute(TABLE)
        role = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_app'").fetchone()
        assert role is not None
        connection.execute(f"GRANT ALL ON bench_row, bench_row_id_seq TO {role[0]}")
    with installation.web(), installation.serving(APPLICATION, port):
        yield port


def _compared(installation: Installation, bare_port: int, batch: int) -> Line:
    """The product before and after the bare view."""
    suffix = "/batch" if batch else ""
    threads = 4 if batch else 8
    key, path = installation.api_key, f"/v1/messages{suffix}"
    ours = Load(installation.web_port, path, key, threads, SECONDS, batch=batch)
    theirs = Load(bare_port, path, key, threads, SECONDS, batch=batch, wrapped=False)
    for load in (ours, theirs):
        posted(Load(load.port, path, key, threads, 0.5, 0.0, batch, load.wrapped), installation.folder)
    runs: list[Posted] = []
    for load in (ours, theirs, ours):
        runs.append(posted(load, installation.folder))
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
