"""A message as a server received it, and its lines in the oracle's log. Pure."""

from dataclasses import dataclass

import orjson

from simulator.behaviours import Recipient
from simulator.hosts import Host


@dataclass(frozen=True, slots=True)
class Message:
    """What came over the wire. `body` is dot-unstuffed and ends in CRLF unless empty."""

    mail_from: str
    recipients: tuple[Recipient, ...]
    body: bytes
    t_dot: float


@dataclass(frozen=True, slots=True)
class Session:
    """Who brought it, and over what."""

    host: Host
    helo: str
    peer: str
    tls: str


def headers(body: bytes, *names: bytes) -> list[str | None]:
    """First value of each header field, unfolded, None where there is none; `names` in lower case."""
    end = body.find(b"\r\n\r\n")
    head = b"\r\n" + (body if end < 0 else body[: end + 2])
    lowered = head.lower()
    return [_value(head, lowered.find(b"\r\n" + name + b":"), len(name) + 3) for name in names]


def _value(head: bytes, start: int, skip: int) -> str | None:
    if start < 0:
        return None
    stop = head.find(b"\r\n", start + skip)
    while head[stop + 2 : stop + 3] in (b" ", b"\t"):
        stop = head.find(b"\r\n", stop + 2)
    return head[start + skip : stop].replace(b"\r\n", b"").strip().decode("utf-8", "replace")


def unstuffed(raw: bytes) -> bytes:
    """What follows 354 up to the dot, behind a CRLF put in front, without dot-stuffing (RFC 5321 §4.5.2)."""
    return raw.replace(b"\r\n.", b"\r\n")[2:]


def entries(message: Message, digest: str, session: Session, answer: tuple[int, float] | None) -> bytes:
    """The log lines of a message, one per recipient; `answer` is code and time of the reply, if there is to
    be one.

    The fields are those of `oracle.Entry`.
    """
    reply, t_reply = answer or (None, None)
    message_id, delivery_ref = headers(message.body, b"message-id", b"x-ao-ref")
    shared: dict[str, object] = {
        "message_id": message_id,
        "mail_from": message.mail_from,
        "sha256": digest,
        "size": len(message.body),
        "helo": session.helo,
        "peer": session.peer,
        "t_dot": message.t_dot,
        "t_reply": t_reply,
        "reply": reply,
        "tls": session.tls,
        "provider": session.host.family.value,
        "mx": session.host.name,
        "delivery_ref": delivery_ref,
    }
    return b"".join(_line(shared, to) for to in message.recipients)


def _line(shared: dict[str, object], to: Recipient) -> bytes:
    own = {"rcpt": to.address, "behaviour": to.behaviour.name}
    return orjson.dumps(shared | own, option=orjson.OPT_APPEND_NEWLINE)
