"""The words: what each mailbox provider family says when it takes or refuses a message.

Written after the providers' published error tables and replies seen in bounces. `{peer}` is the client's
address, `{rcpt}` the recipient. Reply code and enhanced code of a behaviour are the same at every family
unless the row is about one family; only the words differ. Pure: text in, wire bytes out.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from simulator.hosts import Family

ANY: Final = "any"
"""The row for families that have no words of their own."""

_GOOGLE_BLOCK = (
    "550 5.7.1 Service unavailable; Client host [{peer}] blocked using Spamhaus."
    " To request removal from this list see\nhttps://www.spamhaus.org/query/ip/{peer} - gsmtp"
)
_MICROSOFT_BLOCK = (
    "550 5.7.1 Service unavailable, Client host [{peer}] blocked using Spamhaus."
    " To request removal from this list see https://www.spamhaus.org/query/ip/{peer} (AS3130)."
    " [AM0EUR02FT001.eop-EUR02.prod.protection.outlook.com]"
)
_MICROSOFT_ACCEPTED = (
    "250 2.6.0 <message> [InternalId=1, Hostname=AM0PR02MB1.eurprd02.prod.outlook.com]"
    " Queued mail for delivery -> 250 2.1.5"
)
_GOOGLE_AUTH = (
    "550 5.7.26 Your email has been blocked because the sender is unauthenticated.\n"
    "Gmail requires all senders to authenticate with either SPF or DKIM.\n\n"
    " Authentication results:\n DKIM = did not pass\n"
    " SPF [{sender}] with ip: [{peer}] = did not pass\n\n"
    " For instructions on setting up authentication, go to\n"
    " https://support.google.com/mail/answer/81126#authentication - gsmtp"
)
_GOOGLE_NOBODY = (
    "550 5.1.1 The email account that you tried to reach does not exist. Please try\n"
    "double-checking the recipient's email address for typos or\n"
    "unnecessary spaces. For more information, go to\n"
    " https://support.google.com/mail/?p=NoSuchUser - gsmtp"
)
_GOOGLE_RATE = (
    "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n"
    "from your IP address [{peer}]. To protect our users from spam, mail sent\n"
    "from your IP address has been temporarily rate limited. For more\n"
    "information, go to https://support.google.com/mail/?p=UnsolicitedRateLimitError\n"
    "to review our Bulk Email Senders Guidelines. - gsmtp"
)

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "accepted": {
        ANY: "250 2.0.0 Ok: queued",
        Family.GMAIL: "250 2.0.0 OK  1767225600 a640c23a62f3a - gsmtp",
        Family.GOOGLE_WORKSPACE: "250 2.0.0 OK  1767225600 a640c23a62f3a - gsmtp",
        Family.MICROSOFT_CONSUMER: _MICROSOFT_ACCEPTED,
        Family.MICROSOFT_365: _MICROSOFT_ACCEPTED,
        Family.YAHOO: "250 ok dirdel",
    },
    "nobody": {
        ANY: "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in local recipient table",
        Family.GMAIL: _GOOGLE_NOBODY,
        Family.GOOGLE_WORKSPACE: _GOOGLE_NOBODY,
        Family.MICROSOFT_CONSUMER: "550 5.1.1 Requested action not taken: mailbox unavailable (S2017062302).",
        Family.MICROSOFT_365: "550 5.1.1 <{rcpt}>: RESOLVER.ADR.RecipNotFound; not found",
        Family.YAHOO: "550 5.1.1 <{rcpt}>: dd This user doesn't have a yahoo.com account",
        Family.ICLOUD: "550 5.1.1 <{rcpt}>: user does not exist",
    },
    "inactive": {
        ANY: "550 5.2.1 <{rcpt}>: mailbox disabled, not accepting messages",
        Family.GMAIL: (
            "550 5.2.1 The email account that you tried to reach is inactive.\nFor more information, go to\n"
            " https://support.google.com/mail/?p=DisabledUser - gsmtp"
        ),
        Family.YAHOO: "550 5.2.1 Mailbox disabled for this recipient",
    },
    "full": {
        ANY: "452 4.2.2 <{rcpt}>: mailbox is full",
        Family.GMAIL: (
            "452 4.2.2 The recipient's inbox is out of storage space. Please direct the\nrecipient to\n"
            " https://support.google.com/mail/?p=OverQuotaTemp - gsmtp"
        ),
        Family.YAHOO: "452 4.2.2 <{rcpt}>: mailbox over quota",
        Family.ICLOUD: "452 4.2.2 <{rcpt}>: user is over quota",
    },
    "overquota": {ANY: "552 5.2.2 <{rcpt}>: mailbox is over quota"},
    "grey": {
        ANY: "451 4.7.1 <{rcpt}>: Recipient address rejected: Greylisted, please try again later",
        Family.MICROSOFT_365: "451 4.7.1 Please try again later (greylisted) (S77719)",
        Family.YAHOO: "451 4.7.1 Message temporarily deferred - [160]",
    },
    "block": {
        ANY: (
            "550 5.7.1 Service unavailable; Client host [{peer}] blocked using zen.spamhaus.org;"
            " https://www.spamhaus.org/query/ip/{peer}"
        ),
        Family.GMAIL: _GOOGLE_BLOCK,
        Family.GOOGLE_WORKSPACE: _GOOGLE_BLOCK,
        Family.MICROSOFT_CONSUMER: _MICROSOFT_BLOCK,
        Family.MICROSOFT_365: _MICROSOFT_BLOCK,
        Family.YAHOO: (
            "550 5.7.1 [BL21] Connections will not be accepted from {peer},"
            " because the ip is in Spamhaus's list; see https://postmaster.yahooinc.com/550-bl23"
        ),
        Family.ICLOUD: "550 5.7.1 Mail from IP {peer} was rejected due to listing in Spamhaus SBL. See HM08",
    },
    "auth": {
        ANY: "550 5.7.26 Unauthenticated email from {sender} is not accepted due to domain's DMARC policy",
        Family.GMAIL: _GOOGLE_AUTH,
        Family.GOOGLE_WORKSPACE: _GOOGLE_AUTH,
    },
    "rate": {
        ANY: "421 4.7.28 Too many messages from [{peer}], slow down and try again later",
        Family.GMAIL: _GOOGLE_RATE,
        Family.GOOGLE_WORKSPACE: _GOOGLE_RATE,
    },
    "ratedkim": {
        ANY: (
            "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n"
            "from your DKIM domain [{sender}]. To protect our users from spam,\n"
            "mail sent from your domain has been temporarily rate limited. For more\n"
            "information, go to https://support.google.com/mail/?p=UnsolicitedRateLimitError - gsmtp"
        )
    },
    "msauth": {
        ANY: (
            "550 5.7.515 Access denied, sending domain {sender} doesn't meet the required authentication"
            " level. The sender's domain in the 5322.From address doesn't meet the requirements"
        )
    },
    "msslow": {
        ANY: "451 4.7.650 The mail server [{peer}] has been temporarily rate limited due to IP reputation."
    },
    "msblock": {
        ANY: (
            "550 5.7.1 Unfortunately, messages from [{peer}] weren't sent. Please contact your"
            " Internet service provider since part of their network is on our block list (S3140)."
        )
    },
    "yahoodefer": {
        ANY: (
            "421 4.7.0 [TSS04] Messages from {peer} temporarily deferred due to unexpected volume"
            " or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
        )
    },
}
"""What is said -> family -> text; lines end in a newline, codes stand once, in front."""


def words(what: str, family: str, **facts: str) -> bytes:
    """The reply on the wire. Raises KeyError for an unknown `what`."""
    template, plain = _template(what, family)
    return plain or template.format_map(facts).encode()


@cache
def _template(what: str, family: str) -> tuple[str, bytes]:
    """A reply as it goes on the wire but for its facts; and as bytes if it has none."""
    by_family = WORDS[what]
    template = multiline(by_family.get(family, by_family[ANY]))
    return template, b"" if "{" in template else template.encode()


def multiline(text: str) -> str:
    """Wire form of a reply: codes repeated on every line (RFC 5321 §4.2.1, RFC 2034 §4)."""
    first, *others = text.split("\n")
    code, _, rest = first.partition(" ")
    enhanced, _, _ = rest.partition(" ")
    prefix = f"{enhanced} " if enhanced.count(".") == 2 else ""
    lines = [rest, *(prefix + line for line in others)]
    marks = ["-"] * (len(lines) - 1) + [" "]
    return "".join(f"{code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True))
