"""Group commit: many tasks of the event loop ask one by one, the database is asked once for all of them.

While one group is being asked about, the next one gathers; so a group is as large as the database is slow.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

FEW: Final = 64
STEP_SECONDS, STEPS = 0.005, 4

Item = TypeVar("Item")
Result = TypeVar("Result")


class Grouped(Generic[Item, Result]):
    """Calls ``act(items) -> results`` (same order) in a thread of its own, one group at a time.

    ``crowd`` says how many may ask soon: in a crowd a small group waits while others keep coming, alone nobody does.
    What ``act`` raises, every item of that group raises. Use it on one event loop only.
    """

    def __init__(
        self,
        name: str,
        act: Callable[[Sequence[Item]], Sequence[Result]],
        most: int = 500,
        crowd: Callable[[], int] = lambda: 0,
    ) -> None:
        self._act = act
        self._crowd = crowd
        self._most = most
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._gathered: list[tuple[Item, asyncio.Future[Result]]] = []
        self._pump: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The result for one item, once its group was asked about."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._gathered.append((item, future))
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return await future

    def close(self) -> None:
        """Give the thread back; nothing may be asked any more."""
        self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        while self._gathered:
            await self._linger()
            group, self._gathered = self._gathered[: self._most], self._gathered[self._most :]
            await self._ask(group)

    async def _linger(self) -> None:
        """A larger group costs each less: a crowd is waited for, step by step, unless a step brought nobody."""
        for _ in range(STEPS):
            there = len(self._gathered)
            if there >= FEW or self._crowd() <= FEW:
                break
            await asyncio.sleep(STEP_SECONDS)
            if len(self._gathered) == there:
                break

    async def _ask(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, self._act, [item for item, _ in group])
        except Exception as error:  # handed on to everyone who waits for this group
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)
