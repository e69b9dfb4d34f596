"""When it is too much: what a scope's last outcomes prove, and how strongly.

Bounces, complaints and unsubscribes are judged by how sure we may be of a rate (`rates`), never by the raw ratio.
Strong evidence closes a scope, weak evidence holds its new mail. A wider scope is blamed only for what is left without
any single one of its narrower parts, or for several that are closed: one bad run closes itself, two their agent.

Guarantees: the same outcomes and numbers give the same verdict, with its arithmetic kept. Refuses to conclude from a
clump (``per_domain`` bounces of one destination domain count) or from the word of one domain's mailboxes alone.
Pure: who is judged, and when, is `judging`'s.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from reputation import rates
from reputation.rates import Cusum
from reputation.windows import OF_COMPLAINTS, Signal, Stretch, Watch

LEAST_WEAK: Final = 3  # one bounce among the first ten, or two among thirty, is not worth a person's time
# Narrower scopes that are left out in turn, those with the most bad outcomes first: one that holds fewer of them than
# so many others explains nothing. With a run for each message there are thousands, and a judge has seconds.
PARTS_TRIED: Final = 200
RUN: Final = "run:"


class Strength(StrEnum):
    """How much was proven; the first two are about new mail, the others close the scope."""

    WEAK = "weak"
    CLEARED = "cleared"
    STRONG = "strong"
    AT_ONCE = "at_once"


@dataclass(frozen=True, slots=True)
class Numbers:
    """By which numbers a stream is judged; the defaults were found by simulation, see docs/rules.md."""

    bounce_line: float = 0.02
    bounce_bad: float = 0.08
    bounce_window: int = 500
    complaint_line: float = 0.001
    complaint_bad: float = 0.005
    complaint_window: int = 2000
    unsubscribe_line: float = 0.01
    events: int = 4
    complaint_domains: int = 3
    per_domain: int = 3
    running_sum: float = 8.0
    unknown_of_first: int = 5
    first: int = 20
    version: int = 0

    def window(self, signal: Signal) -> int:
        """How many outcomes are looked back on."""
        return self.bounce_window if signal is Signal.BOUNCES else self.complaint_window


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a watch proves, by which rule, in a sentence for people and in numbers for whoever checks it."""

    scope: str
    rule: str
    strength: Strength
    why: str
    arithmetic: Mapping[str, Any] = field(default_factory=dict)


# -- judging -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Test:
    """How one signal is tested."""

    signal: Signal
    line: float
    bad: float | None  # None: never closes anything
    least: int
    per_domain: int | None
    domains: int
    window: int
    running_sum: float

    @property
    def cusum(self) -> Cusum | None:
        return Cusum(self.line, self.bad, self.running_sum) if self.bad is not None else None


@dataclass(frozen=True, slots=True)
class _Counts:
    """What of some outcomes counts: how many there were, the places of the bad ones, and from how many domains."""

    trials: int
    places: tuple[int, ...]
    domains: int
    left_out: int  # of domains that had counted often enough


def judge(watch: Watch, numbers: Numbers, proven: Collection[str] = ()) -> Verdict | None:
    """What the watch proves: strong or weak, or None where it proves nothing.

    ``proven``: narrower scopes that rules have closed already. Two of them explain more than either does, however much
    good mail of theirs was under way when they were closed.
    """
    test = _test(watch.signal, numbers)
    first = _first_messages(watch, numbers)
    if first is not None:
        return first
    for strength in (Strength.STRONG, Strength.WEAK):
        found = _proves(watch, test, strength, proven)
        if found is not None:
            return found
    return None


def counted(watch: Watch, numbers: Numbers, strength: Strength = Strength.WEAK) -> rates.Evidence:
    """The counts of a watch against its line, for pages: judged or not."""
    test = _test(watch.signal, numbers)
    return _wilson(test, _counts(watch.stretches, test), strength)


def worded(signal: str) -> str:
    """A signal's name for people."""
    return signal.replace("_", " ")


def _test(signal: Signal, numbers: Numbers) -> _Test:
    lines: dict[Signal, tuple[float, float | None]] = {
        Signal.BOUNCES: (numbers.bounce_line, numbers.bounce_bad),
        **dict.fromkeys(OF_COMPLAINTS, (numbers.complaint_line, numbers.complaint_bad)),
        Signal.UNSUBSCRIBES: (numbers.unsubscribe_line, None),
    }
    line, bad = lines[signal]
    return _Test(
        signal=signal,
        line=line,
        bad=bad,
        least=numbers.events,
        per_domain=numbers.per_domain if signal is Signal.BOUNCES else None,
        domains=numbers.complaint_domains if signal in OF_COMPLAINTS else 1,
        window=numbers.window(signal),
        running_sum=numbers.running_sum,
    )


def _proves(watch: Watch, test: _Test, strength: Strength, proven: Collection[str]) -> Verdict | None:
    """The verdict of this strength on the whole, if no single part explains it."""
    whole = _counts(watch.stretches, test)
    rule = _rule(test, whole, strength)
    if rule is None:
        return None
    parts = _parts(watch)
    rests = {part: _counts(_without(watch, part), test) for part, _ in parts.most_common(PARTS_TRIED)}
    several = Counter(_kind(part) for part in parts if part in proven)
    explains = (part for part, rest in rests.items() if _rule(test, rest, strength) is None)
    if any(several[_kind(part)] < 2 for part in explains):
        return None
    arithmetic = _arithmetic(test, whole, strength)
    sentences = [_words(test, whole, strength, rule)]
    if rests:
        worst = min(rests, key=lambda part: len(rests[part].places))
        arithmetic["without"] = {"part": worst, **_arithmetic(test, rests[worst], strength)}
        sentences.append(f"Without {worst}, its worst part: {_wilson(test, rests[worst], strength).words}.")
    return Verdict(watch.scope, rule, strength, " ".join(sentences), arithmetic)


