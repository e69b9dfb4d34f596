"""The pipeline with a scripted edge: what each step may and may not let through."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from outbox import dispatch as room
from outbox.delivery import Envelope, MemoryTransport, Reply, Route, Scripted, clock
from outbox.dispatch import Pipeline
from outbox.grammar import reply_of
from outbox.ledger import Claimed, Settlement
from outbox.outcomes import BULK, Fault, Phase
from outbox.press import Job, NotReady

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLAIMED = Claimed(
    id=UUID(int=0x70000000000000000001),
    message_id=UUID(int=0x70000000000000000000),
    attempt=3,
    tries=0,
    recipient="grace@example.org",
    expires_at=NOW + timedelta(days=5),
    domain_id=1,
    provider="other",
    tier=1,
    scopes=["all", "agents", "agent:ada"],
    agent_id=1,
    agent="ada",
    exempt=False,
    now=NOW,
)
JOB = Job(CLAIMED, 7, None, None, Route("direct", "mta.acme.test"))
ENVELOPE = Envelope(
    "b+t@rp.agents.acme.test", "grace@example.org", b"A: b\r\n\r\nHi\r\n", False, "example.org"
)


@dataclass
class Grounds:
    session: int | None = 7
    stops: frozenset[str] = frozenset()


@dataclass
class Bench:
    """A pipeline whose edges are scripted, and what it settled."""

    transport: Any = field(default_factory=MemoryTransport)
    grounds: Grounds = field(default_factory=Grounds)
    cleared: bool = True
    settled: list[Settlement] = field(default_factory=list)
    asked: int = 0
    doubts: Callable[[str], bool] = lambda provider: False

    async def clear(self, job: Job) -> bool:
        self.asked += 1
        return self.cleared

    async def settle(self, settlement: Settlement, session: int) -> None:
        assert session == JOB.session
        self.settled.append(settlement)

    def run(self, pressed: Envelope | Exception = ENVELOPE, job: Job = JOB) -> Settlement:
        asyncio.run(self.pipeline().dispatch(job, pressed))
        [settlement] = self.settled
        assert (settlement.id, settlement.attempt) == (job.claimed.id, job.claimed.attempt)
        return settlement

    def pipeline(self) -> Pipeline:
        return Pipeline(
            self.transport, self.grounds, self.clear, self.settle, lambda job, reply: None, self.doubts
        )


def answering(*reply: Any, **more: Any) -> MemoryTransport:
    return MemoryTransport(lambda _: Scripted(reply_of(*reply, **more)))


def test_a_250_after_the_dot_is_delivered() -> None:
    bench = Bench()
    settlement = bench.run()
    assert (settlement.status, settlement.code) == ("delivered", "accepted_by_server")
    assert len(bench.transport.dotted) == bench.asked == 1


def test_through_a_relay_it_is_relayed() -> None:
    job = replace(JOB, route=Route("relay", "mta.acme.test", host="relay.acme.test"))
    assert Bench().run(job=job).status == "relayed"


@pytest.mark.parametrize(
    "grounds",
    [
        Grounds(session=8),  # our session was lost and a new one begun
        Grounds(session=None),
        Grounds(stops=frozenset({"agent:ada"})),
        Grounds(stops=frozenset({"recipient_domain:example.org"})),
    ],
)
def test_a_closed_gate_gives_the_delivery_back_before_anything_is_said(grounds: Grounds) -> None:
    bench = Bench(grounds=grounds)
    settlement = bench.run()
    assert (settlement.status, bench.asked, bench.transport.dotted) == ("queued", 0, [])


def test_what_expires_while_it_waits_for_a_place_is_given_back_before_anything_is_said() -> None:
    bench = Bench()
    job = replace(JOB, claimed=replace(JOB.claimed, expires_at=JOB.claimed.now))
    settlement = bench.run(job=job)
    assert (settlement.status, bench.asked, bench.transport.dotted) == ("queued", 0, [])


def test_a_stop_of_a_few_recipients_sets_only_them_aside_for_a_while() -> None:
    aside = Bench(grounds=Grounds(stops=frozenset({"recipient_domain:example.org"}))).run()
    assert aside.wait == room.BACK_AFTER_ROW_STOP


def test_what_is_not_cleared_is_not_dotted_and_due_again() -> None:
    bench = Bench(cleared=False)
    settlement = bench.run()
    assert (settlement.status, bench.transport.dotted) == ("queued", [])
    assert settlement.wait is not None


def test_a_clearance_counts_from_before_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker frozen while the database answers must find its clearance stale."""
    times = [100.0]
    monkeypatch.setattr(room, "clock", lambda: times[-1])
    deadlines: list[float | None] = []

    class Asking(MemoryTransport):
        async def deliver(self, envelope: Envelope, route: Route, clear: Any, gate: Any = None) -> Reply:
            deadlines.append(await clear())
            return reply_of(Phase.READY, None, "", Fault.STALE_CLEARANCE)

    class Frozen(Bench):
        async def clear(self, job: Job) -> bool:
            times.append(160.0)
            return True

    Frozen(transport=Asking()).run()
    assert deadlines == [100.0 + room.CLEARANCE_SECONDS]


