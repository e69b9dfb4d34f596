"""What can stand behind a refusal, and the two shapes of row that recognise it.

Data only; the rows themselves are in `refusal_rows`.
"""

import re
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from outbox.reasons import Reason
from reputation.wording import Status

RECIPIENT: Final = "recipient"  # about them: the person, the mailbox, their domain
INFRASTRUCTURE: Final = "infrastructure"  # about us: our addresses, our authentication, our content


@unique
class Cause(Enum):
    """What stands behind a refusal: (code if for good, code if for now, about, reason)."""

    UNKNOWN = ("recipient_unknown", "recipient_unclear", RECIPIENT, Reason.UNKNOWN_RECIPIENT)
    FILTERED = ("recipient_unknown", "recipient_unclear", RECIPIENT, Reason.FILTERED)
    INACTIVE = ("recipient_inactive", "recipient_unavailable", RECIPIENT, Reason.INACTIVE)
    MOVED = ("recipient_moved", "recipient_moving", RECIPIENT, Reason.MOVED)
    FULL = ("mailbox_full", "mailbox_full", RECIPIENT, Reason.MAILBOX_FULL)
    HOST_GONE = ("dns_failed", "dns_temporary", RECIPIENT, Reason.UNKNOWN_DOMAIN)
    NULL_MX = ("null_mx", "dns_temporary", RECIPIENT, Reason.TAKES_NO_MAIL)
    POPULAR = ("refused_unclassified", "recipient_busy", "", Reason.RATE)
    TOO_BIG = ("message_too_big", "too_big_for_now", "", Reason.TOO_BIG)
    ROUTING = ("dns_failed", "host_unreachable", "", Reason.DNS)
    UNREACHABLE = ("refused_unclassified", "host_unreachable", "", Reason.NETWORK)
    EXPIRED = ("refused_unclassified", "host_unreachable", "", Reason.EXPIRED)
    BUSY = ("refused_unclassified", "server_busy", "", Reason.SYSTEM)
    GREYLISTED = ("refused_unclassified", "greylisted", "", Reason.RATE)
    REJECTED = ("refused_unclassified", "refused_temporarily", "", Reason.POLICY)
    UNCLEAR = ("refused_unclassified", "refused_temporarily", "", Reason.UNKNOWN)
    CONTENT = ("content_refused_by_server", "content_suspected", INFRASTRUCTURE, Reason.CONTENT)
    POLICY = ("content_refused_by_server", "content_suspected", INFRASTRUCTURE, Reason.POLICY)
    BLOCKED = ("reputation_refused", "blocked_temporarily", INFRASTRUCTURE, Reason.BLOCK_LIST)
    DENIED = ("reputation_refused", "blocked_temporarily", INFRASTRUCTURE, Reason.POLICY)
    RATE = ("reputation_refused", "rate_limited", INFRASTRUCTURE, Reason.RATE)
    AUTHENTICATION = (
        "authentication_refused",
        "authentication_temporary",
        INFRASTRUCTURE,
        Reason.AUTHENTICATION,
    )
    LOGIN = ("authentication_refused", "authentication_temporary", INFRASTRUCTURE, Reason.POLICY)
    PTR = ("authentication_refused", "authentication_temporary", INFRASTRUCTURE, Reason.PTR)
    TLS = ("tls_required", "tls_failed", INFRASTRUCTURE, Reason.TLS)
    PROTOCOL = ("protocol_error", "protocol_trouble", INFRASTRUCTURE, Reason.PROTOCOL)


@dataclass(frozen=True, slots=True)
class Text:
    """A row over the reply's words, as `wording.words` gives them."""

    pattern: re.Pattern[str]
    cause: Cause
    why: str

    def speaks_of(self, _status: Status | None, words: str) -> bool:
        return self.pattern.search(words) is not None


@dataclass(frozen=True, slots=True)
class Code:
    """A row over enhanced codes x.subject.detail, for details from `first` to `last`."""

    subject: int
    first: int
    last: int
    cause: Cause
    why: str

    def speaks_of(self, status: Status | None, _words: str) -> bool:
        return status is not None and status[1] == self.subject and self.first <= status[2] <= self.last


def text(cause: Cause, why: str, *patterns: str) -> Text:
    """A row of `patterns`, any of which will do."""
    return Text(re.compile("|".join(patterns)), cause, why)
