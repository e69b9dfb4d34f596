"""What a message says, small enough to keep and compare: near-identical ones are recognised however they are dressed.

A print holds the *sketch* of its own words: every pair of neighbouring words and every longer word is hashed and falls
into one of 256 bins; the smallest hash of each bin leaves one byte (one-permutation MinHash, Li, Owen and Zhang 2012).
The share of bins in which two sketches agree estimates the share of what both have that they have in common; for a
short text, which leaves most bins empty, it is nearly exact. Its *bands*, some hashed triples of words, are how like
messages are found in an index; one more band is a hash of all words in order.

Guarantees: the same print in every process and on every machine; what names, greeting, thread, footer, tracking,
letters' dress and order of sentences change leaves the sketch like what it was. Measured on real mail: bench/dedupe.py.
Refuses nothing. Pure.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Final
from uuid import UUID
from zlib import crc32

from outbox.folding import folded
from outbox.ownwords import words_of

BINS: Final = 256
BANDS: Final = 24
OWN_BANDS: Final = 16  # of them, where all words are more than the own ones
LONG: Final = 4  # letters of a word that counts by itself

# Alike from here on: copies that had a tenth of their words exchanged, each another tenth, have 0.47 in common; unlike
# mail of the same people below 0.35. Short texts have to agree in more, or one number would not tell two apart.
ALIKE: Final = 0.40
ALIKE_SHORT: Final = 0.55
HELD: Final = 0.4
TELLING: Final = 3  # bins: what a few own words have in common with a long thread is chance
SHORT: Final = (24, 64)  # bins taken by either: short up to here, and long from there on
WORD_FOR_WORD: Final = 32  # bins taken by either: about twenty words, of which one may turn the meaning round

_BITS: Final = (1 << 64) - 1
_ODD: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # golden ratio; xxHash's primes
_BIN_SHIFT: Final = 64 - (BINS.bit_length() - 1)


@dataclass(frozen=True, slots=True)
class Print:
    """A message's words: ``sketch`` as ``alike`` reads it, ``bands`` and ``exact`` signed 64-bit numbers for an index.

    The sketch has ``BINS`` bytes for the own words, and as many for all of them where that is more.
    ``enclosed`` identifies its attachments (empty without any). Without ``words`` there is nothing to compare.
    """

    words: int
    exact: int
    bands: tuple[int, ...]
    sketch: bytes
    enclosed: bytes = b""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A near-identical message to the same person: the newest, and how many within the last hour (this not counted).

    ``message_id`` is None where it was another agent's.
    """

    message_id: UUID | None
    at: datetime
    within_hour: int


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is known of messages like this one.

    ``earlier`` by recipient address, only those who had one in the window; ``cluster`` the key of the like content it
    would join (None: it says too little), ``cluster_size`` the people in it within the window, this draft's included.
    """

    earlier: Mapping[str, Earlier] = field(default_factory=lambda: MappingProxyType({}))
    cluster: int | None = None
    cluster_size: int = 0


NOTHING: Final = Likeness()
BLANK: Final = Print(0, 0, (), bytes(BINS))


def print_of(
    subject: str,
    text: str,
    html: str | None,
    names: Collection[str] = (),
    enclosed: Iterable[bytes] = (),
    footers: tuple[str, ...] = (),
) -> Print:
    """The print of a message.

    ``names`` are its recipients' display names and local parts, ``enclosed`` the contents of its attachments,
    ``footers`` what all mail of its stream ends with.
    """
    words = words_of(subject, text, html, names, footers)
    contents = sorted(hashlib.blake2b(content, digest_size=8).digest() for content in enclosed)
    mark = hashlib.blake2b(b"".join(contents), digest_size=8).digest() if contents else b""
    if not words.own:
        return Print(1, _number(mark), (), bytes(BINS), mark) if mark else BLANK
    said = {*words.own, *words.whole}
    known = {word: crc32(word.encode("utf-8", "replace")) * _ODD[0] & _BITS for word in said}
    hashes = [known[word] for word in words.own]
    exact = hashlib.blake2b(" ".join(words.own).encode("utf-8", "replace"), digest_size=8).digest()
    sketch, bands = _sketch(_features(words.own, known)), _bands(hashes)
    if words.whole is not words.own:
        sketch += _sketch(_features(words.whole, known))
        more = _bands([known[word] for word in words.whole])[: BANDS - OWN_BANDS]
        bands = (*bands[:OWN_BANDS], *(band for band in more if band not in bands[:OWN_BANDS]))
    return Print(len(words.own), _number(exact), bands, sketch, mark)


def alike(one: bytes, other: bytes) -> float:
    """How much two sketches have in common if they say the same, else 0; between 0 and 1.

    Own words decide. Where a thread or footer was recognised below one message and not below the other, all words do,
    as far as they hold the other's own words too: a footer alone, or a thread that quotes the other, does not.
    """
    if share := _agreed(one[:BINS], other[:BINS]):
        return share
    if len(one) == len(other) == BINS:
        return 0.0
    share = _agreed(one[-BINS:], other[-BINS:])
    return share if share and _holds(one, other) and _holds(other, one) else 0.0


def repeats(one: bytes, other: bytes) -> bool:
    """Whether one says to a person again what the other said.

    What is alike does; of very short messages only the same words: "confirmed" is no copy of "cancelled", and whoever
    got one has to be told the other, whatever thread stands below both.
    """
    share, taken = _compared(one[:BINS], other[:BINS])
    return share == 1.0 if taken <= WORD_FOR_WORD else alike(one, other) > 0


def similarity(one: bytes, other: bytes) -> float:
    """The share of their features that two sketches of ``BINS`` bytes have in common."""
    return _compared(one, other)[0]


def _agreed(one: bytes, other: bytes) -> float:
    share, taken = _compared(one, other)
    low, high = SHORT
    short = max(0.0, min(1.0, (high - taken) / (high - low)))
    return share if share >= ALIKE + short * (ALIKE_SHORT - ALIKE) else 0.0


def _holds(one: bytes, other: bytes) -> bool:
    """Whether all words of one hold the other's own words about as well as the other itself does."""
    if len(other) == BINS:
        return True
    share, taken = _compared(other[:BINS], other[BINS:])
    return share * taken >= TELLING and similarity(other[:BINS], one[-BINS:]) >= HELD * share


