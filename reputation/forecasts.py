"""When so many recipients would be through, and what a ramp will look like on the way.

Walks the coming days with the rule of `ramps` and the hours of `hours`: the least of the ramps counts, a day that
uses enough of a cap earns the next step when the next sending hours open, and what is waiting goes out as soon as
slots open. A forecast, not a promise: it takes mail to be healthy, and nobody else to draw on the same ramps.

Pure, and O(days): a day costs the same however many recipients it takes. Looks at most three years ahead.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from reputation.hours import Hours, Window, next_opening, opened, pile
from reputation.ramps import LOOK_BACK, STAY, Steps, earned

HORIZON: Final = timedelta(days=3 * 365)


@dataclass(frozen=True, slots=True)
class Warming:
    """One ramp as it stands: its step, and its allowance of the last day it had one (`day` None: it never had).

    `cap` None is no cap. `taken` and `lapsed` are those of the allowance.
    """

    plan: Steps
    step: int
    stepped_at: datetime
    day: date | None = None
    cap: int | None = None
    taken: int = 0
    lapsed: int = 0


class Planned(NamedTuple):
    """One sending day to come: the least of the caps (None is no cap), and how many recipients go out on it."""

    day: date
    cap: int | None
    sent: int


def through(
    recipients: int, ahead: int, ramps: Sequence[Warming], hours: Hours, now: datetime, *, even: bool = True
) -> datetime | None:
    """When the last of `recipients` would be through, behind `ahead` others; None if not within three years.

    `even` is False for transactional streams, whose day opens at once.
    """
    left = ahead + recipients
    for window, climbs in _days(ramps, hours, now, even):
        sent = _send(climbs, left, window.day)
        if sent == left:
            return max([now, window.opens_at, *(climb.last_slot(window) for climb in climbs)])
        left -= sent
    return None


def timeline(
    waiting: int, ramps: Sequence[Warming], hours: Hours, now: datetime, *, even: bool = True
) -> list[Planned]:
    """The sending days from now until so many have gone out, three years at most."""
    planned = []
    for window, climbs in _days(ramps, hours, now, even):
        caps = [climb.cap for climb in climbs if climb.cap is not None]
        sent = _send(climbs, waiting, window.day)
        planned.append(Planned(window.day, min(caps, default=None), sent))
        waiting -= sent
        if not waiting:
            break
    return planned


@dataclass(slots=True)
class _Climb:
    """A ramp on its way through the days to come."""

    plan: Steps
    step: int
    stepped_at: datetime
    cap: int | None
    spent: int = 0  # slots of the day that are gone: used, or lapsed
    # used on this step, newest last; as many days as the rule looks back to
    used: deque[tuple[date, int]] = field(default_factory=lambda: deque(maxlen=LOOK_BACK.days))

    def begin(self, window: Window) -> None:
        """A new day: the step is judged as its sending hours open, and all of its cap lies ahead."""
        self._judge(window)
        self.cap, self.spent = self.plan.cap(self.step), 0

    def lapse(self, window: Window, now: datetime) -> None:
        """What has opened by now and nobody took, beyond the pile."""
        if self.cap is not None:
            open_by_now = opened(self.cap, window.opens_at, window.closes_at, now)
            self.spent = max(self.spent, open_by_now - pile(self.cap, window.opens_at, window.closes_at))

    def left(self, wanted: int) -> int:
        return wanted if self.cap is None else min(wanted, max(0, self.cap - self.spent))

    def use(self, day: date, count: int) -> None:
        today = self.used.pop()[1] if self.used and self.used[-1][0] == day else 0
        self.used.append((day, today + count))
        self.spent += count

    def last_slot(self, window: Window) -> datetime:
        """When the last of the slots that are gone opens."""
        if self.cap is None:
            return window.opens_at
        return next_opening(self.cap, self.spent, window.opens_at, window.closes_at) or window.opens_at

    def _judge(self, window: Window) -> None:
        cap = self.plan.cap(self.step)
        if cap is None or window.opens_at - self.stepped_at < STAY:
            return
        if earned([count for day, count in self.used if window.day - day <= LOOK_BACK], cap):
            self.step, self.stepped_at = self.step + 1, window.opens_at
            self.used.clear()


def _days(
    ramps: Sequence[Warming], hours: Hours, now: datetime, even: bool
) -> Iterator[tuple[Window, list[_Climb]]]:
    climbs = [_climb(ramp) for ramp in ramps]
    known = [ramp.day for ramp in ramps]
    for window in hours.windows(now):
        if window.opens_at > now + HORIZON:
            return
        opening = window if even else window._replace(closes_at=window.opens_at)
        for climb, day in zip(climbs, known, strict=True):
            if day is None or day < window.day:
                climb.begin(opening)
            climb.lapse(opening, now)
        yield opening, climbs


def _climb(ramp: Warming) -> _Climb:
    climb = _Climb(ramp.plan, ramp.step, ramp.stepped_at, ramp.cap, ramp.lapsed)
    if ramp.day is not None:
        climb.use(ramp.day, ramp.taken)
    return climb


def _send(climbs: Sequence[_Climb], wanted: int, day: date) -> int:
    count = min((climb.left(wanted) for climb in climbs), default=wanted)
    for climb in climbs:
        climb.use(day, count)
    return count
