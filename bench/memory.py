"""A worker's memory over many messages: proportional set size of its dispatchers, which must stay flat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.line import Line
from bench.processes import children, until
from bench.stand import Stand

FLAT = 1.1
CHUNK = 20_000


def flat(stand: Stand, n: int = 15_000, first: int = 5_000) -> Iterator[Line]:
    """After the first few thousand, and after `n` more."""
    with stand.installation.workers() as worker:
        _deliver(stand, first)
        before = _pss(worker.pid)
        for done in range(0, n, CHUNK):
            _deliver(stand, min(CHUNK, n - done))
        after = _pss(worker.pid)
    stand.backlog.empty()
    line = Line("worker_memory_pss", after, "MB", first + n, f"after {first:,} messages", before)
    met = line.ratio is not None and line.ratio <= FLAT
    yield Line(line.measure, after, "MB", first + n, line.yardstick, before, f"ratio <= {FLAT}", met)


def _deliver(stand: Stand, n: int) -> None:
    stand.backlog.empty()
    stand.backlog.enter(n)
    stand.backlog.settle_down()
    stand.backlog.release()
    until(lambda: stand.backlog.finished() >= n, 60 + n / 100, f"{n} settled", 0.2)


def _pss(pid: int) -> float:
    """Megabytes of the worker and its children."""
    lines = [
        line
        for each in children(pid)
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024
