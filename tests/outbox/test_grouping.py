"""Group commit: one call for all who ask meanwhile, and nobody gets another's answer."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from outbox.grouping import Grouped


def test_those_who_ask_while_the_database_is_busy_are_asked_about_together() -> None:
    groups: list[list[int]] = []
    first_is_in, go_on = threading.Event(), threading.Event()

    def act(items: Sequence[int]) -> list[int]:
        groups.append(list(items))
        first_is_in.set()
        go_on.wait(5)
        return [item * 10 for item in items]

    async def ask() -> list[int]:
        grouped = Grouped("test", act)
        first = asyncio.create_task(grouped(1))
        await asyncio.to_thread(first_is_in.wait, 5)
        rest = [asyncio.create_task(grouped(item)) for item in (2, 3, 4)]
        await asyncio.sleep(0)
        go_on.set()
        return [await task for task in (first, *rest)]

    assert asyncio.run(ask()) == [10, 20, 30, 40]
    assert groups == [[1], [2, 3, 4]]


def test_what_goes_wrong_goes_wrong_for_its_group_only() -> None:
    calls = iter([OSError("gone"), None])

    def act(items: Sequence[int]) -> list[int]:
        if error := next(calls):
            raise error
        return list(items)

    async def ask() -> int:
        grouped = Grouped("test", act)
        with pytest.raises(OSError, match="gone"):
            await grouped(1)
        return await grouped(2)

    assert asyncio.run(ask()) == 2


def test_one_who_gave_up_does_not_spoil_the_others() -> None:
    go_on = threading.Event()

    def act(items: Sequence[int]) -> list[int]:
        go_on.wait(5)
        return list(items)

    async def ask() -> int:
        grouped = Grouped("test", act)
        gone, stays = asyncio.create_task(grouped(1)), asyncio.create_task(grouped(2))
        await asyncio.sleep(0)
        gone.cancel()
        go_on.set()
        return await stays

    assert asyncio.run(ask()) == 2


def test_a_group_has_a_size() -> None:
    sizes: list[int] = []

    def act(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return list(items)

    async def ask() -> None:
        grouped = Grouped("test", act, most=2)
        await asyncio.gather(*(grouped(item) for item in range(5)))

    asyncio.run(ask())
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(("crowd", "groups"), [(0, [[1], [2, 3]]), (1000, [[1, 2, 3]])])
def test_a_crowd_is_waited_for_and_one_alone_is_not(crowd: int, groups: list[list[int]]) -> None:
    asked: list[list[int]] = []

    def act(items: Sequence[int]) -> list[int]:
        asked.append(list(items))
        return list(items)

    async def ask() -> None:
        grouped = Grouped("test", act, crowd=lambda: crowd)
        first = asyncio.create_task(grouped(1))
        for _ in range(2):
            await asyncio.sleep(0)
        await asyncio.gather(first, grouped(2), grouped(3))

    asyncio.run(ask())
    assert asked == groups
