"""A person's word about a request: release, in waves, a part, refuse; and the second person's.

Guarantees: every decision is one guarded statement on the request's row (from which state, at which version, under
which policy), with the decision and its audit in the same transaction: of several at once one wins, and the others are
told. It covers what the reviewer's page showed and nothing that joined since. Deliveries follow in pages
(``releasing``).

Refuses: whoever may not decide; an agent's owner, where the stream does not say otherwise; the same person twice; a
refusal without a reason; a page made before the request, or its policy, changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User

from outbox.models import Decision


class NotYours(Exception):
    """This person may not decide this; says why, in words for a page."""


class Overtaken(Exception):
    """The request, its policy or its state is not what was shown; says what to do, in words for a page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reviewer's page shows of a request: to be sent back with the decision, as ``str(shown)``."""

    approval: UUID
    version: int
    policy_version: int
    upto: UUID | None  # the last message; None: there is nothing to decide
    seen: str
    at: datetime

    def __str__(self) -> str:
        raise NotImplementedError

    @classmethod
    def parsed(cls, text: str) -> "Shown":
        """What ``str`` gave; raises ValueError if it is none."""
        raise NotImplementedError


def show(approval: UUID) -> Shown | None:
    """What a page made now shows of a request; None if there is none. To be read before what is shown of it."""
    raise NotImplementedError


def release(shown: Shown, by: User, why: str = "") -> Decision:
    """Let everything go that was shown; above the stream's line it waits for a second person."""
    raise NotImplementedError


def release_in_waves(shown: Shown, by: User, why: str = "") -> Decision:
    """Let twenty messages go, then two hundred, then the rest, each if what became of those before was fine."""
    raise NotImplementedError


def release_part(shown: Shown, by: User, messages: Sequence[UUID], why: str = "") -> Decision:
    """Let these messages go; the others wait on."""
    raise NotImplementedError


def refuse(shown: Shown, by: User, why: str, messages: Sequence[UUID] | None = None) -> Decision:
    """Say no to everything that was shown, or to these messages; the agent reads why."""
    raise NotImplementedError


def confirm(shown: Shown, by: User, why: str = "") -> Decision:
    """A second person's yes to what waits for it."""
    raise NotImplementedError


def withdraw(shown: Shown, by: User, why: str = "") -> Decision:
    """Take back what waits for a second person; the request is open again."""
    raise NotImplementedError


def stop_waves(shown: Shown, by: User, why: str) -> Decision:
    """No further wave goes; what is still held waits for another decision."""
    raise NotImplementedError
