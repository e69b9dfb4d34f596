"""The rows by which a provider's reply shapes our speed: whom it slows or closes, and what a person must be told.

Data only, asked from the top; the first row that speaks of a reply decides (`shaping.react`). Every row belongs to
named provider families: what some mail host of nobody we know says concerns its own mail alone. Rows rest on words only
where the family itself chose the words. Where its customers may write replies (Microsoft 365: 5.7.1 and 5.7.900-999;
Google: marked ``gcdp``), rows rest on codes that are not theirs to give. To teach a reply: a row here, a verbatim line
in the test.

From the providers' pages of 2025 and 2026: Google's SMTP errors and sender guidelines, Yahoo's sender hub, Outlook's
policies and codes, Exchange Online's NDR codes, Apple's postmaster page, the gateways' lists of codes.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Act(StrEnum):
    """What we do about a reply, mildest first."""

    SLOW = "slow"  # halve the pace
    BACK_OFF = "back_off"  # close for minutes, longer each time in a row
    CLOSE = "close"  # close for hours: only time, or a person, mends it


class Scope(StrEnum):
    """Whom a reply names: the kind of ramp. The organisation's domain is none of the names we send under."""

    DOMAIN = "domain"
    SOURCE = "source"


SEVERITY: Final = {Act.SLOW: 1, Act.BACK_OFF: 2, Act.CLOSE: 3}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of reply: which families say it, by code X.7.n or by words, and what it means for now and for good.

    ``trips``: said for good, it is evidence at once for the kill switch. ``alarm``: what a person must look at.
    """

    families: frozenset[str]
    scope: Scope
    for_now: Act | None
    for_good: Act | None
    codes: Collection[int] | None = None
    text: re.Pattern[str] | None = None
    alarm: str = ""
    trips: bool = False

    def speaks_of(self, family: str, security: int | None, words: str) -> bool:
        """Whether this is such a reply; ``security`` is n of its enhanced code X.7.n."""
        return (
            family in self.families
            and (self.codes is None or security in self.codes)
            and (self.text is None or self.text.search(words) is not None)
        )


def _family(*names: str) -> frozenset[str]:
    return frozenset(names)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


DOMAIN, SOURCE = Scope.DOMAIN, Scope.SOURCE
SLOW, BACK_OFF, CLOSE = Act.SLOW, Act.BACK_OFF, Act.CLOSE

_GOOGLE: Final = _family("gmail", "google-workspace")
_MICROSOFT: Final = _family("microsoft-consumer", "microsoft-365")
_OUTLOOK: Final = _family("microsoft-consumer")
_YAHOO: Final = _family("yahoo")
_ICLOUD: Final = _family("icloud")
_UNITED: Final = _family("gmx", "ionos")

_RATE: Final = r"unusual rate of (?:unsolicited )?mail "
_TOO_MUCH: Final = "too much unwanted mail, they say: look at complaints and at who sends"
_UNSIGNED: Final = "our mail does not authenticate there: look at SPF, DKIM, DMARC and their alignment"
_LISTED: Final = "they say our address is on a block list: look it up there"
_NO_PTR: Final = "our address has no reverse DNS that leads back to it"
_BANNED: Final = "our address is banned there: ask them to take it off their list"

GOOGLE: Final = (
    # the seven texts of X.7.28, each with the scope it names
    Row(_GOOGLE, SOURCE, SLOW, BACK_OFF, text=_words(_RATE + "originating from your ip netblock"),
        alarm="our neighbours' addresses send too much unwanted mail: ask whom the network belongs to"),
    Row(_GOOGLE, SOURCE, BACK_OFF, CLOSE, text=_words(_RATE + "originating from your ip address"),
        alarm=_TOO_MUCH, trips=True),
    Row(_GOOGLE, DOMAIN, BACK_OFF, CLOSE, text=_words(_RATE + "originating from your (?:dkim|spf) domain"),
        alarm=_TOO_MUCH, trips=True),
    Row(_GOOGLE, DOMAIN, BACK_OFF, CLOSE, text=_words(_RATE + "containing one of your url domains"),
        alarm="mail with our links is unwanted, they say: look at content and complaints", trips=True),
    Row(_GOOGLE, DOMAIN, SLOW, SLOW, text=_words("quota for sending messages with the same message-id")),
    Row(_GOOGLE, DOMAIN, BACK_OFF, CLOSE, text=_words(_RATE), alarm=_TOO_MUCH, trips=True),
    Row(_GOOGLE, DOMAIN, BACK_OFF, CLOSE, codes=(28,), alarm=_TOO_MUCH, trips=True),
    # requirements for senders
    Row(_GOOGLE, SOURCE, BACK_OFF, CLOSE, codes=(23, 25), alarm=_NO_PTR),
    Row(_GOOGLE, SOURCE, BACK_OFF, CLOSE, text=_words("does not have a ptr record"), alarm=_NO_PTR),
    Row(_GOOGLE, DOMAIN, SLOW, BACK_OFF, codes=(24,), alarm="our SPF record has suspicious entries"),
    Row(_GOOGLE, DOMAIN, BACK_OFF, CLOSE, codes=(26,), text=_words("temporary dns failures"),
        alarm="our DNS does not answer them"),
    Row(_GOOGLE, DOMAIN, CLOSE, CLOSE, codes=(26, 27, 30, 32), alarm=_UNSIGNED, trips=True),
    Row(_GOOGLE, DOMAIN, CLOSE, CLOSE, codes=(29,), alarm="our mail goes there without TLS"),
    Row(_GOOGLE, DOMAIN, CLOSE, CLOSE, codes=(31, 40), alarm="our domain has no DMARC record"),
    # standing
    Row(_GOOGLE, SOURCE, BACK_OFF, CLOSE, text=_words("very low reputation of the sending ip"),
        alarm="our address has a bad name there"),
    Row(_GOOGLE, DOMAIN, BACK_OFF, CLOSE, text=_words("very low reputation of the sending domain"),
        alarm="our domain has a bad name there"),
    Row(_GOOGLE, SOURCE, CLOSE, CLOSE, text=_words("not authorized to send email directly to our servers"),
        alarm="our address is taken for a dial-up one"),
)  # fmt: skip

MICROSOFT: Final = (
    # codes that no tenant's own rule can give
    Row(_MICROSOFT, DOMAIN, CLOSE, CLOSE, codes=(515,), alarm=_UNSIGNED, trips=True),
    Row(_MICROSOFT, DOMAIN, BACK_OFF, BACK_OFF, codes=(509,), alarm=_UNSIGNED),
    Row(_MICROSOFT, DOMAIN, SLOW, BACK_OFF, codes=range(501, 504), alarm="they say they saw spam from us"),
    Row(_MICROSOFT, SOURCE, SLOW, CLOSE, codes=(511,), alarm=_BANNED),
    Row(_MICROSOFT, SOURCE, SLOW, CLOSE, codes=range(606, 650), alarm=_BANNED),
    Row(_MICROSOFT, SOURCE, SLOW, BACK_OFF, codes=range(650, 652)),
    Row(_MICROSOFT, SOURCE, SLOW, CLOSE, codes=range(703, 750), alarm=_BANNED),
    Row(_MICROSOFT, SOURCE, SLOW, None, codes=range(500, 700)),
    Row(_MICROSOFT, SOURCE, SLOW, None, codes=range(850, 900)),
    Row(_MICROSOFT, SOURCE, SLOW, None, text=_words(r"maximum number of concurrent (?:server )?connections")),
    # outlook.com's own marks
    Row(_OUTLOOK, SOURCE, SLOW, BACK_OFF, text=_words(r"\brp-00[123]\b")),
    Row(_OUTLOOK, SOURCE, CLOSE, CLOSE, text=_words(r"\bs31[45]0\b"), alarm=_BANNED),
    Row(_OUTLOOK, SOURCE, BACK_OFF, BACK_OFF, text=_words(r"\b(?:sc-001|ou-002)\b"),
        alarm="content or reputation displeases them"),
    Row(_OUTLOOK, SOURCE, CLOSE, CLOSE, text=_words(r"\bsc-002\b|namespace mining"),
        alarm="too many unknown recipients: they take it for probing"),
    Row(_OUTLOOK, SOURCE, CLOSE, CLOSE, text=_words(r"\bsc-003\b"), alarm="taken for an open proxy"),
    Row(_OUTLOOK, SOURCE, CLOSE, CLOSE, text=_words(r"\bsc-004\b"), alarm=_TOO_MUCH),
    Row(_OUTLOOK, SOURCE, CLOSE, CLOSE, text=_words(r"\bdy-00[12]\b"),
        alarm="our address is taken for a dial-up or infected one"),
    Row(_OUTLOOK, SOURCE, BACK_OFF, BACK_OFF, text=_words(r"\bou-001\b"), alarm=_LISTED),
)  # fmt: skip

YAHOO: Final = (
    Row(_YAHOO, SOURCE, BACK_OFF, CLOSE, text=_words("permanently deferred"), alarm=_TOO_MUCH),
    Row(_YAHOO, SOURCE, SLOW, BACK_OFF, text=_words(r"\[tss?\d\d\]", "unexpected volume or user complaints")),
    Row(_YAHOO, SOURCE, BACK_OFF, BACK_OFF, text=_words(r"\[bl\d\d\]"), alarm=_LISTED),
    Row(_YAHOO, DOMAIN, CLOSE, CLOSE, text=_words("requires all senders to authenticate"), alarm=_UNSIGNED),
    Row(_YAHOO, DOMAIN, BACK_OFF, BACK_OFF, text=_words(r"unresolvable rfc\.5321 (?:from )?domain"),
        alarm="the zone of our sender's domain does not answer (SOA)"),
    Row(_YAHOO, DOMAIN, None, SLOW, text=_words(r"\[ph\d\d\]", "not accepted for policy reasons"),
        alarm="content or authentication displeases them"),
)  # fmt: skip

ICLOUD: Final = (
    Row(_ICLOUD, DOMAIN, BACK_OFF, CLOSE, text=_words("failing both spf and dkim", r"\bdmarc policy\b"),
        alarm=_UNSIGNED),
    Row(_ICLOUD, DOMAIN, BACK_OFF, BACK_OFF, text=_words("domain present in the spamhaus"),
        alarm="they say a domain in our mail is on a block list: look it up there"),
    Row(_ICLOUD, SOURCE, BACK_OFF, BACK_OFF, alarm=_LISTED,
        text=_words("due to listing in spamhaus", r"blocked - see https://support\.proofpoint\.com/dnsbl")),
    Row(_ICLOUD, DOMAIN, SLOW, SLOW, text=_words(r"\[(?:cs|hm)\w?\d\d\]|rejected due to local policy"),
        alarm="content displeases them"),
    Row(_ICLOUD, SOURCE, SLOW, SLOW,
        text=_words("too many errors", "service unavailable - try again later", "not accepting connections")),
)  # fmt: skip

OTHERS: Final = (
    Row(_family("proofpoint"), SOURCE, BACK_OFF, BACK_OFF, alarm=_LISTED,
        text=_words(r"blocked - see https://(?:ipcheck|support)\.proofpoint\.com")),
    Row(_family("mimecast"), SOURCE, SLOW, BACK_OFF, alarm=_LISTED,
        text=_words("ip temporarily blacklisted", "local ct ip reputation")),
    Row(_family("cisco"), SOURCE, SLOW, BACK_OFF, text=_words("sending mta's poor reputation"), alarm=_LISTED),
    Row(_family("barracuda"), SOURCE, SLOW, BACK_OFF, text=_words(r"barracudanetworks\.com/reputation"),
        alarm=_LISTED),
    Row(_UNITED, SOURCE, SLOW, SLOW,
        text=_words("too many messages have been received in a short period", "rate limit reached")),
    Row(_UNITED, SOURCE, BACK_OFF, CLOSE, text=_words("(?:bad|no) dns ptr"), alarm=_NO_PTR),
    Row(_UNITED, DOMAIN, CLOSE, CLOSE, text=_words("reject due to spf policy"), alarm=_UNSIGNED),
    Row(_family("t-online"), SOURCE, BACK_OFF, CLOSE, text=_words("ask your postmaster for help"),
        alarm="they do not take mail from our address before its postmaster has written to them"),
    Row(_family("comcast"), SOURCE, SLOW, BACK_OFF, text=_words(r"\brl0000\d\d\b")),
    Row(_family("comcast"), SOURCE, BACK_OFF, CLOSE, text=_words(r"\bbl0000\d\d\b"), alarm=_BANNED),
    Row(_family("rackspace"), SOURCE, SLOW, None,
        text=_words("too many concurrent connections from this client", "from a new or untrusted ip")),
    Row(_family("orange"), SOURCE, SLOW, None, text=_words(r"\bofr\w{0,8}_104\b")),
)  # fmt: skip

ROWS: Final = (*GOOGLE, *MICROSOFT, *YAHOO, *ICLOUD, *OTHERS)
