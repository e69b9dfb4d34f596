"""Message values to wire bytes; what differs between its deliveries is a footer, and fields put on top.

Guarantees: the same content gives the same bytes (boundaries come from the message id, the date is passed
in); CRLF line ends, ASCII only except where a local part is not, lines of at most 76 octets in bodies and 998
anywhere. Bcc is no field of `Content`, so it cannot leak.

Refuses what `headers` and `addresses` refuse. `check` is the last look before signing: it compares the finished
header with what was meant, by the standard parser unless it is the same to the letter. Pure: no I/O, no clock,
no settings.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses

from outbox import esp_marks
from outbox.addresses import BadText, Mailbox, check_text
from outbox.footers import Footer, below_html, below_text
from outbox.headers import address_value, check_header, check_message_id, date_value, text_value
from outbox.mime import Entity, Header, file_entity, multipart, text_entity
from outbox.plaintext import text_from_html

__all__ = [
    "DELIVERY_HEADERS",
    "Attachment",
    "ComposeMismatch",
    "Composed",
    "Content",
    "check",
    "check_attachment",
    "compose",
    "for_delivery",
    "text_from_html",
]

DELIVERY_HEADERS = ("X-AO-Ref", "Feedback-ID", "List-Unsubscribe", "List-Unsubscribe-Post", *esp_marks.FIELDS)
"""What `for_delivery` may add, each at most once."""

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
_CONTENT_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[^"\\]*"))*')
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_PLAIN_NAME = re.compile(r"(?:[A-Za-z0-9_-]+(?: [A-Za-z0-9_-]+)*)?")
_PLAIN_ADDR = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_FIELD_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 §2.2
_NO_RECIPIENT = b"undisclosed-recipients:;"  # RFC 5322 §3.4: an empty group, for messages that only have bcc
MAX_TYPE = 200
_PARSER = BytesHeaderParser(policy=compat32)


class ComposeMismatch(Exception):
    """The finished header does not say what the message says, and must not be signed; names the field."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file; with a `content_id` (with or without angle brackets) an HTML body can show it."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """Everything the recipients of a message share.

    `message_id` has its angle brackets, `date` a time zone. An empty `text` beside an `html` is left out.
    """

    message_id: str
    date: datetime
    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str
    html: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """A message in wire form: its fields in order, each (name, folded value without the last CRLF)."""

    headers: tuple[Header, ...]
    body: bytes
    needs_smtputf8: bool

    def to_bytes(self) -> bytes:
        """The whole message; signatures go on top of it."""
        return _block(self.headers) + self.body


def compose(content: Content, footer: Footer | None = None) -> Composed:
    """Render what all recipients share, or with a footer what one of them reads.

    Raises BadText for whatever may not stand in a header.
    """
    check_message_id(content.message_id)
    root = _root(content, footer)
    headers = (
        *((name.encode("ascii"), address_value(name, boxes)) for name, boxes in _address_fields(content)),
        *(() if content.to or content.cc else ((b"To", _NO_RECIPIENT),)),
        (b"Subject", text_value("Subject", content.subject)),
        (b"Date", date_value(content.date)),
        (b"Message-ID", content.message_id.encode("ascii")),
        *_custom(content.headers),
        (b"Auto-Submitted", b"auto-generated"),  # RFC 3834 §5: auto-responders leave it alone
        (b"MIME-Version", b"1.0"),
        *root.headers,
    )
    body = root.body if root.body.endswith(b"\r\n") else root.body + b"\r\n"
    mailboxes = (content.sender, *content.to, *content.cc, *content.reply_to)
    return Composed(headers, body, any(mailbox.needs_smtputf8 for mailbox in mailboxes))


