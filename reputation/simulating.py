"""What numbers would do, before they are used: how often they close healthy mail, and how much bad mail gets out first.

Mixes are those the defaults were chosen by: healthy is 1 % bounces and 0.05 % complaints, bad 8 % and 0.5 %, a list
that nobody ever mailed 30 % bounces. Every recipient is at a domain of their own, so caps and witnesses play no part.
The same numbers always give the same answer, within a second: events are drawn by the gaps between them, and what is
compared is the greatest number of outcomes among which so many events still prove it (the tests hold it against
`rules`, which judges real ones). Pure.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import log
from statistics import fmean, median
from typing import Final

from reputation import rates
from reputation.rates import Cusum
from reputation.rules import Numbers

SEED: Final = 20559
LIFE: Final = 100_000
LIVES: Final = 100
SHORT: Final = 50  # recipients a run is given unless a person gives it more
SHORT_RUNS: Final = 10_000
BAD_MIXES: Final = 500
LONGEST: Final = 20_000  # bad messages after which nobody waits for a trip any more


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of recipients that bounce and that complain."""

    bounces: float
    complaints: float


HEALTHY: Final = Mix(0.01, 0.0005)
BAD: Final = Mix(0.08, 0.005)
UNKNOWN_LIST: Final = Mix(0.30, 0.0)


@dataclass(frozen=True, slots=True)
class Consequences:
    """What numbers do; counts of messages until a trip are over the mixes that trip at all.

    ``false_trips``: of so many healthy lives of 100,000 messages, the share closed. ``false_runs``: of healthy runs of
    50 messages. ``missed``: the share of bad mixes still open after 20,000 messages.
    """

    false_trips: float
    false_runs: float
    bad_mean: float
    bad_median: float
    missed: float
    list_mean: float

    @property
    def false_runs_of_1000(self) -> float:
        return 1000 * self.false_runs

    @property
    def missed_percent(self) -> float:
        return 100 * self.missed


@lru_cache(maxsize=256)
def consequences(numbers: Numbers) -> Consequences:
    """What these numbers would do."""
    tests = _tests(numbers)
    chance = random.Random(SEED)  # noqa: S311 (an answer that can be repeated)
    lives = [_until(tests, HEALTHY, LIFE, chance) for _ in range(LIVES)]
    runs = [_until(tests, HEALTHY, SHORT, chance) for _ in range(SHORT_RUNS)]
    bad = [found for _ in range(BAD_MIXES) if (found := _until(tests, BAD, LONGEST, chance))]
    listed = [found for _ in range(BAD_MIXES) if (found := _until(tests, UNKNOWN_LIST, LONGEST, chance))]
    return Consequences(
        false_trips=sum(map(bool, lives)) / LIVES,
        false_runs=sum(map(bool, runs)) / SHORT_RUNS,
        bad_mean=fmean(bad) if bad else 0.0,
        bad_median=median(bad) if bad else 0.0,
        missed=1 - len(bad) / BAD_MIXES,
        list_mean=fmean(listed) if listed else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """One signal: ``most[k]`` outcomes among which k events are still strong evidence."""

    window: int
    most: tuple[int, ...]
    cusum: Cusum


def _tests(numbers: Numbers) -> tuple[_Test, _Test]:
    def made(line: float, bad: float, window: int) -> _Test:
        return _Test(
            window, _strong_among(line, window, numbers.events), Cusum(line, bad, numbers.running_sum)
        )

    return (
        made(numbers.bounce_line, numbers.bounce_bad, numbers.bounce_window),
        made(numbers.complaint_line, numbers.complaint_bad, numbers.complaint_window),
    )


def _strong_among(line: float, window: int, least: int) -> tuple[int, ...]:
    most = [0] * least
    while most[-1] < window and len(most) <= window:
        events = len(most)
        low, high = max(most[-1], events - 1), window
        while low < high:
            middle = (low + high + 1) // 2
            if rates.lower(min(events, middle), middle, rates.STRONG) > line:
                low = middle
            else:
                high = middle - 1
        most.append(low)
    return tuple(most)


def _until(tests: tuple[_Test, _Test], mix: Mix, most: int, chance: random.Random) -> int:
    """With which message a mix is closed; 0 if it is not within ``most``."""
    bounced = _closed(tests[0], mix.bounces, most, chance)
    complained = _closed(tests[1], mix.complaints, bounced or most, chance)
    return complained or bounced


def _closed(test: _Test, rate: float, most: int, chance: random.Random) -> int:
    score, last = 0.0, 0
    seen: deque[int] = deque()
    for place in _places(rate, most, chance):
        score = test.cusum.add(test.cusum.rest(score, place - last - 1), event=True)
        last = place
        seen.append(place)
        while seen[0] <= place - test.window:
            seen.popleft()
        enough = test.most[min(len(seen), len(test.most) - 1)]
        if test.cusum.trips(score) or min(place, test.window) <= enough:
            return place
    return 0


def _places(rate: float, most: int, chance: random.Random) -> Iterator[int]:
    """Where events fall, by their geometric gaps."""
    if rate <= 0:
        return
    place, scale = 0, log(1 - rate)
    while True:
        place += 1 + int(log(1 - chance.random()) / scale)
        if place > most:
            return
        yield place
