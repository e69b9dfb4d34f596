"""AUTH PLAIN and LOGIN for the relay (RFC 4954, RFC 4616), under TLS only."""

from base64 import b64decode
from binascii import Error
from collections.abc import Callable
from functools import partial
from typing import Protocol

from simulator.config import LOGIN


class Door(Protocol):
    """What a conversation shows to a login."""

    tls: str
    authenticated: bool

    def push(self, data: bytes) -> None:
        """Say something."""

    def expect(self, take: Callable[[bytes], None]) -> None:
        """Give the next line to `take` instead of reading it as a command."""


def auth(door: Door, line: bytes) -> None:
    """Begin AUTH; what follows arrives line by line."""
    words = line.split()
    mechanism = words[1].upper() if len(words) > 1 else b""
    if not door.tls:
        door.push(b"538 5.7.11 encryption required\r\n")
    elif mechanism == b"PLAIN" and len(words) == 3:
        _plain(door, words[2])
    elif mechanism == b"PLAIN":
        _ask(door, b"", partial(_plain, door))
    elif mechanism == b"LOGIN" and len(words) == 3:
        _user(door, words[2])
    elif mechanism == b"LOGIN":
        _ask(door, b"VXNlcm5hbWU6", partial(_user, door))
    else:
        door.push(b"504 5.5.4 mechanism not supported\r\n")


def _ask(door: Door, challenge: bytes, take: Callable[[bytes], None]) -> None:
    door.push(b"334 " + challenge + b"\r\n")
    door.expect(take)


def _plain(door: Door, line: bytes) -> None:
    _judge(door, decoded(line).split(b"\0")[1:])


def _user(door: Door, line: bytes) -> None:
    _ask(door, b"UGFzc3dvcmQ6", partial(_password, door, decoded(line)))


def _password(door: Door, user: bytes, line: bytes) -> None:
    _judge(door, [user, decoded(line)])


def _judge(door: Door, given: list[bytes]) -> None:
    door.authenticated = given == [word.encode() for word in LOGIN]
    door.push(b"235 2.7.0 welcome\r\n" if door.authenticated else b"535 5.7.8 credentials invalid\r\n")


def decoded(line: bytes) -> bytes:
    """Base64 as sent by a client; nothing if it is none, so that the login fails."""
    try:
        return b64decode(line, validate=True)
    except Error:
        return b""
