"""The oracle's log, writing end: JSON lines, on disk before anybody is told.

Guarantees: `then` is called only after the line is written and, unless switched off, fsynced; one fsync
serves all that wait for it. Lines are only ever appended, so a killed simulator leaves at most one torn last
line. Refuses to answer for a line that could not be written: `then(False)`, and the server says 452.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Then = Callable[[bool], None]


class Journal:
    """Append-only file; all methods but `commit` belong to the event loop's thread."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, *, fsync: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._loop = loop
        self._fsync = fsync
        self._thread = ThreadPoolExecutor(1, "journal") if fsync else None
        self._waiting: list[tuple[bytes, Then]] = []
        self._flushing = False

    def keep(self, lines: bytes, then: Then) -> None:
        """Make `lines` durable, then call `then(True)`; `then(False)` if the disk refused."""
        self._waiting.append((lines, then))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def commit(self, lines: bytes) -> None:
        """Write and fsync. Raises OSError."""
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        if self._fsync:
            os.fsync(self._fd)

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        lines = b"".join(line for line, _ in batch)
        if self._thread is None:
            self._settle(batch, self._tried(lines))
            return
        future = self._loop.run_in_executor(self._thread, self._tried, lines)
        future.add_done_callback(lambda done: self._settle(batch, done.result()))

    def _tried(self, lines: bytes) -> bool:
        try:
            self.commit(lines)
        except OSError as error:
            print(f"simulator: journal: {error}", file=sys.stderr)
            return False
        return True

    def _settle(self, batch: list[tuple[bytes, Then]], durable: bool) -> None:
        for _, then in batch:
            then(durable)
        self._flushing = bool(self._waiting)
        if self._flushing:
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Write what still waits, answer nobody, and close the file."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        if self._waiting:
            self._tried(b"".join(line for line, _ in self._waiting))
        os.close(self._fd)
