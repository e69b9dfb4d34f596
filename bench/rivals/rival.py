"""What a rival is, and the tool that hands it its messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.processes import BenchError, CpuMeter, Process, running, until
from bench.sink import Sink
from bench.stand import Stand


class NotAvailable(RuntimeError):
    """This rival cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages per second, the CPU each one took (0: not known; the sink's not counted), and what else was seen.

    On a machine that others use too the CPU is the steadier figure.
    """

    per_second: float
    cpu_ms: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)


class Rival(Protocol):
    """Delivers `n` messages to the sink and tells how fast. Raises NotAvailable."""

    @property
    def name(self) -> str: ...

    def run(self, stand: Stand, n: int) -> Rate: ...


def needs(*programs: str) -> None:
    """Raises NotAvailable if one of these programs is not installed."""
    path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        raise NotAvailable(f"{', '.join(missing)}: not installed")


def output_of(command: Sequence[str], more: Mapping[str, str] | None = None, seconds: float = 300) -> str:
    """What a command printed. Raises NotAvailable with the end of what it said if it failed."""
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, **(more or {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailable(f"{command[0]}: {error}") from None
    if done.returncode:
        raise NotAvailable(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def cache(name: str) -> Path:
    """A folder in which what a rival needs is kept from run to run: `var/bench/`, ignored by git."""
    folder = Path(__file__).resolve().parents[2] / "var" / "bench" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def inject(port: int, n: int, connections: int, folder: Path) -> tuple[float, float]:
    """Hand `n` messages to the SMTP server on this port; when the first began and the last was taken."""
    command = [sys.executable, "-m", "bench.rivals.inject", str(port), str(n), str(connections)]
    process = Process(command, os.environ, folder / "inject.log", listen=True)
    with running(process):
        began, ended = (float(word) for word in process.line().split())
    return began, ended


def through(port: int, sink: Sink, n: int, connections: int, folder: Path, servers: Sequence[int]) -> Rate:
    """From the first handed over to the last at the sink; the CPU is that of the servers and their children."""
    sink.mark()
    spent = CpuMeter(servers)
    began, _ = inject(port, n, connections, folder)
    per_second = n / (all_arrived(sink, n) - began)
    return Rate(per_second, spent.milliseconds() / n)


def all_arrived(sink: Sink, n: int, seconds: float = 180) -> float:
    """The moment the sink had `n`. Raises BenchError if they do not come."""
    try:
        return until(lambda: sink.accepted() >= n, seconds, f"{n} messages at the sink")
    except BenchError as error:
        raise BenchError(f"{error}; {sink.accepted()} came") from None
