"""What the desk shows of requests: the list by urgency, and one of them. Reads only; counts are bounded.

Nothing here costs more for a flood: what is many is said to be many, and a page of members is a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

MANY: Final = 10_000  # counted no further: 10,001 says "more"
STALE: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which requests are listed; nothing set: all that wait for people."""

    stream: str = ""
    agent: str = ""
    reason: str = ""
    closed: bool = False  # those that are over instead, the newest first


@dataclass(frozen=True, slots=True)
class Listed:
    """One request in the list. ``messages`` and ``people`` (recipients) still wait; ``MANY + 1`` says more."""

    id: UUID
    state: str
    agent: str
    stream: str
    run: str  # the root of the tree
    cluster: int | None
    purpose: str
    reasons: tuple[str, ...]
    opened_at: datetime
    expires_at: datetime
    stale: bool
    messages: int
    people: int
    urgency: float  # the greater the more urgent
    second_person: bool  # whether a release of all of it would need two people
    proposed_by: str
    subject: str  # of its oldest message that waits

    @property
    def printed(self) -> str:
        """``apr_...``"""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Member:
    """One message of a request that still waits."""

    message_id: UUID
    created_at: datetime
    subject: str
    sender: str
    recipients: tuple[str, ...]
    text: str
    html: str | None
    attachments: int
    purpose: str
    run: str
    reasons: tuple[tuple[str, str], ...]  # code, detail


@dataclass(frozen=True, slots=True)
class Said:
    """One decision about it, as it was made."""

    kind: str
    who: str
    why: str
    at: datetime
    people: int
    released: int  # messages it has let go or refused so far, at most MANY + 1


def listed(filters: Filters, page: int = 1, size: int = 25) -> list[Listed]:
    """A page of the list, the most urgent first; one more than ``size`` rows says that there is another page."""
    raise NotImplementedError


def found(approval: UUID) -> Listed | None:
    """One request, as the list shows it."""
    raise NotImplementedError


def members(approval: UUID, after: UUID | None = None, limit: int = 25) -> Sequence[Member]:
    """What still waits in a request, in the order it came."""
    raise NotImplementedError


def domains(approval: UUID, limit: int = 20) -> Sequence[tuple[str, int]]:
    """Recipient domains of what still waits with their numbers, the greatest first; of the first ``MANY``."""
    raise NotImplementedError


def decisions(approval: UUID) -> Sequence[Said]:
    """All that was decided about it, the newest first."""
    raise NotImplementedError
