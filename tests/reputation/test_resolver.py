"""The DNS edge against a name server on loopback whose zone is a table and which counts its questions."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from reputation import resolver as room
from reputation.resolver import Exchangers, Problem, Resolver
from simulator.names import Answer, Names, Rcode
from simulator.nameserver import NameServer, TcpPort, UdpPort

PUBLIC, PUBLIC_2 = "8.8.8.8", "9.9.9.9"  # addresses that are global; nothing here connects to them


@dataclass
class Zone:
    """Names and their records, or a canned answer; everything else is NXDOMAIN."""

    names: dict[str, Any]
    asked: Counter = field(default_factory=Counter)

    def answer(self, name: str, rdtype: str) -> Answer:
        self.asked[name, rdtype] += 1
        found = self.names.get(name)
        if isinstance(found, Answer):
            return found
        if found is None:
            return Answer(Rcode.NXDOMAIN)
        alias = next((text for kind, text in found if kind == "CNAME"), None)
        if alias is not None:
            step = (name, (("CNAME", alias),))
            rest = self.answer(alias.rstrip("."), rdtype)
            return Answer(rest.rcode, (step, *rest.chain))
        records = tuple(record for record in found if record[0] == rdtype)
        return Answer(Rcode.NOERROR, ((name, records),) if records else ())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(zone: Zone, scenario: Callable[[Resolver], Awaitable[Any]], **options: Any) -> Any:
    """Runs a scenario with a resolver that asks a server for this zone."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        server = NameServer(cast(Names, zone), loop)
        udp, tcp = await listen(loop, server)
        try:
            return await scenario(Resolver([udp.get_extra_info("sockname")], **options))
        finally:
            udp.close()
            tcp.close()

    return asyncio.run(main())


async def listen(loop: asyncio.AbstractEventLoop, server: NameServer) -> Any:
    """One port for datagrams and streams: free for one may be taken for the other."""
    while True:
        tcp = await loop.create_server(lambda: TcpPort(server), "127.0.0.1", 0)
        try:
            address = tcp.sockets[0].getsockname()
            udp, _ = await loop.create_datagram_endpoint(lambda: UdpPort(server), local_addr=address)
        except OSError:
            tcp.close()
        else:
            return udp, tcp


def exchangers(names: dict[str, Any], domain: str = "example.com", **options: Any) -> Exchangers:
    return ask(Zone(names), lambda resolver: resolver.exchangers(domain), **options)


def mx(*pairs: tuple[int, str]) -> list[tuple[str, str]]:
    return [("MX", f"{preference} {host}.") for preference, host in pairs]


def a(*addresses: str) -> list[tuple[str, str]]:
    return [("A", address) for address in addresses]


def hosts(found: Exchangers) -> list[str]:
    return [each.host for each in found.hosts]


# --- RFC 5321 §5.1 -----------------------------------------------------------------------------------------


def test_hosts_come_by_preference_with_all_their_addresses():
    found = exchangers(
        {
            "example.com": mx((20, "b.example.com"), (10, "a.example.com")),
            "a.example.com": a(PUBLIC, PUBLIC_2),
            "b.example.com": a(PUBLIC_2),
        },
        "Example.COM.",
    )
    assert found.problem is None
    assert found.domain == "example.com"
    assert [(each.host, each.preference) for each in found.hosts] == [
        ("a.example.com", 10),
        ("b.example.com", 20),
    ]
    assert sorted(found.hosts[0].addresses) == [PUBLIC, PUBLIC_2]


def test_equal_preferences_are_shuffled_in_each_answer_and_never_before_better_ones():
    equal = [f"m{n}.example.com" for n in range(6)]
    zone = Zone({"example.com": mx((5, "best.example.com"), *((10, host) for host in equal))})
    zone.names |= {host: a(PUBLIC) for host in [*equal, "best.example.com"]}

    async def many(resolver: Resolver) -> list[list[str]]:
        return [hosts(await resolver.exchangers("example.com")) for _ in range(30)]

    answers = ask(zone, many)
    assert {answer[0] for answer in answers} == {"best.example.com"}
    assert len({tuple(answer) for answer in answers}) > 1  # 30 equal shuffles of 6: 1 in 720 to the 29th
    assert zone.asked["example.com", "MX"] == 1


