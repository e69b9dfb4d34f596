"""The floor: loops that only compose, sign and speak SMTP with the product's own parts, without a database.

`python -m bench.rivals.bare N PROCESSES` reads N waiting messages first, then shares them out among processes, each of
which signs and delivers its own over the product's delivery edge, every clearance granted at once. Prints the seconds.
What the product loses against this is what durability, fencing and the stop cost.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.installation import DISPATCHERS
from bench.rivals.rival import Rate, output_of
from bench.stand import Stand


@dataclass(frozen=True, slots=True)
class Bare:
    """As many processes as the product has."""

    name: str = "signing and SMTP alone, no database"
    processes: int = DISPATCHERS

    def run(self, stand: Stand, n: int) -> Rate:
        """See the module."""
        stand.backlog.empty()
        stand.backlog.enter(n)
        stand.backlog.release()
        command = [sys.executable, "-m", "bench.rivals.bare", str(n), str(self.processes)]
        stand.sink.mark()
        seconds = float(output_of(command, stand.installation.environment).split()[-1])
        return Rate(stand.sink.accepted() / seconds)


async def _deliver(jobs: Sequence[Any]) -> None:
    from django.conf import settings

    from outbox import press, worker
    from outbox.delivery import clock
    from reputation.resolver import Resolver

    resolver = Resolver(settings.AO_NAMESERVERS or None, allow_loopback=settings.AO_ALLOW_LOOPBACK)
    transport = worker._transport(resolver)
    room = asyncio.Semaphore(settings.AO_MAX_CONVERSATIONS)

    async def clear() -> float | None:
        return clock() + 3

    async def one(job: Any, envelope: Any) -> None:
        try:
            reply = await transport.deliver(envelope, job.route, clear)
            assert reply.code == 250, reply
        finally:
            room.release()

    async with asyncio.TaskGroup() as tasks:
        for job in jobs:
            await room.acquire()
            tasks.create_task(one(job, press.envelope(job)))
    await transport.close()


def _run(jobs: Sequence[Any]) -> None:
    from outbox import worker

    worker._new_loop().run_until_complete(_deliver(jobs))


def main(n: int, processes: int) -> None:
    """Read, then deliver."""
    import django

    django.setup()
    from django.db import connection

    from outbox import ledger, press, sessions, worker

    session = sessions.begin("bare")
    claimed: list[Any] = []
    while len(claimed) < n and (more := ledger.claim(session, tier=1, limit=500)):
        claimed += more
    jobs = worker.in_turn(press.gather(session, claimed))
    connection.close()
    fork = multiprocessing.get_context("fork")
    shares = [fork.Process(target=_run, args=(jobs[first::processes],)) for first in range(processes)]
    began = time.monotonic()
    for share in shares:
        share.start()
    for share in shares:
        share.join()
    seconds = time.monotonic() - began
    if any(share.exitcode for share in shares):
        sys.exit("a share was not delivered")
    print(seconds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
