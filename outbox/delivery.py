"""The delivery edge: one message to the server that takes mail for its recipient, and what that server said.

A delivery, in this order:

1. where: the mail exchangers of the recipient's domain, best first, less those that its MTA-STS policy rules
   out (`reputation.mta_sts`), or the route's relay; and how safe the line must be (`_Way`);
2. a place: a free conversation with that site, or leave to open one (`pool`);
3. open: connect, greeting, EHLO, STARTTLS, AUTH (`opening`), host by host until one takes us (RFC 5321 5.1);
4. transact: MAIL, RCPT, DATA, the body, clearance, the dot, the reply (`wire`);
5. give the conversation back to the pool.

Whatever servers do ends as a `Reply`, within limits of time and memory, and no site holds up another; what must
not go in the clear, or only to a host that proves its name, never goes otherwise. DANE (RFC 7672) is left out: it
stands on DNSSEC, which our resolver does not validate. This room never sees the database and refuses to decide
what a reply means.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from outbox.grammar import Envelope, Peer, Places, reply_of
from outbox.opening import Opening, Route, Security
from outbox.outcomes import Fault, Phase, Reply
from outbox.pool import Busy, Limits, Pool
from outbox.wire import Clear, Conversation, Gate, Reached, Timeouts, clock
from reputation.mta_sts import NO_POLICY, Mode, Policy
from reputation.resolver import Exchangers, Problem

logger = logging.getLogger(__name__)

__all__ = [
    "Clear",
    "Envelope",
    "Fault",
    "Gate",
    "Limits",
    "MemoryTransport",
    "Phase",
    "Places",
    "Reply",
    "Route",
    "Scripted",
    "Security",
    "SmtpTransport",
    "Timeouts",
    "Transport",
    "clock",
]


class Finder(Protocol):
    """The part of the resolver that is needed here."""

    async def exchangers(self, domain: str) -> Exchangers: ...


class Transport(Protocol):
    """Delivers one envelope and tells what the server said; never raises for what the network does.

    `clear` is asked once at most, when all but the dot is acknowledged. What it or `gate` raises passes
    through, and so does cancellation: then no byte of the dot was written. Cancelled after the dot it
    returns a Reply.
    """

    async def deliver(
        self, envelope: Envelope, route: Route, clear: Clear, gate: Gate | None = None
    ) -> Reply: ...

    async def close(self) -> None: ...


PolicyFor = Callable[[str], Awaitable[Policy]]
"""The MTA-STS policy of a recipient's domain as of now; never raises for what others do."""

Host = tuple[str, str]  # name, address

TELL_EVERY: Final = 3600.0  # seconds: once for each domain, not for each delivery

