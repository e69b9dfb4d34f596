"""From what was said of a recipient to a judgement: the reason, whether the address is dead, and our code.

The words are judged by the rows that judge a live reply. A report tells less than a conversation, so what it
calls an unknown user counts as dead only if its status speaks of the address, if the server said so in answer
to RCPT, or in a phrase that directories use; else a filter may be talking (some answer so after DATA, having
taken the address before). Nothing temporary but an unknown mailbox is dead. Pure.
"""

import re
from enum import StrEnum
from typing import Final

from outbox import notices
from outbox.dsn import Said
from outbox.mailparts import one_line
from outbox.reasons import Reason
from outbox.refusals import Classification, classify
from outbox.testimony import Action, Report
from reputation import wording

MAX_TEXT: Final = 1000
MIN_REASON: Final = 12
_GIVING_UP: Final = re.compile(
    r"(?:i'm not going to try again; )?this message has been in the queue too long\.?", re.IGNORECASE
)


class Stage(StrEnum):
    """The command that was refused."""

    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


_BEFORE: Final = r"(?:reply to|response to|after|\bour|\bin|was|>>>|smtp:|\[|end of) ?"
_STAGES: Final = (
    (Stage.RCPT, rf"{_BEFORE}rcpt(?:\b|_)|\brcpt to generated|does not like recipient"),
    (Stage.MAIL, rf"{_BEFORE}mail[ _:]?from|sender was rejected"),
    (Stage.DATA, rf"{_BEFORE}(?:final )?(?:data|bodytext)\b"),
)
_STAGE: Final = re.compile("|".join(f"(?P<{stage}>{pattern})" for stage, pattern in _STAGES))
_DIRECTORY: Final = re.compile(
    r"not listed in .{0,40}(?:directory|address book)|no valid recipients for this|resolver\.adr"
    r"|name is not recogni[sz]ed|requested action not taken: mailbox unavailable"
    r"|\bdd (?:sorry|this user)|unrouteable address"
    r"|because the address couldn't be found\."
)
_NOT_OURS: Final = frozenset({7, 8})  # x.1.7 and x.1.8 speak of the sender's address (RFC 3463 §3.2)
_GONE: Final = frozenset(
    {Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_DOMAIN, Reason.MOVED, Reason.TAKES_NO_MAIL}
)
_ABOUT_AN_ADDRESS: Final = _GONE | {Reason.INACTIVE}
_TEMPORARY: Final = re.compile(r"^(?:4\d\d|4\.\d+\.\d+)$")
_DONE: Final = frozenset({Action.DELIVERED, Action.RELAYED, Action.EXPANDED})


def diagnose(said: Said) -> Report:
    """The judgement on one recipient."""
    spoken = _spoken(said)
    code = notices.reply_code(spoken)
    status = _status(said, spoken)
    if said.action in _DONE:
        return _report(said, spoken, code, status, Classification("", "", "", Reason.DELIVERED))
    found = _classified(said, spoken, code, status)
    return _report(said, spoken, code, status, found, _refined(said, code, status, found.reason))


def _spoken(said: Said) -> str:
    """The server's words, or the reporter's; without what is added to any failure, if more was said."""
    text = one_line(notices.reply_in(said.text) or notices.reply_in(said.note))[:MAX_TEXT]
    reason = _GIVING_UP.sub("", text)
    return reason if len(reason) > MIN_REASON else text


def _status(said: Said, spoken: str) -> str:
    """The status in the server's own words before the one the reporter wrote."""
    best = wording.status(None, spoken) or wording.status(said.status, said.note)
    return ".".join(map(str, best)) if best else said.status


def _classified(said: Said, spoken: str, code: int | None, status: str) -> Classification:
    """By what was spoken; by the text for people too where that gives no reason."""
    for_now = said.action is Action.DELAYED
    for text in (spoken, one_line(said.note), one_line(said.context)):
        found = classify(code or 0, status, text, for_now=for_now)
        if found.reason is not Reason.UNKNOWN:
            break
    return found


def _refined(said: Said, code: int | None, status: str, reason: Reason) -> Reason:
    """What the report knows beyond the words: the command, the program, whether it may pass."""
    whole = one_line(f"{said.text} {said.note}").lower()
    found = _STAGE.search(whole)
    stage = Stage(found.lastgroup) if found and found.lastgroup else None
    temporary = bool(_TEMPORARY.match(str(code or status)))
    if said.by == "x-unix" and reason is not Reason.MAILBOX_FULL:
        return Reason.SYSTEM
    if stage is Stage.MAIL and reason in _ABOUT_AN_ADDRESS:
        return Reason.POLICY
    if reason is Reason.UNKNOWN and said.action is Action.DELAYED:
        return Reason.NETWORK
    if reason is Reason.UNKNOWN_DOMAIN and temporary:
        return Reason.DNS
    if reason is Reason.UNKNOWN_RECIPIENT and not _sure(stage, status, whole):
        return Reason.FILTERED
    return reason


def _sure(stage: Stage | None, status: str, whole: str) -> bool:
    """Whether "no such user" was said of the address itself."""
    parsed = wording.status(status, "")
    of_an_address = parsed is not None and parsed[1] == 1 and parsed[2] not in _NOT_OURS
    return of_an_address or stage is Stage.RCPT or _DIRECTORY.search(whole) is not None


def _report(  # one place where what was said becomes what is reported
    said: Said,
    spoken: str,
    code: int | None,
    status: str,
    found: Classification,
    reason: Reason = Reason.DELIVERED,
) -> Report:
    temporary = bool(_TEMPORARY.match(status or str(code)))
    passing = temporary and reason is Reason.TAKES_NO_MAIL
    return Report(
        recipient=said.recipient,
        action=said.action,
        reason=reason,
        hard=reason in _GONE and said.action is Action.FAILED and not passing,
        code=found.code,
        about=found.about,
        why=found.why,
        original_recipient=said.original,
        status=status,
        reply_code=code,
        text=spoken,
        remote_mta=said.remote_mta,
    )
