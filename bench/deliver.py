"""Delivery, from the claim to the settled row: the product against its rivals on one sink, by turns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from bench.backlog import DOMAINS
from bench.installation import DISPATCHERS
from bench.line import Line, at_least, note
from bench.processes import BenchError, CpuMeter, until
from bench.rivals.bare import Bare
from bench.rivals.haraka import Haraka
from bench.rivals.post_office import PostOffice
from bench.rivals.postfix import Postfix
from bench.rivals.rival import NotAvailable, Rate, Rival
from bench.rivals.smtplib_tool import SmtplibTool
from bench.stand import Stand

N, WARM = 5_000, 300


@dataclass(frozen=True, slots=True)
class Product:
    """The product's own processes. `dispatchers` is what `make run` starts unless said otherwise."""

    dispatchers: int = DISPATCHERS
    name: str = "agent outbox"
    connections: int = 0

    def run(self, stand: Stand, n: int) -> Rate:
        """Messages per second from the moment the lanes are opened to the last one settled."""
        more = {}
        if self.connections:
            each = self.connections // self.dispatchers
            more = {"AO_MAX_CONVERSATIONS": str(each), "AO_MAX_PER_SITE": str(each // len(DOMAINS))}
        stand.backlog.empty()
        with stand.installation.workers(self.dispatchers, **more) as worker:
            _wait(stand, WARM)
            _deliver(stand, WARM)
            _wait(stand, n)
            spent = CpuMeter([worker.pid, stand.installation.postmaster])
            seconds = _deliver(stand, n)
            cpu_ms = spent.milliseconds() / n
            worker.check()
        if stand.sink.accepted() != n:
            raise BenchError(f"{n} settled, but {stand.sink.accepted()} at the sink")
        return Rate(n / seconds, cpu_ms)


def _wait(stand: Stand, n: int) -> None:
    stand.backlog.empty()
    stand.backlog.enter(n)
    stand.backlog.settle_down()
    stand.sink.mark()


def _deliver(stand: Stand, n: int) -> float:
    began = time.monotonic()
    stand.backlog.release()
    # Counting rows is CPU of the database as well: it is asked when the last ones may be settled, not before.
    until(lambda: stand.sink.accepted() >= n, 180, f"{n} at the sink")
    return until(lambda: stand.backlog.finished() >= n, 180, f"{n} settled") - began


def local(stand: Stand, n: int = N) -> Iterator[Line]:
    """5,000 messages of 4 KB to a sink next door."""
    wanted: Sequence[tuple[Rival, float | None]] = (
        (Postfix(), 6),
        (Haraka(), 5),
        (PostOffice(), 2),
        (Bare(), 0.5),
        (SmtplibTool(), None),
    )
    product = Product()
    yield from _compared("deliver", product, wanted, stand, n)


def distant(stand: Stand, n: int = N) -> Iterator[Line]:
    """The same with a round trip of 50 ms and up to 400 connections."""
    product = Product(connections=400)
    wanted = ((Postfix(delivering=400, released=False), 5.0),)
    yield from _compared("deliver_50ms", product, wanted, stand, n)


def _compared(
    measure: str,
    product: Product,
    wanted: Sequence[tuple[Rival, float | None]],
    stand: Stand,
    n: int,
) -> Iterator[Line]:
    """The product before and after every rival: each is compared with its neighbours in time only."""
    before = _noted(product, stand, n)
    for rival, factor in wanted:
        why, rate = "", None
        try:
            rate = _noted(rival, stand, n)
        except (NotAvailable, BenchError) as error:
            why = str(error)
        after = _noted(product, stand, n)
        yield _line(measure, rival.name, factor, [before, after], rate, why, n)
        before = after


def _line(
    measure: str, peer: str, factor: float | None, ours: list[Rate], theirs: Rate | None, why: str, n: int
) -> Line:
    rates = [rate.per_second for rate in ours]
    more = {
        "before_and_after": rates,
        "cpu_ms_per_message": mean(rate.cpu_ms for rate in ours),
        **(theirs.more if theirs else {}),
    }
    if theirs and theirs.cpu_ms:
        cpu = mean(rate.cpu_ms for rate in ours)
        more |= {"yardstick_cpu_ms_per_message": theirs.cpu_ms, "ratio_by_cpu": theirs.cpu_ms / cpu}
    if why:
        more |= {"peer": "not available", "why": why}
    line = Line(measure, mean(rates), "messages/s", n, peer, theirs.per_second if theirs else None, more=more)
    return at_least(line, factor) if factor else line


def _noted(rival: Rival, stand: Stand, n: int) -> Rate:
    rate = rival.run(stand, n)
    cpu = f", {rate.cpu_ms:.2f} ms of CPU each" if rate.cpu_ms else ""
    note(f"  {rival.name}: {rate.per_second:,.0f} messages/s{cpu} {rate.more or ''}")
    return rate
