"""The floor: a loop that only composes, signs and speaks SMTP with the product's own parts, without a database.

`python -m bench.rivals.bare N` reads N waiting messages first, then signs them in two threads beside the
event loop and delivers them over the product's delivery edge, every clearance granted at once. Prints the
seconds. What the product loses against this is what durability, fencing and the stop cost.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.rivals.rival import Rate, output_of
from bench.stand import Stand

SIGNERS, CHUNK = 2, 32


@dataclass(frozen=True, slots=True)
class Bare:
    """One process, as the product's default on two cores."""

    name: str = "signing and SMTP alone, no database"

    def run(self, stand: Stand, n: int) -> Rate:
        """See the module."""
        stand.backlog.empty()
        stand.backlog.enter(n)
        stand.backlog.release()
        command = [sys.executable, "-m", "bench.rivals.bare", str(n)]
        stand.sink.mark()
        seconds = float(output_of(command, stand.installation.environment).split()[-1])
        return Rate(stand.sink.accepted() / seconds)


async def _deliver(jobs: Sequence[Any]) -> float:
    from django.conf import settings

    from outbox import press, worker
    from outbox.delivery import clock
    from reputation.resolver import Resolver

    resolver = Resolver(settings.AO_NAMESERVERS or None, allow_loopback=settings.AO_ALLOW_LOOPBACK)
    transport, loop = worker._transport(resolver), asyncio.get_running_loop()
    signers = ThreadPoolExecutor(SIGNERS)
    room = asyncio.Semaphore(settings.AO_MAX_CONVERSATIONS)

    async def clear() -> float | None:
        return clock() + 3

    async def one(job: Any, envelope: Any) -> None:
        try:
            reply = await transport.deliver(envelope, job.route, clear)
            assert reply.code == 250, reply
        finally:
            room.release()

    async def chunk(part: Sequence[Any]) -> list[Any]:
        return await loop.run_in_executor(signers, lambda: [press.envelope(job) for job in part])

    began = time.monotonic()
    parts = [jobs[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
    tasks: list[asyncio.Task[None]] = []
    ahead = [asyncio.ensure_future(chunk(part)) for part in parts[:4]]
    for number, part in enumerate(parts):
        envelopes = await ahead.pop(0)
        if number + 4 < len(parts):
            ahead.append(asyncio.ensure_future(chunk(parts[number + 4])))
        for job, envelope in zip(part, envelopes, strict=True):
            await room.acquire()
            tasks.append(asyncio.create_task(one(job, envelope)))
    await asyncio.gather(*tasks)
    seconds = time.monotonic() - began
    await transport.close()
    return seconds


def main(n: int) -> None:
    """Read, then deliver."""
    import django

    django.setup()
    from outbox import ledger, press, sessions, worker

    session = sessions.begin("bare")
    claimed: list[Any] = []
    while len(claimed) < n and (more := ledger.claim(session, tier=1, limit=500)):
        claimed += more
    jobs = press.gather(session, claimed)
    loop = worker._new_loop()
    print(loop.run_until_complete(_deliver(jobs)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
