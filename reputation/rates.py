"""How sure we may be that a rate is too high, from few and clumsy counts.

Raw ratios are never compared with a line: at a cap of 20 one bounce is 5 %. What is compared is the lower end of what
the counts allow (Wilson 1927, one-sided), or a sum that rises with every bad outcome and falls with every good one
(Page 1954). A judgement keeps its arithmetic, so that a page can show it and a person can check it.

Pure: counts in, judgement out; which outcomes are counted is the caller's rule.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import Final

WEAK: Final = 0.95  # holds a ramp, asks a person
STRONG: Final = 0.9999  # trips a scope

_Z: Final = {confidence: NormalDist().inv_cdf(confidence) for confidence in (WEAK, STRONG)}


def lower(events: int, trials: int, confidence: float = WEAK) -> float:
    """The least rate that still explains so many events (Wilson score, one-sided); 0 where nothing was tried.

    Raises ValueError for counts that cannot be: negative ones, or more events than trials.
    """
    return _wilson(events, trials, -_Z[confidence])


def upper(events: int, trials: int, confidence: float = WEAK) -> float:
    """The greatest rate that still explains so few events; 1 where nothing was tried. Raises as `lower` does."""
    return _wilson(events, trials, _Z[confidence])


def weak(events: int, trials: int, line: float) -> bool:
    """Whether the rate lies above the line with 95 % confidence: enough to hold, never to trip."""
    return lower(events, trials, WEAK) > line


def strong(events: int, trials: int, line: float) -> bool:
    """Whether the rate lies above the line with 99.99 % confidence."""
    return lower(events, trials, STRONG) > line


@dataclass(frozen=True, slots=True)
class Evidence:
    """So many events among so many trials against a line, with the arithmetic kept."""

    name: str
    events: int
    trials: int
    lower: float
    line: float
    confidence: float

    @property
    def above(self) -> bool:
        return self.lower > self.line

    @property
    def far_above(self) -> bool:
        """Above twice the line."""
        return self.lower > 2 * self.line

    @property
    def words(self) -> str:
        if not self.trials:
            return f"{self.name}: nothing to judge yet; the line is {_percent(self.line)}"
        return (
            f"{self.name}: {self.events} of {self.trials} is {_percent(self.events / self.trials)}, "
            f"at least {_percent(self.lower)} with {_percent(self.confidence)} confidence; "
            f"the line is {_percent(self.line)}"
        )

    def as_dict(self) -> dict[str, object]:
        """For an event's JSON: the numbers and the words."""
        return asdict(self) | {"above": self.above, "far_above": self.far_above, "words": self.words}


def evidence(name: str, events: int, trials: int, line: float, confidence: float = WEAK) -> Evidence:
    """Judge counts against a line.

    Reports may arrive for mail older than the window: more events than trials count as that many trials.
    """
    trials = max(events, trials)
    return Evidence(name, events, trials, lower(events, trials, confidence), line, confidence)


@dataclass(frozen=True, slots=True)
class Cusum:
    """Page's test for a rate that has moved from `healthy` to `bad`; the score may rise to `limit`.

    The score is the log-likelihood ratio of what was seen since it was last zero; it starts at 0 and is the caller's
    to keep.
    """

    healthy: float
    bad: float
    limit: float

    def add(self, score: float, event: bool) -> float:
        """The score after one more outcome; never below zero, so that a good past buys no bad future."""
        step = log(self.bad / self.healthy) if event else log((1 - self.bad) / (1 - self.healthy))
        return max(0.0, score + step)

    def rest(self, score: float, good: int) -> float:
        """The score after so many good outcomes in a row; none if the number is not positive."""
        return max(0.0, score + max(good, 0) * log((1 - self.bad) / (1 - self.healthy)))

    def run(self, score: float, outcomes: Iterable[bool]) -> float:
        """The score after these outcomes, oldest first; it stays where it first reached the limit."""
        for event in outcomes:
            if self.trips(score):
                break
            score = self.add(score, event)
        return score

    def trips(self, score: float) -> bool:
        return score >= self.limit


BOUNCES: Final = Cusum(healthy=0.02, bad=0.08, limit=8.0)
COMPLAINTS: Final = Cusum(healthy=0.001, bad=0.005, limit=8.0)


def _wilson(events: int, trials: int, z: float) -> float:
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events among {trials} trials")
    if not trials:
        return 0.0 if z < 0 else 1.0
    rate, weight = events / trials, z * z / trials
    centre = rate + weight / 2
    spread = z * sqrt(rate * (1 - rate) / trials + weight / (4 * trials))
    return min(1.0, max(0.0, (centre + spread) / (1 + weight)))


def _percent(rate: float) -> str:
    return f"{round(rate * 100, 2):g} %"
