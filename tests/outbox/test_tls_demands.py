"""What a delivery may demand of the line: a policy's hosts, a proof of their names, no clear text."""

import asyncio
import logging
import ssl
from typing import Any

import pytest

from outbox.delivery import Limits, Reply, Route, Security, SmtpTransport
from outbox.lifecycle import Status
from outbox.outcomes import Fault, Phase, interpret
from reputation.mta_sts import NO_POLICY, Mode, Policy
from tests.authority import Authority
from tests.outbox.scripted import (
    DROP,
    Server,
    Zone,
    cleared,
    direct,
    envelope,
    on_both_loops,
    relay,
    transport,
)

TLS = {"STARTTLS": b"220 2.0.0 go\r\n", "EHLO": b"250-x\r\n250-STARTTLS\r\n250 PIPELINING\r\n"}
ENFORCED = Policy(Mode.ENFORCE, ("mx.one.test",), 600)
VERIFIED, UNVERIFIED = "TLSv1.3 verified", "TLSv1.3"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Policies:
    """The policy of each domain, and who was asked about."""

    def __init__(self, **policies: Policy) -> None:
        self._policies = policies
        self.asked: list[str] = []

    async def __call__(self, domain: str) -> Policy:
        self.asked.append(domain)
        return self._policies.get(domain.partition(".")[0], NO_POLICY)


def route(server: Server, authority: Authority, **given: Any) -> Route:
    return direct(server.port, ca_file=authority.ca_file, **given)


async def send(out: SmtpTransport, route: Route, domain: str = "one.test") -> Reply:
    return await out.deliver(envelope(domain=domain), route, cleared)


def words(server: Server) -> set[str]:
    return {word for session in server.sessions for word in session.words}


async def _broken_handshake(session: Any) -> bytes:
    session.writer.write(b"220 go\r\n")
    await session.reader.read(1)  # the client has begun its handshake
    session.writer.write(b"this is not TLS\r\n")
    await session.reader.read()
    raise ConnectionResetError


# certificate's name (or None: self-signed, "": no TLS at all), what STARTTLS says, policy, require_tls -> tls, fault
Row = tuple[str | None, Any, Policy, bool, str, Fault | None]
OUTCOMES: list[Row] = [
    ("mx.one.test", None, ENFORCED, False, VERIFIED, None),
    ("*.one.test", None, ENFORCED, False, VERIFIED, None),
    ("other.test", None, ENFORCED, False, "", Fault.TLS),  # trusted, and another's
    (None, None, ENFORCED, False, "", Fault.TLS),
    ("", None, ENFORCED, False, "", Fault.TLS_MISSING),  # never offered, or taken out on the way
    ("mx.one.test", _broken_handshake, ENFORCED, False, "", Fault.TLS),
    ("mx.one.test", (b"220 go\r\n", DROP), ENFORCED, False, "", Fault.CLOSED),
    ("mx.one.test", b"454 4.7.0 not today\r\n", ENFORCED, False, "", None),
    ("mx.one.test", None, Policy(Mode.ENFORCE, ("mx.two.test",), 600), False, "", Fault.TLS_POLICY),
    ("other.test", None, Policy(Mode.TESTING, ("mx.one.test",), 600), False, UNVERIFIED, None),
    ("", None, Policy(Mode.TESTING, ("mx.one.test",), 600), False, "plain", None),
    ("", None, Policy(Mode.NONE, (), 600), False, "plain", None),
    (None, _broken_handshake, NO_POLICY, False, "plain", None),  # opportunistic, as ever
    (None, None, NO_POLICY, True, UNVERIFIED, None),
    ("", None, NO_POLICY, True, "", Fault.TLS_MISSING),
    (None, _broken_handshake, NO_POLICY, True, "", Fault.TLS),
    ("mx.one.test", None, ENFORCED, True, VERIFIED, None),
]


@pytest.mark.parametrize(("name", "starttls", "policy", "require", "tls", "fault"), OUTCOMES)
@on_both_loops
async def test_a_line_is_as_safe_as_was_demanded_or_nothing_is_said_on_it(
    authority: Authority,
    name: str | None,
    starttls: Any,
    policy: Policy,
    require: bool,
    tls: str,
    fault: Fault | None,
) -> None:
    script = {} if name == "" else {**TLS, **({"STARTTLS": starttls} if starttls else {})}
    server = Server(tls=_context(authority, name), **script)
    async with server.listening(), transport(policy_for=Policies(one=policy)) as out:
        reply = await send(out, route(server, authority, require_tls=require))
    assert reply.fault is fault
    if tls:
        assert (reply.code, reply.tls or "plain") == (250, tls)
    else:
        assert interpret(reply, relay=False).status is Status.DEFERRED
        assert not {"MAIL", "DATA"} & words(server)


def _context(authority: Authority, name: str | None) -> ssl.SSLContext:
    return authority.context(name or "mx.one.test", trusted=name is not None)


@on_both_loops
async def test_a_host_outside_the_policy_is_not_even_connected_to(authority: Authority) -> None:
    server = Server(tls=authority.context("mx.one.test"), **TLS)
    policies = Policies(one=Policy(Mode.ENFORCE, ("*.mx.one.test",), 600))
    async with server.listening(), transport(policy_for=policies) as out:
        reply = await send(out, route(server, authority))
    assert (reply.phase, reply.fault, server.sessions) == (Phase.RESOLVE, Fault.TLS_POLICY, [])


