"""A load of posts over kept connections, from a process of its own.

`python -m bench.http PORT PATH KEY THREADS SECONDS PAUSE BATCH` posts as long as it should, each thread on its own
connection with `PAUSE` seconds between its posts, `BATCH` messages in each (0: a single post). Prints JSON: the
seconds it took and the latency of each post in milliseconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.backlog import draft, recipient_of, text_of
from bench.processes import BenchError, Process, running


@dataclass(frozen=True, slots=True)
class Load:
    """What is posted where. A post of a batch holds `batch` messages; a single one is `batch` 0."""

    port: int
    path: str
    key: str
    threads: int = 8
    seconds: float = 5.0
    pause: float = 0.0
    batch: int = 0
    wrapped: bool = True

    def words(self) -> list[str]:
        """As arguments of a command line."""
        return [str(getattr(self, name)) for name in self.__slots__]


@dataclass(frozen=True, slots=True)
class Posted:
    """What a load saw: seconds in all, milliseconds of each post."""

    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        """Posts per second."""
        return len(self.latencies) / self.seconds


class Connection:
    """One kept HTTP connection; speaks just enough HTTP for two servers we know."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises BenchError if the server hangs up."""
        self._socket.sendall(request)
        data = self._socket.recv(65_536)
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        # without a length the servers send chunks; the last one is empty
        while (len(body) < int(length)) if length else not body.endswith(b"0\r\n\r\n"):
            body += self._more()
        return int(head[9:12]), body

    def _more(self) -> bytes:
        more = self._socket.recv(65_536)
        if not more:
            raise BenchError("the server hung up")
        return more


def request_of(load: Load, first: int) -> bytes:
    """The bytes of one post; its messages are numbered from `first`."""
    drafts = [draft(recipient_of(n), text=text_of(n)) for n in range(first, first + max(load.batch, 1))]
    many = {"messages": drafts} if load.wrapped else drafts
    body = json.dumps(many if load.batch else drafts[0]).encode()
    head = f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {load.key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def posted(load: Load, folder: Path) -> Posted:
    """Run a load in a process of its own."""
    command = [sys.executable, "-m", "bench.http", *load.words()]
    with running(Process(command, os.environ, folder / "http.log", listen=True)) as process:
        told = json.loads(process.line())
    return Posted(told["seconds"], told["latencies"])


def _work(load: Load, numbers: Iterator[int], until: float) -> list[float]:
    connection, latencies = Connection(load.port), []
    while time.monotonic() < until:
        request = request_of(load, next(numbers) * max(load.batch, 1))
        began = time.monotonic()
        status, body = connection.post(request)
        latencies.append(1000 * (time.monotonic() - began))
        if status not in (200, 202):
            raise BenchError(f"{status} {body[:300]!r}")
        if load.pause:
            time.sleep(load.pause)
    return latencies


def main(words: list[str]) -> None:
    """Post, then tell."""
    port, path, key, threads, seconds, pause, batch, wrapped = words
    load = Load(
        int(port), path, key, int(threads), float(seconds), float(pause), int(batch), wrapped == "True"
    )
    numbers, began = count(), time.monotonic()
    with ThreadPoolExecutor(load.threads) as pool:
        works = [pool.submit(_work, load, numbers, began + load.seconds) for _ in range(load.threads)]
        latencies = [each for work in works for each in work.result()]
    print(json.dumps({"seconds": time.monotonic() - began, "latencies": latencies}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