def test_the_address_fallback_exists_only_without_any_mx():
    assert hosts(exchangers({"example.com": a(PUBLIC)})) == ["example.com"]
    found = exchangers({"example.com": [*mx((10, "gone.example.com")), *a(PUBLIC)]})
    assert (found.hosts, found.problem) == ((), Problem.NO_ADDRESS)


def test_a_temporary_fault_of_the_mx_question_never_falls_back_to_the_address():
    class Failing(Zone):
        def answer(self, name, rdtype):
            return Answer(Rcode.SERVFAIL) if rdtype == "MX" else super().answer(name, rdtype)

    zone = Failing({"example.com": a(PUBLIC)})
    found = ask(zone, lambda resolver: resolver.exchangers("example.com"))
    assert found.problem is Problem.TEMPORARY
    assert zone.asked["example.com", "A"] == 0


def test_a_domain_that_is_an_alias_is_followed():
    names = {
        "example.com": [("CNAME", "real.example.net.")],
        "real.example.net": mx((10, "mx.example.net")),
        "mx.example.net": a(PUBLIC),
    }
    assert hosts(exchangers(names)) == ["mx.example.net"]


def test_a_host_behind_an_alias_is_used_only_when_nothing_else_is_left():
    names = {
        "example.com": mx((10, "alias.example.com"), (20, "mx.example.com")),
        "alias.example.com": [("CNAME", "mx.example.com.")],
        "mx.example.com": a(PUBLIC),
    }
    assert hosts(exchangers(names)) == ["mx.example.com"]
    assert hosts(exchangers(names | {"example.com": mx((10, "alias.example.com"))})) == ["alias.example.com"]


@pytest.mark.parametrize("own", [{"own_names": ["US.example.org."]}, {"own_addresses": [PUBLIC]}])
def test_we_and_whatever_is_not_better_than_we_are_dropped(own):
    names = {
        "example.com": mx(
            (5, "best.example.com"), (10, "us.example.org"), (10, "p.example.com"), (20, "w.example.com")
        ),
        "us.example.org": a(PUBLIC),
        **{f"{name}.example.com": a(PUBLIC_2) for name in ("best", "p", "w")},
    }
    assert hosts(exchangers(names, **own)) == ["best.example.com"]
    alone = names | {"example.com": mx((10, "us.example.org"), (20, "w.example.com"))}
    assert exchangers(alone, **own).problem is Problem.NO_ROUTE


def test_ten_hosts_of_fifty_are_looked_at():
    zone = Zone({"example.com": mx(*((n, f"m{n}.example.com") for n in range(50)))})
    zone.names |= {f"m{n}.example.com": a(PUBLIC) for n in range(50)}
    found = ask(zone, lambda resolver: resolver.exchangers("example.com"))
    assert hosts(found) == [f"m{n}.example.com" for n in range(10)]
    assert len(zone.asked) == 1 + 10


# --- what is no answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({}, Problem.NO_SUCH_DOMAIN),
        ({"example.com": [("MX", "0 .")]}, Problem.NULL_MX),  # RFC 7505
        ({"example.com": [("MX", "10 ."), ("MX", "20 .")]}, Problem.NULL_MX),  # surely meant
        ({"example.com": [("TXT", "no mail here")]}, Problem.NO_ADDRESS),
        ({"example.com": Answer(Rcode.SERVFAIL)}, Problem.TEMPORARY),  # DNSSEC bogus looks like this
        ({"example.com": Answer(Rcode.REFUSED)}, Problem.TEMPORARY),  # lame
        ({"example.com": mx((10, "gone.example.com"))}, Problem.NO_ADDRESS),
        ({"example.com": mx((10, "m.example")), "m.example": [("TXT", "x")]}, Problem.NO_ADDRESS),
        ({"example.com": mx((10, "m.example")), "m.example": Answer(Rcode.SERVFAIL)}, Problem.TEMPORARY),
        ({"example.com": mx((10, "m.example")), "m.example": [("AAAA", "2600::1")]}, Problem.NO_ADDRESS),
        ({"example.com": [("MX", "10 we\\032ird.example.com.")]}, Problem.NO_ADDRESS),  # not a host name
    ],
)  # fmt: skip
def test_each_way_to_have_no_host_is_told_apart(names, problem):
    found = exchangers(names)
    assert (found.hosts, found.problem) == ((), problem)
    assert found.why


