"""The one way a test waits: for a condition, until a deadline, and with a reason when it was in vain."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.02


class InVain(AssertionError):
    """What was waited for did not come."""


def until(condition: Callable[[], T], seconds: float, what: str = "", state: Callable[[], object] = str) -> T:
    """The first true value of `condition`; `state` is told with the failure.

    Raises:
        InVain: not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise InVain(f"{what or condition.__name__}: not within {seconds:g} s {state()}".rstrip())
        time.sleep(LOOK_SECONDS)
    return found
