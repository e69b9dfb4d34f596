"""On whom outcomes fall: a lane's evidence becomes stretches for the watches of its run, agent, domain and stream.

Guarantees: narrow scopes come before wide ones, and each wider one keeps through which narrower ones its outcomes came.
Outcomes count for bounces and unsubscribes wherever they were; complaints of providers that are known to send them over
what was sent there, or a mix of providers would hide them, and all others over all other mail. Pure.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from reputation.alignment import by_list
from reputation.providers import OTHER
from reputation.windows import Event, Signal, Stretch, joined

FEEDBACK: Final = frozenset({"yahoo", "microsoft-consumer"})  # they send complaints to whoever enrols
BOUNCED, COMPLAINED, UNSUBSCRIBED = "bounced", "complained", "unsubscribed"
OF: Final = {
    Signal.BOUNCES: BOUNCED,
    Signal.COMPLAINTS: COMPLAINED,
    Signal.ELSEWHERE: COMPLAINED,
    Signal.UNSUBSCRIBES: UNSUBSCRIBED,
}
UNKNOWN: Final = "recipient_unknown"
WIDTHS: Final = ("run:", "agent:", "domain_provider:", "stream:")

Key = tuple[str, Signal]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What was settled, or reported later, of one lane's mail: a row of evidence."""

    at: datetime
    stream: str
    scopes: Sequence[str]
    provider: str
    trials: int
    events: Sequence[Sequence[Any]]  # [place, kind, domain, code, vouched]


@dataclass(frozen=True, slots=True)
class Place:
    """A scope that is judged, and the narrower ones through which these outcomes came to it."""

    scope: str
    parts: tuple[str, ...]
    signals: tuple[Signal, ...]


_ALL: Final = tuple(Signal)
_CLOSING: Final = (Signal.BOUNCES, Signal.COMPLAINTS, Signal.ELSEWHERE)


def places(scopes: Sequence[str]) -> list[Place]:
    """The scopes of a lane that are judged, narrow ones first."""
    runs = [scope for scope in scopes if scope.startswith("run:")]
    [agent] = [scope for scope in scopes if scope.startswith("agent:")]
    at_provider = [scope for scope in scopes if scope.startswith("domain_provider:")]
    [stream] = [scope for scope in scopes if scope.startswith("stream:")]
    found = [Place(runs[-1], (), _ALL)] if runs else []
    if len(runs) > 1:
        found.append(Place(runs[0], (runs[-1],), _ALL))
    found.append(Place(agent, tuple(runs[:1]), _CLOSING))
    found += [Place(scope, (agent,), _CLOSING) for scope in at_provider]
    found.append(Place(stream, (agent, *at_provider), _ALL))
    return found


def width(scope: str) -> int:
    """How wide a scope is among those that are judged."""
    return next(place for place, kind in enumerate(WIDTHS) if scope.startswith(kind))


def gathered(
    rows: Sequence[Outcomes], feedback: Collection[str], counts: Callable[[str, datetime], bool]
) -> dict[Key, list[Stretch]]:
    """Stretches by watch, in the order of the rows, those of one part together.

    ``feedback``: providers that send complaints. ``counts(scope, at)``: whether what is that old still counts there.
    """
    found: dict[Key, dict[tuple[str, ...], Stretch]] = {}
    for row in rows:
        for place in places(row.scopes):
            if not counts(place.scope, row.at):
                continue
            for signal, stretch in _stretches(row, place, feedback):
                own = found.setdefault((place.scope, signal), {})
                before = own.get(place.parts)
                own[place.parts] = joined(before, stretch) if before else stretch
    return {key: list(stretches.values()) for key, stretches in found.items()}


def _stretches(row: Outcomes, place: Place, feedback: Collection[str]) -> Iterator[tuple[Signal, Stretch]]:
    foreign = Signal.ELSEWHERE if row.provider in feedback else Signal.COMPLAINTS
    for signal in place.signals:
        events = tuple(_event(each) for each in row.events if OF[signal] == each[1])
        if signal is not foreign and (row.trials or events):
            yield signal, Stretch(place.parts, row.trials, events)


def _event(bare: Sequence[Any]) -> Event:
    place, kind, domain, code, vouched = bare
    if kind == COMPLAINED:  # many names of one owner are one witness
        domain = by_list(domain)
    return Event(place, domain, vouched, code == UNKNOWN)


def believed(rows: Sequence[Outcomes], confused: Collection[str]) -> list[Outcomes]:
    """The rows without what confused providers say of unknown users: neither an event nor an outcome."""
    return [_without_unknown(row) if row.provider in confused else row for row in rows]


def _without_unknown(row: Outcomes) -> Outcomes:
    kept, taken = [], 0
    for place, *rest in row.events:
        if rest[2] == UNKNOWN:
            taken += place > 0  # a late report has no outcome of its own
        else:
            kept.append([place - taken, *rest])
    return replace(row, trials=max(row.trials - taken, 0), events=kept)


def learned(rows: Sequence[Outcomes]) -> set[str]:
    """Providers from which a complaint came that somebody vouches for.

    Whoever got a message can write such a report: were it believed, the mail of a provider that never complains would
    hide from then on what others complain of.
    """
    found = {row.provider for row in rows if any(each[1] == COMPLAINED and each[4] for each in row.events)}
    return found - {OTHER}


def hours(rows: Sequence[Outcomes]) -> Mapping[tuple[str, str, datetime], tuple[int, int]]:
    """Outcomes and unknown users by provider, stream and hour; of no provider in particular there is no base."""
    found: dict[tuple[str, str, datetime], tuple[int, int]] = {}
    for row in rows:
        if row.provider == OTHER or not row.trials:
            continue
        key = (row.provider, row.stream, row.at.replace(minute=0, second=0, microsecond=0))
        trials, unknown = found.get(key, (0, 0))
        found[key] = (trials + row.trials, unknown + sum(each[3] == UNKNOWN for each in row.events))
    return found