def _parts(watch: Watch) -> Counter[str]:
    """Narrower scopes through which something bad came, and how much; what the scope did itself is nobody else's."""
    found: Counter[str] = Counter()
    for stretch in watch.stretches:
        if stretch.events:
            found.update(dict.fromkeys(stretch.parts, len(stretch.events)))
    found.pop(watch.scope, None)
    return found


def _kind(scope: str) -> str:
    return scope.partition(":")[0]


def _without(watch: Watch, part: str) -> list[Stretch]:
    return [stretch for stretch in watch.stretches if part not in stretch.parts]


def _rule(test: _Test, counts: _Counts, strength: Strength) -> str | None:
    """The rule by which these counts are so strong, if any is."""
    least = test.least if strength is Strength.STRONG else LEAST_WEAK
    if len(counts.places) < least or counts.domains < test.domains:
        return None
    if strength is Strength.WEAK:
        return str(test.signal) if _wilson(test, counts, strength).above else None
    if test.cusum is None:
        return None
    if _wilson(test, counts, strength).above:
        return str(test.signal)
    return f"{test.signal}_running_sum" if _running_sum(test.cusum, counts)[1] else None


def _counts(stretches: Iterable[Stretch], test: _Test) -> _Counts:
    seen: Counter[str] = Counter()
    speakers: set[object] = set()
    places: list[int] = []
    trials = left_out = 0
    for stretch in stretches:
        for event in stretch.events:
            seen[event.domain] += 1
            if test.per_domain is not None and seen[event.domain] > test.per_domain:
                left_out += 1
                continue
            places.append(trials + event.place)
            # what a provider signed needs no second witness: it speaks for itself
            speakers.add(len(places) if event.vouched else event.domain)
        trials += stretch.trials
    return _Counts(trials, tuple(sorted(places)), len(speakers), left_out)


def _wilson(test: _Test, counts: _Counts, strength: Strength) -> rates.Evidence:
    confidence = rates.STRONG if strength is Strength.STRONG else rates.WEAK
    return rates.evidence(worded(test.signal), len(counts.places), counts.trials, test.line, confidence)


def _running_sum(cusum: Cusum, counts: _Counts) -> tuple[float, int]:
    """The sum, and the outcome at which it first reached its limit (0: it never did, and stands where it stands)."""
    score, last = 0.0, 0
    for place in counts.places:
        score = cusum.add(cusum.rest(score, place - last - 1), event=True)
        last = max(last, place)
        if cusum.trips(score):
            return score, max(place, 1)
    return cusum.rest(score, counts.trials - last), 0


def _first_messages(watch: Watch, numbers: Numbers) -> Verdict | None:
    """Too many unknown users among a run's first messages: a list nobody ever mailed."""
    if watch.signal is not Signal.BOUNCES or not watch.scope.startswith(RUN):
        return None
    unknown = sum(1 for place in _unknown(watch) if place <= numbers.first)
    if unknown <= numbers.unknown_of_first:
        return None
    first = min(watch.trials, numbers.first)
    why = (
        f"{unknown} of its first {first} messages went to people their servers do not know; "
        f"more than {numbers.unknown_of_first} close a run."
    )
    limits = {"limit": numbers.unknown_of_first, "first": numbers.first}
    arithmetic = {"test": "first_messages", "unknown": unknown, "trials": first, **limits}
    return Verdict(watch.scope, "first_messages", Strength.STRONG, why, arithmetic)


def _unknown(watch: Watch) -> Iterator[int]:
    """Which outcomes since the watch began were unknown users."""
    before = watch.trials - sum(stretch.trials for stretch in watch.stretches)
    for stretch in watch.stretches:
        yield from (before + event.place for event in stretch.events if event.unknown)
        before += stretch.trials


# -- keeping the arithmetic ----------------------------------------------------------------------------------


def _arithmetic(test: _Test, counts: _Counts, strength: Strength) -> dict[str, Any]:
    wilson = _wilson(test, counts, strength)
    told: dict[str, Any] = {
        "test": str(test.signal),
        "window": test.window,
        "events": wilson.events,
        "trials": wilson.trials,
        "lower": wilson.lower,
        "confidence": wilson.confidence,
        "line": test.line,
        "domains": counts.domains,
        "left_out": counts.left_out,
    }
    if test.cusum is not None:
        score, at = _running_sum(test.cusum, counts)
        told["running_sum"] = {"score": round(score, 3), "reached_at": at, **asdict(test.cusum)}
    return told


def _words(test: _Test, counts: _Counts, strength: Strength, rule: str) -> str:
    words = _wilson(test, counts, strength).words.capitalize()
    if rule.endswith("running_sum") and test.cusum is not None:
        score, at = _running_sum(test.cusum, counts)
        words = (
            f"{test.signal.capitalize()}: the running sum from {test.line:.2%} to {test.bad:.2%} reached {score:.1f} "
            f"with outcome {at} of {counts.trials}, {len(counts.places)} bad ones; its limit is {test.running_sum:g}"
        )
    if counts.left_out:
        words += f"; {counts.left_out} more at domains that count no more than {test.per_domain} times"
    return words + "."