def test_a_host_that_cannot_be_looked_up_now_does_not_hide_one_that_can():
    names = {
        "example.com": mx((10, "ill.example.com"), (20, "well.example.com")),
        "ill.example.com": Answer(Rcode.SERVFAIL),
        "well.example.com": a(PUBLIC),
    }
    assert hosts(exchangers(names)) == ["well.example.com"]


def test_a_server_that_is_silent_is_a_temporary_problem():
    found = exchangers({"example.com": Answer(Rcode.SILENCE)}, timeout=0.1, lifetime=0.2)
    assert found.problem is Problem.TEMPORARY


def test_a_server_that_is_not_there_is_a_temporary_problem():
    async def nobody() -> Exchangers:
        return await Resolver([("127.0.0.1", 1)], timeout=0.1, lifetime=0.2).exchangers("example.com")

    assert asyncio.run(nobody()).problem is Problem.TEMPORARY


@pytest.mark.parametrize("domain", ["a..example.com", "x" * 64 + ".com", ".".join(["abcdefgh"] * 40)])
def test_what_cannot_be_a_name_does_not_exist(domain):
    assert exchangers({}, domain).problem is Problem.NO_SUCH_DOMAIN


def test_a_name_that_is_not_in_a_labels_is_the_callers_mistake():
    with pytest.raises(ValueError, match="A-label"):
        exchangers({}, "straße.example")


@pytest.mark.parametrize("preferences", [(10, 20), (20, 10)])
def test_a_truncated_answer_is_asked_again_over_tcp(preferences):
    first, second = preferences
    records = (("MX", f"{first} a.example.com."), ("MX", f"{second} b.example.com."))
    names = {
        "example.com": Answer(Rcode.NOERROR, (("example.com", records),), truncate=True),
        "a.example.com": a(PUBLIC),
        "b.example.com": a(PUBLIC),
    }
    expected = ["a.example.com", "b.example.com"]
    assert hosts(exchangers(names)) == (expected if first < second else expected[::-1])


# --- where we refuse to go ---------------------------------------------------------------------------------

NOT_FOR_MAIL = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # the metadata service of clouds
    "100.64.0.1",  # carrier-grade NAT
    "192.0.2.1",  # documentation
    "255.255.255.255",
]
NEVER = ["0.0.0.0", "224.0.0.1"]  # the first reaches this very host


@pytest.mark.parametrize("address", NOT_FOR_MAIL + NEVER)
def test_mail_is_not_routed_into_private_networks(address):
    names = {"example.com": mx((10, "mx.example.com")), "mx.example.com": a(address)}
    assert exchangers(names).problem is Problem.NO_ROUTE
    assert exchangers({"example.com": a(address)}).problem is Problem.NO_ROUTE


@pytest.mark.parametrize("address", [*NOT_FOR_MAIL, *NEVER])
def test_a_host_to_fetch_from_is_held_to_the_same(address):
    zone = Zone({"mta-sts.example.com": a(address)})
    assert ask(zone, lambda resolver: resolver.addresses("mta-sts.example.com")) == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www.example.com", (PUBLIC,)),
        ("WWW.Example.com.", (PUBLIC,)),
        ("alias.example.com", (PUBLIC,)),  # an alias is followed, and what is behind it looked at
        ("inside.example.com", ()),
        ("missing.example.com", ()),
        ("broken.example.com", ()),
    ],
)
def test_the_addresses_of_a_host_are_those_we_may_connect_to(name, expected):
    names = {
        "www.example.com": a("10.0.0.1", PUBLIC),
        "alias.example.com": [("CNAME", "www.example.com.")],
        "inside.example.com": [("CNAME", "local.example.com.")],
        "local.example.com": a("127.0.0.1"),
        "broken.example.com": Answer(Rcode.SERVFAIL),
    }
    assert ask(Zone(names), lambda resolver: resolver.addresses(name)) == expected


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.7"])
def test_a_simulator_may_allow_loopback(address):
    names = {"example.com": mx((10, "mx.example.com")), "mx.example.com": a(address)}
    assert exchangers(names, allow_loopback=True).hosts[0].addresses == (address,)


