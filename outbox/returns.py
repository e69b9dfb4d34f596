"""What comes in: a report, a complaint, a person's mail. Matched to its delivery, counted once, acted on.

Guarantees: only a token of ours that is still valid testifies, once per delivery and kind, however often it is
replayed; a complaint to the feedback address must also be signed by a provider we listen to. What is written is one
transaction: signal, move, event, the ramps' counts, the suppression. A message that breaks a parser is kept for a
person. Whatever comes, ``take`` returns: it raises only what another try may mend.

Refuses: to suppress a person for what a server thinks of us, and to believe the text of a report about who is meant.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, LiteralString
from uuid import UUID

from django.conf import settings
from django.db import transaction

from outbox import ledger, mailboxes, optouts, quarantine, reports, tally
from outbox.ledger import Testimony
from outbox.lifecycle import CODES, Status
from outbox.mailboxes import Mailbox, Reader
from outbox.models import Quarantine, Signal
from outbox.quarantine import storable
from outbox.reasons import Family
from outbox.testimony import Action, Kind, Reading, Report
from reputation import feedback, judging, signing, sql, suppression
from reputation.asking import Absent, Temporary
from reputation.feedback import Evidence
from reputation.lookups import Lookups

logger = logging.getLogger(__name__)

MAX_BYTES: Final = reports.MAX_BYTES
ADDRESSEE: Final[LiteralString] = "SELECT recipient FROM outbox_delivery WHERE id = %s"


class End(StrEnum):
    """What became of a message that came in."""

    COUNTED = "counted"  # a signal was written
    KNOWN = "known"  # it said nothing new
    IGNORED = "ignored"  # it testifies nothing: an automatic reply, a complaint that is none
    UNMATCHED = "unmatched"  # nothing of ours in it, or nothing that is still valid
    KEPT = "kept"  # for a person to read
    DROPPED = "dropped"  # it was for a person too, who has enough of its delivery to read


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one message; ``delivery`` and ``kind`` of the signal, if it was about one."""

    end: End
    delivery: UUID | None = None
    kind: str = ""


class TryLater(Exception):
    """It cannot be judged or kept now; the peer shall keep it and come again."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as it came."""

    raw: bytes
    envelope_to: str
    source: str
    mailbox: Mailbox


def take(raw: bytes, envelope_to: str, *, source: str) -> Taken:
    """Take one message. ``source`` names the door: smtp, lmtp, mime.

    Raises:
        TryLater: the DNS does not say whether it is genuine, or the quarantine of its mailbox is full.
        django.db.Error: nothing was written.
    """
    mailbox = mailboxes.find(envelope_to)
    if mailbox is None:
        taken = Taken(End.UNMATCHED)
    else:
        taken = READERS[mailbox.reader](Letter(raw, envelope_to.lower(), source, mailbox))
    tally.count(source, taken.end)
    return taken


# -- by mailbox ----------------------------------------------------------------------------------------------


def _about_a_delivery(letter: Letter) -> Taken:
    """What came to a valid return-path: only the server that took the delivery, and the person, know it."""
    reading, delivery = _read(letter.raw), letter.mailbox.delivery
    assert delivery is not None
    if reading.kind is Kind.DSN:
        return _reported(letter, reading, delivery)
    if reading.kind is Kind.ARF:
        return _complained(letter, reading, delivery, reading.reporting_mta or reading.sender)
    if reading.kind is Kind.AUTO_REPLY:
        return Taken(End.IGNORED, delivery)
    broken = reading.kind is Kind.UNPARSABLE
    why = Quarantine.Why.UNREADABLE if broken else Quarantine.Why.UNKNOWN
    return _keep(letter, why, reading.why or reading.subject)


