"""The ledger's moves into doubt and out of it that people order: after a restore, and after they have looked into it.

As all of the ledger's: one guarded statement from the states it names, one event for each delivery that moved with who
and why, on the database's clock, in short transactions. Refuses to send again what has outlived itself, and whatever a
late answer or another person settled meanwhile.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, LiteralString
from uuid import UUID

from django.db import transaction

from outbox import audit, statements
from outbox.ledger import NEVER
from reputation import sql

PAGE: Final = 1000

# What a backup calls open may have gone out since. What was under a lease keeps its allowance used: it may be. What
# waited for an approval is told apart by the kind of its event.
RESTORED: Final[LiteralString] = """
WITH page AS MATERIALIZED (
    (SELECT id FROM outbox_delivery WHERE status IN ('held', 'queued', 'deferred') ORDER BY expires_at LIMIT %(page)s)
    UNION ALL
    (SELECT id FROM outbox_delivery WHERE status = 'sending' LIMIT %(page)s)
), held AS MATERIALIZED (
    SELECT d.id, d.purse_id, d.status AS origin FROM outbox_delivery AS d JOIN page USING (id)
    WHERE d.status IN ('held', 'queued', 'deferred', 'sending') ORDER BY d.id FOR UPDATE OF d
), moved AS (
    UPDATE outbox_delivery AS d SET status = 'uncertain', code = 'restored_from_backup', session_id = NULL,
        purse_id = NULL, next_attempt_at = %(never)s
    FROM held WHERE d.id = held.id RETURNING d.id, d.message_id, d.attempt, held.purse_id, held.origin
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, attempt, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), CASE WHEN origin = 'held' THEN 'restored_held' ELSE 'restored' END,
           'uncertain', 'restored_from_backup', attempt, %(actor)s, 'was ' || origin || ': ' || %(note)s
    FROM moved
), counted AS (
    SELECT ao_count(array_agg(purse_id), array_agg(true), array_agg(''::text)) AS n
    FROM moved WHERE purse_id IS NOT NULL
)
SELECT (SELECT count(*) FROM moved) AS moved, counted.n FROM counted
"""

END_SESSIONS: Final[LiteralString] = """
UPDATE outbox_session SET ended_at = clock_timestamp() WHERE ended_at IS NULL
"""

# Sent again as a stream would (RESEND): the attempt that was cleared has no say any more. Its recipient's suppression
# and the stops are asked again on the way, as always. An approval that was owed when it was last restored still is.
SEND_AGAIN: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT d.id, 'restored_held' = (
        SELECT e.kind FROM outbox_event AS e WHERE e.message_id = d.message_id AND e.delivery_id = d.id
        AND e.kind IN ('restored', 'restored_held') ORDER BY e.id DESC LIMIT 1) AS unapproved
    FROM outbox_delivery AS d
    WHERE d.id = ANY (%(ids)s::uuid[]) AND d.status = 'uncertain' AND d.expires_at > ao_now()
    ORDER BY d.id FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET status = CASE WHEN unapproved THEN 'held' ELSE 'queued' END,
        code = CASE WHEN unapproved THEN 'policy' ELSE '' END, resent = true, session_id = NULL, cleared_at = NULL,
        next_attempt_at = ao_now()
    FROM held WHERE d.id = held.id RETURNING d.id, d.message_id, d.lane_id, d.next_attempt_at, d.status, d.code
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'resent', status, code, %(actor)s, %(note)s FROM moved
)
SELECT lane_id, next_attempt_at AS due FROM moved
"""

COUNT_AS: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id FROM outbox_delivery WHERE id = ANY (%(ids)s::uuid[]) AND status = 'uncertain' ORDER BY id FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET status = %(status)s, code = 'by_person', session_id = NULL, finished_at = ao_now()
    FROM held WHERE d.id = held.id RETURNING d.id, d.message_id
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), %(status)s, %(status)s, 'by_person', %(actor)s, %(note)s FROM moved
)
SELECT id, (SELECT pg_notify('ao_settled', '')) AS told FROM moved
"""

NEWEST: Final[LiteralString] = """
SELECT greatest((SELECT created_at FROM outbox_message ORDER BY id DESC LIMIT 1),
                (SELECT ended_at FROM outbox_attempt ORDER BY id DESC LIMIT 1)) AS at
"""


class Word(StrEnum):
    """What a person may decide of an uncertain delivery."""

    SEND_AGAIN = "send_again"
    ARRIVED = "arrived"
    LOST = "lost"


COUNTED: Final = {Word.ARRIVED: "delivered", Word.LOST: "bounced"}


def newest() -> datetime | None:
    """When this database last took a message or ended a conversation; None if it never has."""
    at: datetime | None = sql.one(NEWEST).at
    return at


def end_sessions() -> int:
    """Take every worker's lease away; how many."""
    return sql.count(END_SESSIONS)


def restored(actor: str, note: str) -> int:
    """Doubt what the next page of open deliveries says of itself; how many moved, 0 when none is left."""
    with transaction.atomic():
        given = {"page": PAGE, "never": NEVER, "actor": actor, "note": note}
        return int(sql.one(RESTORED, given).moved)


def decide(found: Sequence[UUID], word: Word, *, actor: str, note: str) -> int:
    """Do with these what a person has decided; how many were still uncertain, and could be.

    Raises:
        ValueError: no reason was given.
    """
    if not note.strip():
        raise ValueError("Say how you know.")
    return sum(_decide(found[at : at + PAGE], word, actor, note) for at in range(0, len(found), PAGE))


def _decide(page: Sequence[UUID], word: Word, actor: str, note: str) -> int:
    given = {"ids": list(page), "actor": actor, "note": note}
    with transaction.atomic():
        if word in COUNTED:
            moved = sql.rows(COUNT_AS, given | {"status": COUNTED[word]})
        else:
            moved = sql.rows(SEND_AGAIN, given)
            _wake({row.lane_id: row.due for row in moved})
        if moved:
            audit.write(actor, f"uncertain.{word}", "deliveries", moved=len(moved), why=note)
    return len(moved)


def _wake(lanes: Mapping[int, datetime]) -> None:
    if lanes:
        sql.count(statements.WAKE, [list(lanes), list(lanes.values())])
