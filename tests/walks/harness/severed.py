"""A line between a worker and PostgreSQL that can be severed: bytes stop in both directions, and nobody is told.

`Line.to(urls.app)` listens on loopback and hands every connection on to the cluster's socket. `sever()` silences all of
them, or only those a predicate picks by what was said on them; `mend()` lets what is waiting through again.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

PIECE = 64 * 1024
KEPT = 4096  # octets of what a client said first, to know a connection by
LOOK_SECONDS = 0.05


@dataclass(eq=False)
class Pair:
    """One connection of a client, and its other half to the server."""

    client: socket.socket
    server: socket.socket
    said: bytes = b""
    silent: bool = False

    def pass_on(self, source: socket.socket) -> bool:
        """Move what has come; False if that side has ended."""
        data = source.recv(PIECE)
        if source is self.client and len(self.said) < KEPT:
            self.said += data
        (self.server if source is self.client else self.client).sendall(data)
        return bool(data)

    def close(self) -> None:
        self.client.close()
        self.server.close()


@dataclass
class Line:
    """See the module. One thread moves all bytes."""

    url: str
    _socket: str
    _listener: socket.socket
    _pairs: list[Pair] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _cut: Callable[[Pair], bool] | None = None

    @classmethod
    @contextlib.contextmanager
    def to(cls, url: str) -> Iterator[Self]:
        """A line to the database of this URL, which names a socket folder; `url` of what is yielded leads over it."""
        parts = urlsplit(url)
        where = parse_qs(parts.query)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        path = str(Path(where["host"][0]) / f".s.PGSQL.{where['port'][0]}")
        login = f"{parts.username}:{parts.password}"
        line = cls(f"postgresql://{login}@127.0.0.1:{port}{parts.path}", path, listener)
        thread = threading.Thread(target=line._move, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            line._over.set()
            thread.join()

    def sever(self, which: Callable[[bytes], bool] = lambda said: True) -> int:
        """Silence the connections on which such things were said, and new ones if that is all; how many there were."""
        with self._lock:
            for pair in self._pairs:
                pair.silent = which(pair.said)
            self._cut = (lambda pair: True) if which(b"") else None
            return sum(pair.silent for pair in self._pairs)

    def mend(self) -> None:
        """Let everything through again."""
        with self._lock:
            self._cut = None
            for pair in self._pairs:
                pair.silent = False

    def _move(self) -> None:
        with selectors.DefaultSelector() as watched:
            watched.register(self._listener, selectors.EVENT_READ)
            while not self._over.is_set():
                for key, _ in watched.select(LOOK_SECONDS):
                    if key.fileobj is self._listener:
                        self._take(watched)
                    else:
                        self._pass(watched, key.data, key.fileobj)  # type: ignore[arg-type]
                self._listen_again(watched)
        for pair in self._pairs:
            pair.close()
        self._listener.close()

    def _take(self, watched: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._socket)
        pair = Pair(client, server)
        with self._lock:
            pair.silent = self._cut is not None and self._cut(pair)
            self._pairs.append(pair)
        for end in (client, server):
            watched.register(end, selectors.EVENT_READ, pair)

    def _pass(self, watched: selectors.BaseSelector, pair: Pair, source: socket.socket) -> None:
        with self._lock:
            if pair not in self._pairs:  # its other end has just closed it
                return
            if pair.silent:
                watched.unregister(source)  # looked at again when the line is mended
                return
        with contextlib.suppress(OSError):
            if pair.pass_on(source):
                return
        for end in (pair.client, pair.server):
            with contextlib.suppress(KeyError, ValueError):
                watched.unregister(end)
        with self._lock:
            self._pairs.remove(pair)
        pair.close()

    def _listen_again(self, watched: selectors.BaseSelector) -> None:
        with self._lock:
            waiting = [pair for pair in self._pairs if not pair.silent]
        for pair in waiting:
            for end in (pair.client, pair.server):
                with contextlib.suppress(KeyError):
                    watched.register(end, selectors.EVENT_READ, pair)
