"""Templates behind personalised copies: what varies is marked, outliers come first, hostile texts cost little."""

import random
import time

import pytest

from outbox import variation
from outbox.variation import Part, compare

PEOPLE = [
    ("Grace", "Acme", "Monday"),
    ("Bob", "Initech Ltd", "Tuesday"),
    ("Ann", "Globex", "Monday"),
    ("Li", "Umbrella", "Friday"),
]
LETTER = "Hi {},\n\nI saw that {} is growing quickly. Would you like to talk on {}?\n\nAda"
LETTERS = [LETTER.format(*person) for person in PEOPLE]


def shape(parts: tuple[Part, ...]) -> str:
    return "".join(part.text + "{}" * part.varies for part in parts)


def test_what_varies_is_marked_with_what_stands_there() -> None:
    found = compare(LETTERS)
    assert shape(found.template) == LETTER
    names, firms, days = (part for part in found.template if part.varies)
    assert (set(names.values), names.different) == ({"Grace", "Bob", "Ann", "Li"}, 4)
    assert "Initech Ltd" in firms.values
    assert (days.values[0], days.different) == ("Monday", 3)  # the most frequent first


@pytest.mark.parametrize("place", range(len(LETTERS)))
def test_each_text_reads_as_it_is_its_own_words_marked(place: int) -> None:
    reading = compare(LETTERS).readings[place]
    assert "".join(part.text for part in reading.parts) == LETTERS[place]
    assert tuple(part.text for part in reading.parts if part.varies) == PEOPLE[place]


def test_an_outlier_comes_first_and_does_not_spoil_the_template() -> None:
    strange = "Dear customer, your account is locked. Click http://evil.test/ now."
    found = compare([LETTERS[0], strange, *LETTERS[1:]])
    assert found.outliers_first()[0] == 1
    assert found.readings[1].likeness < 0.3 < min(found.readings[place].likeness for place in (0, 2, 3, 4))
    assert "growing quickly. Would you like to talk on" in shape(found.template)


def test_a_sentence_that_only_some_have_varies() -> None:
    with_more = [f"{letter}\nPS: the offer ends today." for letter in LETTERS[:1]]
    found = compare(with_more + LETTERS[1:])
    assert found.template[-1] == Part("\n", True, ("", "PS: the offer ends today."), 2)


def test_equal_texts_have_nothing_that_varies() -> None:
    found = compare(["Same for all."] * 3)
    assert found.template == (Part("Same for all.", False),)
    assert [reading.likeness for reading in found.readings] == [1.0, 1.0, 1.0]
    assert found.outliers_first() == [0, 1, 2]


def test_nothing_one_and_empty() -> None:
    assert compare([]) == variation.Variation((), ())
    assert shape(compare(["One alone"]).template) == "One alone"
    assert compare(["", ""]).readings[0].likeness == 1.0


def test_the_longest_chain_is_lined_up() -> None:
    """Two words that moved to the front do not cost the rest of the text."""
    words = [f"w{n}" for n in range(30)]
    moved = [*words[28:], *words[:28]]
    found = compare([" ".join(words), " ".join(words), " ".join(moved)])
    marked = [part.text for part in found.readings[2].parts if part.varies]
    assert marked == ["w28 w29"]


def test_a_text_beyond_what_is_compared_varies_from_there() -> None:
    long = " ".join(f"w{n}" for n in range(variation.TOKENS))
    found = compare([f"{long} tail of one", f"{long} another tail"])
    assert found.readings[0].parts[-1].text.strip() == "tail of one"
    assert found.template[-1].different == 2


@pytest.mark.parametrize("kind", ["one word", "few words", "shuffled", "backwards"])
def test_hostile_texts_cost_little(kind: str) -> None:
    chance, words = random.Random(1), [f"w{n}" for n in range(variation.TOKENS)]
    texts = {
        "one word": ["a " * 200_000] * 24,
        "few words": [" ".join(chance.choices("abcdefgh", k=1_000)) for _ in range(24)],
        "shuffled": [" ".join(chance.sample(words, len(words))) for _ in range(24)],
        "backwards": [" ".join(words[:: 1 if n % 2 else -1]) for n in range(24)],
    }[kind]
    began = time.process_time()
    compare(texts)
    assert time.process_time() - began < 2