def _about_many(letter: Letter) -> Taken:
    """A complaint at the feedback address: with our token inside, and signed by a provider we listen to.

    The token is asked first: without one of ours nothing is looked up in the DNS.
    """
    reading = _read(letter.raw)
    if reading.kind is Kind.UNPARSABLE:
        return _keep(letter, Quarantine.Why.UNREADABLE, reading.why)
    delivery = mailboxes.delivery_of(reading.original.ref) if reading.original else None
    if reading.kind is not Kind.ARF or delivery is None:
        return Taken(End.UNMATCHED)
    signer = _signed_by(letter.raw)
    return _complained(letter, reading, delivery, signer, vouched=True) if signer else Taken(End.UNMATCHED)


def _unsubscribes(letter: Letter) -> Taken:
    """Mail to an unsubscribe address unsubscribes, whatever is written in it (RFC 2369 §3.2)."""
    delivery = optouts.leave(letter.mailbox.token, letter.source)
    return Taken(End.COUNTED, delivery, Signal.Kind.UNSUBSCRIBED) if delivery else Taken(End.UNMATCHED)


def _for_a_person(why: str, letter: Letter) -> Taken:
    return _keep(letter, why, "")


READERS: Final[Mapping[Reader, Callable[[Letter], Taken]]] = {
    Reader.RETURN_PATH: _about_a_delivery,
    Reader.UNSUBSCRIBE: _unsubscribes,
    Reader.FEEDBACK: _about_many,
    Reader.PERSON: partial(_for_a_person, Quarantine.Why.PERSON),
    Reader.DMARC: partial(_for_a_person, Quarantine.Why.DMARC),
    Reader.TLSRPT: partial(_for_a_person, Quarantine.Why.TLSRPT),
}


# -- what it says --------------------------------------------------------------------------------------------


def _read(raw: bytes) -> Reading:
    """The parser's word; whatever escapes it is a message that breaks it."""
    try:
        return reports.read(raw)
    except Exception as error:  # hostile input: nothing it does to a parser may end the intake
        logger.exception("a returned message broke the parser")
        return Reading(Kind.UNPARSABLE, why=f"{type(error).__name__}: {error}"[:200])


# What a report's action is to us; relayed and expanded end our knowledge without a verdict.
KINDS: Final = {
    Action.FAILED: Signal.Kind.BOUNCED,
    Action.DELIVERED: Signal.Kind.DELIVERED,
    Action.DELAYED: Signal.Kind.DELAYED,
}


def _reported(letter: Letter, reading: Reading, delivery: UUID) -> Taken:
    row = sql.one(ADDRESSEE, [delivery])
    if row is None:
        return Taken(End.UNMATCHED)
    report = about(reading.reports, row.recipient)
    if report is None:
        return Taken(End.IGNORED, delivery)
    reporter = reading.reporting_mta or reading.sender
    return _counted(delivery, report, row.recipient, source=letter.source, reporter=reporter)


def about(said: Sequence[Report], recipient: str) -> Report | None:
    """What a report says of this recipient: under their own address if it stands there, else the worst.

    Whoever forwards has their forwarding address named; the token says whose delivery it was.
    """
    name = recipient.lower()
    own = [one for one in said if name in {one.recipient.lower(), one.original_recipient.lower()}]
    known = [one for one in own or said if one.action in KINDS]
    return min(known, key=lambda one: list(KINDS).index(one.action), default=None)  # type: ignore[arg-type]


def _complained(
    letter: Letter, reading: Reading, delivery: UUID, reporter: str, *, vouched: bool = False
) -> Taken:
    """RFC 5965: only abuse, fraud and virus are complaints; not-spam is praise."""
    report = next((one for one in reading.reports if one.complaint), None)
    if report is None:
        return Taken(End.IGNORED, delivery)
    return hear(delivery, report, source=letter.source, reporter=reporter, vouched=vouched)


