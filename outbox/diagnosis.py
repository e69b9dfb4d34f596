"""From what was said of a recipient to a judgement: the reason, whether the address is dead, and our code.

The words are judged by the rows that judge a live reply. A report tells less than a conversation, so what it
calls an unknown user counts as dead only if its status speaks of the address, if the server said so in answer
to RCPT, or in a phrase that directories use; else a filter may be talking (some answer so after DATA, having
taken the address before). Nothing temporary but an unknown mailbox is dead. Pure.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outbox import notices
from outbox.dsn import Said
from outbox.mailparts import one_line
from outbox.reasons import Reason
from outbox.refusal_causes import Cause
from outbox.refusals import Classification, classified, classify
from outbox.testimony import Action, Report
from reputation import wording

MAX_TEXT: Final = 1000
MIN_REASON: Final = 12
_GIVING_UP: Final = re.compile(
    r"(?:i'm not going to try again; )?this message has been in the queue too long\.?", re.IGNORECASE
)


class Stage(StrEnum):
    """The command that was refused, or the connection before any."""

    MAIL = "mail"
    GREETING = "greeting"
    RCPT = "rcpt"
    DATA = "data"


_BEFORE: Final = r"(?:reply to|response to|after|\bour|\bin|was|>>>|-->|sent:|smtp:|\[|end of) ?"
_STAGES: Final = (
    (
        Stage.GREETING,
        r"refused to talk to|but greeting failed|after initial connection"
        r"|(?:after|reply to|response to) (?:helo|ehlo)\b",
    ),
    (Stage.RCPT, rf"{_BEFORE}rcpt(?:\b|_)|\brcpt to generated|does not like recipient"),
    (Stage.MAIL, rf"{_BEFORE}mail[ _:]?from|sender was rejected"),
    (Stage.DATA, rf"{_BEFORE}(?:final )?(?:data|bodytext)\b"),
)
_STAGE: Final = re.compile("|".join(f"(?P<{stage}>{pattern})" for stage, pattern in _STAGES))
_DIRECTORY: Final = re.compile(
    r"not listed in .{0,40}(?:directory|address book)|no valid recipients for this|resolver\.adr"
    r"|name is not recogni[sz]ed|requested action not taken: mailbox unavailable"
    r"|\bdd (?:sorry|this user)|unrouteable address|unknown in (?:local|virtual|relay) .{0,20}table"
    r"|because the address couldn't be found\.|unknown user: \""  # the last is Postfix, of a user of its own
)
_NOT_OURS: Final = frozenset({7, 8})  # x.1.7 and x.1.8 speak of the sender's address (RFC 3463 §3.2)
_GONE: Final = frozenset(
    {Reason.UNKNOWN_RECIPIENT, Reason.UNKNOWN_DOMAIN, Reason.MOVED, Reason.TAKES_NO_MAIL}
)
_ABOUT_AN_ADDRESS: Final = _GONE | {Reason.INACTIVE}
_OF_US: Final = _GONE | {Reason.CONTENT, Reason.POLICY, Reason.FILTERED, Reason.UNKNOWN}  # before any message
_NOT_THE_ADDRESS: Final = frozenset({Stage.MAIL, Stage.DATA})
_NOTHING_WRONG: Final = Classification("", "", "", Reason.DELIVERED)
_DONE: Final = frozenset({Action.DELIVERED, Action.RELAYED, Action.EXPANDED})


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What was said, and what can be seen in it."""

    said: Said
    spoken: str  # the server's words, or the reporter's
    code: int | None
    status: str
    whole: str  # all that was said, in lower case
    stage: Stage | None

    @property
    def for_now(self) -> bool:
        return self.said.action is Action.DELAYED

    @property
    def passing(self) -> bool:
        """Whether the server spoke of now, although the reporter gave up."""
        return str(self.code or self.status).startswith("4")


def diagnose(said: Said) -> Report:
    """The judgement on one recipient."""
    spoken = _spoken(said)
    whole = one_line(" ".join(dict.fromkeys((said.text, said.note, said.context)))).lower()
    evidence = _Evidence(
        said, spoken, notices.reply_code(spoken), _status(said, spoken), whole, _stage(whole)
    )
    if said.action in _DONE:
        return _report(evidence, _NOTHING_WRONG)
    found = _by_words(evidence)
    better = _refined(evidence, found.reason)
    return _report(evidence, classified(*better, for_now=evidence.for_now) if better else found)


