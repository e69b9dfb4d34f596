"""What every measure is given: the installation, its waiting mail, and the sink."""

from __future__ import annotations

from dataclasses import dataclass

from bench.backlog import Backlog
from bench.installation import Installation
from bench.sink import Sink


@dataclass(frozen=True, slots=True)
class Stand:
    """A test stand. The sink is the same for all peers."""

    installation: Installation
    backlog: Backlog
    sink: Sink
