"""The one state machine of a delivery, and the closed lists of its codes.

Everything that speaks of a status takes it from here: the CHECK constraints of the tables, the guards of the
ledger's statements, the answers of the API. A move that is not in ``MOVES`` does not exist. A status says
what we know, not what we hope: ``delivered`` is the receiving server's 250, not the inbox, and nobody read
it; ``relayed`` is beyond our reach; ``uncertain`` means that the dot may have been written and no answer was
seen, and counts as open.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a delivery stands.

    ``held`` waits for a person. ``queued`` is due at ``next_attempt_at``. ``sending`` is under a worker
    session's lease; the rescuer takes it back when the session dies. ``deferred`` waits after a 4xx. The
    others are ends, but for ``uncertain``: DATA was finished and no answer was seen, or a restore has
    left us without knowing.
    """

    HELD = "held"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


S = Status

FINAL: Final = frozenset({S.DELIVERED, S.RELAYED, S.BOUNCED, S.EXPIRED, S.SUPPRESSED, S.CANCELLED, S.REFUSED})
OPEN: Final = frozenset(Status) - FINAL

MOVES: Final[Mapping[Status, frozenset[Status]]] = {
    # what waits becomes uncertain only when the database was restored: it may have gone out since the backup
    S.HELD: frozenset({S.QUEUED, S.REFUSED, S.SUPPRESSED, S.EXPIRED, S.CANCELLED, S.UNCERTAIN}),
    S.QUEUED: frozenset({S.SENDING, S.HELD, S.SUPPRESSED, S.CANCELLED, S.EXPIRED, S.UNCERTAIN}),
    S.SENDING: frozenset(
        # the last three only while the dot has provably not been sent
        {S.DELIVERED, S.RELAYED, S.DEFERRED, S.BOUNCED, S.SUPPRESSED, S.EXPIRED, S.UNCERTAIN}
        | {S.QUEUED, S.HELD, S.CANCELLED}
    ),
    S.DEFERRED: frozenset({S.SENDING, S.HELD, S.SUPPRESSED, S.CANCELLED, S.EXPIRED, S.UNCERTAIN}),
    # a late settle by the attempt that was cleared, its own word that no byte of the dot was written, a
    # person (who sends it again; what had waited for an approval when the database was restored waits for it again),
    # or a stream whose rule says so
    S.UNCERTAIN: frozenset({S.DELIVERED, S.RELAYED, S.BOUNCED, S.DEFERRED, S.QUEUED, S.HELD}),
    S.RELAYED: frozenset({S.DELIVERED, S.BOUNCED}),
    S.DELIVERED: frozenset({S.BOUNCED}),
}

# A message's status is its least finished delivery's, in this order.
LEAST_FINISHED_FIRST: Final = (
    *(S.HELD, S.QUEUED, S.DEFERRED, S.SENDING, S.UNCERTAIN),
    *(S.EXPIRED, S.BOUNCED, S.SUPPRESSED, S.REFUSED, S.CANCELLED, S.RELAYED, S.DELIVERED),
)

CODES: Final[Mapping[Status, frozenset[str]]] = {
    S.HELD: frozenset(
        "first_contact new_agent run_recipients cluster_size attachment_type lookalike_domain content_lint "
        "link_mismatch quiet_hours weak_evidence content_changed recheck poison policy set_aside".split()
    ),
    S.UNCERTAIN: frozenset(
        "no_reply_after_dot session_lost_after_clearance send_queue_stuck restored_from_backup".split()
    ),
    # by_person: an uncertain one that somebody has looked into; nobody's server has said so to us
    S.DELIVERED: frozenset({"accepted_by_server", "by_person"}),
    S.RELAYED: frozenset({"accepted_by_relay"}),
    S.BOUNCED: frozenset(
        "recipient_unknown recipient_inactive recipient_moved mailbox_full message_too_big "
        "content_refused_by_server reputation_refused authentication_refused tls_required dns_failed null_mx "
        "protocol_error refused_unclassified by_person".split()
    ),
    S.EXPIRED: frozenset("expires_at_passed retries_exhausted approval_lapsed".split()),
    S.SUPPRESSED: frozenset("hard_bounce complaint unsubscribed by_person".split()),
    S.CANCELLED: frozenset("by_agent by_person run_cancelled purged_after_stop".split()),
    S.REFUSED: frozenset("by_reviewer by_policy".split()),
}


def suppressed_code(reason: str) -> str:
    """The final code of a delivery to somebody who is suppressed for this reason."""
    return reason if reason in CODES[Status.SUPPRESSED] else "hard_bounce"


def may_move(origin: Status, target: Status) -> bool:
    """Whether the machine has the arrow ``origin -> target``."""
    return target in MOVES.get(origin, frozenset())


def origins(target: Status) -> tuple[Status, ...]:
    """Every status from which ``target`` can be reached, in a stable order: the guard of a move into it."""
    return tuple(status for status in Status if may_move(status, target))


def message_status(statuses: "list[Status]") -> Status:
    """The status of a message with these deliveries (at least one): its least finished delivery's."""
    return min(statuses, key=LEAST_FINISHED_FIRST.index)
