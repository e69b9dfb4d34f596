"""What a mail server's reply says, without what stands around it: codes repeated, lines cut, addresses quoted.

Both readers of replies, the one who names a refusal's reason and the one who shapes our speed, see these words.

Pure. Each pattern is linear in its input, of which `MAX_TEXT` characters are read.
"""

import re
from typing import Final

MAX_TEXT: Final = 1000

Status = tuple[int, int, int]  # RFC 3463: class, subject, detail

_STATUS: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_NOISE: Final = re.compile(
    r"<[^<>\s]{0,320}>|[\w.+=-]{1,64}@[\w.-]{1,255}"  # what an address is called was not said about it
    # codes are repeated on each line of a long reply and would cut its sentences
    r"|(?<![\d.])[245]\d\d[ -](?=\D|[245]\.)|(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)"
)


def words(text: str) -> str:
    """The reply's words: lower case, one space, addresses and repeated codes taken out."""
    return " ".join(_NOISE.sub(" ", text[:MAX_TEXT].lower()).split())


def status(enhanced: str | None, text: str) -> Status | None:
    """The enhanced status code given apart, or else the first in the text; x.0.0 says nothing and is passed over."""
    return _first(enhanced or "") or _first(text[:MAX_TEXT])


def _first(text: str) -> Status | None:
    for found in _STATUS.finditer(text):
        kind, subject, detail = map(int, found.groups())
        if (subject, detail) != (0, 0):
            return kind, subject, detail
    return None
