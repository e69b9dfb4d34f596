"""One message dressed up for many people: what a campaign does to a text, or who does not want to be noticed."""

from __future__ import annotations

import random
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

FIRST: Final = "Grace Ada Linus Edsger Barbara Donald Alan Margaret Tim Ken Dennis Radia".split()
LAST: Final = (
    "Hopper Lovelace Torvalds Dijkstra Liskov Knuth Turing Hamilton Lee Thompson Ritchie Perlman".split()
)
COMPANIES: Final = (
    "Acme Globex Initech Umbrella Hooli Stark Wayne Wonka Cyberdyne Tyrell Soylent Aperture".split()
)
GREETINGS: Final = (
    *("Hi {0},", "Hello {0} {1},", "Dear {0},", "Hey {0}!", "Good morning {0},", "Dear Mr. {1},"),
    *("Hi there {0} -", "Greetings {0},"),
)
SYNONYMS: Final = (
    "quick rapid swift simple plain clear large huge small tiny nice great good fine assist aid help offer provide "
    "supply begin start launch near close improve enhance boost show display present buy purchase obtain"
).split()
ALIKE: Final = str.maketrans("aeopcxisy", "аеорсхіѕу")
UNSEEN: Final = "\u200b\u200c\u200d\u2060\ufeff"

TRICKS: Final = ("name", "company", "greeting", "order", "synonyms", "homoglyphs", "zero_width", "link")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy for one person, with what is known of their name."""

    subject: str
    text: str
    names: Collection[str]


def copy(rng: random.Random, subject: str, text: str, tricks: Collection[str] = TRICKS) -> Copy:
    """A copy of a message: a sentence moved, one word in ten exchanged, names and a company put in, and so on."""
    first, last, company = rng.choice(FIRST), rng.choice(LAST), rng.choice(COMPANIES)
    if "order" in tricks:
        text = _moved(rng, text)
    pieces = re.split(r"(\s+)", text)
    words = [place for place, piece in enumerate(pieces) if piece[:1].isalpha()]
    if "synonyms" in tricks:
        for start in range(0, len(words) - 5, 10):
            pieces[rng.choice(words[start : start + 10])] = rng.choice(SYNONYMS)
    for inserted in [company] * 2 * ("company" in tricks) + [f"{first},"] * ("name" in tricks):
        if words:
            pieces[rng.choice(words)] += f" {inserted}"
    text = "".join(pieces)
    if "greeting" in tricks:
        text = f"{rng.choice(GREETINGS).format(first, last)}\n\n{text}"
    if "link" in tricks:
        text += f"\n\nSee https://acme.example/r/{rng.getrandbits(60):x}?utm_id={rng.getrandbits(40):x}"
    if "homoglyphs" in tricks:
        text = "".join(each.translate(ALIKE) if rng.random() < 0.3 else each for each in text)
    if "zero_width" in tricks:
        text = "".join(each + (rng.choice(UNSEEN) if rng.random() < 0.1 else "") for each in text)
    if "name" in tricks:
        subject = f"{first}, {subject}"
    return Copy(subject, text, [f"{first} {last}", f"{first}.{last}".lower()])


def _moved(rng: random.Random, text: str) -> str:
    """One sentence of a paragraph stands elsewhere in it."""
    paragraphs = text.split("\n\n")
    long = [at for at, each in enumerate(paragraphs) if len(_sentences(each)) > 1]
    if long:
        at = rng.choice(long)
        sentences = _sentences(paragraphs[at])
        moved = sentences.pop(rng.randrange(len(sentences)))
        sentences.insert(rng.randrange(len(sentences) + 1), moved)
        paragraphs[at] = " ".join(sentences)
    return "\n\n".join(paragraphs)


def _sentences(paragraph: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", paragraph.strip())
