"""What comes back: one returned message in, what it testifies out, and never an exception.

`read` tells delivery reports (RFC 3464 and the many that are not), abuse reports (RFC 5965), automatic replies
(RFC 3834) and unsubscribe mails apart and gives one `Report` per recipient, each with a reason of one closed
list. A late report and a live SMTP reply are judged by the same rows (`refusals.classify`).

It believes nothing and checks nothing: tokens are candidates for `verp.read_token`, and an abuse report's
sender is for the caller to authenticate. Pure; bounded in size, depth, parts and recipients.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_BYTES: Final = 1 << 20  # what is read of a message; reports quote what they return


class Kind(StrEnum):
    """What a returned message is."""

    DSN = "dsn"  # a report about delivery, standard or not: it has at least one Report
    ARF = "arf"  # a feedback report of RFC 5965, or a provider's own form of one
    AUTO_REPLY = "auto_reply"  # RFC 3834: out of office, acknowledgements; testifies nothing
    UNSUBSCRIBE = "unsubscribe"  # somebody pressed a mailto: of List-Unsubscribe
    OTHER = "other"  # a person's mail, or a report we cannot read: for people to look at
    UNPARSABLE = "unparsable"  # no message, or past our limits: for quarantine


class Action(StrEnum):
    """What was done with a recipient (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


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


R, F = Reason, Family
FAMILIES: Final = {
    **dict.fromkeys(
        (R.UNKNOWN_RECIPIENT, R.UNKNOWN_DOMAIN, R.TAKES_NO_MAIL, R.INACTIVE, R.MOVED), F.RECIPIENT
    ),
    **dict.fromkeys((R.MAILBOX_FULL, R.TOO_BIG), F.MAILBOX),
    **dict.fromkeys((R.CONTENT, R.POLICY, R.PROTOCOL), F.POLICY),
    **dict.fromkeys((R.RATE, R.BLOCK_LIST, R.AUTHENTICATION, R.TLS, R.PTR), F.REPUTATION),
    **dict.fromkeys((R.DNS, R.NETWORK, R.SYSTEM, R.EXPIRED), F.TRANSPORT),
    **dict.fromkeys(
        (R.ABUSE, R.FRAUD, R.VIRUS, R.NOT_SPAM, R.AUTH_FAILURE, R.OPT_OUT, R.OTHER_FEEDBACK), F.FEEDBACK
    ),
    R.DELIVERED: F.NONE,
    R.UNKNOWN: F.UNKNOWN,
}
COMPLAINTS: Final = frozenset({R.ABUSE, R.FRAUD, R.VIRUS})  # RFC 5965 §7.3: a not-spam is praise


@dataclass(frozen=True, slots=True)
class Report:
    """What was said of one recipient; "" and None are what was not said.

    `code` and `about` are those of a live refusal (`lifecycle.CODES[BOUNCED]`, or `refusals.DEFERRALS` for a
    delay; whom it is about); both are "" for feedback and for what was delivered.
    """

    recipient: str  # Final-Recipient, or the address found in the text
    action: Action | None
    reason: Reason
    hard: bool = False  # the address is gone for good; only with a reason of the recipient family
    code: str = ""
    about: str = ""
    why: str = ""  # of the row that judged it, in words for people
    original_recipient: str = ""  # RFC 3464 §2.3.1: the address as the sender gave it
    status: str = ""  # "5.1.1" (RFC 3463)
    reply_code: int | None = None  # 550, where the text shows one
    text: str = ""  # the diagnostic text, at most 1000 characters, controls made blanks
    remote_mta: str = ""

    @property
    def family(self) -> Family:
        return FAMILIES[self.reason]

    @property
    def complaint(self) -> bool:
        return self.reason in COMPLAINTS


@dataclass(frozen=True, slots=True)
class Original:
    """The header of the message that came back inside the report."""

    message_id: str = ""  # with its angle brackets
    ref: str = ""  # X-AO-Ref: a token candidate
    sender: str = ""  # From, the address alone
    recipients: tuple[str, ...] = ()  # To, addresses alone
    subject: str = ""
    signed: tuple[tuple[str, tuple[str, ...]], ...] = ()  # DKIM-Signature: (d=, names of h= in lower case)
    return_path: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """The fields of a feedback report (RFC 5965 §3), as they were sent."""

    type: str  # in lower case
    original_mail_from: str = ""
    original_rcpt_to: tuple[str, ...] = ()
    source_ip: str = ""
    original_envelope_id: str = ""
    arrival_date: str = ""
    user_agent: str = ""
    version: str = ""
    reported_domains: tuple[str, ...] = ()
    auth_failure: str = ""  # RFC 6591
    incidents: int = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One returned message. `reports` has one entry per recipient, in order."""

    kind: Kind
    reports: tuple[Report, ...] = ()
    tokens: tuple[
        str, ...
    ] = ()  # return-path token candidates in lower case, no two alike, best testimony first
    original: Original | None = None
    feedback: Feedback | None = None
    reporting_mta: str = ""
    envelope_id: str = ""  # Original-Envelope-Id (RFC 3464 §2.2.1)
    sender: str = ""  # From of the report itself, the address alone
    subject: str = ""
    why: str = ""  # why it is unparsable, or what made it an automatic reply
    truncated: bool = False  # more than MAX_BYTES came; the rest was not read


def read(raw: bytes) -> Reading:
    """What a returned message testifies; of anything that breaks a parser, that it is unparsable."""
    raise NotImplementedError
