"""How much one dispatcher takes on at once. No tasks, no database: places that are taken and given back."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SLOW_SECONDS: Final = 1.0
OPEN_FOR_ONE_YOUNG: Final = 5  # conversations that may be open for each that may be young


@dataclass(slots=True)
class Place:
    """One delivery's share of a room: since when it is under way, and whether it still counts as young."""

    since: float
    young: bool = True


class Room:
    """How many more conversations may begin. A slow one gives its place back before it ends.

    Ages are looked at when somebody asks for room: a timer for each delivery would cost more than the delivery's share
    of the database.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self.open = 0
        self._clock = clock
        self.young = 0
        self._places: deque[Place] = deque()  # in the order they began

    def free(self) -> int:
        """Places for new conversations."""
        self._age()
        return min(self.size - self.young, OPEN_FOR_ONE_YOUNG * self.size - self.open)

    def wide(self) -> bool:
        """Whether a claim is worth it: few large ones rather than many small ones."""
        return self.free() * 4 >= self.size

    def enter(self) -> Place:
        """Take a place for a delivery that was claimed; ``leave`` it once."""
        place = Place(self._clock())
        self._places.append(place)
        self.young += 1
        self.open += 1
        return place

    def leave(self, place: Place) -> None:
        """Give the place back."""
        self.open -= 1
        self._no_longer_young(place)

    def _age(self) -> None:
        old = self._clock() - SLOW_SECONDS
        while self._places and (self._places[0].since <= old or not self._places[0].young):
            self._no_longer_young(self._places.popleft())

    def _no_longer_young(self, place: Place) -> None:
        if place.young:
            place.young = False
            self.young -= 1