def _compared(one: bytes, other: bytes) -> tuple[float, int]:
    """Their similarity, and how many bins either has taken."""
    first, second = int.from_bytes(one), int.from_bytes(other)
    empty = (first | second).to_bytes(BINS).count(0)
    same = (first ^ second).to_bytes(BINS).count(0) - empty
    taken = BINS - empty
    return (same / taken if taken else float(one == other)), taken


def _features(words: list[str], known: Mapping[str, int]) -> list[int]:
    """Neighbouring words and longer words, hashed; of a single short word, that one."""
    hashes = [known[word] for word in words]
    long = [known[word] for word in dict.fromkeys(words) if len(word) >= LONG]
    pairs = [(left * 3 + right) * _ODD[1] & _BITS for left, right in pairwise(hashes)]
    return [*long, *pairs] or hashes


def _bands(hashes: list[int]) -> tuple[int, ...]:
    """The smallest hashes of triples: two texts with a third of their triples in common share most of these."""
    triples = {
        (left * _ODD[1] ^ middle * _ODD[2] ^ right) & _BITS
        for left, middle, right in zip(hashes, hashes[1:], hashes[2:], strict=False)
    }
    return tuple(map(_signed, sorted(triples)[:BANDS]))


def _sketch(features: Iterable[int]) -> bytes:
    """One byte for each bin: of its smallest hash, never 0 unless it is empty."""
    bins = bytearray(BINS)
    for feature in sorted(set(features), reverse=True):
        bins[feature >> _BIN_SHIFT] = feature % 255 + 1
    return bytes(bins)


def _number(digest: bytes) -> int:
    return _signed(int.from_bytes(digest))


def _signed(number: int) -> int:
    """As PostgreSQL's bigint has it."""
    return number - (1 << 64) if number >> 63 else number


_CODE: Final = re.compile(
    r"(?<![\w/=&?.-])(?:\d{4,8}|\d{3}[ -]\d{3}|(?=[a-z-]*\d)[a-z0-9]{3,4}-[a-z0-9]{3,4})(?![\w/-])"
)
_CODE_WORDS: Final = re.compile(
    r"\b(?:one[ -]time|otp|2fa|pass ?code|pin|tan"
    r"|(?:verification|security|confirmation|access|login|sign[ -]?in|authentication|activation|recovery"
    r"|reset|your) code"
    r"|code (?:is|to|for)|einmal(?:code|passwort)|bestatigungscode|sicherheitscode|code de (?:verification|securite)"
    r"|codigo de (?:verificacion|seguridad))\b"
)
_LINK_WORDS: Final = re.compile(
    r"\b(?:reset (?:your )?password|password reset|magic link|(?:sign[ -]?in|login|log[ -]?in) link"
    r"|(?:confirm|verify) (?:your )?(?:e-?mail|address|account))\b"
)
CODE_WORDS: Final = 80  # a message that carries a code says little else


def is_one_time_code(subject: str, text: str) -> bool:
    """Whether a message brings what works once and is asked for again: a code, or a link to sign in or to reset."""
    plain = folded(f"{subject}\n{text[:4000]}")
    if len(words_of(subject, text, None).own) > CODE_WORDS:
        return False
    if _CODE_WORDS.search(plain) and _CODE.search(plain):
        return True
    return _LINK_WORDS.search(plain) is not None and "://" in plain
