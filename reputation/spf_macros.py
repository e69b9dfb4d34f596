"""The macro language of SPF (RFC 7208 §7): read once, expanded for one mail.

Reading is strict, because one wrong character makes a whole record a permerror; expanding cannot fail. The value of
a letter is asked for only where it is used: `%{p}` costs look-ups. Splits, reverses and cuts as §7.3 says, and
shortens a name from the left to what the DNS can hold.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

MAX_NAME: Final = 253
MAX_LABEL: Final = 63

_IN_NAMES: Final = "slodipvh"
_IN_EXPLANATIONS: Final = _IN_NAMES + "crt"  # §7.2: only in the text that `exp` points to
_FIXED: Final = {"%%": "%", "%_": " ", "%-": "%20"}  # no literal of a name can be any of these values
_TOKEN: Final = re.compile(
    r"(?P<literal>[\x21-\x24\x26-\x7e ]+)|(?P<fixed>%[%_-])"
    r"|%\{(?P<letter>[a-zA-Z])(?P<keep>[0-9]{0,9})(?P<reverse>[rR]?)(?P<delimiters>[-.+,/_=]*)\}"
)
# domain-end: a dot and a top label, which has a letter or a dash in it, and perhaps a last dot
_DOMAIN_END: Final = re.compile(r"\.(?![0-9]+\.?\Z)[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.?\Z")


class BadMacro(ValueError):
    """The text is not of the macro language; the message says where."""


@dataclass(frozen=True, slots=True)
class Macro:
    """One `%{...}`: `keep` is how many right-hand parts stay, 0 for all; a capital `letter` asks for URL escapes."""

    letter: str
    keep: int
    reverse: bool
    delimiters: str


Pieces = tuple[str | Macro, ...]


def domain_spec(text: str) -> Pieces:
    """A domain-spec (§7.1). Raises BadMacro, also for what cannot end in a domain: `museum`, `192.0.2.1`."""
    if " " in text:
        raise BadMacro("a space inside a name")
    pieces = _read(text, _IN_NAMES)
    last = pieces[-1] if pieces else ""
    if last not in _FIXED.values() and isinstance(last, str) and not _DOMAIN_END.search(last):
        raise BadMacro(f"“{text}” is not a domain name" if text else "a domain name is missing")
    return pieces


def macro_string(text: str) -> Pieces:
    """The value of a modifier nobody knows: it must still be well formed (§6). Raises BadMacro."""
    return _read(text, _IN_NAMES)


def explanation(text: str) -> Pieces:
    """What `exp` points to (§6.2): spaces are allowed, and the letters c, r and t. Raises BadMacro."""
    return _read(text, _IN_EXPLANATIONS)


def expand(pieces: Pieces, value: Callable[[str], str]) -> str:
    """The text with `value(letter)`, small letters, in the place of each macro."""
    return "".join(piece if isinstance(piece, str) else _expanded(piece, value) for piece in pieces)


def expand_name(pieces: Pieces, value: Callable[[str], str]) -> str:
    """The same as a name to look up: no last dot, labels dropped on the left down to 253 octets (§7.3)."""
    name = expand(pieces, value).removesuffix(".")
    while len(name) > MAX_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def letters(pieces: Sequence[str | Macro]) -> frozenset[str]:
    """The small letters of the macros in it."""
    return frozenset(piece.letter.lower() for piece in pieces if isinstance(piece, Macro))


def is_name(name: str) -> bool:
    """Whether a question can be asked about it: at least two labels of 1 to 63 octets (§4.3)."""
    labels = name.split(".")
    fits = len(name) <= MAX_NAME and len(labels) > 1 and name.isascii()
    return fits and all(0 < len(label) <= MAX_LABEL for label in labels)


def _read(text: str, allowed: str) -> Pieces:
    pieces: list[str | Macro] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadMacro(f"“{text[at : at + 10]}” is not understood")
        pieces.append(_piece(token, allowed))
        at = token.end()
    return tuple(pieces)


def _piece(token: re.Match[str], allowed: str) -> str | Macro:
    if token["letter"] is None:
        return token["literal"] or _FIXED[token["fixed"]]
    keep = token["keep"]
    if token["letter"].lower() not in allowed or (keep and int(keep) == 0):
        raise BadMacro(f"“{token[0]}” is not a macro that may stand here")
    return Macro(token["letter"], int(keep or 0), bool(token["reverse"]), token["delimiters"] or ".")


def _expanded(macro: Macro, value: Callable[[str], str]) -> str:
    parts = re.split(f"[{re.escape(macro.delimiters)}]", value(macro.letter.lower()))
    if macro.reverse:
        parts.reverse()
    text = ".".join(parts[-macro.keep :])
    return quote(text, safe="") if macro.letter.isupper() else text
