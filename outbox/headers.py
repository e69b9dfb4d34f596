"""Header values as wire bytes: folding, encoded words, mailbox lists, parameters.

Guarantees: every value is ASCII (but for a local part that is not, RFC 6532), unfolds and decodes to exactly
the text it was made from, has no line over 76 octets unless a single word is longer (then at most 998, RFC
5322 §2.1.1), and no blank line. Encoded words are at most 75 octets and split no character (RFC 2047 §2, §5).

Refuses text that `addresses.check_text` refuses, and header names that agents may not set. Pure.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from outbox.addresses import BadText, Mailbox, check_text

WIDTH = 76  # RFC 2047 §2 for lines with encoded words; the 78 of RFC 5322 for the others gain nothing
MAX_WORD = 900  # a word that cannot be folded must leave room for the name within 998
MAX_NAME = 50  # a longer name leaves no room for an encoded word beside it

_EW_OVERHEAD = len("=?utf-8?q??=")
_EW_NAME = (
    60  # encoded words of display names; beside the longest address header's name they stay within WIDTH
)

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PIECES = re.compile(rb" *[^ ]+")
_AGENT_NAME = re.compile(r"X-[A-Za-z0-9-]+", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_MESSAGE_IDS = frozenset({"in-reply-to", "references"})

# Ours, and those by which relays take orders: through X-SMTPAPI alone an agent could add recipients.
_RESERVED = ("x-ao-", "x-smtpapi", "x-ses-", "x-mailgun-", "x-mc-", "x-mj-", "x-msys-", "x-pm-")

_Q = {
    chr(octet): chr(octet) for octet in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
}
_Q[" "] = "_"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def check_header(name: str, value: str) -> None:
    """Judge a header an agent asks for: `X-*` but the reserved ones, In-Reply-To, References.

    Raises BadText with `header_not_allowed`, `too_long`, `bad_value` or a code of `check_text`.
    """
    if len(name) > MAX_NAME:
        raise BadText("too_long", f"A header name is longer than {MAX_NAME} characters.")
    check_text(name, "A header name")
    if not name:
        raise BadText(
            "header_not_allowed", "A header name is empty; X-*, In-Reply-To and References can be set."
        )
    check_text(value, f"The header {name}")
    lower = name.lower()
    if lower in _MESSAGE_IDS:
        for word in value.split(" "):
            check_message_id(word)
    elif not _AGENT_NAME.fullmatch(name) or lower.startswith(_RESERVED):
        raise BadText("header_not_allowed", f"The header {name} is not one that can be set.")


def check_message_id(value: str) -> None:
    """Raises BadText unless `value` is one `<left@right>` (RFC 5322 §3.6.4, no obsolete forms)."""
    check_text(value, "A message id")
    if len(value) > MAX_WORD or not _MESSAGE_ID.fullmatch(value):
        raise BadText("bad_value", "A message id has the form <left@right>, in ASCII and without spaces.")


def text_value(name: str, value: str) -> bytes:
    """Unstructured text (RFC 5322 §2.2.1) for the header `name`; only outer spaces are dropped."""
    check_text(value, name)
    value = value.strip(" ")
    room = WIDTH - len(name) - 2
    if value.isascii():
        plain = value.encode("ascii")
        if len(plain) <= room:
            return plain
        pieces = _PIECES.findall(plain)
        if max(map(len, pieces)) <= MAX_WORD:
            return fold(name, pieces)
    return fold(name, _spaced(_encoded_words(value, min(room, 75))))


def address_value(name: str, mailboxes: Iterable[Mailbox]) -> bytes:
    """A mailbox list (RFC 5322 §3.4) for the header `name`, broken between mailboxes where it must be."""
    pieces: list[bytes] = []
    for mailbox in mailboxes:
        if pieces:
            pieces[-1] += b","
        pieces += _mailbox(mailbox)
    return fold(name, _spaced(pieces))


def parameter(name: str, value: str) -> list[bytes]:
    """Pieces of one MIME parameter for `fold`; as RFC 2231 §3 where a quoted string will not do."""
    check_text(value, name)
    if value.isascii() and len(value) + len(name) < WIDTH - 10:
        return [f' {name}="{_escaped(value)}"'.encode("ascii")]
    chunks = list(_packed([_percent(char) for char in value], WIDTH - len(name) - 20))
    if len(chunks) == 1:
        return [f" {name}*=utf-8''{chunks[0]}".encode("ascii")]
    chunks[0] = f"utf-8''{chunks[0]}"
    pieces = [f" {name}*{place}*={chunk};".encode("ascii") for place, chunk in enumerate(chunks)]
    return [*pieces[:-1], pieces[-1].removesuffix(b";")]


def date_value(moment: datetime) -> bytes:
    """RFC 5322 §3.3, in UTC; raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a Date needs a time zone")
    utc = moment.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    clock = f"{utc.hour:02}:{utc.minute:02}:{utc.second:02}"
    return f"{day}, {utc.day:02} {month} {utc.year:04} {clock} +0000".encode("ascii")


