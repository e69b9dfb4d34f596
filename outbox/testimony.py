"""What a returned message can testify: the values that `reports.read` answers with.

They are as they were sent, cleaned of controls and cut, and nothing in them is believed yet. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

from outbox.reasons import COMPLAINTS, FAMILIES, Family, Reason


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
