"""Processes a benchmark starts, each in a group of its own, and surely ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

GRACE_SECONDS = 15.0


class BenchError(RuntimeError):
    """A benchmark cannot be run as it should; the text says what was seen."""


class Process:
    """One running command. Its output goes to a file, or is read line by line when `listen` is set."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, *, listen: bool = False
    ) -> None:
        self.log = log
        self._file: IO[bytes] = log.open("ab")
        self._popen = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else self._file,
            stderr=self._file,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def line(self) -> str:
        """The next line of its output. Raises BenchError if it ended instead."""
        assert self._popen.stdout is not None
        text = self._popen.stdout.readline().decode()
        if not text:
            raise BenchError(f"{self._popen.args!r} ended: {self.tail()}")
        return text.strip()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-1500:]

    def check(self) -> None:
        """Raises BenchError if it has ended."""
        if self._popen.poll() is not None:
            raise BenchError(f"{self._popen.args!r} ended with {self._popen.returncode}: {self.tail()}")

    def stop(self) -> None:
        """Ask the leader, then kill whoever of the group is left."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._file.close()


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    """The process while the block runs, ended after it."""
    try:
        yield process
    finally:
        process.stop()


def until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.02) -> float:
    """Wait until it is so; the moment (monotonic) it was seen. Raises BenchError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
    return time.monotonic()


def children(pid: int) -> list[int]:
    """Process ids below this one, all generations, itself first."""
    found = [pid]
    for each in found:
        for tasks in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in tasks.read_text().split()]
    return found
