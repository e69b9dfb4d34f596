"""Processes of an installation: each leads a group of its own, writes one log, and dies with all its children.

A process whose test run was killed gets SIGTERM from the kernel where it can (Linux).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.walks.harness.waiting import until

CHECKOUT = Path(__file__).resolve().parents[3]
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 40.0
_LIBC = ctypes.CDLL(None)


class Process:
    """One started process. `words` is its command line."""

    def __init__(self, name: str, words: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                words,
                cwd=CHECKOUT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  (one system call, no lock)
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def said(self) -> str:
        """Everything it has written so far."""
        return self.log.read_text(errors="replace")

    def until_said(self, text: str, seconds: float = 30.0) -> str:
        """The first line with this text, once it is written."""

        def line() -> str:
            assert self.alive, f"{self.name} ended:\n{self.tail()}"
            return next((line for line in self.said().splitlines() if text in line), "")

        return until(line, seconds, f"{self.name} says {text!r}", self.tail)

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.said().splitlines()[-lines:])

    def send(self, number: int) -> None:
        """A signal to the process itself, not to its children."""
        self._popen.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        return self._popen.wait(seconds)

    def kill(self) -> None:
        """SIGKILL to it and to everything it started; also works on what is frozen."""
        children = self._children()
        if self._popen.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


class Worker(Process):
    """A Celery worker with a prefork child or more: the dispatcher lives in the child, which is what crashes."""

    def children(self) -> list[int]:
        """The pids of the children that live now; Celery replaces those that died."""
        return [one.pid for one in self._children() if one.ppid() == self.pid and not died(one.pid)]

    def child(self) -> int | None:
        """The first of them, if any lives."""
        return next(iter(self.children()), None)

    def freeze(self) -> int:
        """SIGSTOP to the child; its pid, once it stands still."""
        child = self.child()
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        until(lambda: frozen(child), 10, "frozen")
        return child

    def conversations(self) -> int:
        """How many TCP connections its child has open: its brokers and databases here speak over sockets of files."""
        child = self.child()
        assert child is not None
        return sum(
            one.status == psutil.CONN_ESTABLISHED for one in psutil.Process(child).net_connections("tcp")
        )


def frozen(pid: int) -> bool:
    """Whether a signal has stopped it."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def thaw(pid: int) -> None:
    """SIGCONT."""
    os.kill(pid, signal.SIGCONT)


def died(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
