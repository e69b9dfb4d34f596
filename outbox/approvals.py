"""What is held becomes a request: one for each agent, tree of runs and cluster of like content, however many join.

An accept that holds writes one narrow row for each message and touches no other: the request's row is written when it
is opened, and when its first message of another reason comes. Released mail and exempt agents pay nothing.

Guarantees: a request that was named to an agent exists when its message does; what is bound is the digest of the draft
that was held (``binding``). Refuses: to open ever more requests for one tree of runs, whatever its content; to join one
that is too old to be read in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson
from django.db import transaction

from outbox import approval_statements, ids, press
from outbox.addresses import parse_mailbox
from outbox.binding import digest_of
from outbox.budgets import Spent
from outbox.facts import KnownRun, Place
from outbox.keys import Caller
from outbox.payloads import Draft
from outbox.waits import Wait, projected_wait
from reputation import sql

__all__ = ["LIFE", "Request", "Requests", "Wait", "ask", "projected_wait", "read"]

LIFE: Final = timedelta(hours=24)
# Of one tree of runs: unlike messages by the thousand are a flood too, and its rest is one request.
MOST: Final = 20
# What opens without anybody being asked, when its cause has passed.
BY_ITSELF: Final = frozenset({"recheck"})
AT_ONCE: Final = 200  # messages asked about later, in one transaction


@dataclass(frozen=True, slots=True)
class Request:
    """What the agent is told of the request that its message joined; waits in seconds, None where nobody knows."""

    id: UUID
    expires_at: datetime
    p50: float | None
    p90: float | None


@dataclass(slots=True)
class _Taking:
    """A request that takes what joins; ``added`` are reasons that its row does not name yet."""

    id: UUID
    expires_at: datetime
    reasons: set[str]
    added: set[str] = field(default_factory=set)
    new: bool = False


@dataclass(frozen=True, slots=True)
class _Key:
    run_id: int
    leaf_id: int | None
    cluster: int | None


class Joining:
    """What joins the requests of one agent, gathered message by message."""

    def __init__(self, agent_id: int, stream_id: int, now: datetime) -> None:
        self._agent_id, self._stream_id, self._now = agent_id, stream_id, now
        self._roots: dict[str, int] = {}
        self._taking: dict[_Key, _Taking] = {}
        self._joined: list[tuple[UUID, UUID, bytes]] = []

    def join(
        self, message_id: UUID, root: str, leaf: int, cluster: int | None, codes: Sequence[str], digest: bytes
    ) -> _Taking:
        """The request that a message joins."""
        run = self._roots[root] if root in self._roots else self._look(root)
        one = self._one(run, None if cluster is not None else leaf, cluster)
        one.added |= set(codes) - one.reasons
        self._joined.append((one.id, message_id, digest))
        return one

    def keep(self) -> None:
        """Write it. In the caller's transaction.

        Raises:
            Spent: another opened the same request, or closed it, at once.
        """
        opened = {key: one for key, one in self._taking.items() if one.new}
        if opened and sql.count(approval_statements.OPEN, self._opening(opened)) < len(opened):
            raise Spent
        added = [
            {"id": one.id, "reasons": sorted(one.added)}
            for one in self._taking.values()
            if one.added and not one.new
        ]
        if added:
            sql.count(approval_statements.REASONS, {"added": _json(added)})
        if self._joined:
            columns = zip(("approvals", "messages", "digests"), zip(*self._joined, strict=True), strict=True)
            given = {name: list(column) for name, column in columns}
            if sql.count(approval_statements.JOIN, given) < len(self._joined):
                raise Spent

    def _look(self, root: str) -> int:
        found = sql.rows(approval_statements.TAKING, {"agent": self._agent_id, "root": root})
        run: int = found[0].run_id
        self._roots[root] = run
        for row in found:
            if row.id is not None:
                one = _Taking(row.id, row.expires_at, set(row.reasons))
                self._taking[_Key(run, row.leaf_id, row.cluster)] = one
        return run

    def _one(self, run: int, leaf: int | None, cluster: int | None) -> _Taking:
        key = _Key(run, leaf, cluster)
        if key not in self._taking and sum(each.run_id == run for each in self._taking) >= MOST:
            key = _Key(run, None, None)
        if key not in self._taking:
            made = ids.new_id(int(self._now.timestamp() * 1000))
            self._taking[key] = _Taking(made, self._now + LIFE, set(), new=True)
        return self._taking[key]

    def _opening(self, opened: dict[_Key, _Taking]) -> dict[str, object]:
        rows = [
            {
                "id": one.id,
                "run_id": key.run_id,
                "leaf_id": key.leaf_id,
                "cluster": key.cluster,
                "reasons": sorted(one.added),
                "expires_at": one.expires_at.isoformat(),
            }
            for key, one in opened.items()
        ]
        return {"agent": self._agent_id, "stream": self._stream_id, "life": LIFE, "opened": _json(rows)}


class Requests:
    """What one call holds, gathered draft by draft; nothing is asked or written where nothing is held."""

    def __init__(self, caller: Caller, place: Place) -> None:
        self._caller, self._place = caller, place
        self._joining = Joining(caller.agent_id, caller.stream_id, place.now)

    def join(
        self,
        message_id: UUID,
        draft: Draft,
        run: KnownRun,
        cluster: int | None,
        codes: Sequence[str],
        expires_at: datetime,
    ) -> Request | None:
        """The request that a held message joins; None where no person is asked.

        ``draft`` is what is accepted (nobody in it who gets nothing); ``expires_at`` the message's.
        """
        if BY_ITSELF.issuperset(codes):
            return None
        digest = digest_of(
            draft,
            draft.sender or parse_mailbox(self._place.default_sender or ""),
            [mailbox.addr for mailbox in draft.recipients],
            self._place.policy_version,
        )
        one = self._joining.join(message_id, run.lineage[0], run.id, cluster, codes, digest)
        wait = projected_wait(self._caller.stream_id)
        return Request(one.id, min(one.expires_at, expires_at), wait.p50, wait.p90)

    def keep(self) -> None:
        """Write it, in the accepting transaction and after ``ledger.enter``.

        Raises:
            budgets.Spent: somebody opened the same request at once, or it was closed; judge again.
        """
        self._joining.keep()


def read(caller: Caller, place: Place) -> Requests:
    """The requests of one call."""
    return Requests(caller, place)


def ask() -> int:
    """Open requests for what came back to wait for a person after it had been accepted; how many messages."""
    found = [row.message_id for row in sql.rows(approval_statements.UNASKED, [AT_ONCE])]
    rows = sql.rows(approval_statements.UNASKED_OF, [found]) if found else []
    contents = press.contents(found) if found else {}
    for agent, stream in {(row.agent_id, row.stream_id) for row in rows}:
        mine = [row for row in rows if (row.agent_id, row.stream_id) == (agent, stream)]
        with transaction.atomic():
            joining = Joining(agent, stream, mine[0].now)
            for row in mine:
                content = contents[row.id]
                digest = digest_of(content, content.sender, row.addresses, row.judged_under)
                joining.join(row.id, row.root, row.run_id, None, row.codes, digest)
            joining.keep()
    return len(rows)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
