"""The sender's day: when its sending hours are, and how much of a day's cap they have opened.

Days and hours are those of the sender's time zone, instants are UTC; a day has 23 or 25 hours where the clocks change.
Opened by now = ceil(cap x share of the sending hours elapsed), at least 1 from the first instant, so a cap of 1 opens
at once. Where `opens_at` and `closes_at` are the same, everything opens at once (transactional streams).

Exactly reproducible in SQL, as bigint, all times in whole milliseconds rounded down:

    past = floor(extract(epoch FROM now - opens_at) * 1000)
    length = floor(extract(epoch FROM closes_at - opens_at) * 1000)
    opened = CASE WHEN now < opens_at THEN 0 WHEN past >= length THEN cap
                  ELSE least(cap, greatest(1, (cap * past + length - 1) / length)) END
    pile = CASE WHEN length <= 7200000 THEN cap ELSE (cap * 7200000 + length - 1) / length END
    slot n opens at opens_at + (0 if n = 1, else (n - 1) * length / cap + 1) ms

Pure: `now` is passed in. Instants are aware; naive ones raise TypeError where they are compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

EVERY_DAY: Final = frozenset(range(1, 8))  # ISO weekdays, 1 is Monday
PILE: Final = timedelta(hours=2)
_MS: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)


class Window(NamedTuple):
    """The sending hours of one day, as UTC instants."""

    day: date
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Hours:
    """When a sender sends: from `opens_hour` to `closes_hour` (24 is the next midnight) on its sending days."""

    zone: ZoneInfo
    opens_hour: int = 0
    closes_hour: int = 24
    sending_days: frozenset[int] = EVERY_DAY

    def window(self, day: date) -> Window | None:
        """That day's sending hours; None on a day off, and where a change of clocks leaves none of them."""
        if day.isoweekday() not in self.sending_days:
            return None
        opens_at, closes_at = self._instant(day, self.opens_hour), self._instant(day, self.closes_hour)
        exists = opens_at < closes_at and day_of(opens_at, self.zone) == day
        return Window(day, opens_at, closes_at) if exists else None

    def windows(self, now: datetime) -> Iterator[Window]:
        """The sending hours open now, if they are, and all that follow, without end; nothing if no day is one."""
        day = day_of(now, self.zone)
        while self.sending_days:
            window = self.window(day)
            if window and window.closes_at > now:
                yield window
            day += _DAY

    def next_window(self, now: datetime) -> Window:
        """The sending hours open now, or the next. Raises ValueError where no day is a sending day."""
        for window in self.windows(now):
            return window
        raise ValueError("no day of the week is a sending day")

    @property
    def length(self) -> int:
        """Sending hours of an ordinary day."""
        return self.closes_hour - self.opens_hour

    def _instant(self, day: date, hour: int) -> datetime:
        midnight = datetime.combine(day + _DAY * (hour // 24), time(hour % 24), self.zone)
        return midnight.astimezone(UTC)


def day_of(now: datetime, zone: ZoneInfo) -> date:
    """The date on the sender's calendar."""
    return now.astimezone(zone).date()


def opened(cap: int, opens_at: datetime, closes_at: datetime, now: datetime) -> int:
    """How many of the cap's slots have opened by now: 0 before the hours, the cap after them."""
    past, length = (now - opens_at) // _MS, (closes_at - opens_at) // _MS
    if now < opens_at:
        return 0
    if past >= length:
        return cap
    return min(cap, max(1, _ceil(cap * past, length)))


def pile(cap: int, opens_at: datetime, closes_at: datetime) -> int:
    """How many opened and unused slots may lie waiting: two hours' worth, rounded up; what is above lapses."""
    length = (closes_at - opens_at) // _MS
    worth = PILE // _MS
    return cap if length <= worth else _ceil(cap * worth, length)


def next_opening(cap: int, wanted: int, opens_at: datetime, closes_at: datetime) -> datetime | None:
    """The first instant by which `wanted` slots have opened; None where the day's cap is less than that."""
    if wanted > cap:
        return None
    length = (closes_at - opens_at) // _MS
    if wanted <= 1 or length <= 0:
        return opens_at
    return opens_at + ((wanted - 1) * length // cap + 1) * _MS


def _ceil(number: int, by: int) -> int:
    return -(-number // by)