def test_a_lane_that_cannot_sign_waits_unsigned_never() -> None:
    bench = Bench()
    settlement = bench.run(NotReady("no key"))
    assert (settlement.status, settlement.wait, bench.transport.dotted) == (
        "queued",
        room.BACK_AFTER_NOT_READY,
        [],
    )


def test_content_that_cannot_be_composed_waits_for_a_person() -> None:
    settlement = Bench().run(ValueError("bare CR"))
    assert (settlement.status, settlement.code) == ("held", "poison")
    assert "bare CR" in settlement.fault


def test_a_deferral_follows_the_schedule_on_the_databases_clock() -> None:
    settlement = Bench(transport=answering(Phase.RCPT, 450, "4.3.2 later")).run()
    assert settlement.status == "deferred"
    assert settlement.wait is not None
    assert 15 * 60 <= settlement.wait <= 15 * 60 * 1.2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tries": BULK.most - 1}, "retries_exhausted"),
        ({"expires_at": NOW + timedelta(minutes=5)}, "expires_at_passed"),  # before the next try would be due
    ],
)
def test_a_deferral_without_a_next_time_is_the_end(change: dict[str, Any], code: str) -> None:
    bench = Bench(transport=answering(Phase.RCPT, 450, "4.2.0 later"))
    settlement = bench.run(job=replace(JOB, claimed=replace(CLAIMED, **change)))
    assert (settlement.status, settlement.code, settlement.wait) == ("expired", code, None)


def test_what_a_confused_provider_calls_unknown_is_tried_again() -> None:
    said = (Phase.RCPT, 550, "5.1.1 no such user")
    settlement = Bench(answering(*said)).run()
    assert (settlement.status, settlement.evidence) == ("bounced", "bounced")
    settlement = Bench(answering(*said), doubts=lambda _: True).run()
    assert (settlement.status, settlement.code, settlement.evidence) == ("deferred", "recipient_unclear", "")
    assert settlement.wait


def test_no_answer_after_the_dot_is_uncertain() -> None:
    settlement = Bench(transport=answering(Phase.DOT, None, "gone", Fault.CLOSED)).run()
    assert (settlement.status, settlement.code) == ("uncertain", "no_reply_after_dot")


class Breaking(MemoryTransport):
    """An edge that breaks its word: it raises, before or after it was cleared."""

    def __init__(self, after_clearance: bool) -> None:
        super().__init__()
        self._after = after_clearance

    async def deliver(self, envelope: Envelope, route: Route, clear: Any, gate: Any = None) -> Reply:
        if self._after:
            await clear()
        raise RuntimeError("a bug")


@pytest.mark.parametrize(("after", "status"), [(False, "queued"), (True, "uncertain")])
def test_a_bug_of_the_edge_neither_loses_a_delivery_nor_sends_it_twice(after: bool, status: str) -> None:
    assert Bench(transport=Breaking(after)).run().status == status


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (reply_of(Phase.BODY, None, "", Fault.TIMEOUT), "queued"),  # hung up before the dot: nothing was sent
        (replace(reply_of(Phase.DOT, None, "", Fault.TIMEOUT), dot_written=True), "uncertain"),
    ],
)
def test_a_worker_that_ends_settles_what_it_hangs_up_on(reply: Reply, status: str) -> None:
    async def cancelled(bench: Bench) -> None:
        task = asyncio.create_task(bench.pipeline().dispatch(JOB, ENVELOPE))
        await until(lambda: bool(reached))
        task.cancel()
        await task

    reached: list[Envelope] = []
    stuck = asyncio.Event()

    def script(envelope: Envelope) -> Scripted:
        reached.append(envelope)
        return Scripted(reply, stuck)

    bench = Bench(transport=MemoryTransport(script))
    asyncio.run(cancelled(bench))
    assert [one.status for one in bench.settled] == [status]


async def until(condition: Callable[[], bool]) -> Awaitable[None] | None:
    deadline = clock() + 5
    while not condition():
        assert clock() < deadline
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return None