# Phases in which the message was offered to nobody.
_UNSPOKEN: Final = frozenset(
    {Phase.RESOLVE, Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
)

_PROBLEMS: Final = {
    Problem.NO_SUCH_DOMAIN: Fault.NO_SUCH_DOMAIN,
    Problem.NULL_MX: Fault.NULL_MX,
    Problem.TEMPORARY: Fault.DNS_TEMPORARY,
    Problem.NO_ROUTE: Fault.NO_ROUTE,
    Problem.NO_ADDRESS: Fault.NO_ADDRESS,
}


@dataclass(frozen=True, slots=True)
class _Way:
    """Where one delivery may go, and what it demands of the line."""

    site: str
    hosts: list[Host]
    security: Security
    policy: Policy = NO_POLICY

    def fits(self, conversation: Conversation) -> bool:
        """Whether this open line is as safe as one that would be opened for this delivery."""
        peer = conversation.line.peer
        if self.policy.mode is Mode.ENFORCE:
            return peer.verified and self.policy.matches(peer.host)
        if self.security in (Security.STARTTLS, Security.IMPLICIT):
            return peer.verified
        return bool(peer.tls) or self.security is not Security.ENCRYPTED


async def _without_policy(_: str) -> Policy:
    return NO_POLICY


class SmtpTransport:
    """SMTP over one event loop: build it anywhere, use it on the loop of the first delivery.

    `policy_for` is asked about each recipient's domain on direct routes. `reached` is told each step: connected,
    ehlo, mail, rcpt, 354, midbody, cleared, dotted, replied.
    """

    def __init__(
        self,
        exchangers: Finder,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        reached: Reached = lambda _: None,
        policy_for: PolicyFor = _without_policy,
    ) -> None:
        self._policy_for = policy_for
        self._exchangers = exchangers
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._reached = reached
        self._pool = Pool(self._limits)
        self._dead = _Remembered(self._limits.dead)  # addresses that did not connect, with the port
        self._plain = _Remembered(self._limits.plain)  # hosts whose TLS does not work
        self._told = _Remembered(TELL_EVERY)  # domains whose policy is in testing and was not met

    async def deliver(
        self, envelope: Envelope, route: Route, clear: Clear, gate: Gate | None = None
    ) -> Reply:
        """See `Transport` and the plan above."""
        way = await self._way(envelope.domain, route)
        if isinstance(way, Reply):
            return way
        reply = await self._deliver(envelope, route, way, clear, gate)
        if way.policy.mode is Mode.TESTING:
            self._tell(envelope.domain, way.policy, reply)
        return reply

    async def _deliver(
        self, envelope: Envelope, route: Route, way: _Way, clear: Clear, gate: Gate | None
    ) -> Reply:
        key = (route, way.site)
        try:
            place = await self._pool.take(key, self._places(envelope, route), way.fits, envelope.urgent)
        except Busy as busy:
            return reply_of(Phase.RESOLVE, None, str(busy), Fault.SITE_BUSY)
        conversation = place
        try:
            if conversation is not None:
                reply = await conversation.transact(envelope, clear, gate)
                # some servers drop an idle connection at their quota without a word: that is no failure
                if not conversation.died_unheard:
                    return reply
                conversation = None
            if gate is not None and not gate():
                return reply_of(Phase.RESOLVE, None, "the gate is closed", Fault.NOT_CLEARED)
            opened = await self._open(way, route)
            if isinstance(opened, Reply):
                return opened
            conversation = opened
            return await conversation.transact(envelope, clear, gate)
        finally:
            self._pool.give_back(key, conversation)

    async def close(self) -> None:
        """Say QUIT on idle connections; deliveries in progress end by themselves."""
        await self._pool.close()

    def _places(self, envelope: Envelope, route: Route) -> Places:
        """Of the relay, of the recipient's provider, or of any site."""
        if route.kind == "relay":
            return Places(self._limits.per_relay, self._limits.reserved)
        return envelope.places or Places(self._limits.per_site, self._limits.reserved)

    async def _way(self, domain: str, route: Route) -> _Way | Reply:
        """Site and hosts with their addresses, in the order to try them."""
        if route.kind == "relay":
            return _Way(route.host, [], _least(route))
        found = await self._exchangers.exchangers(domain)
        if found.problem is not None:
            return reply_of(Phase.RESOLVE, None, found.why, _PROBLEMS[found.problem])
        policy, security, hosts = await self._policy_for(domain), _least(route), found.hosts
        if policy.mode is Mode.ENFORCE:
            security, hosts = Security.STARTTLS, tuple(each for each in hosts if policy.matches(each.host))
        if not hosts:
            text = f"no mail host of {domain} is in its MTA-STS policy"
            return reply_of(Phase.RESOLVE, None, text, Fault.TLS_POLICY)
        best = hosts[: self._limits.hosts]
        targets = [(each.host, address) for each in best for address in each.addresses[:2]]
        return _Way(found.site, targets, security, policy)

    def _tell(self, domain: str, policy: Policy, reply: Reply) -> None:
        """What the policy would have forbidden, as far as it can be seen without a verified handshake."""
        kept = bool(reply.tls) and policy.matches(reply.host)
        if reply.phase not in _UNSPOKEN and not kept and domain not in self._told:
            self._told.add(domain)
            logger.warning(
                "the MTA-STS policy of %s, in testing, does not allow %s %s",
                domain,
                reply.host,
                "by its name" if reply.tls else "without TLS",
            )

    async def _open(self, way: _Way, route: Route) -> Conversation | Reply:
        """The first host that takes us; else what the last one tried did."""
        hosts = way.hosts
        if route.kind == "relay":
            try:
                hosts = await _relay_addresses(route)
            except OSError as error:
                return reply_of(Phase.RESOLVE, None, f"{route.host}: {error}", Fault.DNS_TEMPORARY)
        text = "no address to connect to" if not hosts else "every address failed within the last minute"
        last = reply_of(Phase.CONNECT, None, text, Fault.REFUSED)
        end = asyncio.get_running_loop().time() + self._timeouts.budget
        for host, address in _usable(hosts, route):
            if (address, route.port) in self._dead:
                continue
            opened = await self._open_host(Peer(host, address), route, way.security, end)
            if isinstance(opened, Conversation):
                return opened
            last = opened
            if last.phase is Phase.CONNECT or (last.phase is Phase.GREETING and last.code is None):
                self._dead.add((address, route.port))
        return last

    async def _open_host(
        self, peer: Peer, route: Route, security: Security, end: float
    ) -> Conversation | Reply:
        if security is Security.OPPORTUNISTIC and peer.host in self._plain:
            security = Security.NONE
        opened = await self._opening(peer, route, security).run(end)
        if isinstance(opened, Conversation) or opened.phase is not Phase.STARTTLS:
            return opened
        if security is not Security.OPPORTUNISTIC or route.username:
            return opened
        self._plain.add(peer.host)  # TLS that is not verified stops no attacker: plain loses nothing more
        return await self._opening(peer, route, Security.NONE).run(end)

    def _opening(self, peer: Peer, route: Route, security: Security) -> Opening:
        return Opening(peer, route, security, self._timeouts, self._reached)


def _least(route: Route) -> Security:
    """The route's security, or encryption where the sending domain demands it and the route does not."""
    weak = route.security in (Security.OPPORTUNISTIC, Security.NONE)
    return Security.ENCRYPTED if weak and route.require_tls else route.security


class _Remembered:
    """Keys that hold for a while, ten thousand at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[Hashable, float] = {}

    def add(self, key: Hashable) -> None:
        if len(self._until) >= 10_000:
            self._until.clear()
        self._until[key] = clock() + self._seconds

    def __contains__(self, key: Hashable) -> bool:
        return self._until.get(key, 0.0) > clock()


async def _relay_addresses(route: Route) -> list[Host]:
    """By the system's resolver: a relay is ours to choose, and may well be in a private network."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM)
    return [(route.host, str(address[0])) for *_, address in found]


def _usable(hosts: list[Host], route: Route) -> list[Host]:
    """Of the family of the route's source address; without one IPv4 first."""
    if route.source_address:
        return [host for host in hosts if (":" in host[1]) is (":" in route.source_address)]
    return sorted(hosts, key=lambda host: ":" in host[1]) if route.kind == "relay" else hosts


@dataclass(frozen=True, slots=True)
class Scripted:
    """What a `MemoryTransport` answers; `until` delays it, after the dot if the reply belongs there."""

    reply: Reply
    until: asyncio.Event | None = None


ACCEPTED: Final = Scripted(reply_of(Phase.REPLIED, 250, "2.0.0 accepted"))


class MemoryTransport:
    """The contract of `Transport` without a network: `script` answers, `dotted` was taken."""

    def __init__(self, script: Callable[[Envelope], Scripted] = lambda _: ACCEPTED) -> None:
        self.dotted: list[Envelope] = []
        self._script = script

    async def deliver(
        self, envelope: Envelope, route: Route, clear: Clear, gate: Gate | None = None
    ) -> Reply:
        """See `Transport`. The script's phase says how far it gets."""
        if gate is not None and not gate():
            return reply_of(Phase.EHLO, None, "the gate is closed", Fault.NOT_CLEARED)
        del route  # all routes are one here
        scripted = self._script(envelope)
        if scripted.reply.phase in (Phase.DOT, Phase.REPLIED):
            deadline = await clear()
            if deadline is None:
                return reply_of(Phase.READY, None, "not cleared", Fault.NOT_CLEARED)
            if clock() >= deadline:
                return reply_of(Phase.READY, None, "stale clearance", Fault.STALE_CLEARANCE)
            self.dotted.append(envelope)
        return await self._answer(scripted)

    async def close(self) -> None:
        """Nothing to close."""

    async def _answer(self, scripted: Scripted) -> Reply:
        try:
            if scripted.until is not None:
                await scripted.until.wait()
        except asyncio.CancelledError:
            if not scripted.reply.dot_written:
                raise
            return reply_of(Phase.DOT, None, "cancelled after the dot", Fault.CLOSED)
        return scripted.reply
