"""What goes over the line: envelopes and commands out, replies in (RFC 5321, 1870, 2920, 3461, 6531).

Guarantees: an `Envelope` that exists cannot become another command, another recipient or another message; a
reply is complete or it is not there; an incomplete one never takes more memory than the limits below. Bytes
that are not SMTP are refused and not guessed at. Pure: no sockets, no clock.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from outbox.outcomes import Fault, Phase, Reply

MAX_LINE: Final = 8 * 1024  # RFC 5321 4.5.3.1.5 allows 512; generous, but bounded
MAX_REPLY: Final = 32 * 1024
MAX_TEXT: Final = 1000

Step = tuple[Phase, bytes]
RSET: Final[Step] = (Phase.MAIL, b"RSET\r\n")
DATA: Final[Step] = (Phase.DATA, b"DATA\r\n")

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029]")
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")


@dataclass(frozen=True, slots=True)
class Places:
    """Connections to one site of a provider, and how many of these only urgent deliveries use."""

    connections: int
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to one recipient; `content` is what was signed: headers and body, CRLF, not dot-stuffed.

    `domain` is the recipient's, in A-labels: its mail exchangers are asked for. `envid` comes back in DSNs
    (RFC 3461). `urgent` may use reserved `places`; without any the transport's limits count. Raises ValueError for
    what would be another command or another message on the wire.
    """

    mail_from: str
    rcpt_to: str
    content: bytes
    needs_smtputf8: bool
    domain: str
    envid: str = ""
    urgent: bool = False
    places: Places | None = None

    def __post_init__(self) -> None:
        for address in (self.mail_from, self.rcpt_to):
            if _UNSAFE.search(address) or not (address.isascii() or self.needs_smtputf8):
                raise ValueError(f"not an address for the wire: {address!r}")
        if not self.rcpt_to:
            raise ValueError("no recipient")
        self._check_lines()

    def _check_lines(self) -> None:
        # SMTP smuggling: only CRLF ends a line (RFC 5321 2.3.8), so that nobody can see another end of data
        ends = self.content.count(b"\r\n")
        # one look for all three: faster than to count them one by one
        if len(self.content.translate(None, b"\r\n\0")) != len(self.content) - 2 * ends:
            raise ValueError("content holds a bare CR, a bare LF or NUL")
        if not self.content.endswith(b"\r\n"):
            raise ValueError("content does not end with CRLF")
        if not (self.needs_smtputf8 or self.content.isascii()):
            raise ValueError("content is not 7-bit")


class Ended(Exception):
    """The transaction is over: by a fault, or by a reply that came before its time."""

    def __init__(self, fault: Fault | None, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.fault, self.text, self.code = fault, text, code


class ReplyReader:
    """Bytes in, complete replies out (RFC 5321 4.2). Holds one incomplete reply, within the limits."""

    def __init__(self) -> None:
        self._buffer = b""
        self._code = b""
        self._texts: list[bytes] = []
        self._size = 0

    @property
    def partial(self) -> bool:
        """Whether a reply has begun and not ended."""
        return bool(self._buffer or self._texts)

    def feed(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Code and text of each reply these bytes complete. Raises Ended for what is none, or too long."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if self._take(line):
                text = b" ".join(self._texts).decode("utf-8", "backslashreplace")
                yield int(self._code), text
                self._code, self._texts, self._size = b"", [], 0
        if len(self._buffer) > MAX_LINE:
            raise Ended(Fault.LINE_TOO_LONG, "a reply line without end")

    def _take(self, line: bytes) -> bool:
        """One line; whether it is a reply's last."""
        self._size += len(line) + 1
        if len(line) > MAX_LINE or self._size > MAX_REPLY:
            raise Ended(Fault.LINE_TOO_LONG, "a reply longer than we read")
        found = _LINE.fullmatch(line.rstrip(b"\r"))
        if found is None or self._code not in (b"", found[1]):
            raise Ended(Fault.MALFORMED, f"not an SMTP reply: {line[:200]!r}")
        self._code = found[1]
        self._texts.append(found[3] or b"")
        return found[2] != b"-"


def commands(envelope: Envelope, offered: Mapping[str, str]) -> list[Step]:
    """MAIL, RCPT and DATA with the parameters that these extensions allow."""
    mail, rcpt = "", ""
    if "size" in offered:  # RFC 1870
        mail += f" SIZE={len(envelope.content)}"
    if not envelope.content.isascii() and "8bitmime" in offered:
        mail += " BODY=8BITMIME"
    if envelope.needs_smtputf8:  # RFC 6531 3.4
        mail += " SMTPUTF8"
    if "dsn" in offered:  # RFC 3461 4
        mail += " RET=HDRS" + (f" ENVID={xtext(envelope.envid)}" if envelope.envid else "")
        rcpt += " NOTIFY=FAILURE,DELAY"
        if envelope.rcpt_to.isascii():
            rcpt += f" ORCPT=rfc822;{xtext(envelope.rcpt_to)}"
    recipient = f"RCPT TO:<{envelope.rcpt_to}>{rcpt}\r\n"
    if recipient[len("RCPT TO:<") : recipient.index(">")] != envelope.rcpt_to:
        raise AssertionError("the RCPT argument is not the stored recipient")
    return [
        (Phase.MAIL, f"MAIL FROM:<{envelope.mail_from}>{mail}\r\n".encode()),
        (Phase.RCPT, recipient.encode()),
        DATA,
    ]


def xtext(value: str) -> str:
    """RFC 3461 4: printable ASCII with `+`, `=` and all else as `+XX`."""
    return _NOT_XTEXT.sub(lambda found: "".join(f"+{byte:02X}" for byte in found[0].encode()), value)


def dot_stuffed(content: bytes) -> bytes:
    """RFC 5321 4.5.2: a line that begins with a dot gets a second one."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom we speak to: the host's name, its address, the TLS version or nothing, and whether it proved its name."""

    host: str = ""
    address: str = ""
    tls: str = ""
    verified: bool = False


NOBODY: Final = Peer()


def reply_of(
    phase: Phase, code: int | None, text: str, fault: Fault | None = None, peer: Peer = NOBODY
) -> Reply:
    """A Reply whose text is safe to store and to show, with the enhanced code it began with."""
    enhanced = _ENHANCED.match(text) if code is not None else None
    text = text[:MAX_TEXT]
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)[:MAX_TEXT]
    status = enhanced[0] if enhanced else None
    dotted = phase in (Phase.DOT, Phase.REPLIED)
    tls = f"{peer.tls} verified" if peer.verified else peer.tls
    return Reply(phase, code, text, status, fault, peer.host, peer.address, tls, dotted)
