"""Why mail came back: the closed list of reasons, the family of each, and which feedback is a complaint.

A live SMTP reply, a late delivery report and a feedback report all end here. Data only.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Family(StrEnum):
    """Whom or what a reason is about."""

    RECIPIENT = "recipient"
    MAILBOX = "mailbox"
    POLICY = "policy"
    REPUTATION = "reputation"
    TRANSPORT = "transport"
    FEEDBACK = "feedback"
    NONE = "none"  # nothing went wrong
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why, in our closed list; `FAMILIES` has the family of each."""

    UNKNOWN_RECIPIENT = "unknown_recipient"
    UNKNOWN_DOMAIN = "unknown_domain"  # the recipient's domain is gone
    TAKES_NO_MAIL = "takes_no_mail"  # the domain or host says it takes no mail (RFC 7504, RFC 7505)
    INACTIVE = "inactive"
    MOVED = "moved"
    MAILBOX_FULL = "mailbox_full"
    TOO_BIG = "too_big"
    CONTENT = "content"  # what it says: spam, virus, attachments
    POLICY = "policy"  # a rule of theirs, relaying among them
    FILTERED = "filtered"  # "no such user", said by a filter and not in answer to the address
    PROTOCOL = "protocol"  # how it is written or said: RFC 5322, syntax
    RATE = "rate"
    BLOCK_LIST = "block_list"
    AUTHENTICATION = "authentication"
    TLS = "tls"
    PTR = "ptr"
    DNS = "dns"  # a look-up or a route failed, which may pass
    NETWORK = "network"
    SYSTEM = "system"  # their server is broken, busy or full
    EXPIRED = "expired"
    ABUSE = "abuse"
    FRAUD = "fraud"
    VIRUS = "virus"
    NOT_SPAM = "not_spam"
    AUTH_FAILURE = "auth_failure"
    OPT_OUT = "opt_out"
    OTHER_FEEDBACK = "other_feedback"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"


_MEMBERS: Final[Mapping[Family, str]] = {
    Family.RECIPIENT: "unknown_recipient unknown_domain takes_no_mail inactive moved",
    Family.MAILBOX: "mailbox_full too_big",
    Family.POLICY: "content policy filtered protocol",
    Family.REPUTATION: "rate block_list authentication tls ptr",
    Family.TRANSPORT: "dns network system expired",
    Family.FEEDBACK: "abuse fraud virus not_spam auth_failure opt_out other_feedback",
    Family.NONE: "delivered",
    Family.UNKNOWN: "unknown",
}
FAMILIES: Final[Mapping[Reason, Family]] = {
    Reason(name): family for family, names in _MEMBERS.items() for name in names.split()
}
COMPLAINTS: Final = frozenset({Reason.ABUSE, Reason.FRAUD, Reason.VIRUS})
"""What counts as a complaint (RFC 5965 §7.3); a not-spam is praise, and the others are news about us."""
