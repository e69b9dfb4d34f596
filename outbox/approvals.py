"""What is held becomes a request: one for each agent, tree of runs and cluster of like content, however many join.

An accept that holds writes one narrow row for each message and touches no other: the request's row is written when it
is opened, and when its first message of another reason comes. Released mail and exempt agents pay nothing.

Guarantees: a request that was named to an agent exists when its message does; what is bound is the digest of the draft
that was held (``binding``). Refuses: to join a request that is too old to be read in time; it opens another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outbox.facts import KnownRun, Place
from outbox.keys import Caller
from outbox.payloads import Draft


@dataclass(frozen=True, slots=True)
class Request:
    """What the agent is told of the request that its message joined; waits in seconds, None where nobody knows."""

    id: UUID
    expires_at: datetime
    p50: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """How long what is held now may wait for a person, in seconds; None where nobody knows."""

    p50: float | None
    p90: float | None


class Requests:
    """What one call holds, gathered draft by draft; nothing is asked or written where nothing is held."""

    def __init__(self, caller: Caller, place: Place) -> None:
        self._caller, self._place = caller, place

    def join(
        self,
        message_id: UUID,
        draft: Draft,
        run: KnownRun,
        cluster: int | None,
        codes: Sequence[str],
        expires_at: datetime,
    ) -> Request | None:
        """The request that a held message joins; None where no person is asked."""
        raise NotImplementedError

    def keep(self) -> None:
        """Write it, in the accepting transaction and after ``ledger.enter``.

        Raises:
            budgets.Spent: somebody opened the same request at once; judge again.
        """
        raise NotImplementedError


def read(caller: Caller, place: Place) -> Requests:
    """The requests of one call."""
    return Requests(caller, place)


def projected_wait(stream_id: int) -> Wait:
    """How long mail of a stream that is held now would wait for a person."""
    raise NotImplementedError
