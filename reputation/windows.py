"""What rules remember of a scope: its last outcomes, and of them only where the bad ones lie.

A watch keeps the outcomes of its window as stretches that came through the same narrower scopes. Its size and the cost
of judging it follow what went wrong and how often senders took turns, not what was sent: a million good messages of
one run are one number. Guarantees: nothing older than the window counts, however the outcomes came in. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Signal(StrEnum):
    """What is counted. Complaints of providers that are known to send them, and all others over all other mail: which
    of those providers would have sent one nobody knows, and a few among thousands are no rate of 100 %."""

    BOUNCES = "bounces"
    COMPLAINTS = "complaints"
    ELSEWHERE = "complaints_elsewhere"
    UNSUBSCRIBES = "unsubscribes"


OF_COMPLAINTS: Final = frozenset({Signal.COMPLAINTS, Signal.ELSEWHERE})


class Event(NamedTuple):
    """A bad outcome: its place among the outcomes of its stretch, from 1; a late report takes the place of the last.

    ``domain`` is the recipient's, ``vouched`` says that a provider's own signature stands behind it, ``unknown`` that
    the server knows no such user.
    """

    place: int
    domain: str
    vouched: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Outcomes in a row that came through the same narrower scopes (``parts``), and the bad ones among them."""

    parts: tuple[str, ...]
    trials: int
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered of one scope and signal: how many outcomes there were, and the window's stretches."""

    scope: str
    signal: Signal
    trials: int = 0
    stretches: tuple[Stretch, ...] = ()


# -- remembering ---------------------------------------------------------------------------------------------


def advance(watch: Watch, stretches: Iterable[Stretch], window: int) -> Watch:
    """The watch after more outcomes, oldest first; all but the last ``window`` are forgotten."""
    kept = list(watch.stretches)
    total = watch.trials
    for stretch in stretches:
        total += stretch.trials
        if kept and kept[-1].parts == stretch.parts:
            kept[-1] = joined(kept[-1], stretch)
        else:
            kept.append(stretch)
    return replace(watch, trials=total, stretches=_within(kept, window))


def joined(one: Stretch, other: Stretch) -> Stretch:
    """Two stretches through the same parts, one behind the other."""
    moved = tuple(event._replace(place=event.place + one.trials) for event in other.events)
    return Stretch(one.parts, one.trials + other.trials, one.events + moved)


def _within(stretches: Sequence[Stretch], window: int) -> tuple[Stretch, ...]:
    """The last ``window`` outcomes; late reports without outcomes of their own are bounded likewise."""
    kept: list[Stretch] = []
    room = window
    for stretch in reversed(stretches[-2 * window :]):
        if not room:
            break
        over = max(stretch.trials - room, 0)
        later = [event._replace(place=event.place - over) for event in stretch.events if event.place > over]
        events = tuple(later[-window:]) if over else stretch.events[-window:]
        kept.append(Stretch(stretch.parts, stretch.trials - over, events))
        room -= kept[-1].trials
    return tuple(reversed(kept))


# -- storing -------------------------------------------------------------------------------------------------


def stored(watch: Watch) -> list[Any]:
    """The stretches of a watch for JSON, the names of their parts written once.

    ``[[name, ...], [[[name's place, ...], trials, [[place, domain, vouched + 2 x unknown], ...]], ...]]``
    """
    names = list(dict.fromkeys(part for stretch in watch.stretches for part in stretch.parts))
    place_of = {name: place for place, name in enumerate(names)}
    return [
        names,
        [[[place_of[part] for part in one.parts], one.trials, _bare(one)] for one in watch.stretches],
    ]


def restored(scope: str, signal: str, trials: int, kept: Sequence[Any]) -> Watch:
    """The watch that was stored; an empty ``kept`` is one that has just begun."""
    names, rows = kept or ((), ())
    stretches = (
        Stretch(tuple(names[place] for place in parts), count, tuple(map(_event, events)))
        for parts, count, events in rows
    )
    return Watch(scope, Signal(signal), trials, tuple(stretches))


def _bare(stretch: Stretch) -> list[tuple[int, str, int]]:
    return [(event.place, event.domain, event.vouched + 2 * event.unknown) for event in stretch.events]


def _event(bare: tuple[int, str, int]) -> Event:
    place, domain, flags = bare
    return Event(place, domain, bool(flags & 1), bool(flags & 2))