def for_delivery(
    composed: Composed, ref: str, feedback_id: str, extra: Sequence[tuple[str, str]] = ()
) -> Composed:
    """The message of one delivery: `X-AO-Ref`, `Feedback-ID` and `extra` out of DELIVERY_HEADERS are added.

    What is shared is not rendered again. Raises ValueError for another name, BadText for a value.
    """
    if not {name for name, _ in extra} <= set(DELIVERY_HEADERS[2:]):
        raise ValueError(f"only {DELIVERY_HEADERS} differ by delivery")
    added = (("X-AO-Ref", ref), ("Feedback-ID", feedback_id), *extra)
    fields = tuple((name.encode("ascii"), text_value(name, value)) for name, value in added)
    return Composed(composed.headers + fields, composed.body, composed.needs_smtputf8)


def check(composed: Composed, content: Content) -> None:
    """Compare the finished header with what was meant: literally, else as the standard parser reads it.

    Compared are the fields' names, number and order, all addresses with their names, and the subject; the
    body is not looked at. Whatever this room overlooked, a header nobody asked for stops here. Raises
    ComposeMismatch.
    """
    block = _block(composed.headers)
    if not (block.isascii() or composed.needs_smtputf8):
        raise ComposeMismatch("the header is not ASCII")
    if not _is_literal(block, composed, content):
        _check_parsed(_PARSER.parsebytes(block), composed, content)


def check_attachment(attachment: Attachment) -> None:
    """Raises BadText for a filename, type or content id that cannot be written.

    `multipart/*` and `message/*` are refused: they may not be encoded (RFC 2045 §6.4), and bodies are 7-bit.
    """
    check_text(attachment.filename, "A filename")
    kind = attachment.content_type
    if len(kind) > MAX_TYPE or not kind.isascii() or not _CONTENT_TYPE.fullmatch(kind):
        raise BadText("bad_value", "A content type has the form type/subtype.")
    if kind.lower().startswith(("multipart/", "message/")):
        raise BadText("bad_value", "An attachment cannot be a multipart or a message.")
    if attachment.content_id is not None and not _CONTENT_ID.fullmatch(_bare(attachment.content_id)):
        raise BadText("bad_value", "A content id is one word in ASCII.")


def _root(content: Content, footer: Footer | None) -> Entity:
    """mixed(alternative(text, related(html, images)), files), each only where there is more than one part."""
    shows = content.html is not None
    inline = [file for file in content.attachments if shows and file.content_id]
    others = [file for file in content.attachments if not (shows and file.content_id)]
    written = content.text or content.html is None
    bodies = [text_entity("plain", below_text(content.text, footer))] if written else []
    if content.html is not None:
        html = text_entity("html", below_html(content.html, footer))
        bodies.append(_wrapped("related", [html, *map(_file, inline)], content.message_id))
    body = _wrapped("alternative", bodies, content.message_id)
    return _wrapped("mixed", [body, *map(_file, others)], content.message_id)


def _wrapped(subtype: str, parts: list[Entity], seed: str) -> Entity:
    return parts[0] if len(parts) == 1 else multipart(subtype, parts, seed)


def _file(attachment: Attachment) -> Entity:
    check_attachment(attachment)
    content_id = _bare(attachment.content_id) if attachment.content_id else None
    return file_entity(attachment.content_type, attachment.filename, attachment.content, content_id)


def _bare(content_id: str) -> str:
    return content_id.removeprefix("<").removesuffix(">")


def _address_fields(content: Content) -> Iterator[tuple[str, tuple[Mailbox, ...]]]:
    """The address fields a message has, in order; an empty one is not written (RFC 5322 §3.6.3)."""
    yield "From", (content.sender,)
    if content.to:
        yield "To", content.to
    if content.cc:
        yield "Cc", content.cc
    if content.reply_to:
        yield "Reply-To", content.reply_to


def _custom(headers: Sequence[tuple[str, str]]) -> Iterator[Header]:
    seen: set[str] = set()
    for name, value in headers:
        check_header(name, value)
        if name.lower() in seen:
            raise BadText("bad_value", f"The header {name} is given twice.")
        seen.add(name.lower())
        yield name.encode("ascii"), text_value(name, value)


