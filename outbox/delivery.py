"""The delivery edge: one message to the server that takes mail for its recipient, and what that server said.

A delivery, in this order:

1. where: the mail exchangers of the recipient's domain, best first, or the route's relay;
2. a place: a free conversation with that site, or leave to open one (`pool`);
3. open: connect, greeting, EHLO, STARTTLS, AUTH (`opening`), host by host until one takes us (RFC 5321 5.1);
4. transact: MAIL, RCPT, DATA, the body, clearance, the dot, the reply (`wire`);
5. give the conversation back to the pool.

Whatever servers do ends as a `Reply`, within limits of time and memory, and no site holds up another. This
room never sees the database and refuses to decide what a reply means.
"""

import asyncio
import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from outbox.grammar import Envelope, Peer, reply_of
from outbox.opening import Opening, Route, Security
from outbox.outcomes import Fault, Phase, Reply
from outbox.pool import Busy, Limits, Pool
from outbox.wire import Clear, Conversation, Gate, Reached, Timeouts, clock
from reputation.resolver import Exchangers, Problem

__all__ = [
    "Clear",
    "Envelope",
    "Fault",
    "Gate",
    "Limits",
    "MemoryTransport",
    "Phase",
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


Host = tuple[str, str]  # name, address

_PROBLEMS: Final = {
    Problem.NO_SUCH_DOMAIN: Fault.NO_SUCH_DOMAIN,
    Problem.NULL_MX: Fault.NULL_MX,
    Problem.TEMPORARY: Fault.DNS_TEMPORARY,
    Problem.NO_ROUTE: Fault.NO_ROUTE,
    Problem.NO_ADDRESS: Fault.NO_ADDRESS,
}


class SmtpTransport:
    """SMTP over one event loop: build it anywhere, use it on the loop of the first delivery.

    `reached` is told each step: connected, ehlo, mail, rcpt, 354, midbody, cleared, dotted, replied.
    """

    def __init__(
        self,
        exchangers: Finder,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        reached: Reached = lambda _: None,
    ) -> None:
        self._exchangers = exchangers
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._reached = reached
        self._pool = Pool(self._limits)
        self._dead = _Remembered(self._limits.dead)  # addresses that did not connect, with the port
        self._plain = _Remembered(self._limits.plain)  # hosts whose TLS does not work

    async def deliver(
        self, envelope: Envelope, route: Route, clear: Clear, gate: Gate | None = None
    ) -> Reply:
        """See `Transport` and the plan above."""
        found = await self._where(envelope.domain, route)
        if isinstance(found, Reply):
            return found
        site, hosts = found
        key = (route, site)
        try:
            place = await self._pool.take(key, self._limit(route))
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
            opened = await self._open(hosts, route)
            if isinstance(opened, Reply):
                return opened
            conversation = opened
            return await conversation.transact(envelope, clear, gate)
        finally:
            self._pool.give_back(key, conversation)

    async def close(self) -> None:
        """Say QUIT on idle connections; deliveries in progress end by themselves."""
        await self._pool.close()

    def _limit(self, route: Route) -> int:
        return self._limits.per_relay if route.kind == "relay" else self._limits.per_site

    async def _where(self, domain: str, route: Route) -> tuple[str, list[Host]] | Reply:
        """Site and hosts with their addresses, in the order to try them."""
        if route.kind == "relay":
            return route.host, []
        found = await self._exchangers.exchangers(domain)
        if found.problem is not None:
            return reply_of(Phase.RESOLVE, None, found.why, _PROBLEMS[found.problem])
        best = found.hosts[: self._limits.hosts]
        return found.site, [(each.host, address) for each in best for address in each.addresses[:2]]

    async def _open(self, hosts: list[Host], route: Route) -> Conversation | Reply:
        """The first host that takes us; else what the last one tried did."""
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
            opened = await self._open_host(Peer(host, address), route, end)
            if isinstance(opened, Conversation):
                return opened
            last = opened
            if last.phase is Phase.CONNECT or (last.phase is Phase.GREETING and last.code is None):
                self._dead.add((address, route.port))
        return last

    async def _open_host(self, peer: Peer, route: Route, end: float) -> Conversation | Reply:
        security = route.security
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