@pytest.mark.parametrize("address", [*NEVER, "10.0.0.1", "192.168.1.1", "169.254.169.254"])
def test_nobody_may_allow_other_networks_or_addresses_that_are_no_host(address):
    assert exchangers({"example.com": a(address)}, allow_loopback=True).problem is Problem.NO_ROUTE


def test_public_addresses_of_a_host_survive_its_private_ones():
    names = {"example.com": mx((10, "mx.example.com")), "mx.example.com": a("10.0.0.1", PUBLIC)}
    assert exchangers(names).hosts[0].addresses == (PUBLIC,)


HIDDEN = [
    "::1",
    "::",
    "ff02::1",
    "fe80::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",  # NAT64 of one network (RFC 8215)
    "::127.0.0.1",  # IPv4-compatible (RFC 4291 2.5.5.1)
    "::10.0.0.1",
    "fec0::1",  # site-local (RFC 3879)
]


@pytest.mark.parametrize("address", HIDDEN)
def test_ipv6_hides_no_private_address(address):
    names = {"example.com": [("AAAA", address)]}
    assert exchangers(names, ipv6=True).problem is Problem.NO_ROUTE


def test_ipv6_is_used_where_it_is_asked_for():
    names = {"example.com": [*a(PUBLIC), ("AAAA", "2600::1")]}
    assert exchangers(names).hosts[0].addresses == (PUBLIC,)
    assert exchangers(names, ipv6=True).hosts[0].addresses == (PUBLIC, "2600::1")


# --- one question for many ---------------------------------------------------------------------------------

ONE = {"example.com": mx((10, "mx.example.com")), "mx.example.com": a(PUBLIC)}


def test_many_waiters_for_one_domain_ask_once():
    zone = Zone(ONE)

    async def crowd(resolver: Resolver) -> list[Exchangers]:
        return await asyncio.gather(*(resolver.exchangers("example.com") for _ in range(50)))

    assert len(set(ask(zone, crowd))) == 1
    assert zone.asked == {("example.com", "MX"): 1, ("mx.example.com", "A"): 1}


def test_a_waiter_that_gives_up_does_not_take_the_answer_from_the_others():
    records = ("example.com", (("TXT", "v=spf1 -all"),))
    zone = Zone({"example.com": Answer(Rcode.NOERROR, (records,), delay=0.05)})

    async def leave(resolver: Resolver) -> Any:
        first, second = (asyncio.create_task(resolver.txt("example.com")) for _ in range(2))
        await asyncio.sleep(0)  # both are waiting now
        first.cancel()
        return await second

    assert ask(zone, leave).records == ("v=spf1 -all",)
    assert zone.asked["example.com", "TXT"] == 1


def test_a_silent_domain_does_not_hold_up_another():
    zone = Zone({**ONE, "silent.example": Answer(Rcode.SILENCE)})

    async def both(resolver: Resolver) -> tuple[Exchangers, bool]:
        silent = [asyncio.create_task(resolver.exchangers("silent.example")) for _ in range(100)]
        await asyncio.sleep(0)
        found = await resolver.exchangers("example.com")
        waiting = not any(task.done() for task in silent)
        for task in silent:
            task.cancel()
        return found, waiting

    found, waiting = ask(zone, both, timeout=30, lifetime=60)
    assert hosts(found) == ["mx.example.com"]
    assert waiting


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (ONE, 60),  # the records' TTL
        ({}, 60),  # RFC 2308: the SOA's minimum, of names that do not exist
        ({"example.com": Answer(Rcode.SERVFAIL)}, 30),
    ],
)
def test_answers_are_kept_for_their_time_and_no_longer(names, kept):
    zone, clock = Zone(names), Clock()

    async def later(resolver: Resolver) -> list[int]:
        counts = []
        for pause in (0, kept - 1, 2):
            clock.now += pause
            await resolver.exchangers("example.com")
            counts.append(zone.asked["example.com", "MX"])
        return counts

    assert ask(zone, later, clock=clock) == [1, 1, 2]


