"""Somebody unsubscribes, by a link or by mail: the stream stops writing to them, and the message's story says so.

Guarantees: a genuine token suffices, for ever, also when its delivery is long forgotten; the story and the suppression
are one transaction; to leave twice is to leave once, and after a person lifted it an old link works again. Refuses
nothing else: what anybody without a genuine token sends changes nothing.
"""

from typing import Final, LiteralString
from uuid import UUID

from django.db import transaction

from outbox import ledger, unsubscribes
from outbox.ledger import Testimony
from outbox.unsubscribes import Leaving
from reputation import feedback, judging, sql, suppression
from reputation.feedback import Evidence
from reputation.suppression import Reason

# The stream goes by the token, not by the delivery's lane: an agent may have been given another one since.
WHO: Final[LiteralString] = """
SELECT s.name AS stream, d.recipient FROM reputation_stream AS s LEFT JOIN outbox_delivery AS d ON d.id = %s
WHERE s.id = %s
"""

OF_DELIVERY: Final[LiteralString] = """
SELECT s.name AS stream, d.recipient FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
JOIN reputation_stream AS s ON s.id = l.stream_id WHERE d.id = %s
"""


def leave(token: str, source: str) -> UUID | None:
    """Unsubscribe whom a token speaks of; the delivery it came with, or None if nobody made it.

    ``source`` says by which door: ``link``, ``smtp``, ``lmtp``, ``mime``.

    Raises:
        django.db.Error: nothing was written.
    """
    leaving = unsubscribes.read_token(token, suppression.key())
    if leaving is None:
        return None
    with transaction.atomic():
        _leave(leaving, source)
    return leaving.delivery


def leave_by(delivery: UUID, source: str) -> bool:
    """Somebody left by other means than our token, and a witness we believe says so; False for an unknown delivery.

    In the caller's transaction.
    """
    row = sql.one(OF_DELIVERY, [delivery])
    if row is not None:
        _told(delivery, row.recipient, row.stream, source)
    return row is not None


def _leave(leaving: Leaving, source: str) -> None:
    row = sql.one(WHO, [leaving.delivery, leaving.stream_id])
    if row is None:
        return
    if row.recipient is None:
        scope = suppression.of_stream(row.stream)
        suppression.suppress_mark(leaving.mark, scope, Reason.UNSUBSCRIBED, source)
        return
    _told(leaving.delivery, row.recipient, row.stream, source)


def _told(delivery: UUID, recipient: str, stream: str, source: str) -> None:
    said = Testimony(delivery=delivery, kind="unsubscribed", source=source, reason="opt_out")
    if heard := ledger.report(said):
        feedback.note(Evidence.UNSUBSCRIBED, heard.mail)
        transaction.on_commit(judging.judge_soon)
    suppression.suppress([suppression.unsubscribed(recipient, stream, source)])
