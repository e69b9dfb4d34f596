"""A mailbox that is full again and again: how long it is left alone. Pure.

Three messages that ended so within seven days leave it alone for 14 days, the next three for 90, the third time until a
person lifts it. One that has room again in between loses nothing: only what ended for want of room is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

MESSAGES: Final = 3
WINDOW: Final = timedelta(days=7)
TERMS: Final = (timedelta(days=14), timedelta(days=90), None)  # None: until lifted


@dataclass(frozen=True, slots=True)
class Fullness:
    """When messages ended for want of room, oldest first, and how many terms the mailbox has served."""

    times: tuple[datetime, ...] = ()
    terms: int = 0


@dataclass(frozen=True, slots=True)
class Rest:
    """The mailbox is left alone, until then or (None) until lifted."""

    until: datetime | None


def after(before: Sequence[datetime], terms: int, now: datetime) -> tuple[Fullness, Rest | None]:
    """One more message ended so, now: what is remembered, and whether the mailbox is left alone for it."""
    times = (*(time for time in before if now - time < WINDOW), now)
    if len(times) < MESSAGES:
        return Fullness(times, terms), None
    term = TERMS[min(terms, len(TERMS) - 1)]
    return Fullness((), terms + 1), Rest(now + term if term else None)