@pytest.mark.parametrize("gone", [("example.com", "MX"), ("mx.example.com", "A")])
def test_what_was_found_holds_no_longer_than_the_answers_it_was_made_of(gone):
    zone = Zone(dict(ONE))

    async def moved(resolver: Resolver) -> list[Exchangers]:
        before = await resolver.exchangers("example.com")
        zone.names |= {"example.com": mx((10, "new.example.com"), (20, "mx.example.com"))}
        zone.names |= {"new.example.com": a(PUBLIC), "mx.example.com": a(PUBLIC_2)}
        same = await resolver.exchangers("example.com")
        del resolver._cache._kept[gone]
        await resolver.records(*gone)  # on behalf of another domain
        return [before, same, await resolver.exchangers("example.com")]

    before, same, after = ask(zone, moved)
    assert same == before
    assert after.hosts[-1].addresses == ((PUBLIC,) if gone[1] == "MX" else (PUBLIC_2,))
    assert hosts(after) == (["new.example.com"] if gone[1] == "MX" else []) + ["mx.example.com"]


def test_a_known_domain_is_answered_at_once():
    async def twice(resolver: Resolver) -> Exchangers:
        await resolver.exchangers("example.com")
        with pytest.raises(StopIteration) as answered:  # not one turn of the loop
            resolver.exchangers("Example.COM").send(None)
        return answered.value.value

    assert hosts(ask(Zone(ONE), twice)) == ["mx.example.com"]


def test_findings_are_bounded(monkeypatch):
    monkeypatch.setattr(room, "MAX_ANSWERS", 2)
    names = {f"{name}.example": a(PUBLIC) for name in "abc"}

    async def visit(resolver: Resolver) -> set[str]:
        for name in names:
            await resolver.exchangers(name)
        return set(resolver._findings)

    assert ask(Zone(names), visit) == {"b.example", "c.example"}


@pytest.mark.parametrize(("ttl", "clamped"), [(0, 30), (60, 60), (10**6, 3600)])
def test_a_ttl_is_taken_within_bounds(ttl, clamped):
    assert room._clamped(ttl, room.POSITIVE_TTL) == clamped


def test_the_cache_drops_what_was_longest_unused(monkeypatch):
    monkeypatch.setattr(room, "MAX_ANSWERS", 2)
    zone = Zone({name: [("TXT", name)] for name in ("a.example", "b.example", "c.example")})

    async def visit(resolver: Resolver) -> None:
        for name in ("a.example", "b.example", "a.example", "c.example", "a.example", "b.example"):
            await resolver.txt(name)

    ask(zone, visit)
    assert zone.asked == {("a.example", "TXT"): 1, ("b.example", "TXT"): 2, ("c.example", "TXT"): 1}


# --- sites and records -------------------------------------------------------------------------------------


def test_a_site_is_named_after_its_hosts_and_not_after_the_domain():
    two = mx((10, "a.example.net"), (20, "b.example.net"))
    names = {
        "one.example": two,
        "two.example": two[::-1],
        "three.example": mx((10, "a.example.net")),
        "a.example.net": a(PUBLIC),
        "b.example.net": a(PUBLIC),
    }
    one, two_, three = (exchangers(names, f"{name}.example").site for name in ("one", "two", "three"))
    assert one == two_ != three == "a.example.net"


def test_a_site_keeps_its_name_when_only_some_of_its_hosts_are_looked_at():
    names = {"example.com": mx(*((10, f"m{n}.example.com") for n in range(50)))}
    names |= {f"m{n}.example.com": a(PUBLIC) for n in range(50)}
    assert exchangers(names).site == exchangers(names).site


def test_the_strings_of_a_txt_record_are_joined():
    key = "v=DKIM1; p=" + "A" * 600
    zone = Zone({"s._domainkey.example.com": [("TXT", key)]})
    answer = ask(zone, lambda resolver: resolver.txt("s._domainkey.example.com"))
    assert (answer.records, answer.problem) == ((key,), None)


def test_a_name_without_such_records_is_no_problem_and_no_record():
    answer = ask(Zone(ONE), lambda resolver: resolver.records("example.com", "TXT"))
    assert (answer.records, answer.problem) == ((), None)


def test_a_fresh_question_is_asked_whatever_is_remembered() -> None:
    zone = Zone({"example.com": [("TXT", "old")]})

    async def twice(resolver: Resolver) -> list[Any]:
        before = await resolver.txt("example.com")
        zone.names["example.com"] = [("TXT", "new")]
        return [
            each.records
            for each in (
                before,
                await resolver.fresh("Example.com", "TXT"),
                await resolver.txt("example.com"),
            )
        ]

    assert ask(zone, twice) == [("old",), ("new",), ("new",)]
