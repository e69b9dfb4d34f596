"""A ramp as a page shows it: its days as a picture and as figures, its health, what it needs for the next step.

Read with two statements however many ramps there are. Guarantees: whatever is drawn stands beside it as a figure;
the next step is the answer of the rule itself (``ramps.judge``), in its words. The forecast is the best case of
``forecasts``: always mail, and healthy. Decides nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils.safestring import SafeString, mark_safe

from reputation import forecasts, hours, pictures, ramps, rates
from reputation.forecasts import Warming
from reputation.hours import Hours
from reputation.models import (
    Allowance,
    Kind,
    OrganisationalDomain,
    Ramp,
    RampEvent,
    Route,
    SendingDomain,
    Warmed,
)
from reputation.pictures import Bar, Share, When
from reputation.ramps import Steps, Turn
from reputation.viewing import chip, stamp

PAST_DAYS: Final = 20
FUTURE_DAYS: Final = 5  # more would dwarf the past: steps grow by the power
JUDGED_DAYS: Final = 35  # what a judgement looks back on: a month without use halves a ramp
WHOLE_DAY: Final = Hours(ZoneInfo("UTC"))

NEXT: Final[Mapping[Turn, str]] = {
    Turn.ADVANCE: "Earns step {step} with its next day: {cap} a day.",
    Turn.HOLD: "Held on step {step}.",
    Turn.STAY: "Stays on step {step} so far.",
    Turn.STEP_DOWN: "Steps down to step {step} with its next day: {cap} a day.",
    Turn.IDLE: "Goes back to step {step} with its next day: {cap} a day.",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a ramp is to warm up, and when its sender sends."""

    preset: str
    own_steps: Sequence[int]
    target: int
    hours: Hours = WHOLE_DAY
    even: bool = True  # its day opens evenly, not at once

    def steps(self, provider: str) -> Steps:
        """Its steps towards one provider."""
        part = ramps.share(provider)
        return ramps.steps(self.preset, self.own_steps, self.target, part, self.hours.length)


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table beside a ramp's picture."""

    bar: Bar
    step: int | None
    outcomes: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One ramp, ready for a template."""

    ramp: Ramp
    today: str
    next: str
    why: str
    valve: SafeString
    picture: SafeString
    figures: Sequence[Figure]
    health: SafeString
    shares: Sequence[tuple[Share, str]]


def plan_of(domain: SendingDomain) -> Plan:
    """The plan of a sending domain; transactional mail has all hours of all days."""
    stream = domain.stream
    zone, days = ZoneInfo(stream.time_zone), frozenset(stream.sending_days)
    whole = stream.kind == Kind.TRANSACTIONAL
    sends = Hours(zone) if whole else Hours(zone, stream.opens_hour, stream.closes_hour, days)
    return Plan(domain.preset, domain.own_steps, domain.target, sends, even=not whole)


def plan_for(ramp: Ramp) -> Plan | None:
    """The plan of whatever this ramp warms up; None if that is gone."""
    if ramp.kind == Ramp.Kind.DOMAIN:
        domain = SendingDomain.objects.select_related("stream").filter(name=ramp.key).first()
        return plan_of(domain) if domain else None
    found: Warmed | None
    if ramp.kind == Ramp.Kind.SOURCE:
        found = Route.objects.filter(source_address=ramp.key).first()
    else:
        found = OrganisationalDomain.objects.filter(name=ramp.key).first()
    return Plan(found.preset, found.own_steps, found.target) if found else None


def tiles(shown: Sequence[Ramp], at: datetime, plan: Plan | None) -> list[Tile]:
    """Each of these ramps, which share one plan."""
    zone = plan.hours.zone if plan else WHOLE_DAY.zone
    today = hours.day_of(at, zone)
    since = today - timedelta(days=JUDGED_DAYS)
    days: dict[int, list[Allowance]] = defaultdict(list)
    for row in Allowance.objects.filter(ramp__in=shown, day__gte=since, day__lte=today).order_by("day"):
        days[row.ramp_id].append(row)
    marks = _marks(shown, since, zone)
    return [_Drawing(ramp, days[ramp.pk], marks[ramp.pk], at, today, plan).tile() for ramp in shown]


def shared(domain: SendingDomain, at: datetime) -> Mapping[str, Sequence[str]]:
    """By provider, how far what the domain shares with others has come today: of all allowances the least counts."""
    mine = Q(ramp__kind=Ramp.Kind.ORGANISATION, ramp__key=domain.organisation.name)
    if domain.route.source_address:
        mine |= Q(ramp__kind=Ramp.Kind.SOURCE, ramp__key=domain.route.source_address)
    today = hours.day_of(at, WHOLE_DAY.zone)
    words: dict[str, list[str]] = defaultdict(list)
    for row in Allowance.objects.filter(mine, day=today).select_related("ramp").order_by("ramp__kind"):
        words[row.ramp.provider].append(f"{row.ramp.key}: {in_words(row)}")
    return words


def valve(ramp: Ramp) -> SafeString:
    """How replies have slowed or closed a ramp."""
    turned = ramp.valve_until and ramp.valve != Ramp.Valve.OPEN
    return chip(ramp.valve, f"until {stamp(ramp.valve_until)}" if turned else "")


def drawn(picture: str) -> SafeString:
    """A picture as a template takes it: ``pictures`` has escaped every word in it."""
    return mark_safe(picture)  # noqa: S308


def in_words(row: Allowance) -> str:
    """``61 of 70 used, 4 reserved``."""
    cap = "" if row.cap is None else f" of {row.cap:,}"
    reserved = f", {row.taken - row.used:,} reserved" if row.taken > row.used else ""
    return f"{row.used:,}{cap} used{reserved}"


@dataclass(frozen=True, slots=True)
class _Drawing:
    """One ramp's rows on their way to a tile."""

    ramp: Ramp
    days: Sequence[Allowance]
    marks: Mapping[date, str]
    at: datetime
    today: date
    plan: Plan | None

    def tile(self) -> Tile:
        move, bars = self._move(), [*self._past(), *self._future()]
        shares = [_share(found) for found in ramps.health(self._history(), self.today)]
        said = self.plan.steps(self.ramp.provider).cap(move.step) if move and self.plan else None
        next_ = NEXT[move.turn].format(step=move.step, cap=f"{said:,}") if move and said else ""
        return Tile(
            ramp=self.ramp,
            today=self._so_far(),
            next=next_,
            why=move.why if move else "",
            valve=valve(self.ramp),
            picture=drawn(pictures.ramp(bars, f"Days of the ramp {self.ramp}")),
            figures=[*self._figures(bars)],
            health=drawn(pictures.shares(shares, f"Health of {self.ramp}")),
            shares=[(share, pictures.told(share)) for share in shares],
        )

    def _history(self) -> list[ramps.Day]:
        return [
            ramps.Day(
                row.day,
                row.step,
                row.used,
                row.accepted,
                row.bounced,
                row.slowed,
                row.refused,
                row.complained,
            )
            for row in self.days
        ]

    def _move(self) -> ramps.Move | None:
        """What the rule would say if it judged now."""
        if self.plan is None:
            return None
        ramp, zone = self.ramp, self.plan.hours.zone
        ladder = self.plan.steps(ramp.provider)
        return ramps.judge(self._history(), ramp.step, ramp.stepped_at, self.at, zone, ladder)

    def _so_far(self) -> str:
        if not self.days or self.days[-1].day != self.today:
            return "Nothing sent today."
        return f"Today {in_words(self.days[-1])}."

    def _past(self) -> Iterator[Bar]:
        """Every day up to today, those on which nothing was sent included."""
        known = {row.day: row for row in self.days}
        day = max(min([self.today, *known]), self.today - timedelta(days=PAST_DAYS))
        while day <= self.today:
            yield self._bar(day, known.get(day))
            day += timedelta(days=1)

    def _bar(self, day: date, row: Allowance | None) -> Bar:
        when = When.TODAY if day == self.today else When.PAST
        if row is None:
            return Bar(day, None, when=when, words=f"{day:%a %Y-%m-%d}: nothing sent")
        opened = None
        if when is When.TODAY and row.cap is not None:
            opened = hours.opened(row.cap, row.opens_at, row.closes_at, self.at)
        mark = self.marks.get(day, "")
        words = f"{day:%a %Y-%m-%d}: {in_words(row)}" + (f"; {mark.replace('_', ' ')}" if mark else "")
        return Bar(day, row.cap, row.used, row.taken - row.used, when, opened, mark, words)

    def _future(self) -> Iterator[Bar]:
        """The caps of the days to come, as the forecast has them when there is always mail."""
        if self.plan is None or not (ladder := self.plan.steps(self.ramp.provider)).caps:
            return
        enough = sum(ladder.cap(self.ramp.step + ahead) or 0 for ahead in range(FUTURE_DAYS + 2))
        stands = self._warming(ladder)
        planned = forecasts.timeline(enough, [stands], self.plan.hours, self.at, even=self.plan.even)
        caps = {one.day: one.cap for one in planned}
        for ahead in range(1, FUTURE_DAYS + 1):
            day = self.today + timedelta(days=ahead)
            cap = caps.get(day)
            words = f"{day:%a %Y-%m-%d}: " + (f"cap {cap:,} at best" if cap else "no sending day")
            yield Bar(day, cap, when=When.FORECAST, words=words)

    def _warming(self, ladder: Steps) -> Warming:
        ramp = self.ramp
        if not self.days:
            return Warming(ladder, ramp.step, ramp.stepped_at)
        last = self.days[-1]
        return Warming(ladder, ramp.step, ramp.stepped_at, last.day, last.cap, last.taken, last.lapsed)

    def _figures(self, bars: Sequence[Bar]) -> Iterator[Figure]:
        known = {row.day: row for row in self.days}
        for bar in reversed(bars):
            if row := known.get(bar.day):
                yield Figure(bar, row.step, _outcomes(row))
            elif bar.cap is not None:
                yield Figure(bar, None, "forecast, at best")


def _outcomes(row: Allowance) -> str:
    words = ("accepted", "bounced", "slowed", "refused", "complained", "lapsed")
    return ", ".join(f"{count:,} {word}" for word in words if (count := getattr(row, word)))


def _share(found: rates.Evidence) -> Share:
    high = rates.upper(found.events, found.trials)
    return Share(found.name, found.events, found.trials, found.lower, high, found.line)


def _marks(shown: Sequence[Ramp], since: date, zone: ZoneInfo) -> Mapping[int, Mapping[date, str]]:
    """The last thing of each day that moved or held each ramp."""
    marks: dict[int, dict[date, str]] = defaultdict(dict)
    begin = datetime(since.year, since.month, since.day, tzinfo=UTC)
    rows = RampEvent.objects.filter(ramp__in=shown, at__gte=begin).order_by("at", "pk")
    for ramp, at, kind in rows.values_list("ramp_id", "at", "kind"):
        marks[ramp][hours.day_of(at, zone)] = kind
    return marks
