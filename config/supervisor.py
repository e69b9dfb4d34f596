"""Run the processes of the Procfile together, and end them together.

honcho reads the Procfile and colours the log. Its manager is not used: it signals whole groups, and a Celery
worker whose children are signalled too drops the conversations it should finish.

Guarantees: the end of one is the end of all, in the reverse order of the Procfile; only leaders are asked,
and whoever is left after GRACE seconds is killed with all its group; what a killed supervisor left behind is
ended before anything starts, and a second supervisor of the same folder is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import BinaryIO, TextIO

from honcho.colour import get_colours
from honcho.environ import parse_procfile
from honcho.printer import Message, Printer

from config.wheel import command_line

GRACE = 20.0  # seconds; a worker drains in less
LAST_WORDS = 1.0  # seconds that what a process said at its end may take to be read
INSISTED = 2  # signals
ASIDE = "make"  # the name under which the supervisor itself speaks


class AlreadyRunning(RuntimeError):
    """Another supervisor holds this folder; the text is what it left to say about itself."""


class Log:
    """The one log: to the terminal with colours, and the same lines to a file without."""

    def __init__(self, path: Path, names: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.replace(path.with_suffix(".previous.log"))
        path.touch(mode=0o600)  # it holds what the first message prints: keys and logins
        self._file: TextIO = path.open("w")
        width = max(map(len, [*names, ASIDE]))
        self._printers = [Printer(sys.stdout, width=width), Printer(self._file, width=width)]

    def write(self, message: Message) -> None:
        for printer in list(self._printers):
            try:
                printer.write(message)
            except OSError:  # a closed terminal or a full disk is no reason to stop the product
                self._printers.remove(printer)


class Supervisor:
    """One run of a Procfile. `folder` keeps a lock and the processes' ids, for the run after a crash."""

    def __init__(self, procfile: Path, environment: Mapping[str, str], folder: Path, log: Path) -> None:
        self._commands: dict[str, str] = dict(parse_procfile(procfile.read_text()).processes)
        self._environment = dict(environment)
        self._folder = folder
        self._log = Log(log, list(self._commands))
        self._lines: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._colours = dict(zip([ASIDE, *self._commands], get_colours(), strict=False))
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []
        self._asked = 0

    def say(self, text: str, name: str = ASIDE) -> None:
        """Put lines into the log; from any thread."""
        self._lines.put(Message("line", text, datetime.now(), name, self._colours[name]))  # noqa: DTZ005

    def run(self, meanwhile: Callable[[], None]) -> int:
        """Start all, call `meanwhile` in a thread. Returns 0 if a signal asked it to end, else 1."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)
        for name, command in self._commands.items():
            self._start(name, command)
        threading.Thread(target=meanwhile, daemon=True).start()
        while not self._asked and not self._ended():
            self._pump()
        ended = self._ended()
        for name in ended:
            self.say(f"{name} ended ({self._children[name].returncode}), so everything ends")
        self._end_all()
        return 1 if ended else 0

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        """A signal: the first asks for the end, the second insists."""
        self._asked += 1

    def _start(self, name: str, command: str) -> None:
        """Start one, in a session of its own: the terminal's Ctrl-C is for the supervisor alone."""
        if command.startswith("python "):  # named in full, so that it can be recognised as this checkout's
            command = shlex.quote(sys.executable) + command.removeprefix("python")
        child = subprocess.Popen(  # noqa: S602 a Procfile holds simple shell commands
            f"exec {command}", shell=True, env=self._environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._record(name).write_text(str(child.pid))
        self._children[name] = child
        reader = threading.Thread(target=self._read, args=(name, child.stdout), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _record(self, name: str) -> Path:
        return self._folder / f"{name}.pid"

    def _read(self, name: str, output: BinaryIO) -> None:
        for line in output:
            self.say(line.decode(errors="replace"), name)

    def _ended(self) -> list[str]:
        return [name for name, child in self._children.items() if child.poll() is not None]

    def _pump(self) -> None:
        """Write one line, or wait a tenth of a second for it."""
        with contextlib.suppress(queue.Empty):
            self._log.write(self._lines.get(timeout=0.1))

    def _end_all(self) -> None:
        self.say("stopping, once open conversations have ended; a second Ctrl-C insists")
        for name, child in reversed(self._children.items()):
            _send(os.kill, child.pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE
            while child.poll() is None and time.monotonic() < deadline and self._asked < INSISTED:
                self._pump()
            if child.poll() is None:
                self.say(f"{name} does not end: killed")
            _send(os.killpg, child.pid, signal.SIGKILL)  # those of its group who are left
            child.wait()
            self._record(name).unlink()
        for reader in self._readers:
            reader.join(LAST_WORDS)
        while not self._lines.empty():
            self._pump()


@contextlib.contextmanager
def alone(folder: Path, about: str) -> Iterator[None]:
    """Be the only supervisor of this folder; what a killed one left running is ended first.

    A POSIX lock, not flock: it dies with this process and is not inherited. Raises AlreadyRunning with what
    the other one said `about` itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise AlreadyRunning(file.read()) from None
        file.truncate(0)
        file.write(about)
        file.flush()
        for record in folder.glob("*.pid"):
            _end_leftover(record)
        yield


def _end_leftover(record: Path) -> None:
    """End the process in the record if it is still one of this checkout; its pid may be anybody's by now."""
    pid = int(record.read_text() or 0)
    deadline = time.monotonic() + GRACE
    if pid and sys.executable in command_line(pid):
        _send(os.kill, pid, signal.SIGTERM)
        while sys.executable in command_line(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        _send(os.killpg, pid, signal.SIGKILL)
    record.unlink()


def _send(how: Callable[[int, int], None], pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says so of zombies
        how(pid, number)
