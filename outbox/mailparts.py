"""A message taken apart as far as a report needs it: its leaves in order, and the header of what is embedded.

The standard parser is not bounded (it recurses with the nesting and keeps an object per blank line of a
delivery report), so boundaries are looked for here, and only header blocks, cut to `MAX_HEADER`, are given to
it, under the compat32 policy. Everything is linear in what is read and capped: bytes, depth, parts, text.

Refuses with `Unreadable` what is no message or passes depth and parts; damaged encodings are read as they can
be. Pure.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Final

from outbox.plaintext import text_from_html

MAX_HEADER: Final = 64 << 10  # of one header block: the standard parser keeps an object per field
MAX_VALUE: Final = 4000  # characters of one field
MAX_DEPTH: Final = 8
MAX_PARTS: Final = 100
MAX_TEXT: Final = 64 << 10  # characters of one text part: reports say what they have to say at their head

_PARSER: Final = BytesHeaderParser(policy=compat32)
_BOUNDARY: Final = re.compile(r'\bboundary\s{0,9}=\s{0,9}(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_DELIMITER: Final = re.compile(
    rb"^--([^\s-][^\n]{0,68}[^\s-]|-{2,40}[^\s]{3,60})[ \t]*\n(?=[A-Za-z-]{3,40}:|\n)", re.M
)
_CHARSET: Final = re.compile(r'\bcharset\s{0,9}=\s{0,9}"?([\w.:-]{1,40})', re.IGNORECASE)
_MEDIA_TYPE: Final = re.compile(r"\s*([\w.+-]{1,60}/[\w.+-]{1,60})")
# Only plain character sets: Python also has codecs that inflate, and one (punycode) that is quadratic.
_SANE_CHARSET: Final = re.compile(
    r"utf-?8|utf-?16(?:[lb]e)?|(?:unicode-1-1-)?utf-?7|us-ascii|iso-?8859-\d+|windows-(?:125\d|874)|cp125\d"
    r"|iso-2022-(?:jp|kr)|shift_?jis|euc-(?:jp|kr)|ks_c_5601-1987|cp949|gb2312|gbk|gb18030|big5|koi8-[ru]",
    re.IGNORECASE,
)
_QUOTE: Final = re.compile(r"^> ?(?!>)", re.MULTILINE)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Unreadable(ValueError):
    """No message, or one past the limits; says which."""


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of one header block in order, names in lower case, values unfolded and cut."""

    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field."""
        return tuple(value for key, value in self.fields if key == name)

    def get(self, name: str) -> str:
        """The first value of a field, or ""."""
        return next((value for key, value in self.fields if key == name), "")


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf: its header, its media type in lower case, and its body still encoded, lines ended by LF."""

    header: Header
    media_type: str
    body: bytes

    def text(self) -> str:
        """The decoded text, HTML as plain text; at most MAX_TEXT characters, undecodable bytes replaced."""
        encoding = self.header.get("content-transfer-encoding")
        raw = _decoded(self.body[: 2 * MAX_TEXT], encoding.strip().lower())
        text = plain(raw, self.header.get("content-type"))[:MAX_TEXT]
        return text_from_html(text) if self.media_type == "text/html" else text


def take_apart(raw: bytes) -> tuple[Header, list[Part]]:
    """The header of a message and its leaves; a message inside is one leaf.

    Raises:
        Unreadable: there is no header field, or more nesting or parts than MAX_DEPTH and MAX_PARTS.
    """
    data = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n")
    header, body = split(data)
    if not header.fields:
        raise Unreadable("no header field")
    leaves: list[Part] = []
    for leaf in _leaves(header, body, 0):
        leaves.append(leaf)
        if len(leaves) > MAX_PARTS:
            raise Unreadable(f"more than {MAX_PARTS} parts")
    return header, leaves


def split(data: bytes) -> tuple[Header, bytes]:
    """A header block, of which MAX_HEADER bytes are read, and what follows the blank line after it."""
    if data.startswith(b"\n"):
        return Header(()), data[1:]
    block, _, body = data.partition(b"\n\n")
    parsed = _PARSER.parsebytes(block[:MAX_HEADER])
    fields = tuple((name.lower(), _unfolded(value)) for name, value in parsed.raw_items())
    return Header(fields), body


def unquoted(text: str) -> str:
    """A text without the marks of a forward, where it has many: people send reports on."""
    marks = _QUOTE.findall(text, 0, MAX_TEXT)
    return _QUOTE.sub("", text) if len(marks) >= 5 else text


def words(value: str) -> str:
    """A field's value with its encoded words (RFC 2047) read, one line."""
    try:
        pieces = decode_header(value[:MAX_VALUE])
    except (HeaderParseError, binascii.Error, ValueError):
        return one_line(value)
    texts = (piece if isinstance(piece, str) else plain(piece, f"charset={name}") for piece, name in pieces)
    return one_line("".join(texts))


def plain(raw: bytes, content_type: str) -> str:
    """Bytes as text in the character set a Content-Type names, if it is a plain one; never fails.

    Of what names none, UTF-8 if it is that, else what old servers of the west write.
    """
    found = _CHARSET.search(content_type)
    name = found[1] if found and _SANE_CHARSET.fullmatch(found[1]) else "utf-8"
    try:
        text = raw.decode(name, "replace")
    except (LookupError, ValueError):
        return raw.decode("latin-1")
    unnamed = found is None and "\ufffd" in text[:-1]  # the last character may have been cut in two
    return raw.decode("cp1252", "replace") if unnamed else text


def one_line(text: str) -> str:
    """Text for one line: controls made blanks, one blank between words."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def _unfolded(value: object) -> str:
    raw = str(value)[:MAX_VALUE]
    return one_line(raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _leaves(header: Header, body: bytes, depth: int) -> Iterator[Part]:
    kind = header.get("content-type")
    found = _MEDIA_TYPE.match(kind)
    media_type = found[1].lower() if found else "text/plain"
    if not media_type.startswith("multipart/"):
        yield Part(header, media_type, body)
        return
    if depth == MAX_DEPTH:
        raise Unreadable(f"nested deeper than {MAX_DEPTH}")
    named = _BOUNDARY.search(kind)
    pieces = _pieces(body, (named[1] or named[2]).encode("utf-8", "replace")) if named else []
    if not pieces:  # the boundary was lost or altered on the way
        guess = _DELIMITER.search(body)
        pieces = _pieces(body, guess[1]) if guess else []
    if not pieces:
        yield Part(header, "text/plain", body)
    for piece in pieces:
        yield from _leaves(*split(piece), depth + 1)


def _pieces(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the delimiters of a multipart (RFC 2046 §5.1.1), a missing last one forgiven."""
    delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*$\n?", re.MULTILINE)
    pieces: list[bytes] = []
    start = -1
    for found in delimiter.finditer(body):
        if start >= 0:
            pieces.append(body[start : found.start()])
        start = found.end()
        if found[1] or len(pieces) > MAX_PARTS:
            return pieces
    return [*pieces, body[start:]] if start >= 0 else pieces


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    if encoding == "base64":
        clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
        clean = clean[: len(clean) - (len(clean) % 4 == 1)]
        return base64.b64decode(clean + b"=" * (-len(clean) % 4))
    return body
