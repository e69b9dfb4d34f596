"""What many texts have in common and where they differ: the template behind personalised copies, its varying parts
marked, and the texts that are least like the others.

Pure. Words and punctuation are compared, not characters. Lined up are words that occur once in both texts, then those
between them (patience diff); no text, however hostile, costs more than ``EFFORT``. A text of which next to nothing
fits the template does not spoil it: what stands in most texts is the template. Texts longer than ``TOKENS`` words are
compared up to there, and the rest of them varies.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

TOKENS: Final = 1_000
EFFORT: Final = 20 * TOKENS  # words looked at to line up two texts; what is not lined up by then varies
SHOWN: Final = 5  # different values of a part that are named
IN_MOST: Final = 0.6  # a word belongs to the template if so many of the texts have it in its place
LONGEST: Final = 60  # characters of a value that are named

_TOKEN: Final = re.compile(r"\s*(?:\w+|[^\w\s])")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text. Of a template's varying part ``text`` is only the space before it; ``values`` are what stands
    there in the texts, most frequent first, ``different`` in all.
    """

    text: str
    varies: bool
    values: tuple[str, ...] = ()
    different: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One of the texts, its varying parts marked; ``likeness`` from 0 to 1: how much of it is the template."""

    parts: tuple[Part, ...]
    likeness: float


@dataclass(frozen=True, slots=True)
class Variation:
    """The template of some texts, and each of them in the order given."""

    template: tuple[Part, ...]
    readings: tuple[Reading, ...]

    def outliers_first(self) -> list[int]:
        """Places of the texts, least like the template first; equals in the order given."""
        return sorted(range(len(self.readings)), key=lambda place: self.readings[place].likeness)


def compare(texts: Sequence[str]) -> Variation:
    """What these texts have in common; of none, nothing."""
    cut = [_cut(text) for text in texts]
    if not cut:
        return Variation((), ())
    base = cut[_middle(cut)]
    matches = [_aligned(_words(base.tokens), _words(each.tokens)) for each in cut]
    counted = Counter(place for match in matches for place in match)
    fixed = {place for place, count in counted.items() if count >= IN_MOST * len(cut)}
    readings = tuple(_reading(each, match, fixed) for each, match in zip(cut, matches, strict=True))
    return Variation(_template(base, fixed, cut, matches), readings)


@dataclass(frozen=True, slots=True)
class _Cut:
    tokens: tuple[str, ...]  # each with the space before it
    rest: str


def _cut(text: str) -> _Cut:
    tokens: list[str] = []
    end = 0
    for found in _TOKEN.finditer(text):
        if len(tokens) == TOKENS:
            break
        tokens.append(found[0])
        end = found.end()
    return _Cut(tuple(tokens), text[end:])


def _words(tokens: Sequence[str]) -> list[str]:
    return [token.strip() for token in tokens]


def _middle(cut: Sequence[_Cut]) -> int:
    """The text that shares most words with the others: an outlier must not be what the others are compared with."""
    sets = [set(_words(each.tokens)) for each in cut]
    counts = Counter(word for words in sets for word in words)
    scores = [sum(counts[word] - 1 for word in words) / (len(words) or 1) ** 0.5 for words in sets]
    return max(range(len(cut)), key=scores.__getitem__)


def _aligned(base: Sequence[str], text: Sequence[str]) -> dict[int, int]:
    """Places in ``base`` to places in ``text``, increasing in both, where the same words stand."""
    found: dict[int, int] = {}
    todo = [(0, len(base), 0, len(text))]
    effort = EFFORT
    while todo and effort > 0:
        low, high, start, end = todo.pop()
        effort -= high - low + end - start
        while low < high and start < end and base[low] == text[start]:
            found[low] = start
            low, start = low + 1, start + 1
        while low < high and start < end and base[high - 1] == text[end - 1]:
            high, end = high - 1, end - 1
            found[high] = end
        anchors = _anchors(base, text, (low, high, start, end))
        for here, there in anchors:
            todo.append((low, here, start, there))
            found[here] = there
            low, start = here + 1, there + 1
        if anchors:
            todo.append((low, high, start, end))
    return found


def _anchors(
    base: Sequence[str], text: Sequence[str], span: tuple[int, int, int, int]
) -> list[tuple[int, int]]:
    """The longest increasing chain of words that stand once in both stretches."""
    low, high, start, end = span
    ours, theirs = _single(base, low, high), _single(text, start, end)
    pairs = [(place, theirs[word]) for word, place in ours.items() if word in theirs]
    tails: list[int] = []  # the least end of a chain of each length; by patience sorting
    piles: list[int] = []  # which pair that is
    before: list[int] = []
    for number, (_, there) in enumerate(pairs):
        length = bisect_left(tails, there)
        before.append(piles[length - 1] if length else -1)
        tails[length : length + 1] = [there]
        piles[length : length + 1] = [number]
    chain: list[tuple[int, int]] = []
    at = piles[-1] if piles else -1
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]


def _single(words: Sequence[str], low: int, high: int) -> Mapping[str, int]:
    counts = Counter(words[low:high])
    return {words[place]: place for place in range(low, high) if counts[words[place]] == 1}


def _reading(text: _Cut, match: Mapping[int, int], fixed: set[int]) -> Reading:
    common = {there for here, there in match.items() if here in fixed}
    pieces = [(token, place not in common) for place, token in enumerate(text.tokens)]
    total = len(fixed) + len(text.tokens)
    return Reading(
        tuple(_joined([*pieces, (text.rest, bool(text.rest.strip()))])),
        2 * len(common) / total if total else 1.0,
    )


def _joined(pieces: Sequence[tuple[str, bool]]) -> Iterator[Part]:
    """Neighbours of one kind as one part; the space before a varying part is not marked with it."""
    text, kind = "", False
    for piece, varies in pieces:
        if varies != kind:
            bare = piece.lstrip() if varies else piece
            text += piece[: len(piece) - len(bare)]
            if text:
                yield Part(text, kind)
            text, kind = bare, varies
        else:
            text += piece
    if text:
        yield Part(text, kind)


def _template(
    base: _Cut, fixed: set[int], cut: Sequence[_Cut], matches: Sequence[Mapping[int, int]]
) -> tuple[Part, ...]:
    """The words that stay, and between them what varies: also where the middle text itself has nothing."""
    parts: list[Part] = []
    text, last = "", -1
    for place in [*sorted(fixed), len(base.tokens)]:
        gap = _gap(last, place, len(base.tokens), cut, matches)
        if gap is not None:
            if text:
                parts.append(Part(text, False))
            text = ""
            parts.append(gap)
        if place < len(base.tokens):
            text += base.tokens[place]
        last = place
    return tuple(parts + ([Part(text, False)] if text else []))


def _gap(
    last: int, place: int, end: int, cut: Sequence[_Cut], matches: Sequence[Mapping[int, int]]
) -> Part | None:
    """What stands between two neighbours of the template in each text that has both; None if nowhere anything."""
    values, leads = Counter[str](), Counter[str]()
    for each, match in zip(cut, matches, strict=True):
        if (last >= 0 and last not in match) or (place < end and place not in match):
            continue
        start = match[last] + 1 if last >= 0 else 0
        stop = match[place] if place < end else len(each.tokens)
        between = "".join(each.tokens[start:stop]) + (each.rest if place == end else "")
        values[between.strip()] += 1
        leads[between[: len(between) - len(between.lstrip())]] += bool(between.strip())
    if not any(values):
        return None
    named = tuple(
        value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
        for value, _ in values.most_common(SHOWN)
    )
    return Part(leads.most_common(1)[0][0], True, named, len(values))