def fold(name: str, pieces: Iterable[bytes]) -> bytes:
    """Join pieces, each with its own leading space, into lines of at most WIDTH; the first piece stays."""
    folded: list[bytes] = []
    column = len(name) + 2
    for piece in pieces:
        if folded and column + len(piece) > WIDTH:
            folded.append(b"\r\n")
            column = 0
        folded.append(piece)
        column += len(piece)
    return b"".join(folded)


def _mailbox(mailbox: Mailbox) -> list[bytes]:
    addr = mailbox.addr.encode()
    return [*_phrase(mailbox.name), b"<%s>" % addr] if mailbox.name else [addr]


def _phrase(name: str) -> list[bytes]:
    """A display name: atoms, a quoted string, or encoded words where it is long or not ASCII."""
    check_text(name, "A display name")
    if name.isascii() and len(name) <= _EW_NAME:
        return [(name if _ATOMS.fullmatch(name) else f'"{_escaped(name)}"').encode("ascii")]
    return _encoded_words(name, _EW_NAME)


def _encoded_words(text: str, room: int) -> list[bytes]:
    """RFC 2047 §2, Q or B by what is shorter; `room` octets for each word, overhead included."""
    quoted = [_Q.get(char) or "".join(f"={octet:02X}" for octet in char.encode()) for char in text]
    if sum(map(len, quoted)) <= len(text.encode()) * 4 / 3:
        return [f"=?utf-8?q?{chunk}?=".encode("ascii") for chunk in _packed(quoted, room - _EW_OVERHEAD)]
    octets = (room - _EW_OVERHEAD) // 4 * 3
    return [b"=?utf-8?b?%s?=" % base64.b64encode(chunk) for chunk in _packed_octets(text, octets)]


def _packed(units: list[str], limit: int) -> Iterator[str]:
    """Units joined into chunks of at most `limit` characters; no unit is split."""
    chunk: list[str] = []
    used = 0
    for unit in units:
        if chunk and used + len(unit) > limit:
            yield "".join(chunk)
            chunk, used = [], 0
        chunk.append(unit)
        used += len(unit)
    yield "".join(chunk)


def _packed_octets(text: str, limit: int) -> Iterator[bytes]:
    """UTF-8 in chunks of at most `limit` octets; no character is split."""
    units = [char.encode().decode("latin-1") for char in text]
    return (chunk.encode("latin-1") for chunk in _packed(units, limit))


def _spaced(words: list[bytes]) -> list[bytes]:
    return [*words[:1], *(b" " + word for word in words[1:])]


def _percent(char: str) -> str:
    """RFC 2231 §7 attribute characters, all others as octets."""
    if char.isascii() and (char.isalnum() or char in "-._"):
        return char
    return "".join(f"%{octet:02X}" for octet in char.encode())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