def _spoken(said: Said) -> str:
    """The refusal itself; without what is added to any failure, if more was said."""
    text = one_line(notices.reply_in(said.text) or notices.reply_in(said.note))[:MAX_TEXT]
    reason = _GIVING_UP.sub("", text)
    return reason if len(reason) > MIN_REASON else text


def _status(said: Said, spoken: str) -> str:
    """The status in the server's own words before the one the reporter wrote."""
    best = wording.status(None, spoken) or wording.status(said.status, said.note)
    return ".".join(map(str, best)) if best else said.status


def _stage(whole: str) -> Stage | None:
    found = _STAGE.search(whole)
    return Stage(found.lastgroup) if found and found.lastgroup else None


def _by_words(evidence: _Evidence) -> Classification:
    """By what was spoken; by the text for people too where that gives no reason."""
    said = evidence.said
    for text in (evidence.spoken, one_line(said.note), one_line(said.context)):
        found = classify(evidence.code or 0, evidence.status, text, for_now=evidence.for_now)
        if found.reason is not Reason.UNKNOWN:
            break
    return found


def _refined(evidence: _Evidence, reason: Reason) -> tuple[Cause, str] | None:
    """What the report knows beyond the words: the command, the program, whether it may pass."""
    return next((verdict for applies, verdict in _BEYOND_WORDS if applies(evidence, reason)), None)


def _sure(evidence: _Evidence) -> bool:
    """Whether "no such user" was said of the address itself."""
    parsed = wording.status(evidence.status, "")
    of_an_address = parsed is not None and parsed[1] == 1 and parsed[2] not in _NOT_OURS
    return of_an_address or evidence.stage is Stage.RCPT or _DIRECTORY.search(evidence.whole) is not None


_BEYOND_WORDS: Final[Sequence[tuple[Callable[[_Evidence, Reason], bool], tuple[Cause, str]]]] = (
    (
        lambda evidence, reason: evidence.said.by == "x-unix" and reason is not Reason.MAILBOX_FULL,
        (Cause.BUSY, "a program of theirs failed, not the address"),
    ),
    (
        lambda evidence, reason: reason in _ABOUT_AN_ADDRESS and evidence.stage is Stage.MAIL,
        (Cause.POLICY, "said in answer to MAIL: of our address, not of theirs"),
    ),
    (
        lambda evidence, reason: reason in _OF_US and evidence.stage is Stage.GREETING,
        (Cause.BLOCKED, "said before anything was sent: of our host"),
    ),
    (
        lambda evidence, reason: (
            reason is Reason.UNKNOWN and evidence.stage in _NOT_THE_ADDRESS and not evidence.passing
        ),
        (Cause.REJECTED, "refused without a word, though not in answer to the address"),
    ),
    (
        lambda evidence, reason: reason is Reason.UNKNOWN and evidence.for_now,
        (Cause.UNREACHABLE, "still tried, for no reason given"),
    ),
    (
        lambda evidence, reason: reason is Reason.UNKNOWN_DOMAIN and evidence.passing,
        (Cause.ROUTING, "a look-up failed and may not next time"),
    ),
    (
        lambda evidence, reason: reason is Reason.UNKNOWN_RECIPIENT and not _sure(evidence),
        (Cause.FILTERED, "no such recipient, they say, but not in answer to the address"),
    ),
)


def _report(evidence: _Evidence, found: Classification) -> Report:
    said = evidence.said
    doubtful = found.reason in (Reason.TAKES_NO_MAIL, Reason.MOVED) and evidence.passing
    return Report(
        recipient=said.recipient,
        action=said.action,
        reason=found.reason,
        hard=found.reason in _GONE and said.action is Action.FAILED and not doubtful,
        code=found.code,
        about=found.about,
        why=found.why,
        original_recipient=said.original,
        status=evidence.status,
        reply_code=evidence.code,
        text=evidence.spoken,
        remote_mta=said.remote_mta,
    )
