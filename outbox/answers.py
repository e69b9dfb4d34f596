"""Idempotency: the first answer to a key, given again, word for word.

"Still running" is an advisory lock that could not be had, so a crash leaves no ghost. Remembered are
acceptances and refusals that trying again cannot change; everything else is judged anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, LiteralString
from uuid import UUID

from outbox.payloads import Draft
from outbox.problems import refused
from reputation import sql

# In the order of the keys: two batches that share keys must not wait for each other. Nobody waits: a lock that
# is not free means that the first request is still running.
LOCK: Final[LiteralString] = """
SELECT key, pg_try_advisory_xact_lock(hashtextextended(%(agent)s || ':' || key, 20559)) AS got
FROM unnest(%(keys)s::text[]) AS t (key)
"""

RECALL: Final[LiteralString] = """
SELECT key, digest, status, body FROM outbox_answer WHERE agent_id = %(agent)s AND key = ANY(%(keys)s)
"""

KEEP: Final[LiteralString] = """
INSERT INTO outbox_answer (agent_id, key, digest, status, body, message_id, created_at)
SELECT %(agent)s, key, digest, status, body, message_id, ao_now()
FROM unnest(%(keys)s::text[], %(digests)s::bytea[], %(statuses)s::smallint[], %(bodies)s::text[],
            %(messages)s::uuid[]) AS t (key, digest, status, body, message_id)
"""

PAGE: Final = 10_000

# At least 72 hours, and while a delivery of its message is open.
FORGET: Final[LiteralString] = """
DELETE FROM outbox_answer WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM outbox_answer AS a
    WHERE a.created_at < ao_now() - interval '72 hours' AND NOT EXISTS (
        SELECT FROM outbox_delivery AS d
        WHERE d.id > a.message_id AND d.id <= (left(a.message_id::text, 33) || 'fff')::uuid AND d.finished_at IS NULL)
    ORDER BY a.created_at LIMIT %s))
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one draft is answered: HTTP status and JSON; ``lasting`` ones are remembered under their key."""

    status: int
    body: bytes
    replayed: bool = False
    message_id: UUID | None = None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer on its way into the table."""

    key: str
    digest: bytes
    answer: Answer


@dataclass(slots=True)
class Prior:
    """What is known of the keys of one call: which we may use, and what they were answered before."""

    locked: frozenset[str] = frozenset()
    earlier: dict[str, tuple[bytes, Answer]] = field(default_factory=dict)

    def answer_to(self, draft: Draft) -> Answer | None:
        """The first answer to this draft's key, or None if it has none yet.

        Raises:
            Refused: the key belongs to another body, or its first request is still running.
        """
        key = draft.idempotency_key
        if key is None:
            return None
        if key not in self.locked:
            raise refused("idempotency_in_progress", "The first request with this key is still running.")
        if key not in self.earlier:
            return None
        digest, answer = self.earlier[key]
        if digest != draft.digest:
            raise refused("idempotency_key_reused", "This key was used before with another body.")
        return answer

    def remember(self, draft: Draft, answer: Answer) -> Remembered:
        """Note a first answer, also for a later item of the same batch with the same key."""
        key = draft.idempotency_key
        assert key is not None
        self.earlier[key] = draft.digest, Answer(answer.status, answer.body, replayed=True)
        return Remembered(key, draft.digest, answer)


def prior(drafts: Sequence[Draft], agent_id: int) -> Prior:
    """Lock the keys of these drafts for this transaction and recall their first answers."""
    keys = sorted({draft.idempotency_key for draft in drafts if draft.idempotency_key})
    if not keys:
        return Prior()
    # Two statements: the second's snapshot must be younger than the lock, or it misses the answer just committed.
    locked = frozenset(row.key for row in sql.rows(LOCK, {"agent": str(agent_id), "keys": keys}) if row.got)
    found = sql.rows(RECALL, {"agent": agent_id, "keys": keys})
    earlier = {
        row.key: (bytes(row.digest), Answer(row.status, row.body.encode(), replayed=True)) for row in found
    }
    return Prior(locked, earlier)


def keep(remembered: Sequence[Remembered], agent_id: int) -> None:
    """Write first answers, in the transaction that made them true."""
    if not remembered:
        return
    fields = {
        "agent": agent_id,
        "keys": [one.key for one in remembered],
        "digests": [one.digest for one in remembered],
        "statuses": [one.answer.status for one in remembered],
        "bodies": [one.answer.body.decode() for one in remembered],
        "messages": [one.answer.message_id for one in remembered],
    }
    sql.count(KEEP, fields)


def forget() -> int:
    """Drop answers that are old enough and whose messages are done; how many that were. A page at a time."""
    return sql.exhaust(FORGET, [PAGE])
