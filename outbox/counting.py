"""Numbers in memory, and the one thread of this process that writes them down: a storm costs no statement of its own.

Counting returns at once; what was counted is written at most once a second, by the statement that each tally brings.
Refuses to matter: what cannot be written is tried again with the next, and what a killed process had not written is
lost. These are figures for people, no rule reads them.
"""

import functools
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

from django.db import connection

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0

K = TypeVar("K", bound=Hashable)


class Tally(Generic[K]):
    """Numbers by key; ``down`` writes some of them, and is asked to again if it raises."""

    def __init__(self, what: str, down: Callable[[Counter[K]], object]) -> None:
        self._what = what
        self._down = down
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: Counter[K] = Counter()
        _TALLIES.append(self)

    def add(self, key: K, n: int = 1) -> None:
        """Count so many more."""
        with self._lock:
            self._counts[key] += n
        _some_of(os.getpid()).set()

    def write(self) -> None:
        """Write what was counted; once this returns, nothing of it is under way elsewhere."""
        with self._writing:
            with self._lock:
                counts, self._counts = self._counts, Counter()
            if not counts:
                return
            try:
                self._down(counts)
            except Exception as error:  # it is only a count
                logger.warning("%s could not be written: %s", self._what, error)
                with self._lock:
                    self._counts.update(counts)
            finally:
                connection.close_if_unusable_or_obsolete()


_TALLIES: Final[list[Tally[Any]]] = []


def write() -> None:
    """Write everything that was counted, now; never fails."""
    for tally in _TALLIES:
        tally.write()


@functools.cache
def _some_of(_process: int) -> threading.Event:
    """What wakes the thread of this process, begun at first use: threads do not survive a fork."""
    some = threading.Event()
    threading.Thread(target=_write_on, args=[some], name="counts", daemon=True).start()
    return some


def _write_on(some: threading.Event) -> None:
    while some.wait():
        some.clear()
        write()
        time.sleep(EVERY_SECONDS)