def hear(delivery: UUID, report: Report, *, source: str, reporter: str, vouched: bool = False) -> Taken:
    """What is said of a delivery, written down and acted on, all or nothing: once for each kind, whoever says it again.

    ``source`` names the door, ``reporter`` who says it; ``vouched``: it carries a provider's own signature. The caller
    is certain that both may testify. What it proves is acted on as soon as it is committed.
    """
    row = sql.one(ADDRESSEE, [delivery])
    if row is None:
        return Taken(End.UNMATCHED)
    return _counted(delivery, report, row.recipient, source=source, reporter=reporter, vouched=vouched)


def _counted(
    delivery: UUID, report: Report, recipient: str, *, source: str, reporter: str, vouched: bool = False
) -> Taken:
    kind = _kind(report)
    if kind is None:
        return Taken(End.IGNORED, delivery)
    return _hear(_testimony(source, delivery, kind, report, reporter), report, recipient, vouched)


def _kind(report: Report) -> Signal.Kind | None:
    if report.complaint:
        return Signal.Kind.COMPLAINED
    return KINDS.get(report.action) if report.action else None


def _testimony(source: str, delivery: UUID, kind: str, report: Report, reporter: str) -> Testimony:
    return Testimony(
        delivery=delivery,
        kind=kind,
        source=source,
        reason=str(report.reason),
        code=_code(kind, report.code),
        hard=report.hard,
        enhanced=storable(report.status, 16),
        reporter=storable(reporter, 255),
        text=storable(report.text, 1000),
    )


def _code(kind: str, code: str) -> str:
    if kind == Signal.Kind.BOUNCED:
        return code if code in CODES[Status.BOUNCED] else "refused_unclassified"
    return "accepted_by_server" if kind == Signal.Kind.DELIVERED else ""


def _hear(said: Testimony, report: Report, recipient: str, vouched: bool) -> Taken:
    """Write it down and act on it, all or nothing."""
    with transaction.atomic():
        heard = ledger.report(said)
        if heard is None:
            return Taken(End.KNOWN, said.delivery, said.kind)
        if evidence := _evidence(said.kind, report):
            feedback.note(evidence, heard.mail, code=said.code, vouched=vouched)
            transaction.on_commit(judging.judge_soon)
        suppression.suppress(_suppressions(said, recipient))
    return Taken(End.COUNTED, said.delivery, said.kind)


def _evidence(kind: str, report: Report) -> Evidence | None:
    if kind == Signal.Kind.COMPLAINED:
        return Evidence.COMPLAINED
    bounced = kind == Signal.Kind.BOUNCED and report.family is Family.RECIPIENT
    return Evidence.BOUNCED if bounced else None


def _suppressions(said: Testimony, recipient: str) -> list[suppression.Entry]:
    if said.kind == Signal.Kind.COMPLAINED:
        return [suppression.complaint(recipient, "arf")]
    if said.kind == Signal.Kind.BOUNCED and said.hard:
        return [suppression.hard_bounce(recipient, "dsn")]
    return []


# -- who says it, and what a person must read ----------------------------------------------------------------


def _signed_by(raw: bytes) -> str:
    """The provider we listen to whose DKIM signature the report carries, or nothing."""
    with Lookups(settings.AO_NAMESERVERS or None, allow_loopback=settings.AO_ALLOW_LOOPBACK) as lookups:

        def txt(name: str) -> str | None:
            try:
                return "".join(lookups.values(name, "TXT")[:1])
            except Absent:
                return None

        try:
            return signing.vouched(raw, settings.AO_FEEDBACK_SIGNERS, txt)
        except Temporary as error:
            raise TryLater(f"the DNS does not say who signed it: {error}") from None


def _keep(letter: Letter, why: str, detail: str) -> Taken:
    delivery = letter.mailbox.delivery
    try:
        new = quarantine.keep(letter.raw, letter.envelope_to, letter.source, why, detail, delivery)
    except quarantine.Full as error:
        if delivery:  # more of the same would come from whoever has the token, as often as it was put off
            return Taken(End.DROPPED, delivery)
        raise TryLater(str(error)) from None
    return Taken(End.KEPT if new else End.KNOWN, delivery)
