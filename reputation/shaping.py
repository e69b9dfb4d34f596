"""How replies shape our speed: what a reply asks of us, and the valve that a ramp keeps for each provider.

A valve is open, slow (a pace a minute), closed (until a time) or on trial (a few may try). Each strike, a reply that
slows or closes, halves the pace and makes the next closure twice as long; each quiet interval takes one strike back
and doubles the pace, and with the last strike the valve is open. So it comes back by the steps it went. Time alone
turns a closed valve to a trial; only a delivery that was taken turns the trial to slow.

Pure. ``now`` is passed in; what is already under way when a valve changes cannot strike it again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from reputation import wording
from reputation.providers import DOMAIN_FAMILIES
from reputation.shaping_rows import ROWS, SEVERITY, Act, Row, Scope

QUIET: Final = timedelta(minutes=10)
# Replies to what was under way when the pace changed speak of the old pace.
UNDER_WAY: Final = timedelta(seconds=30)
# The first closure in a row; each strike before it doubles it.
CLOSED_FOR: Final = {Act.BACK_OFF: timedelta(minutes=10), Act.CLOSE: timedelta(hours=4)}
LONGEST: Final = timedelta(hours=24)
MOST_STRIKES: Final = 8  # 10 minutes, doubled so often, is past the longest closure
LEAST_PER_MINUTE: Final = 1
ON_TRIAL: Final = 2  # deliveries under way at once while a valve is on trial

# Families of one operator: nobody but they wrote the reply.
_ONE_OPERATOR: Final = frozenset(DOMAIN_FAMILIES.values()) - {"google-workspace", "microsoft-365"}


class State(StrEnum):
    """How far a valve is open."""

    OPEN = "open"
    SLOW = "slow"
    CLOSED = "closed"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one reply asks of us.

    ``alarm`` is what a person must look at; ``trip`` says that it is evidence at once for the kill switch.
    """

    act: Act
    scope: Scope
    alarm: str = ""
    trip: bool = False


class Place(NamedTuple):
    """Which ramp: its kind, key and provider family."""

    kind: str
    key: str
    provider: str


@dataclass(frozen=True, slots=True)
class Strike:
    """One reply that asks something of a ramp, with its words."""

    place: Place
    reaction: Reaction
    reply: str


@dataclass(frozen=True, slots=True)
class Accusation:
    """A refusal that speaks of us: the scope it names, the rule it falls under, and whose word it is.

    ``organisation`` is the registrable domain that said so, or empty if ``family``, a named provider, did.
    """

    scope: str
    rule: str  # authentication | unsolicited
    reply: str
    family: str
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class Valve:
    """One ramp's valve. ``until``: closed until then; slow and quiet until then; none if open or on trial."""

    state: State = State.OPEN
    until: datetime | None = None
    per_minute: int | None = None
    strikes: int = 0
    why: str = ""


def react(
    code: int, enhanced: str | None, text: str, family: str, *, of_rate: bool = False
) -> Reaction | None:
    """What a live reply of a provider family asks of us, or None: most replies concern one delivery alone.

    ``code`` is the reply code, ``enhanced`` the enhanced code if it was read apart. ``of_rate``: whoever read its
    reason took it for a complaint about our rate; a family that nobody else speaks for may say so in any words.
    """
    if not 400 <= code <= 599:
        return None
    words = wording.words(text)
    if "gcdp" in words:  # Google says: a rule of the customer's own
        return None
    status = wording.status(enhanced, text)
    security = status[2] if status is not None and status[1] == 7 else None
    row = next((row for row in ROWS if row.speaks_of(family, security, words)), None)
    if row is not None:
        return _reaction(row, for_good=code >= 500)
    if of_rate and family in _ONE_OPERATOR:
        return Reaction(Act.SLOW, Scope.SOURCE)
    return None


def _reaction(row: Row, for_good: bool) -> Reaction | None:
    act = row.for_good if for_good else row.for_now
    return Reaction(act, row.scope, row.alarm, row.trips and for_good) if act is not None else None


def worse(one: Strike, other: Strike) -> Strike:
    """The more severe of two strikes, the first of equals."""
    return other if SEVERITY[other.reaction.act] > SEVERITY[one.reaction.act] else one


def next_valve(valve: Valve, reaction: Reaction, now: datetime, pace: int, why: str = "") -> Valve:
    """The valve after a strike; as it was if this strike says nothing new.

    ``pace`` is what went through an open valve lately, in recipients a minute. A pace that cannot be halved any more
    closes instead. A closed valve whose time has come is on trial, whether or not anybody has tended it.
    """
    valve = tended(valve, now)
    if valve.state is State.CLOSED or (_just_changed(valve, now) and reaction.act is Act.SLOW):
        return valve
    present = valve.per_minute or max(pace, LEAST_PER_MINUTE)
    strikes = min(valve.strikes + 1, MOST_STRIKES)
    struck = Valve(State.SLOW, now + QUIET, max(present // 2, LEAST_PER_MINUTE), strikes, why)
    if reaction.act is Act.SLOW and present > LEAST_PER_MINUTE and valve.state is not State.TRIAL:
        return struck
    base = CLOSED_FOR.get(reaction.act, CLOSED_FOR[Act.BACK_OFF])
    return replace(struck, state=State.CLOSED, until=now + min(base * 2**valve.strikes, LONGEST))


def tended(valve: Valve, now: datetime) -> Valve:
    """The valve after time has passed; itself if nothing is due."""
    if valve.until is None or now < valve.until:
        return valve
    if valve.state is State.CLOSED:
        return replace(valve, state=State.TRIAL, until=None)
    return _eased(valve, now)


def after_success(valve: Valve, now: datetime) -> Valve:
    """The valve after a delivery was taken: a trial has succeeded, anything else stays as time has left it."""
    valve = tended(valve, now)
    if valve.state is not State.TRIAL:
        return valve
    return replace(valve, state=State.SLOW, until=now + QUIET)


def _eased(valve: Valve, now: datetime) -> Valve:
    if valve.strikes <= 1:
        return Valve()
    pace = 2 * (valve.per_minute or LEAST_PER_MINUTE)
    return replace(valve, until=now + QUIET, per_minute=pace, strikes=valve.strikes - 1)


def _just_changed(valve: Valve, now: datetime) -> bool:
    return valve.state is State.SLOW and valve.until is not None and now < valve.until - QUIET + UNDER_WAY
