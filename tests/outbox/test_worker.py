"""When a worker claims, how much it takes on at once, and in which order."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from outbox import ledger, worker
from outbox.room import OPEN_FOR_ONE_YOUNG, SLOW_SECONDS, Room
from outbox.worker import POLL_SECONDS, SOON, Dispatcher, in_turn


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_room_counts_what_was_claimed_and_what_has_ended() -> None:
    room = Room(8)
    places = [room.enter() for _ in range(6)]
    assert room.free() == 2
    room.leave(places[3])
    assert room.free() == 3


def test_a_claim_waits_until_a_quarter_is_free() -> None:
    room = Room(8)
    for _ in range(7):
        room.enter()
    assert (room.free(), room.wide()) == (1, False)


def test_a_slow_conversation_gives_its_place_back_before_it_ends() -> None:
    clock = Clock()
    room = Room(4, clock)
    slow = room.enter()
    clock.now = SLOW_SECONDS / 2
    quick = room.enter()
    clock.now = SLOW_SECONDS
    assert (room.free(), room.open) == (3, 2)
    room.leave(slow)
    room.leave(quick)
    assert (room.free(), room.open) == (4, 0)


def test_slow_conversations_cannot_grow_without_bound() -> None:
    clock = Clock()
    room = Room(4, clock)
    for _ in range(OPEN_FOR_ONE_YOUNG):
        for _ in range(4):
            room.enter()
        clock.now += SLOW_SECONDS
    assert room.free() == 0


def job(name: str, provider: str) -> Any:
    return SimpleNamespace(name=name, claimed=SimpleNamespace(provider=provider))


def test_the_providers_of_a_claim_take_turns_and_each_keeps_its_order() -> None:
    claimed = [job("a1", "a"), job("a2", "a"), job("a3", "a"), job("b1", "b"), job("c1", "c"), job("c2", "c")]
    assert [one.name for one in in_turn(claimed)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


class Rig:
    """A dispatcher that has a session, and a database that says what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: dict[int, float] = {}
        self.found: dict[int, list[Any]] = {}
        self.asked: list[Any] = []
        self.failing = False
        self.dispatcher = Dispatcher()
        self.dispatcher._lease.session = 1
        monkeypatch.setattr(self.dispatcher, "begin", lambda work: work.close())
        monkeypatch.setattr(ledger, "waits", lambda: self.waits)
        monkeypatch.setattr(ledger, "disown", lambda _session, known: self.asked.append(sorted(known)))
        monkeypatch.setattr(worker, "_claimed", self._claimed)
        monkeypatch.setattr(worker, "RETRY_SECONDS", 0)
        monkeypatch.setattr(worker.alarm, "ring", lambda: None)

    def look(self) -> float:
        self.asked.clear()
        return self.dispatcher._loop.run_until_complete(self.dispatcher._look())

    def _claimed(self, _session: int, tier: int, limit: int, _last: int) -> list[Any]:
        self.asked.append(tier)
        if self.failing:
            raise OperationalError
        return self.found.get(tier, [])[:limit]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


def claimed(count: int) -> list[Any]:
    return [SimpleNamespace(claimed=SimpleNamespace(id=n, agent_id=7, provider="a")) for n in range(count)]


@pytest.mark.parametrize(
    ("waits", "asked", "seconds"),
    [
        ({}, [], POLL_SECONDS),  # no work at all
        ({0: 40.0, 1: 0.3}, [], 0.3),  # until the first is due
        ({1: -1.0}, [1], SOON),  # due, and out of reach: another claims it
        ({0: -1.0, 1: 0.0}, [0, 1], SOON),  # urgent mail first
    ],
)
def test_it_claims_where_work_is_due_and_nowhere_else(
    rig: Rig, waits: dict[int, float], asked: list[int], seconds: float
) -> None:
    rig.waits = waits
    assert (rig.look(), rig.asked) == (seconds, asked)


def test_whoever_found_something_looks_again_at_once(rig: Rig) -> None:
    rig.waits, rig.found = {1: -1.0}, {1: claimed(1)}
    assert rig.look() == 0


def test_without_a_session_nothing_is_claimed(rig: Rig) -> None:
    rig.dispatcher._lease.session, rig.waits = None, {1: -1.0}
    assert (rig.look(), rig.asked) == (POLL_SECONDS, [])


def test_a_full_room_is_claimed_for_again_when_a_conversation_makes_room(rig: Rig) -> None:
    dispatcher = rig.dispatcher
    room = Room(4)
    dispatcher._rooms = (dispatcher._rooms[0], room)
    places = [room.enter() for _ in range(4)]
    rig.waits = {1: -1.0}
    assert (rig.look(), rig.asked) == (POLL_SECONDS, [])
    assert end(dispatcher, room, places[0])
    rig.waits = {}
    rig.look()
    dispatcher._poked.clear()
    assert not end(dispatcher, room, places[1])  # there was room: its end is no news


def end(dispatcher: Dispatcher, room: Room, place: Any) -> bool:
    """Let a conversation end; whether the dispatcher is woken by it."""

    async def over(*_: object) -> None:
        pass

    dispatcher._pipeline = SimpleNamespace(dispatch=over)  # type: ignore[assignment]
    job: Any = SimpleNamespace(claimed=SimpleNamespace(id=1), standing=None)
    dispatcher._loop.run_until_complete(dispatcher._dispatch(job, Exception(), room, place))
    return dispatcher._poked.is_set()


def test_after_a_claim_that_failed_what_it_may_have_taken_is_given_back(rig: Rig) -> None:
    rig.waits, rig.failing = {1: -1.0}, True
    assert rig.look() == 0
    rig.failing, rig.found, rig.dispatcher._held = False, {1: claimed(1)}, {7}  # type: ignore[arg-type]
    rig.look()
    assert rig.asked == [[7], 1]  # before anything else is claimed
    rig.look()
    assert rig.asked == [1]
