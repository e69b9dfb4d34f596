"""Copies and unlike messages on real mail: what prints recognise, what they confuse, and what one costs.

Judged on groups that nothing was tuned on. Two messages are *copies* if six tenths of their five-word shingles are the
same in either's body, and some in what each says of its own: a pair with nothing in common but a thread or a footer is
counted apart, since it must not be taken for one.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final

from bench import copies, spamassassin
from bench.line import Line, note, percentile
from bench.spamassassin import Letter, in_common
from bench.stand import Stand

COPIES_OF: Final = 0.6
UNLIKE: Final = 0.3
NOTHING_OWN: Final = 0.1
COMMON: Final = 600  # a shingle in more messages than this says nothing about two of them
WORDS: Final = (25, 600)  # of messages that are dressed up
DRESSED: Final = 300

Pair = tuple[int, int]


def measured(_stand: Stand) -> Iterator[Line]:
    """Recall, false duplicates, dressed-up copies, and the time of a print."""
    spam, ham = spamassassin.letters(*spamassassin.SPAM), spamassassin.letters(*spamassassin.HAM)
    yield from _recall([*spam, *ham])
    yield _false(ham)
    for group, letters in (("spam", spam), ("ham", ham)):
        yield from _dressed(group, letters)
    yield _time([*spam, *ham])


def _recall(letters: Sequence[Letter]) -> Iterator[Line]:
    """Of copies; and of pairs with nothing but their paper in common."""
    from outbox.fingerprints import repeats

    sketches = _sketches(letters)
    raw = _pairs([each.raw for each in letters])
    near = [pair for pair, share in raw.items() if share >= COPIES_OF]
    paper = [(a, b) for a, b in near if in_common(letters[a].own, letters[b].own) < NOTHING_OWN]
    found = {pair for pair in near if _alike(sketches, pair)}
    true = set(near) - set(paper)
    share = len(found & true) / len(true)
    repeated = sum(repeats(sketches[a], sketches[b]) for a, b in true) / len(true)
    more = {"with_pairs_of_shared_paper": len(found) / len(near), "as_repeats_to_a_person": repeated}
    yield Line("dedupe_recall", share, "of pairs", len(true), target=">= 0.98", met=share >= 0.98, more=more)
    yield Line(
        "dedupe_shared_paper_taken_for_copies", len(found & set(paper)) / len(paper), "of pairs", len(paper)
    )


def _false(ham: Sequence[Letter]) -> Line:
    """All pairs of ham, as if all of it had gone to one person."""
    sketches = _sketches(ham)
    pairs = list(combinations(range(len(ham)), 2))
    taken = [pair for pair in pairs if _alike(sketches, pair)]
    wrong = [
        (a, b)
        for a, b in taken
        if in_common(ham[a].raw, ham[b].raw) < UNLIKE and in_common(ham[a].own, ham[b].own) < UNLIKE
    ]
    share = len(wrong) / len(pairs)
    more = {"taken_for_copies": len(taken), "wrong": len(wrong)}
    return Line(
        "dedupe_false", share, "of pairs", len(pairs), target="<= 0.001", met=share <= 0.001, more=more
    )


def _dressed(group: str, letters: Sequence[Letter]) -> Iterator[Line]:
    """Each trick alone and all at once: the copy against the original, and against another copy."""
    from outbox.plaintext import text_from_html

    rng = random.Random(5)
    bodies = [(each.subject, each.text or text_from_html(each.html or "")) for each in letters]
    usable = [each for each in bodies if WORDS[0] <= len(each[1].split()) <= WORDS[1]]
    chosen = rng.sample(usable, min(DRESSED, len(usable)))
    for name, tricks in [*((trick, (trick,)) for trick in copies.TRICKS), ("all", copies.TRICKS)]:
        yield _recognised(f"dedupe_copies_{group}_{name}", rng, chosen, tricks)


def _recognised(
    measure: str, rng: random.Random, chosen: Sequence[tuple[str, str]], tricks: Collection[str]
) -> Line:
    from outbox.fingerprints import alike, print_of, repeats

    to_original = to_copy = normal = told_again = 0
    for subject, text in chosen:
        pair = [copies.copy(rng, subject, text, tricks) for _ in range(2)]
        first, second = (print_of(each.subject, each.text, None, each.names).sketch for each in pair)
        original = print_of(subject, text, None)
        to_original += alike(original.sketch, first) > 0
        to_copy += alike(first, second) > 0
        if original.words >= WORDS[0]:
            normal += 1
            told_again += repeats(original.sketch, first) and repeats(first, second)
    share = min(to_original, to_copy) / len(chosen)
    more = {"against_the_original": to_original / len(chosen), "against_a_copy": to_copy / len(chosen)}
    more |= {"as_repeats_to_a_person": told_again / normal, "of_normal_length": normal}
    return Line(measure, share, "of copies", len(chosen), target=">= 0.97", met=share >= 0.97, more=more)


def _time(letters: Sequence[Letter]) -> Line:
    """Of a processor: others may use the machine too."""
    from outbox.fingerprints import print_of

    took = []
    for each in letters:
        began = time.process_time_ns()
        print_of(each.subject, each.text, each.html, ["Grace Hopper", "grace.hopper"])
        took.append((time.process_time_ns() - began) / 1e6)
    value, more = percentile(took, 0.5), {"p90": percentile(took, 0.9), "p99": percentile(took, 0.99)}
    return Line("dedupe_print", value, "ms", len(took), target="value < 1 ms", met=value < 1, more=more)


def _sketches(letters: Iterable[Letter]) -> list[bytes]:
    from outbox.fingerprints import print_of

    return [print_of(each.subject, each.text, each.html).sketch for each in letters]


def _alike(sketches: Sequence[bytes], pair: Pair) -> bool:
    from outbox.fingerprints import alike

    return alike(sketches[pair[0]], sketches[pair[1]]) > 0


def _pairs(all_shingles: Sequence[spamassassin.Shingles]) -> dict[Pair, float]:
    """What every two of them have in common, where it is anything."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, each in enumerate(all_shingles):
        for shingle in each:
            holders[shingle].append(place)
    shared: Counter[Pair] = Counter()
    for places in holders.values():
        if len(places) <= COMMON:
            shared.update(combinations(places, 2))
    note(f"  {len(shared):,} pairs have a shingle in common")
    return {
        (a, b): count / (len(all_shingles[a]) + len(all_shingles[b]) - count)
        for (a, b), count in shared.items()
    }
