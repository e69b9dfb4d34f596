"""How much a worker takes on at once."""

import asyncio

import pytest

from outbox import worker
from outbox.worker import Room


def test_a_room_counts_what_was_claimed_and_what_has_ended() -> None:
    async def walk() -> None:
        room = Room(8)
        room.enter(6)
        assert room.free() == 2
        with room.held():
            pass
        assert room.free() == 3

    asyncio.run(walk())


def test_a_claim_waits_until_a_quarter_is_free() -> None:
    room = Room(8)
    room.enter(7)
    assert (room.free(), room.wide()) == (1, False)


def test_a_slow_conversation_gives_its_place_back_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLOW_SECONDS", 0.0)

    async def walk() -> None:
        room = Room(4)
        room.enter(1)
        with room.held():
            while room.young:
                await asyncio.sleep(0)
            assert (room.free(), room.open) == (4, 1)
        assert (room.young, room.open) == (0, 0)

    asyncio.run(walk())


def test_slow_conversations_cannot_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(4)
    room.enter(4 * worker.OPEN_FOR_ONE_YOUNG)
    room.young = 0  # all of them are slow by now
    assert room.free() == 0
