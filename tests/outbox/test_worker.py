"""How much a worker takes on at once, and in which order."""

from types import SimpleNamespace
from typing import Any

from outbox.room import OPEN_FOR_ONE_YOUNG, SLOW_SECONDS, Room
from outbox.worker import in_turn


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
