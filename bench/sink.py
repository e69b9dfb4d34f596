"""The sink of all peers: the simulator as a process, and what it has accepted, read from its log."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Process, running


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the simulator listens, on 127.0.0.1."""

    dns: int = 0
    smtp: int = 0


@dataclass(slots=True)
class Sink:
    """One running simulator. `accepted` counts since the last `mark`."""

    process: Process
    ports: Ports
    log: Path
    _offset: int = 0
    _seen: int = 0

    def mark(self) -> None:
        """Begin to count anew."""
        self._offset, self._seen = self.log.stat().st_size, 0

    def accepted(self) -> int:
        """Messages accepted since the mark."""
        with self.log.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        self._offset += len(new)
        self._seen += new.count(b"\n")
        return self._seen


@contextlib.contextmanager
def sink(folder: Path, ports: Ports, latency_ms: float = 0.0) -> Iterator[Sink]:
    """A simulator on these ports (0: any), without fsync, `latency_ms` away by round trip."""
    log = folder / "oracle.jsonl"
    command = [sys.executable, "-m", "simulator", "--log", str(log), "--no-fsync"]
    command += ["--dns-port", str(ports.dns), "--smtp-port", str(ports.smtp)]
    command += ["--cert-dir", str(folder / "certificates"), "--latency-ms", str(latency_ms)]
    with running(Process(command, os.environ, folder / "simulator.log", listen=True)) as process:
        words = dict(word.split("=") for word in process.line().split()[2:])
        bound = Ports(*(int(words[name].rpartition(":")[2]) for name in ("dns", "smtp")))
        yield Sink(process, bound, log)
