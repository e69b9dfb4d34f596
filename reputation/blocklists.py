"""The block lists that a refusal may name, and how each is asked and answers.

Data and pure functions: which lists a text names, under which name one is asked about an address or a domain
(RFC 5782 §2), and what an answer means. Guarantees: only answers that the list itself says are listings count; an
error code (Spamhaus: 127.255.255.x, for open resolvers and excessive queries) is none. A list that is not here is
not believed, and one that has closed must not be: a dead zone may answer for every name (dnsbl.sorbs.net, 2024).

From the lists' own pages: Spamhaus's return codes of ZEN and DBL, SpamCop, Barracuda Central, PSBL.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Subject(StrEnum):
    """What a list lists."""

    ADDRESS = "address"
    DOMAIN = "domain"


@dataclass(frozen=True, slots=True)
class BlockList:
    """One list: its zone, what it lists, the words that name it, and what its answers mean."""

    zone: str
    subject: Subject
    text: re.Pattern[str]
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A refusal names a list: what would be listed there, the scope it would close, and the words."""

    blocklist: BlockList
    subject: str
    scope: str
    reply: str


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_LISTED: Final = {"127.0.0.2": "listed"}

LISTS: Final = (
    BlockList("zen.spamhaus.org", Subject.ADDRESS,
        _words(r"\b(?:zen|(?:sbl-)?xbl|sbl|pbl|css)\.(?:dq\.)?spamhaus", r"spamhaus\.org/(?:query/ip|sbl|css)",
               r"\bspamhaus(?:'s list| (?:zen|sbl|css|xbl|pbl))\b", r"\b(?:using|in|by) spamhaus\b(?!.?.?\bdbl\b)"),
        {"127.0.0.2": "SBL", "127.0.0.3": "CSS", **dict.fromkeys((f"127.0.0.{n}" for n in range(4, 8)), "XBL"),
         "127.0.0.9": "DROP", "127.0.0.10": "PBL", "127.0.0.11": "PBL"}),
    BlockList("dbl.spamhaus.org", Subject.DOMAIN,
        _words(r"\bdbl\.(?:dq\.)?spamhaus", r"spamhaus dbl\b", r"spamhaus\.org/dbl"),
        {"127.0.1.2": "spam", "127.0.1.4": "phishing", "127.0.1.5": "malware", "127.0.1.6": "botnet",
         **dict.fromkeys((f"127.0.1.{n}" for n in range(102, 107)), "a good name that is abused")}),
    BlockList("bl.spamcop.net", Subject.ADDRESS, _words(r"\bspamcop\b"), _LISTED),
    BlockList("b.barracudacentral.org", Subject.ADDRESS, _words(r"\bbarracudacentral\.org\b"), _LISTED),
    BlockList("psbl.surriel.com", Subject.ADDRESS, _words(r"\bpsbl\b"), _LISTED),
)  # fmt: skip


def named(words: str) -> tuple[BlockList, ...]:
    """The lists that these words (``wording.words``) name."""
    return tuple(one for one in LISTS if one.text.search(words))


def question(asked: BlockList, subject: str) -> str:
    """The name under which a list answers for an address or a domain (RFC 5782 §2.1, §2.4, §3.1).

    Raises:
        ValueError: an address was expected, and this is none.
    """
    if asked.subject is Subject.DOMAIN:
        return f"{subject}.{asked.zone}"
    reverse = ipaddress.ip_address(subject).reverse_pointer
    return f"{reverse.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{asked.zone}"


def control(asked: BlockList) -> str:
    """The name that a list which works never lists (RFC 5782 §5)."""
    return question(asked, "127.0.0.1" if asked.subject is Subject.ADDRESS else "invalid")


def listing(asked: BlockList, values: Iterable[str]) -> str:
    """What the A records of an answer say in words, or nothing if none of them is a listing."""
    return ", ".join(dict.fromkeys(asked.answers[value] for value in values if value in asked.answers))
