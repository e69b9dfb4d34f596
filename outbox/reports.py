"""What comes back: one returned message in, what it testifies out, and never an exception.

`read` tells delivery reports (RFC 3464 and the many that are not), feedback reports (RFC 5965), automatic
replies (RFC 3834) and unsubscribe mails apart and gives one `Report` per recipient, each with a reason of one
closed list. A late report and a live SMTP reply are judged by the same rows (`refusals.classify`).

It believes nothing and checks nothing: tokens are candidates for `verp.read_token`, and a feedback report's
sender is for the caller to authenticate. Pure; bounded in size, depth, parts and recipients (`mailparts`).
"""

import re
from dataclasses import replace
from typing import Final

from outbox import arf, dsn, notices, ses_mail, sorting
from outbox.diagnosis import diagnose
from outbox.mailparts import Unreadable
from outbox.reasons import COMPLAINTS, FAMILIES, Family, Reason
from outbox.returned import Returned, first_address, opened, original
from outbox.testimony import Action, Feedback, Kind, Original, Reading, Report

__all__ = [
    "COMPLAINTS",
    "FAMILIES",
    "MAX_BYTES",
    "Action",
    "Family",
    "Feedback",
    "Kind",
    "Original",
    "Reading",
    "Reason",
    "Report",
    "read",
]

MAX_BYTES: Final = 1 << 20  # what is read of a message; reports quote what they return
MAX_TOKENS: Final = 20

# A forwarder that rewrites senders (SRS) keeps the local part and not the domain.
_TOKEN: Final = re.compile(rb"\bb(?:\+|=2b)([a-z2-7]{48})\b", re.IGNORECASE)
_REFERENCE: Final = re.compile(rb"^[ \t>]{0,9}X-AO-Ref:[ \t]*([a-z2-7]{48})\b", re.IGNORECASE | re.MULTILINE)
_BARE_TOKEN: Final = re.compile(r"[a-z2-7]{48}", re.IGNORECASE)


def read(raw: bytes) -> Reading:
    """What a returned message testifies; of anything that breaks a parser, that it is unparsable."""
    data = raw[:MAX_BYTES]
    tokens = _tokens(data)
    try:
        reading = _read(opened(data))
    except Unreadable as limit:
        reading = Reading(Kind.UNPARSABLE, why=str(limit))
    except Exception as error:  # it goes to quarantine, and the next one is read
        reading = Reading(Kind.UNPARSABLE, why=f"{type(error).__name__} while reading it")
    return replace(reading, tokens=_with(tokens, reading.envelope_id), truncated=len(raw) > MAX_BYTES)


def _read(returned: Returned, wrapped: bool = False) -> Reading:
    """The kinds in the order of how sure their signs are."""
    fields = dsn.fields_of(returned.leaves)
    told, complaint = ses_mail.notified(returned.notice)
    feedback = complaint or arf.feedback_in(returned.header, returned.leaves, returned.inner)
    reading = Reading(
        Kind.OTHER,
        original=original(returned),
        feedback=feedback,
        reporting_mta=fields.reporting_mta,
        envelope_id=fields.envelope_id,
        sender=first_address(returned.header.get("from")),
        subject=returned.subject,
    )
    if feedback:
        return replace(reading, kind=Kind.ARF, reports=arf.reports_of(feedback, returned.inner))
    if fields.said:
        return _failed(reading, _completed(fields.said, returned))
    if told:
        return _failed(reading, told)
    if not wrapped and returned.inside and sorting.sent_on(returned):
        return _read(opened(returned.inside), wrapped=True)
    return _unmarked(reading, returned)


def _unmarked(reading: Reading, returned: Returned) -> Reading:
    """What no machine marked as a report."""
    if sorting.unsubscribes_by_machine(returned):
        return _left(reading)
    sign = "" if sorting.is_daemon(returned) else sorting.automatic(returned)
    if sign:
        return replace(reading, kind=Kind.AUTO_REPLY, why=sign)
    if sorting.is_failure(returned):
        said = _told(returned)
        if said:
            return _failed(reading, said)
    return _left(reading) if sorting.unsubscribes(returned) else reading


def _failed(reading: Reading, said: list[dsn.Said]) -> Reading:
    return replace(reading, kind=Kind.DSN, reports=tuple(diagnose(each) for each in said))


def _left(reading: Reading) -> Reading:
    report = Report(recipient=reading.sender, action=None, reason=Reason.OPT_OUT)
    return replace(reading, kind=Kind.UNSUBSCRIBE, reports=(report,))


def _told(returned: Returned) -> list[dsn.Said]:
    """What a notice for people says; of whom it was addressed to if it names nobody."""
    named = returned.named or tuple(dsn.addresses(returned.subject))
    said = notices.said_in(returned.notice, returned.named, returned.ours())
    spare = [*named, *returned.addressed()][:1]
    note = returned.notice[: notices.MAX_NOTE]
    return said or [dsn.Said(recipient=each, action=Action.FAILED, note=note) for each in spare]


def _completed(said: tuple[dsn.Said, ...], returned: Returned) -> list[dsn.Said]:
    """Machine-readable groups with what the notice adds, by address."""
    blocks = notices.blocks_in(returned.notice, returned.ours())
    sure = {each.recipient.lower() for each in said}
    spare = [each.recipient for each in _told(returned) if each.recipient.lower() not in sure] or [""]
    alone = returned.notice[: notices.MAX_NOTE] if len(said) == 1 else ""
    return [
        replace(
            each,
            recipient=each.recipient or spare[0],
            action=each.action or Action.FAILED,
            note=blocks.get(each.recipient.lower()) or blocks.get(each.original.lower()) or alone,
            context=alone,
        )
        for each in said
    ]


def _tokens(data: bytes) -> tuple[str, ...]:
    """Return-path tokens and X-AO-Ref values anywhere in the raw message, in order."""
    found = [*_TOKEN.findall(data), *_REFERENCE.findall(data)]
    return tuple(dict.fromkeys(token.decode("ascii").lower() for token in found))[:MAX_TOKENS]


def _with(tokens: tuple[str, ...], envelope_id: str) -> tuple[str, ...]:
    """The envelope id, which our own ENVID is (RFC 3464 §2.2.1), before what stands anywhere."""
    own = (envelope_id.lower(),) if _BARE_TOKEN.fullmatch(envelope_id) else ()
    return tuple(dict.fromkeys((*own, *tokens)))[:MAX_TOKENS]
