"""A receiver that names a block list is believed when the list itself says so, and not before."""

import asyncio
from typing import Any

import pytest

from reputation import blocklists
from reputation.blocklists import LISTS, Suspicion, control, listing, question
from reputation.listings import AGAIN_AFTER, Listings
from reputation.resolver import Answer, Problem
from reputation.rules import Strength
from reputation.wording import words

ZEN, DBL = LISTS[0], LISTS[1]
OURS = "192.0.2.7"
SAID = "550 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org"


class Dns:
    """A resolver with a zone; a name whose records are None gets no answer."""

    def __init__(self) -> None:
        self.zone: dict[str, Any] = {}
        self.asked: list[str] = []

    async def records(self, name: str, rdtype: str) -> Answer:
        self.asked.append(name)
        found = self.zone.get(name, ())
        absent = Problem.TEMPORARY if found is None else None if found else Problem.NO_SUCH_DOMAIN
        return Answer(name, rdtype, tuple(found or ()), absent, 60.0, name)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def confirmed(dns: Dns) -> Any:
    return asyncio.run(Listings(dns).confirmed(Suspicion(ZEN, OURS, f"source:{OURS}", SAID)))


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("Client host [192.0.2.7] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7",
         ["zen.spamhaus.org"]),
        ("rejected because 192.0.2.7 is in a black list at sbl-xbl.spamhaus.org", ["zen.spamhaus.org"]),
        ("Mail from IP 192.0.2.7 was rejected due to listing in Spamhaus SBL.", ["zen.spamhaus.org"]),
        ("[BL21] Connections will not be accepted, because the ip is in Spamhaus's list", ["zen.spamhaus.org"]),
        ("Your email was rejected due to having a domain present in the Spamhaus DBL", ["dbl.spamhaus.org"]),
        ("Sender domain listed by dbl.spamhaus.org", ["dbl.spamhaus.org"]),
        ("Blocked - see https://www.spamcop.net/bl.shtml?192.0.2.7", ["bl.spamcop.net"]),
        ("Client host blocked using b.barracudacentral.org and psbl.surriel.com",
         ["b.barracudacentral.org", "psbl.surriel.com"]),
        ("blocked using dnsbl.sorbs.net", []),  # closed: not to be believed
        ("<zen.spamhaus.org@example.com>: mailbox full", []),  # what an address is called was not said
        ("our local block list has you", []),
    ],
)  # fmt: skip
def test_a_text_names_the_lists_that_are_to_be_asked(text: str, zones: list[str]) -> None:
    assert [one.zone for one in blocklists.named(words(text))] == zones


@pytest.mark.parametrize(
    ("asked", "subject", "name"),
    [
        (ZEN, "192.0.2.7", "7.2.0.192.zen.spamhaus.org"),
        (ZEN, "2001:db8::7", f"7{'.0' * 23}.8.b.d.0.1.0.0.2.zen.spamhaus.org"),  # RFC 5782 §2.4
        (DBL, "agents.acme.test", "agents.acme.test.dbl.spamhaus.org"),
    ],
)
def test_a_list_is_asked_under_its_own_name(asked: Any, subject: str, name: str) -> None:
    assert question(asked, subject) == name


@pytest.mark.parametrize(
    ("asked", "answer", "meaning"),
    [
        (ZEN, "127.0.0.2", "SBL"),
        (ZEN, "127.0.0.11", "PBL"),
        (ZEN, "127.255.255.252", ""),  # a name that was mistyped
        (ZEN, "127.255.255.254", ""),  # asked through an open resolver
        (ZEN, "127.255.255.255", ""),  # asked too often
        (ZEN, "127.0.0.1", ""),
        (ZEN, "203.0.113.9", ""),  # somebody parks the zone
        (DBL, "127.0.1.2", "spam"),
        (DBL, "127.0.1.255", ""),  # an address was asked for
        (DBL, "127.0.0.2", ""),
    ],
)
def test_only_a_listing_is_one(asked: Any, answer: str, meaning: str) -> None:
    assert listing(asked, [answer]) == meaning


def test_a_listing_is_confirmed_with_question_and_answer() -> None:
    dns = Dns()
    dns.zone["7.2.0.192.zen.spamhaus.org"] = ("127.0.0.2", "127.0.0.4")
    verdict = confirmed(dns)
    assert (verdict.scope, verdict.rule, verdict.strength) == (
        f"source:{OURS}",
        "block_list",
        Strength.AT_ONCE,
    )
    assert "192.0.2.7 is on zen.spamhaus.org (SBL, XBL), by our own look-up" in verdict.why
    assert verdict.arithmetic["question"] == "7.2.0.192.zen.spamhaus.org A"
    assert verdict.arithmetic["answer"] == ["127.0.0.2", "127.0.0.4"]
    assert verdict.arithmetic["reply"] == SAID


@pytest.mark.parametrize(
    ("answer", "of_control"),
    [
        ((), ()),  # not listed
        (None, ()),  # no answer
        (("127.255.255.254",), ()),  # we ask through an open resolver
        (("127.0.0.2",), ("127.0.0.2",)),  # it lists everything
        (("127.0.0.2",), None),  # whether it does, nobody knows
    ],
)
def test_anything_else_proves_nothing(answer: Any, of_control: Any) -> None:
    dns = Dns()
    dns.zone |= {"7.2.0.192.zen.spamhaus.org": answer, control(ZEN): of_control}
    assert confirmed(dns) is None


def test_a_list_is_asked_about_the_same_once_in_ten_minutes() -> None:
    dns, clock = Dns(), Clock()
    listings = Listings(dns, clock)

    def ask(subject: str = OURS) -> None:
        asyncio.run(listings.confirmed(Suspicion(ZEN, subject, "source:x", SAID)))

    ask()
    clock.now = AGAIN_AFTER - 1
    ask()
    assert len(dns.asked) == 1
    ask("192.0.2.8")
    assert len(dns.asked) == 2
    clock.now = AGAIN_AFTER
    ask()
    assert len(dns.asked) == 3
