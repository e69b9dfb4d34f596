"""What a mail server meant when it said no: (reply code, enhanced code, text) in, one reason out.

Servers disagree about codes more than about words, so rows are asked in the order of how much they can be
trusted: enhanced codes with one narrow meaning, tell-tale texts of blocks and authentication, words about the
recipient, the other enhanced codes, vaguer words, and last the bare reply code. The reply code alone decides
whether the answer is for good (5yz) or for now (4yz); everything else only names the reason. A live reply and
a late DSN are read by the same rows. To teach it a text, add a row and a test; rows are never branches.

Pure. Each pattern is linear in its input, of which `wording.MAX_TEXT` characters are read.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from outbox.reasons import Reason
from outbox.refusal_causes import Cause
from outbox.refusal_codes import REPLY_CODES
from outbox.refusal_rows import STAGES, UNEXPLAINED
from reputation import wording
from reputation.wording import Status

MAX_WORDS: Final = 800  # characters: what comes later explains, and a report may bring a hundred long ones
DEFERRALS: Final = frozenset(cause.value[1] for cause in Cause)

# An IPv4 address with its brackets, and brackets and quotes emptied of the address that stood in them.
_HOST: Final = re.compile(r"[\[(<]?(?<![\d.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)[\])>]?")
_EMPTIED: Final = re.compile(r"\( ?\)|\[ ?\]|'[ ]?'|\" ?\"|^[ :]+")
_JOINED: Final = re.compile(r"(?<=[A-Za-z])_(?=[A-Za-z])|(?<=^\d{3})_")  # mailbox_full, 550_user_unknown


@dataclass(frozen=True, slots=True)
class Classification:
    """A bounce code (5yz) or a deferral code (4yz), whom it is about ("" if nobody is to blame), and why.

    `reason` is the finer name of the same, in the list that reports share.
    """

    code: str
    about: str
    why: str
    reason: Reason


def classify(code: int, enhanced: str | None, text: str, *, for_now: bool | None = None) -> Classification:
    """Why a server refused. `code` is the reply code, 0 for a DSN that has only a status (RFC 3464 §2.3.4).

    A 4yz, or 0 with a status of class 4, is a deferral and gets one of `DEFERRALS`; everything else is for
    good and gets one of the bounce codes of `lifecycle.CODES`. `for_now` overrides that, for a refusal which
    spoke of the connection and not of the message.
    """
    cause, why = _cause(code, wording.status(enhanced, text), told(text))
    if for_now is None:
        for_now = (str(code) if code else enhanced or "").startswith("4")
    return classified(cause, why, for_now=for_now)


def told(text: str) -> str:
    """The words of a refusal as the rows see them: `wording.words`, and of hosts' addresses only that they are "ip"."""
    words = wording.words(_HOST.sub(" ip ", _JOINED.sub(" ", text[: wording.MAX_TEXT])))
    return " ".join(_EMPTIED.sub(" ", words).split())[:MAX_WORDS]


def classified(cause: Cause, why: str, *, for_now: bool) -> Classification:
    """The classification of a cause that is known."""
    bounce, deferral, about, reason = cause.value
    return Classification(deferral if for_now else bounce, about, why, reason)


@lru_cache(maxsize=256)  # refusals come in waves with one text, and a report may repeat one a hundred times
def _cause(code: int, status: Status | None, words: str) -> tuple[Cause, str]:
    for rows in STAGES:
        for row in rows:
            if row.speaks_of(status, words):
                return row.cause, row.why
    return REPLY_CODES.get(code, UNEXPLAINED)