def _block(headers: Sequence[Header]) -> bytes:
    return b"".join((*[b"%s: %s\r\n" % field for field in headers], b"\r\n"))


def _is_literal(block: bytes, composed: Composed, content: Content) -> bool:
    """True if the fields that were meant, and no other line, stand there word for word: nothing is left to parse."""
    unfolded = block.replace(b"\r\n ", b" ")
    one_line_each = unfolded.count(b"\r") == unfolded.count(b"\n") == len(composed.headers) + 1
    if not one_line_each or not _needs_no_reading(content):
        return False
    names = [name.decode("latin-1") for name, _ in composed.headers]
    said = [(name, value.replace(b"\r\n", b"")) for name, value in composed.headers]
    meant = list(_literally(content))
    return said[: len(meant)] == meant and _names_match(names, content)


def _needs_no_reading(content: Content) -> bool:
    """True if all that is compared is written as it reads: no quotes, comments or encoded words."""
    mailboxes = (content.sender, *content.to, *content.cc, *content.reply_to)
    plain = all(_PLAIN_NAME.fullmatch(box.name) and _PLAIN_ADDR.fullmatch(box.addr) for box in mailboxes)
    named = all(_FIELD_NAME.fullmatch(name) for name, _ in content.headers)
    return plain and named and content.subject.isascii() and "=?" not in content.subject


def _literally(content: Content) -> Iterator[Header]:
    """The fields whose values are compared, unfolded; they are a message's first."""
    for name, mailboxes in _address_fields(content):
        written = [f"{box.name} <{box.addr}>" if box.name else box.addr for box in mailboxes]
        yield name.encode("ascii"), ", ".join(written).encode("ascii")
    if not (content.to or content.cc):
        yield b"To", _NO_RECIPIENT
    yield b"Subject", content.subject.strip(" ").encode("ascii")


def _check_parsed(parsed: Message, composed: Composed, content: Content) -> None:
    whole = len(parsed) == len(composed.headers) and not parsed.defects and not parsed.get_payload()
    if not whole or not _names_match(parsed.keys(), content):
        raise ComposeMismatch("the fields are not the ones that were meant")
    if _decoded(_unfolded(parsed, "Subject")) != content.subject.strip(" "):
        raise ComposeMismatch("Subject")
    for name, mailboxes in _address_fields(content):
        if _mailboxes(_unfolded(parsed, name)) != [(mailbox.name, mailbox.addr) for mailbox in mailboxes]:
            raise ComposeMismatch(name)


def _names_match(names: list[str], content: Content) -> bool:
    """True if the fields are the content's, then the body's, then some of DELIVERY_HEADERS, once each."""
    meant = [name for name, _ in _address_fields(content)]
    meant += [*([] if content.to or content.cc else ["To"]), "Subject", "Date", "Message-ID"]
    meant += [*(name for name, _ in content.headers), "Auto-Submitted", "MIME-Version", "Content-Type"]
    rest = names[len(meant) :]
    if rest[:1] == ["Content-Transfer-Encoding"]:
        del rest[0]
    return names[: len(meant)] == meant and rest == [name for name in DELIVERY_HEADERS if name in rest]


def _unfolded(parsed: Message, name: str) -> str:
    """The field's text; octets of a UTF-8 header arrive as surrogates."""
    raw = next(value for found, value in parsed.raw_items() if found == name)
    return str(raw).replace("\r\n", "").encode("ascii", "surrogateescape").decode()


def _decoded(text: str) -> str:
    """RFC 2047 words as text; raises ComposeMismatch if one cannot be decoded."""
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, UnicodeError, LookupError):
        raise ComposeMismatch("an encoded word") from None


def _mailboxes(text: str) -> list[tuple[str, str]]:
    return [(_decoded(name), addr) for name, addr in getaddresses([text])]
