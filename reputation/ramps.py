"""How many recipients a day a ramp allows, step by step, and when the next step is earned, held, lost or forgotten.

A step is earned by use, never by time: at least 24 h on it, 70 % of one day's cap used or 150 % of it within 7 days,
and healthy. Healthy is no weak evidence (`rates`) of bounces, complaints or deferrals for rate in the last 500
outcomes or 7 days. Evidence above a line holds the ramp, above twice the line takes it one step down, at most once a
day and only for mail of the step it is on. More than 30 days without use halve it.

Pure: history and `now` are passed in. What is published per domain is split over providers, so that their sum is
what was published.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import accumulate
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo

from reputation.hours import day_of
from reputation.rates import Evidence, evidence

# Recipients a day, per domain and provider.
CAREFUL: Final = (10, 20, 40, 70, 100, 140, 200)
# Recipients an hour, per domain (SendGrid's hourly table, its start).
STANDARD: Final = (20, 28, 39, 55, 77, 108, 151, 211, 295, 413, 579, 810, 1000, 1587, 2222)
# Recipients a day, per domain (Resend).
NEW_DOMAIN: Final = (150, 250, 400, 700, 1000, 1500, 2000)
GROWTH: Final = Fraction(14, 10)  # from the end of a table to the target

# Hundredths of a list of consumers and businesses mixed; an order of magnitude, not a measurement. Who sends to others
# writes own steps.
SHARES: Final = {
    "gmail": 35,
    "google-workspace": 12,
    "microsoft-consumer": 12,
    "microsoft-365": 15,
    "yahoo": 8,
    "icloud": 5,
    "other": 8,
}
SHARE_OF_THE_REST: Final = 1  # each family that is not named: a list meets few of them

HOUR: Final = timedelta(hours=1)
STAY: Final = 24 * HOUR
ONE_DAY: Final = Fraction(70, 100)  # of the cap, used on one day
SEVEN_DAYS: Final = Fraction(150, 100)  # of the cap, used within seven
LOOK_BACK: Final = timedelta(days=7)
OUTCOMES: Final = 500
IDLE: Final = timedelta(days=30)

BOUNCE_LINE: Final = 0.02
COMPLAINT_LINE: Final = 0.0008
RATE_DEFERRAL_LINE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Steps:
    """Caps in recipients a day, by step; no caps at all is what is warm already. Never falling, never zero."""

    caps: tuple[int, ...]

    @property
    def top(self) -> int:
        return max(0, len(self.caps) - 1)

    def cap(self, step: int) -> int | None:
        """The cap of a step (of the top, for steps beyond it); None is no cap."""
        return self.caps[min(step, self.top)] if self.caps else None

    def within(self, cap: Fraction) -> int:
        """The largest step with at most this cap; the first if all are above it."""
        return max((step for step, own in enumerate(self.caps) if own <= cap), default=0)


def share(provider: str) -> Fraction:
    """The part of a list that goes to a family of mailbox providers."""
    return Fraction(SHARES.get(provider, SHARE_OF_THE_REST), 100)


def spread(recipients: int) -> dict[str, int]:
    """So many recipients over the families of mailbox providers, as lists are; what is left is of `other`."""
    counts = {provider: int(recipients * share(provider)) for provider in SHARES}
    counts["other"] += recipients - sum(counts.values())
    return {provider: count for provider, count in counts.items() if count}


def steps(preset: str, own_steps: Sequence[int], target: int, part: Fraction, hours: int) -> Steps:
    """The steps of a preset towards one provider, up to the target (recipients a day and provider).

    `part` is that provider's share of what is published per domain, `hours` the sending hours of a day, for what is
    published per hour. Own steps are taken as given and end at their last; those that do not rise are left out. Raises
    ValueError for an unknown preset, and for own steps that are missing.
    """
    match preset:
        case "none":
            return Steps(())
        case "own":
            return Steps(_own(own_steps))
        case "careful":
            return Steps(tuple(_up_to(target, CAREFUL, Fraction(1))))
        case "standard":
            return Steps(tuple(_up_to(target, STANDARD, part * hours)))
        case "new-domain":
            return Steps(tuple(_up_to(target, NEW_DOMAIN, part)))
    raise ValueError(f"no preset is called {preset!r}")


@dataclass(frozen=True, slots=True)
class Day:
    """One ramp's day, on the calendar of its sender: what it was allowed, and what became of it."""

    day: date
    step: int
    used: int
    accepted: int = 0
    bounced: int = 0  # recipient bounces
    slowed: int = 0  # deferrals for rate or reputation, no others
    refused: int = 0  # for reputation, policy or authentication
    complained: int = 0

    @property
    def answered(self) -> int:
        """Deliveries with a final answer."""
        return self.accepted + self.bounced + self.refused

    @property
    def outcomes(self) -> int:
        return self.answered + self.slowed


class Turn(StrEnum):
    ADVANCE = "advance"
    HOLD = "hold"
    STAY = "stay"
    STEP_DOWN = "step_down"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Move:
    """What a judgement says: the step from now on, why in words, and the arithmetic for the ramp's story."""

    turn: Turn
    step: int
    why: str
    evidence: dict[str, object]