@on_both_loops
async def test_the_next_host_that_matches_and_proves_itself_is_used(authority: Authority) -> None:
    stranger, liar = Server(), Server(tls=authority.context("other.test"), **TLS)
    honest = Server(tls=authority.context("mx3.one.test"), **TLS)
    zone = Zone(
        one=[("mx.evil.test", "127.0.0.2"), ("mx2.one.test", "127.0.0.3"), ("mx3.one.test", "127.0.0.4")]
    )
    policies = Policies(one=Policy(Mode.ENFORCE, ("*.one.test",), 600))
    async with (
        stranger.listening("127.0.0.2") as first,
        liar.listening("127.0.0.3", first.port),
        honest.listening("127.0.0.4", first.port),
        transport(zone, policy_for=policies) as out,
    ):
        reply = await send(out, route(stranger, authority))
    assert (reply.code, reply.host, reply.tls) == (250, "mx3.one.test", VERIFIED)
    assert (stranger.sessions, "MAIL" in words(liar)) == ([], False)


SHARED = Zone(one=[("mx.one.test", "127.0.0.1")], two=[("mx.one.test", "127.0.0.1")])


@on_both_loops
async def test_an_unverified_conversation_is_not_used_for_a_delivery_that_demands_proof(
    authority: Authority,
) -> None:
    server = Server(tls=authority.context("mx.one.test"), **TLS)
    limits = Limits(per_site=1)
    async with server.listening(), transport(SHARED, limits, policy_for=Policies(one=ENFORCED)) as out:
        way = route(server, authority)
        replies = [
            await send(out, way, domain) for domain in ("two.test", "one.test", "two.test", "one.test")
        ]
    # the first is retired, because the site has one place; a verified one is good enough for everybody
    assert [reply.tls for reply in replies] == [UNVERIFIED, VERIFIED, VERIFIED, VERIFIED]
    assert [session.dots for session in server.sessions] == [1, 3]


@on_both_loops
async def test_nor_is_it_handed_to_one_that_waits(authority: Authority) -> None:
    server = Server(tls=authority.context("mx.one.test"), **TLS)
    limits = Limits(per_site=1)
    async with server.listening(), transport(SHARED, limits, policy_for=Policies(one=ENFORCED)) as out:
        way = route(server, authority)
        replies = await asyncio.gather(
            *(send(out, way, domain) for domain in ("two.test", "one.test", "two.test"))
        )
    assert [reply.tls for reply in replies] == [UNVERIFIED, VERIFIED, VERIFIED]


@on_both_loops
async def test_a_verified_conversation_with_a_host_of_one_policy_is_not_used_under_another(
    authority: Authority,
) -> None:
    server = Server(tls=authority.context("*.one.test"), **TLS)
    both = [("a.one.test", "127.0.0.1"), ("b.one.test", "127.0.0.1")]
    policies = Policies(
        one=Policy(Mode.ENFORCE, ("a.one.test",), 600), two=Policy(Mode.ENFORCE, ("b.one.test",), 600)
    )
    async with server.listening(), transport(Zone(one=both, two=both), policy_for=policies) as out:
        way = route(server, authority)
        replies = [await send(out, way, domain) for domain in ("one.test", "two.test")]
    assert [reply.host for reply in replies] == ["a.one.test", "b.one.test"]


@on_both_loops
async def test_a_plain_conversation_is_not_used_where_the_route_encrypts(authority: Authority) -> None:
    """Routes that differ have conversations of their own."""
    server = Server(
        EHLO=[b"250 x\r\n", TLS["EHLO"], b"250 x\r\n"],
        STARTTLS=TLS["STARTTLS"],
        tls=_context(authority, None),
    )
    async with server.listening(), transport() as out:
        first = await send(out, route(server, authority))
        second = await send(out, route(server, authority, require_tls=True))
    assert (first.tls, second.tls) == ("", UNVERIFIED)


@on_both_loops
async def test_what_a_policy_in_testing_would_forbid_is_logged_once_a_domain(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    policies = Policies(one=Policy(Mode.TESTING, ("mx.one.test",), 600))
    async with server.listening(), transport(policy_for=policies) as out:
        with caplog.at_level(logging.WARNING, "outbox.delivery"):
            for _ in range(3):
                await send(out, route(server, authority))
    assert [record.getMessage() for record in caplog.records] == [
        "the MTA-STS policy of one.test, in testing, does not allow mx.one.test without TLS"
    ]


@on_both_loops
async def test_a_policy_in_testing_has_nothing_to_say_where_nothing_was_sent(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(greeting=b"421 4.3.2 later\r\n")
    policies = Policies(one=Policy(Mode.TESTING, ("mx.one.test",), 600))
    async with server.listening(), transport(policy_for=policies) as out:
        with caplog.at_level(logging.WARNING, "outbox.delivery"):
            assert (await send(out, route(server, authority))).code == 421
    assert caplog.records == []


@on_both_loops
async def test_a_relay_is_ours_and_needs_no_policy(authority: Authority) -> None:
    server, policies = Server(), Policies(one=ENFORCED)
    async with server.listening(), transport(policy_for=policies) as out:
        assert (await send(out, relay(server.port))).code == 250
        assert (await send(out, relay(server.port, require_tls=True))).fault is Fault.TLS_MISSING
    assert policies.asked == []


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
@on_both_loops
async def test_requiring_tls_weakens_no_route(authority: Authority, security: Security) -> None:
    server = Server(tls=authority.context("other.test"), implicit=security is Security.IMPLICIT, **TLS)
    async with server.listening(), transport() as out:
        way = relay(
            server.port, host="localhost", security=security, require_tls=True, ca_file=authority.ca_file
        )
        assert (await send(out, way)).fault is Fault.TLS
