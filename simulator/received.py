"""A message as a server received it, and its lines in the oracle's log. Pure."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import orjson

from simulator.behaviours import Recipient
from simulator.hosts import Host


@dataclass(frozen=True)
class Message:
    """What came over the wire. `body` is dot-unstuffed and ends in CRLF unless empty."""

    mail_from: str
    recipients: tuple[Recipient, ...]
    body: bytes
    t_dot: float

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the body, in hex."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Session:
    """Who brought it."""

    host: Host
    helo: str
    peer: str
    tls: str


def header(body: bytes, name: bytes) -> str | None:
    """First value of a header field, unfolded; `name` in lower case. None if it is not there."""
    end = body.find(b"\r\n\r\n")
    head = b"\r\n" + (body if end < 0 else body[: end + 2])
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    stop = head.find(b"\r\n", start)
    while head[stop + 2 : stop + 3] in (b" ", b"\t"):
        stop = head.find(b"\r\n", stop + 2)
    return head[start:stop].replace(b"\r\n", b"").strip().decode("utf-8", "replace")


def unstuffed(raw: bytes) -> bytes:
    """What follows 354 up to the dot, behind a CRLF put in front, without dot-stuffing (RFC 5321 §4.5.2)."""
    return raw.replace(b"\r\n.", b"\r\n")[2:]


def entries(message: Message, session: Session, reply: int | None, t_reply: float | None) -> bytes:
    """The log lines of a message, one per recipient; the fields are those of `oracle.Entry`."""
    shared: dict[str, object] = {
        "message_id": header(message.body, b"message-id"),
        "mail_from": message.mail_from,
        "sha256": message.digest,
        "size": len(message.body),
        "helo": session.helo,
        "peer": session.peer,
        "t_dot": message.t_dot,
        "t_reply": t_reply,
        "reply": reply,
        "tls": session.tls,
        "provider": session.host.family.value,
        "mx": session.host.name,
        "delivery_ref": header(message.body, b"x-ao-ref"),
    }
    return b"".join(_line(shared, to) for to in message.recipients)


def _line(shared: dict[str, object], to: Recipient) -> bytes:
    own = {"rcpt": to.address, "behaviour": to.behaviour.name}
    return orjson.dumps(shared | own, option=orjson.OPT_APPEND_NEWLINE)