def earned(used: Sequence[int], cap: int) -> bool:
    """Whether days on a step have used enough of its cap: 70 % on one, or 150 % together. `used` within 7 days."""
    return bool(used) and (max(used) >= ONE_DAY * cap or sum(used) >= SEVEN_DAYS * cap)


def health(history: Sequence[Day], today: date) -> tuple[Evidence, Evidence, Evidence]:
    """Bounces, complaints and deferrals for rate in the last 500 outcomes or 7 days, whichever are fewer.

    Whole days count, newest first, up to and with the one that completes the 500.
    """
    days = list(_recent(history, today))
    answered, slowed = sum(day.answered for day in days), sum(day.slowed for day in days)
    accepted = sum(day.accepted for day in days)
    return (
        evidence("bounces", sum(day.bounced for day in days), answered, BOUNCE_LINE),
        evidence("complaints", sum(day.complained for day in days), accepted, COMPLAINT_LINE),
        evidence("rate deferrals", slowed, answered + slowed, RATE_DEFERRAL_LINE),
    )


def judge(
    history: Sequence[Day], step: int, stepped_at: datetime, now: datetime, zone: ZoneInfo, plan: Steps
) -> Move:
    """Judge a ramp that has been on `step` since `stepped_at`.

    `history` holds its days in any order, today's too if it has begun, and at least the last 31 (else a ramp in use may
    look idle). `zone` is the calendar of its days.
    """
    today, since = day_of(now, zone), day_of(stepped_at, zone)
    step = min(step, plan.top)
    cap = plan.cap(step)
    if cap is None:
        return Move(Turn.STAY, 0, "It has no cap: it is warm already.", {})
    here = [day for day in history if day.step == step and day.day >= since]
    found = health(history, today)
    used = [day.used for day in here if today - day.day <= LOOK_BACK]
    facts: dict[str, object] = {
        "cap": cap,
        "best_day": max(used, default=0),
        "seven_days": sum(used),
        "since": stepped_at.isoformat(),
        "rates": [each.as_dict() for each in found],
    }
    turn, to, why = (
        _forgotten(history, step, since, today, plan)
        or _ill(found, step, today > since and any(day.outcomes for day in here))
        or _progress(used, step, cap, now - stepped_at, plan)
    )
    return Move(turn, to, why, facts)


_Verdict = tuple[Turn, int, str]


def _forgotten(history: Sequence[Day], step: int, since: date, today: date, plan: Steps) -> _Verdict | None:
    last = max((day.day for day in history if day.used), default=since)
    unused = today - max(last, since)
    if unused <= IDLE or not step:
        return None
    cap = plan.caps[step]
    to = plan.within(Fraction(cap, 2))
    why = f"Unused for {unused.days} days: from {cap} a day to {plan.caps[to]}, half of it at most."
    return Turn.IDLE, to, why


def _ill(found: Sequence[Evidence], step: int, new: bool) -> _Verdict | None:
    worst = max(found, key=lambda each: each.lower / each.line)
    if not worst.above:
        return None
    if worst.far_above and new and step:
        return Turn.STEP_DOWN, step - 1, f"Above twice the line: {worst.words}."
    return Turn.HOLD, step, f"Above the line: {worst.words}."


def _progress(used: Sequence[int], step: int, cap: int, stayed: timedelta, plan: Steps) -> _Verdict:
    if step == plan.top:
        return Turn.STAY, step, f"At the top: {cap} a day."
    done = f"{max(used, default=0)} of {cap} used on one day, {sum(used)} in 7 days"
    if not earned(used, cap):
        needs = f"{ceil(ONE_DAY * cap)} on one day or {ceil(SEVEN_DAYS * cap)} in 7"
        return Turn.STAY, step, f"Not earned: {done}; it takes {needs}."
    if stayed < STAY:
        return Turn.STAY, step, f"Earned ({done}), but {stayed / HOUR:.1f} h old; it takes 24 h."
    return Turn.ADVANCE, step + 1, f"Earned: {done}, and healthy."


def _recent(history: Sequence[Day], today: date) -> Iterator[Day]:
    outcomes = 0
    for day in sorted(history, key=lambda each: each.day, reverse=True):
        if today - day.day > LOOK_BACK or outcomes >= OUTCOMES:
            return
        outcomes += day.outcomes
        yield day


def _up_to(target: int, table: Sequence[int], part: Fraction) -> Iterator[int]:
    for total in _grown(table):
        cap = max(1, int(total * part))
        if cap >= target:
            break
        yield cap
    yield max(1, target)


def _grown(table: Sequence[int]) -> Iterator[int]:
    yield from table
    last = table[-1]
    while True:
        last = int(last * GROWTH)
        yield last


def _own(caps: Sequence[int]) -> tuple[int, ...]:
    """Raises ValueError where there are none: that would be no cap."""
    if not caps:
        raise ValueError("own steps are missing")
    highest = accumulate((max(1, cap) for cap in caps), max)
    return tuple(dict.fromkeys(highest))
