"""One contract, both transports: what the rest of the walk may rely on, whatever carries the mail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from outbox.delivery import MemoryTransport, Route, Scripted, SmtpTransport, Transport, clock
from outbox.grammar import reply_of
from outbox.outcomes import Fault, Phase, Reply
from tests.outbox.scripted import DROP, STUCK, Server, Zone, direct, envelope, on_both_loops


@dataclass(frozen=True)
class World:
    """A transport, a route, and how many dots the other side has seen."""

    transport: Transport
    route: Route
    dots: Callable[[], int]


Open = Callable[[str], Any]

# what the other side does, as a server and as a script
CASES: dict[str, tuple[dict[str, Any], Reply]] = {
    "accept": ({}, reply_of(Phase.REPLIED, 250, "2.0.0 taken")),
    "no such user": (
        {"RCPT": b"550 5.1.1 nobody\r\n", "DATA": b"503 no\r\n"},
        reply_of(Phase.RCPT, 550, "5.1.1 nobody"),
    ),
    "later": ({"dot": b"451 4.7.1 later\r\n"}, reply_of(Phase.REPLIED, 451, "4.7.1 later")),
    "drop": ({"MAIL": DROP}, reply_of(Phase.MAIL, None, "closed", Fault.CLOSED)),
    "drop after the dot": ({"dot": DROP}, reply_of(Phase.DOT, None, "closed", Fault.CLOSED)),
    "no answer to the dot": ({"dot": STUCK}, reply_of(Phase.DOT, None, "closed", Fault.CLOSED)),
}


@asynccontextmanager
async def smtp(case: str) -> AsyncIterator[World]:
    server = Server(**CASES[case][0])
    async with server.listening():
        out = SmtpTransport(Zone(one=[("mx.one.test", "127.0.0.1")]))
        yield World(out, direct(server.port), lambda: server.dots)
        await out.close()


@asynccontextmanager
async def memory(case: str) -> AsyncIterator[World]:
    stuck = asyncio.Event() if case == "no answer to the dot" else None
    out = MemoryTransport(lambda _: Scripted(CASES[case][1], stuck))
    yield World(out, direct(25), lambda: len(out.dotted))
    await out.close()


both = pytest.mark.parametrize("world", [smtp, memory])


class Clearances:
    """Counts how often clearance was asked."""

    def __init__(self, answer: Callable[[], float | None]) -> None:
        self.asked = 0
        self.seen = asyncio.Event()
        self._answer = answer

    async def __call__(self) -> float | None:
        self.asked += 1
        self.seen.set()
        return self._answer()


def fresh() -> float:
    return clock() + 5


DOTTED = {"accept", "later", "drop after the dot"}


@both
@pytest.mark.parametrize("case", ["accept", "no such user", "later", "drop", "drop after the dot"])
@on_both_loops
async def test_the_reply_says_what_happened_and_clearance_is_asked_once_before_a_dot(
    world: Open, case: str
) -> None:
    clear = Clearances(fresh)
    async with world(case) as there:
        reply = await there.transport.deliver(envelope(), there.route, clear)
        expected = CASES[case][1]
        assert (reply.phase, reply.code, reply.enhanced, reply.fault, reply.dot_written) == (
            expected.phase,
            expected.code,
            expected.enhanced,
            expected.fault,
            case in DOTTED,
        )
        assert (clear.asked, there.dots()) == ((1, 1) if case in DOTTED else (0, 0))


@both
@pytest.mark.parametrize(
    ("answer", "fault"),
    [(lambda: None, Fault.NOT_CLEARED), (lambda: clock() - 1, Fault.STALE_CLEARANCE)],
    ids=["refused", "stale"],
)
@on_both_loops
async def test_no_dot_without_a_fresh_clearance(
    world: Open, answer: Callable[[], float | None], fault: Fault
) -> None:
    async with world("accept") as there:
        reply = await there.transport.deliver(envelope(), there.route, Clearances(answer))
        assert (reply.phase, reply.fault, reply.dot_written) == (Phase.READY, fault, False)
        assert there.dots() == 0


@both
@on_both_loops
async def test_a_closed_gate_ends_it_before_anything_is_offered(world: Open) -> None:
    clear = Clearances(fresh)
    async with world("accept") as there:
        reply = await there.transport.deliver(envelope(), there.route, clear, gate=lambda: False)
        assert (reply.fault, reply.dot_written, clear.asked, there.dots()) == (Fault.NOT_CLEARED, False, 0, 0)


@both
@on_both_loops
async def test_what_clear_raises_passes_through_undotted(world: Open) -> None:
    def broken() -> float:
        raise LookupError

    async with world("accept") as there:
        with pytest.raises(LookupError):
            await there.transport.deliver(envelope(), there.route, Clearances(broken))
        assert there.dots() == 0


@both
@on_both_loops
async def test_cancelled_before_the_dot_it_raises(world: Open) -> None:
    waiting = asyncio.Event()

    async def never() -> float:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with world("accept") as there:
        task = asyncio.create_task(there.transport.deliver(envelope(), there.route, never))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert there.dots() == 0


@both
@on_both_loops
async def test_cancelled_after_the_dot_it_answers_that_it_is_written(world: Open) -> None:
    clear = Clearances(fresh)
    async with world("no answer to the dot") as there:
        task = asyncio.create_task(there.transport.deliver(envelope(), there.route, clear))
        await clear.seen.wait()
        await asyncio.sleep(0)  # the dot is written without another await
        task.cancel()
        reply = await task
        assert (reply.phase, reply.code, reply.dot_written) == (Phase.DOT, None, True)


@both
@on_both_loops
async def test_many_deliveries_at_once_are_each_answered(world: Open) -> None:
    async with world("accept") as there:
        replies = await asyncio.gather(
            *(
                there.transport.deliver(envelope(f"r{n}@one.test"), there.route, Clearances(fresh))
                for n in range(50)
            )
        )
        assert [reply.code for reply in replies] == [250] * 50
        assert there.dots() == 50
