"""MIME entities as wire bytes: text, files, and multiparts around them.

Guarantees: bodies are ASCII with CRLF line ends and lines of at most 76 octets, whatever goes in; text comes
out of them exactly (CRLF and LF both mean a line end, a lone CR is kept as an octet). No line begins with a
dot or `From `, and none ends in white space, so neither dot-stuffing nor a careless relay changes a signed
byte. A boundary is a hash, the same every time, and occurs in nothing it bounds (RFC 2046 §5.1.1).

Refuses nothing: `compose` has judged the names and types. Pure.
"""

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat

from outbox.headers import WIDTH, fold, parameter

Header = tuple[bytes, bytes]

_PLAIN = bytes(range(32, 127)) + b"\n"
_BASE64_LINE = WIDTH // 4 * 4
_UNSAFE_STARTS = (b".", b"From ")
_PARAMETERS = {"related": b' type="text/html";'}  # RFC 2387 §3.1


@dataclass(frozen=True, slots=True)
class Entity:
    """Content headers and body (RFC 2045 §2.4); the CRLF before a boundary belongs to the boundary."""

    headers: tuple[Header, ...]
    body: bytes


def text_entity(subtype: str, text: str) -> Entity:
    """`text/<subtype>` in UTF-8: as it is where that is safe, else in quoted-printable or base64."""
    data = text.encode()
    encoding, body = _encoded(data.replace(b"\r\n", b"\n") if b"\r" in data else data)
    kind = b"text/%s; charset=utf-8" % subtype.encode("ascii")
    return Entity(((b"Content-Type", kind), (b"Content-Transfer-Encoding", encoding)), body)


def file_entity(content_type: str, filename: str, content: bytes, content_id: str | None) -> Entity:
    """A file in base64; with a content id it is `inline` and can be shown by `cid:` (RFC 2392)."""
    disposition = b"inline" if content_id else b"attachment"
    headers: tuple[Header, ...] = (
        (b"Content-Type", content_type.encode("ascii")),
        (b"Content-Transfer-Encoding", b"base64"),
        (b"Content-Disposition", fold("Content-Disposition", _with_filename(disposition, filename))),
    )
    if content_id:
        headers += ((b"Content-ID", b"<%s>" % content_id.encode("ascii")),)
    return Entity(headers, _base64(content))


def multipart(subtype: str, parts: Sequence[Entity], seed: str) -> Entity:
    """`multipart/<subtype>` of parts in order; `seed` tells the boundaries of different messages apart."""
    blocks = [_block(part) for part in parts]
    boundary = _boundary(f"{subtype}\0{seed}", blocks)
    opening = b"--%s\r\n" % boundary
    body = opening + (b"\r\n" + opening).join(blocks) + b"\r\n--%s--\r\n" % boundary
    kind = b"multipart/%s;%s" % (subtype.encode("ascii"), _PARAMETERS.get(subtype, b""))
    return Entity(((b"Content-Type", b'%s\r\n boundary="%s"' % (kind, boundary)),), body)


def _block(part: Entity) -> bytes:
    return b"".join((*(b"%s: %s\r\n" % header for header in part.headers), b"\r\n", part.body))


def _boundary(seed: str, blocks: Sequence[bytes]) -> bytes:
    """40 octets; content that holds the first one on purpose gets the next."""
    counter = 0
    while True:
        boundary = b"=_ao_" + sha256(f"{seed}\0{counter}".encode()).hexdigest()[:35].encode("ascii")
        if not any(boundary in block for block in blocks):
            return boundary
        counter += 1


def _with_filename(disposition: bytes, filename: str) -> list[bytes]:
    if not filename:
        return [disposition]
    return [disposition + b";", *parameter("filename", filename)]


def _encoded(data: bytes) -> tuple[bytes, bytes]:
    """Transfer encoding and body of text whose lines end in LF."""
    if not data.translate(None, _PLAIN) and 4 * data.count(b"=") <= len(data):
        return _printable(data)
    # binascii leaves a lone CR as it is, which no wire body may hold.
    quoted = None if b"\r" in data else binascii.b2a_qp(data, istext=True)
    if quoted is None or len(quoted) > len(data) * 3 // 2:
        return b"base64", _base64(data.replace(b"\n", b"\r\n"))
    lines = quoted.split(b"\n")
    if not _is_safe(lines):
        # binascii lets both starts be, and makes lines of 78 where it encodes the last space of a full one.
        lines = [piece for line in lines for piece in _rebroken(line)]
    return b"quoted-printable", b"\r\n".join(lines)


def _printable(data: bytes) -> tuple[bytes, bytes]:
    """Printable ASCII goes as it is where nothing folds or alters it on the way, else in quoted-printable."""
    lines = data.split(b"\n")
    if _is_safe(lines) and not (b" \n" in data or data.endswith(b" ")):
        return b"7bit", b"\r\n".join(lines)
    quoted: list[bytes] = []
    for line in data.replace(b"=", b"=3D").split(b"\n"):
        if len(line) <= WIDTH and not line.startswith(_UNSAFE_STARTS) and not line.endswith(b" "):
            quoted.append(line)
        else:
            quoted += _rebroken(line.removesuffix(b" ") + b"=20" if line.endswith(b" ") else line)
    return b"quoted-printable", b"\r\n".join(quoted)


def _is_safe(lines: list[bytes]) -> bool:
    return max(map(len, lines)) <= WIDTH and not any(map(bytes.startswith, lines, repeat(_UNSAFE_STARTS)))


def _rebroken(line: bytes) -> Iterator[bytes]:
    while True:
        if line.startswith(_UNSAFE_STARTS):
            line = b"=%02X%s" % (line[0], line[1:])
        if len(line) <= WIDTH:
            yield line
            return
        cut = WIDTH - 1
        escape = line.rfind(b"=", cut - 2, cut)  # an escape is three octets and must stay whole
        cut = escape if escape >= 0 else cut
        yield line[:cut] + b"="
        line = line[cut:]


def _base64(content: bytes) -> bytes:
    encoded = binascii.b2a_base64(content, newline=False)
    return b"\r\n".join([encoded[at : at + _BASE64_LINE] for at in range(0, len(encoded), _BASE64_LINE)])
