"""What all connections of one simulator share."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulator import behaviours, hosts
from simulator.behaviours import Recipient
from simulator.certificates import Contexts
from simulator.hosts import Host
from simulator.journal import Journal
from simulator.returns import Returns

if TYPE_CHECKING:
    from simulator.conversation import Conversation

MAX_GREYLIST: Final = 100_000


@dataclass(slots=True)
class Stats:
    """Counts since the start. `lone_dots`: dots that ended a body without a recipient."""

    connections: int = 0
    messages: int = 0
    lone_dots: int = 0


@dataclass(slots=True)
class World:
    """Shared state; belongs to the event loop's thread. `latency` is a round trip in seconds."""

    loop: asyncio.AbstractEventLoop
    journal: Journal
    tls: Contexts
    returns: Returns
    latency: float = 0.0
    folder: Path | None = None
    stats: Stats = field(default_factory=Stats)
    talking: set["Conversation"] = field(default_factory=set)
    _moods: dict[str, Recipient] = field(default_factory=dict)
    _greylist: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    def recipient(self, address: str) -> Recipient:
        """What `address` asks for, or what its whole domain has been set to."""
        if self._moods:
            mood = self._moods.get(address.rpartition("@")[2].lower())
            if mood is not None:
                return replace(mood, address=address)
        return behaviours.read(address)

    def set_mood(self, domain: str, local_part: str | None) -> None:
        """Let every recipient at `domain` behave like `local_part`; None ends that."""
        if local_part is None:
            self._moods.pop(domain.lower(), None)
        else:
            self._moods[domain.lower()] = behaviours.read(local_part)

    def seen_before(self, mail_from: str, rcpt: str) -> bool:
        """Whether this pair was tried before; remembers it. The oldest of 100,000 are forgotten."""
        pair = (mail_from, rcpt)
        if pair in self._greylist:
            return True
        self._greylist[pair] = None
        if len(self._greylist) > MAX_GREYLIST:
            self._greylist.popitem(last=False)
        return False

    def host_at(self, address: str) -> Host:
        """The host a connection to `address` has reached."""
        return hosts.BY_ADDRESS.get(address, hosts.BY_ADDRESS[hosts.NAMELESS])

    def store(self, digest: str, body: bytes) -> None:
        """Leave the bytes in the folder for kept messages, if there is one."""
        if self.folder is not None:
            (self.folder / digest).write_bytes(body)
