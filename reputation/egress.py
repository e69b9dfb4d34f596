"""The sockets of a check: does port 25 get out of here, and does a name show a certificate that is valid for it?

Connects, reads what the other side shows, and leaves: greets nobody, hands over nothing. Guarantees an answer within
`TIMEOUT` seconds an address, never an exception. It speaks for the machine it runs on alone.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TIMEOUT: Final = 10.0
MAX_ADDRESSES: Final = 2
MAX_GREETING: Final = 512  # octets: RFC 5321 §4.5.3.1.5
# 421 and 554 are said by a server that does not want us: the port is open all the same
GREETINGS: Final = frozenset({"220", "421", "554"})


@dataclass(frozen=True, slots=True)
class Tried:
    """Whether it could be done, and what the other side showed, or what happened instead."""

    done: bool
    words: str


def try_port(
    addresses: Iterable[str], port: int, *, source: str | None = None, timeout: float = TIMEOUT
) -> Tried:
    """Connect to a mail server: the first of two addresses that greets. From the address `source`, if one is given."""
    failures = []
    for address in list(addresses)[:MAX_ADDRESSES]:
        try:
            return Tried(True, _greeting(address, port, source, timeout))
        except OSError as error:
            failures.append(f"{address}: {error.strerror or error}")
    return Tried(False, "; ".join(failures) or "there was no address to connect to")


def try_certificate(name: str, port: int = 443, *, timeout: float = TIMEOUT) -> Tried:
    """Complete a TLS handshake with `name`, its certificate checked against the system's authorities."""
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((name, port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=name) as peer,
        ):
            until = (peer.getpeercert() or {}).get("notAfter", "")
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors; ValueError: no host name at all
        return Tried(False, str(error))
    return Tried(True, f"valid until {until}")


def _greeting(address: str, port: int, source: str | None, timeout: float) -> str:
    """The first line said there; raises OSError, also for one that is no greeting."""
    origin = (source, 0) if source else None
    with socket.create_connection((address, port), timeout, source_address=origin) as peer:
        line = peer.recv(MAX_GREETING).split(b"\r\n")[0].decode("ascii", "backslashreplace")
        with contextlib.suppress(OSError):
            peer.sendall(b"QUIT\r\n")
    if line[:3] not in GREETINGS:
        raise OSError(f"no mail server's greeting but {line!r}")
    return line
