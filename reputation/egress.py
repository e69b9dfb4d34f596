"""The socket of one question: does port 25 get out of here? Many networks close it and say nothing.

Connects to a mail host, reads its greeting, says QUIT. Guarantees an answer within `TIMEOUT` seconds an address, never
an exception; greets nobody by name and hands over nothing. It speaks for the machine it runs on alone.
"""

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TIMEOUT: Final = 10.0
MAX_ADDRESSES: Final = 2
MAX_GREETING: Final = 512  # octets: RFC 5321 §4.5.3.1.5


@dataclass(frozen=True, slots=True)
class Egress:
    """Whether a mail server answered, and its greeting, or what happened to each address instead."""

    open: bool
    words: str


def try_egress(
    addresses: Iterable[str], port: int, *, source: str | None = None, timeout: float = TIMEOUT
) -> Egress:
    """Connect to the first of these addresses that answers; from the address `source`, if one is given."""
    failures = []
    for address in list(addresses)[:MAX_ADDRESSES]:
        try:
            return Egress(True, _greeting(address, port, source, timeout))
        except OSError as error:
            failures.append(f"{address}: {error.strerror or error}")
    return Egress(False, "; ".join(failures) or "there was no address to connect to")


def _greeting(address: str, port: int, source: str | None, timeout: float) -> str:
    """The first line said there; raises OSError, also for one that is no greeting."""
    origin = (source, 0) if source else None
    with socket.create_connection((address, port), timeout, source_address=origin) as peer:
        line = peer.recv(MAX_GREETING).split(b"\r\n")[0].decode("ascii", "backslashreplace")
        with contextlib.suppress(OSError):
            peer.sendall(b"QUIT\r\n")
    # 554 and 421 are greetings of a server that does not want us: the port is open all the same
    if line[:3] not in {"220", "421", "554"}:
        raise OSError(f"no mail server's greeting but {line!r}")
    return line
