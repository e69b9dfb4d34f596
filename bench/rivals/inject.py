"""`python -m bench.rivals.inject PORT N CONNECTIONS`: hand messages to an SMTP server, pipelined.

Prints the moments (monotonic clock) the first began and the last was taken.
"""

from __future__ import annotations

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from bench.backlog import recipient_of, text_of
from bench.installation import SENDER


def message(n: int) -> bytes:
    """The n-th message as a mail program would write it."""
    lines = [
        f"From: Ada <{SENDER}>",
        f"To: Reader {n} <{recipient_of(n)}>",
        f"Subject: Your night shift, reader {n}",
        "Date: Sun, 22 Nov 2026 22:00:00 +0000",
        f"Message-ID: <bench-{n}-{time.monotonic_ns()}@agents.acme.test>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        text_of(n),
    ]
    return "\r\n".join(lines).replace("\r\n", "\n").replace("\n", "\r\n").encode()


class Connection:
    """One SMTP session, a message at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._reply("220")
        self._socket.sendall(b"EHLO bench.acme.test\r\n")
        self._reply("250")

    def send(self, n: int) -> None:
        """MAIL, RCPT and DATA in one go, the message in another."""
        start = f"MAIL FROM:<bounce@rp.agents.acme.test>\r\nRCPT TO:<{recipient_of(n)}>\r\nDATA\r\n"
        self._socket.sendall(start.encode())
        for code in ("250", "250", "354"):
            self._reply(code)
        self._socket.sendall(message(n) + b"\r\n.\r\n")
        self._reply("250")

    def close(self) -> None:
        self._socket.sendall(b"QUIT\r\n")
        self._socket.close()

    def _reply(self, code: str) -> None:
        while (line := self._file.readline().decode())[3:4] == "-":
            pass
        if not line.startswith(code):
            raise RuntimeError(f"wanted {code}, got {line!r}")


def _work(port: int, numbers: range) -> None:
    connection = Connection(port)
    for n in numbers:
        connection.send(n)
    connection.close()


def main(port: int, n: int, connections: int) -> None:
    """Inject over that many connections at once."""
    began = time.monotonic()
    with ThreadPoolExecutor(connections) as threads:
        list(
            threads.map(
                _work, [port] * connections, (range(first, n, connections) for first in range(connections))
            )
        )
    print(began, time.monotonic(), flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
