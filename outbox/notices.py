"""Delivery reports written for people only: whom they are about and what they say, without knowing the author.

Every such report names the recipient at the head of a line, or after words like "to" or "recipient", says why
beside or below it, and ends where the returned message begins. That is all that is assumed here; no server's
template is spelled out. Pure; each pattern is linear in its input.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from outbox.dsn import ADDRESS, MAX_RECIPIENTS, Said, addresses
from outbox.mailparts import one_line
from outbox.testimony import Action

MAX_NOTE: Final = 4000  # characters kept beside each recipient; a thousand of them are judged
_ENDS: Final = re.compile(
    r"^(?:[ \t]*(?:Received|Return-Path|DKIM-Signature|X-Received):|Message-ID:"
    r"|[ \t>*=-]{0,80}(?:begin |start of |text of )?(?:the |your |an? )?"
    r"(?:original message(?! (?:was|received))|returned message|unsent message|message headers? follow"
    r"|header of the original"
    r"|below this line is a copy|(?:this|below|included|enclosed|attached) is (?:a|the) copy"
    r"|copy of (?:the|your) (?:original )?message))",
    re.MULTILINE | re.IGNORECASE,
)
_LEAD: Final = re.compile(  # perhaps after a label that says more, as in "Unknown user: kim@example.com"
    r"""^[ \t>*"'(-]{0,40}"""
    r"(?:(?!from|to\b|cc|[a-z ]{0,20}\bsender|reply|return|by|mail|subject"
    r"|x-)[A-Za-z][A-Za-z ]{2,40}:[ \t]{0,9})?"
    rf"""["'(<]?({ADDRESS.pattern})(?=[>"'):;,\s\[<]|\.{{1,3}}(?:\s|$)|$)""",
    re.MULTILINE | re.IGNORECASE,
)
_TOWARDS: Final = re.compile(
    r"\b(?:to|for|rcpt|recipients?|address(?:es)?(?: failed)?|user)\b:?\s{0,9}"
    rf"[<\"'(]?({ADDRESS.pattern})",
    re.IGNORECASE,
)
_ANNOUNCED: Final = re.compile(  # "did not reach the following recipient(s):"
    r"\b(?:following|these|below)\b[^\n:]{0,60}\b(?:recipient|address|user)[^\n:]{0,60}:", re.IGNORECASE
)
_NOT_THEIRS: Final = re.compile(
    r"(?:mail from|(?<!generated )(?<!expanded )from|sender|by|envelope-from|reply-to|contact|return-path"
    r"|to postmaster|you)\b:?\s{0,9}"
    rf"[<\"'(]?(?:{ADDRESS.pattern})",
    re.IGNORECASE,
)
_STAFF: Final = re.compile(
    r"(?:mailer-?daemon|postmaster|abuse|support|no-?reply|mail-?master|help(?:desk)?"
    r"|[\w.+-]{1,60}-(?:owner|request|admin|bounces))@",
    re.I,
)
_REPLY: Final = re.compile(r"(?:^|[\s:;('\"<\[])([45]\d\d)(?=[ -](?:#?\d\.\d|\S)|: ?#?\S)")
_QUOTED_REPLY: Final = re.compile(r"^<<< ([45]\d\d.*)$", re.MULTILINE)
_DELAYS: Final = re.compile(
    r"\b(?:warning message only|(?:been|temporarily) (?:delayed|postponed)|(?:still|will) (?:be )?(?:retr|try)"
    r"|will keep trying|not yet been delivered|delivery (?:status notification \()?delay|just a warning"
    r"|delivery attempts will|will continue to try)",
    re.IGNORECASE,
)


def cut(text: str) -> str:
    """The report without the message it returns; all of it if that would leave nothing."""
    found = _ENDS.search(text)
    notice = text[: found.start()].rstrip() if found else text
    return notice if len(notice.strip()) > 20 else text


def reply_in(text: str) -> str:
    """The text from the server's reply on, if one is quoted; else all of it."""
    quoted = _QUOTED_REPLY.search(text)
    if quoted:
        return quoted[1]
    found = _REPLY.search(text)
    return text[found.start(1) :] if found else text


def reply_code(text: str) -> int | None:
    """The SMTP reply code a text shows first."""
    found = _REPLY.search(text)
    return int(found[1]) if found else None


def said_in(notice: str, named: Sequence[str], ours: Collection[str]) -> list[Said]:
    """One entry per recipient of a notice already `cut`.

    `named`: recipients known from elsewhere, such as X-Failed-Recipients. `ours`: addresses that are the
    sender's or the reporter's, in lower case.
    """
    action = Action.DELAYED if _DELAYS.search(notice) else Action.FAILED
    blocks = blocks_in(notice, ours)
    context = notice[:MAX_NOTE]
    recipients = list(named) or list(blocks) or _spoken_of(notice, ours)
    if len(recipients) == 1:
        only = blocks.get(recipients[0].lower(), "")
        text = only if _tells(only, context) else context
        return [Said(recipient=recipients[0], action=action, note=text, context=context)]
    shared = _preamble(notice, ours)
    return [
        Said(recipient=each, action=action, note=blocks.get(each.lower()) or context, context=shared)
        for each in recipients[:MAX_RECIPIENTS]
    ]


def blocks_in(notice: str, ours: Collection[str]) -> dict[str, str]:
    """Each address at the head of a line with what follows, up to the next one; by address in lower case."""
    heads = _heads(notice, ours)
    blocks: dict[str, str] = {}
    for head, after in zip(heads, [*heads[1:], None], strict=False):
        key = head[1].strip(".").lower()
        block = notice[head.start() : after.start() if after else len(notice)]
        blocks[key] = f"{blocks.get(key, '')}\n{block}".strip(" \t\n>:")[:MAX_NOTE]
    return blocks


def _heads(notice: str, ours: Collection[str]) -> list[re.Match[str]]:
    return [found for found in _LEAD.finditer(notice) if _may_be_theirs(found[1], ours)]


def _preamble(notice: str, ours: Collection[str]) -> str:
    """What is said of all recipients, before the first of them."""
    heads = _heads(notice, ours)
    return notice[: heads[0].start()][:MAX_NOTE] if heads else ""


def _spoken_of(notice: str, ours: Collection[str]) -> list[str]:
    """Addresses that are announced or written to, or any that are not somebody else's."""
    announced = _ANNOUNCED.search(notice)
    after = addresses(_NOT_THEIRS.sub(" ", notice[announced.end() :])) if announced else []
    text = one_line(_NOT_THEIRS.sub(" ", notice))
    towards = [found[1] for found in _TOWARDS.finditer(text)]
    return [each for each in [*after, *towards, *addresses(text)] if _may_be_theirs(each, ours)][:1]


def _may_be_theirs(address: str, ours: Collection[str]) -> bool:
    return address.strip(".").lower() not in ours and not _STAFF.match(address)


def _tells(block: str, context: str) -> bool:
    """Whether a recipient's block says why, and the reply does not stand before it."""
    words = len(re.findall(r"[^\W\d_]{2,}", ADDRESS.sub(" ", block[:500])))
    return words >= 2 and (reply_code(block) is not None or reply_code(context) is None)
