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


def until(
    condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.02, of: Process | None = None
) -> float:
    """Wait until it is so; the moment (monotonic) it was seen.

    Raises BenchError after `seconds`, with the end of the log of the process it waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {seconds:g} s: {what}; {of.tail() if of else ''}")
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


class CpuMeter:
    """CPU time, user and system, that these processes and all below them spend from now on.

    Children that ended are counted once they were waited for, as long as their parent lives.
    """

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = roots
        self._before = self._spent()

    def milliseconds(self) -> float:
        """Since the meter was made."""
        now = self._spent()
        born = sum(ticks for pid, ticks in now.items() if pid not in self._before)
        grown = sum(now[pid] - ticks for pid, ticks in self._before.items() if pid in now)
        return 1000 * (born + grown) / os.sysconf("SC_CLK_TCK")

    def _spent(self) -> dict[int, int]:
        found = {}
        for pid in (each for root in self._roots for each in children(root)):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found[pid] = sum(int(field) for field in fields[11:15])
        return found
