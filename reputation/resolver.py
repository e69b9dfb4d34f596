"""The DNS edge: who takes mail for a domain, and which records a name has.

The only room that imports dnspython. It follows RFC 5321 §5.1 and RFC 7505, answers from a bounded cache by
TTL and asks once for many waiters. "No such name" and "cannot tell" are typed results, never exceptions.
It refuses hosts that are private, loopback or our own, because the owner of a domain chooses where its MX
points; and it looks at ten hosts of a domain at most, whatever the domain lists.
"""

import asyncio
import hashlib
import ipaddress
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rdtypes.txtbase
import dns.resolver

MAX_HOSTS: Final = 10  # a domain that lists fifty hosts gets no more of our questions than this
MAX_ANSWERS: Final = 10_000  # cache entries: about 10 MB
MAX_QUESTIONS: Final = 1_000  # asked at once: a socket each, within an ordinary limit of descriptors
POSITIVE_TTL: Final = (30.0, 3600.0)  # seconds; the floor answers a TTL of 0 used to make us ask per message
NEGATIVE_TTL: Final = (30.0, 900.0)
TEMPORARY_TTL: Final = 30.0

_HOST_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?")
# what hides an IPv4 address at its end: NAT64 (RFC 6052), IPv4-compatible (RFC 4291 2.5.5.1)
_HIDING: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215

_RANDOM: Final = secrets.SystemRandom()

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class Problem(StrEnum):
    """Why there is no answer to act on."""

    NO_SUCH_DOMAIN = "no_such_domain"  # NXDOMAIN, or not a name at all
    NULL_MX = "null_mx"  # RFC 7505: the domain takes no mail
    TEMPORARY = "temporary"  # SERVFAIL, timeout, refusal, bogus: ask again later
    NO_ROUTE = "no_route"  # only hosts that are private, loopback or our own
    NO_ADDRESS = "no_address"  # the name exists and no host with an address is behind it


_WHY: Final = {
    Problem.NO_SUCH_DOMAIN: "the domain does not exist",
    Problem.NULL_MX: "the domain takes no mail (null MX, RFC 7505)",
    Problem.TEMPORARY: "DNS gave no answer for the domain or its mail hosts",
    Problem.NO_ROUTE: "the domain's mail hosts have only private or loopback addresses, or are this host",
    Problem.NO_ADDRESS: "no mail host of the domain has an address we can use",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Records of one name and type as text, in the order served; `ttl` in seconds, clamped.

    A name that exists without such records has no problem and no records. Names in records end with a dot,
    a TXT record's strings are joined without a space (RFC 7208 §3.3); `canonical` is the name after CNAMEs.
    """

    name: str
    rdtype: str
    records: tuple[str, ...]
    problem: Problem | None
    ttl: float
    canonical: str


@dataclass(frozen=True, slots=True)
class Exchanger:
    """A host that takes mail, with the addresses we may connect to: never empty."""

    host: str
    addresses: tuple[str, ...]
    preference: int


@dataclass(frozen=True, slots=True)
class Exchangers:
    """All hosts to try for a domain, best first; equal preferences are shuffled anew in each answer.

    `site` names the set of hosts (not the domain), so that domains behind the same hosts share connections.
    `problem` is None exactly when there are hosts; `why` then is empty, else a sentence for people.
    """

    domain: str
    hosts: tuple[Exchanger, ...]
    problem: Problem | None
    site: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found behind one candidate host; `problem` says why it cannot be used."""

    host: str
    preference: int
    addresses: tuple[str, ...] = ()
    alias: bool = False
    own: bool = False
    problem: Problem | None = None
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was found for a domain, and every answer it was made of."""

    found: Exchangers
    answers: tuple[Answer, ...]


class Asks(Protocol):
    """As much of a resolver as whoever asks for records needs."""

    async def records(self, name: str, rdtype: str) -> Answer:
        """Records of one name and type."""

    async def fresh(self, name: str, rdtype: str) -> Answer:
        """The same, asked anew."""


@dataclass(eq=False)
class Resolver:
    """Answers for one event loop. `timeout` is for one try at one server, `lifetime` for a question.

    Without `nameservers` (address and port) the system's are used. `own_names` and `own_addresses` are ours:
    mail is never routed to them (RFC 5321 §5.1). `allow_loopback` is for simulators: loopback and nothing else private.
    """

    nameservers: Sequence[tuple[str, int]] | None = None
    _: KW_ONLY
    allow_loopback: bool = False
    ipv6: bool = False
    timeout: float = 5.0
    lifetime: float = 15.0
    own_names: Collection[str] = ()
    own_addresses: Collection[str] = ()
    clock: Callable[[], float] = time.monotonic

    _stub: dns.asyncresolver.Resolver = field(init=False, repr=False)
    _cache: "_Cache" = field(init=False, repr=False)
    _asking: dict[tuple[str, str], "asyncio.Task[Answer]"] = field(
        init=False, repr=False, default_factory=dict
    )
    _findings: dict[str, _Finding] = field(init=False, repr=False, default_factory=dict)
    _gate: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._stub = _stub(self.nameservers, self.timeout, self.lifetime)
        self._cache = _Cache(self.clock)
        self._gate = asyncio.Semaphore(MAX_QUESTIONS)
        self.own_names = frozenset(_normal(name) for name in self.own_names)
        self.own_addresses = frozenset(str(ipaddress.ip_address(each)) for each in self.own_addresses)

    async def records(self, name: str, rdtype: str) -> Answer:
        """Records of one type, CNAMEs followed. Raises ValueError for a name that is not ASCII."""
        key = (_normal(name), rdtype.upper())
        known = self._cache.get(key)
        if known is not None:
            return known
        if key not in self._asking:
            self._asking[key] = asking = asyncio.create_task(self._ask(key))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # one waiter that gives up must not take the answer from the others
        return await asyncio.shield(self._asking[key])

    async def fresh(self, name: str, rdtype: str) -> Answer:
        """The same, asked anew whatever is remembered. Raises ValueError for a name that is not ASCII."""
        self._cache.drop((_normal(name), rdtype.upper()))
        return await self.records(name, rdtype)

    async def txt(self, name: str) -> Answer:
        """TXT records: SPF, DKIM keys, DMARC."""
        return await self.records(name, "TXT")

    async def exchangers(self, domain: str) -> Exchangers:
        """Hosts that take mail for `domain` (A-labels, any case), or the problem that there are none."""
        domain = _normal(domain)
        known = self._known(domain)
        return known if known is not None else await self._find(domain)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Addresses of a host that we may connect to, by the guard of mail hosts; none if there are none, or no answer.

        Raises ValueError for a name that is not ASCII.
        """
        return (await self._look(_normal(host), 0, implicit=True)).addresses

    def _known(self, domain: str) -> Exchangers | None:
        """What was found before, while every answer it was made of still holds."""
        finding = self._findings.get(domain)
        if finding is None:
            return None
        if all(self._cache.get((answer.name, answer.rdtype)) is answer for answer in finding.answers):
            return _redrawn(finding.found)
        del self._findings[domain]
        return None

    async def _find(self, domain: str) -> Exchangers:
        answer = await self.records(domain, "MX")
        if answer.problem is not None:
            return _nowhere(domain, answer.problem)
        if _is_null(answer.records):
            return _nowhere(domain, Problem.NULL_MX)
        if not answer.records:  # the address fallback exists only where there is no MX at all
            return await self._reach(answer, {domain: 0}, implicit=True)
        return await self._reach(answer, _ranked(answer.records), implicit=False)

    async def _reach(self, answer: Answer, ranked: dict[str, int], *, implicit: bool) -> Exchangers:
        """Addresses of the candidates (host to preference), and the choice among them."""
        limit = min((ranked[host] for host in ranked if host in self.own_names), default=None)
        kept = [host for host in ranked if limit is None or ranked[host] < limit]
        if ranked and not kept:
            return _nowhere(answer.name, Problem.NO_ROUTE)
        order = _shuffled(kept, ranked)[:MAX_HOSTS]
        seen = await asyncio.gather(*(self._look(host, ranked[host], implicit) for host in order))
        found = _choose(answer.name, seen, _site(kept))
        self._remember(_Finding(found, (answer, *(one for each in seen for one in each.answers))))
        return found

    def _remember(self, finding: _Finding) -> None:
        self._findings[finding.found.domain] = finding
        if len(self._findings) > MAX_ANSWERS:
            del self._findings[next(iter(self._findings))]

    async def _look(self, host: str, preference: int, implicit: bool) -> _Seen:
        types = ("A", "AAAA") if self.ipv6 else ("A",)
        answers = await asyncio.gather(*(self.records(host, rdtype) for rdtype in types))
        found = [address for answer in answers for address in answer.records]
        good = tuple(address for address in found if _reachable(address, self.allow_loopback))
        own = any(address in self.own_addresses for address in found)
        alias = not implicit and any(answer.canonical != host for answer in answers)
        problem = None if good else _why_not(answers, found)
        return _Seen(host, preference, good, alias, own, problem, tuple(answers))

    async def _ask(self, key: tuple[str, str]) -> Answer:
        async with self._gate:
            answer = await _question(self._stub, *key)
        self._cache.put(key, answer)
        return answer


class _Cache:
    """Answers until their TTL ends; the least recently used goes first when it is full."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()

    def get(self, key: tuple[str, str]) -> Answer | None:
        expires, answer = self._kept.get(key, (0.0, None))
        if answer is None or expires <= self._clock():
            return None
        self._kept.move_to_end(key)
        return answer

    def drop(self, key: tuple[str, str]) -> None:
        self._kept.pop(key, None)

    def put(self, key: tuple[str, str], answer: Answer) -> None:
        self._kept[key] = (self._clock() + answer.ttl, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_ANSWERS:
            self._kept.popitem(last=False)


def _stub(
    nameservers: Sequence[tuple[str, int]] | None, timeout: float, lifetime: float
) -> dns.asyncresolver.Resolver:
    stub = dns.asyncresolver.Resolver(configure=nameservers is None)
    if nameservers is not None:
        stub.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
    stub.timeout, stub.lifetime, stub.cache = timeout, lifetime, None
    return stub


async def _question(stub: dns.asyncresolver.Resolver, name: str, rdtype: str) -> Answer:
    """One question on the wire; truncated answers are asked again over TCP."""
    kind = dns.rdatatype.from_text(rdtype)
    backend = dns.asyncbackend.get_backend("asyncio")
    try:
        qname = dns.name.from_text(name)
    except dns.exception.DNSException:  # empty or over-long labels: such a name cannot exist
        return Answer(name, rdtype, (), Problem.NO_SUCH_DOMAIN, NEGATIVE_TTL[1], name)
    try:
        found = await stub.resolve(qname, kind, raise_on_no_answer=False, search=False, backend=backend)
    except dns.resolver.NXDOMAIN as absent:
        ttl = _negative_ttl(absent.response(qname))  # type: ignore[no-untyped-call]
        return Answer(name, rdtype, (), Problem.NO_SUCH_DOMAIN, ttl, name)
    except (dns.exception.DNSException, OSError):
        return Answer(name, rdtype, (), Problem.TEMPORARY, TEMPORARY_TTL, name)
    return _answer(name, rdtype, found)


def _answer(name: str, rdtype: str, found: dns.resolver.Answer) -> Answer:
    canonical = found.canonical_name.to_text(omit_final_dot=True).lower()
    if found.rrset is None:
        return Answer(name, rdtype, (), None, _negative_ttl(found.response), canonical)
    # the TTL of the chain is that of its shortest-lived link
    ttl = _clamped(found.chaining_result.minimum_ttl, POSITIVE_TTL)
    return Answer(name, rdtype, tuple(_text(rdata) for rdata in found.rrset), None, ttl, canonical)


def _text(rdata: object) -> str:
    if isinstance(rdata, dns.rdtypes.txtbase.TXTBase):
        return b"".join(rdata.strings).decode("utf-8", "replace")
    return str(rdata)


def _negative_ttl(response: dns.message.QueryMessage) -> float:
    """RFC 2308 §5: the lesser of the SOA's own TTL and its minimum field."""
    for rrset in response.authority:
        for rdata in rrset:
            if isinstance(rdata, dns.rdtypes.ANY.SOA.SOA):
                return _clamped(min(rrset.ttl, rdata.minimum), NEGATIVE_TTL)
    return NEGATIVE_TTL[0]


def _clamped(ttl: float, bounds: tuple[float, float]) -> float:
    return min(max(ttl, bounds[0]), bounds[1])


def _normal(name: str) -> str:
    # IDNA 2003 inside dnspython would send mail for some names to another domain: the caller has A-labels
    if not name.isascii():
        raise ValueError(f"not an A-label name: {name!r}")
    return name.lower().removesuffix(".")


def _ranked(records: Iterable[str]) -> dict[str, int]:
    """Host to preference; a host listed twice keeps its better place, what is no host name is left out."""
    pairs = ((host.lower().removesuffix("."), int(rank)) for rank, host in map(str.split, records))
    ranked: dict[str, int] = {}
    for host, rank in pairs:
        if _HOST_NAME.fullmatch(host):
            ranked[host] = min(rank, ranked.get(host, rank))
    return ranked


def _is_null(records: Sequence[str]) -> bool:
    return bool(records) and all(record.split()[1] == "." for record in records)


def _shuffled(hosts: Iterable[str], ranked: dict[str, int]) -> list[str]:
    """By preference, equal ones in random order (RFC 5321 §5.1)."""
    order = list(hosts)
    _RANDOM.shuffle(order)
    return sorted(order, key=ranked.__getitem__)


def _redrawn(found: Exchangers) -> Exchangers:
    """The same hosts, equal preferences shuffled anew."""
    if len(found.hosts) < 2:
        return found
    by_host = {each.host: each for each in found.hosts}
    ranked = {each.host: each.preference for each in found.hosts}
    if len(set(ranked.values())) == len(ranked):
        return found
    hosts = tuple(by_host[host] for host in _shuffled(by_host, ranked))
    return Exchangers(found.domain, hosts, found.problem, found.site, found.why)


def _choose(domain: str, seen: Sequence[_Seen], site: str) -> Exchangers:
    limit = min((each.preference for each in seen if each.own), default=None)
    kept = [each for each in seen if limit is None or each.preference < limit]
    usable = [each for each in kept if each.addresses]
    # RFC 2181 §10.3: an MX must not name an alias; one that does will do only when nothing else is left
    best = [each for each in usable if not each.alias] or usable
    if best:
        hosts = tuple(Exchanger(each.host, each.addresses, each.preference) for each in best)
        return Exchangers(domain, hosts, None, site)
    problems = {each.problem for each in kept}
    if Problem.TEMPORARY in problems:
        return _nowhere(domain, Problem.TEMPORARY)
    looped = limit is not None or Problem.NO_ROUTE in problems
    return _nowhere(domain, Problem.NO_ROUTE if looped else Problem.NO_ADDRESS)


def _why_not(answers: Iterable[Answer], found: Sequence[str]) -> Problem:
    if any(answer.problem is Problem.TEMPORARY for answer in answers):
        return Problem.TEMPORARY
    return Problem.NO_ROUTE if found else Problem.NO_ADDRESS


def _nowhere(domain: str, problem: Problem) -> Exchangers:
    return Exchangers(domain, (), problem, "", _WHY[problem])


def _site(hosts: Collection[str]) -> str:
    """One host's own name; for several a readable one and a digest no hostile zone can make collide."""
    names = sorted(hosts)
    if len(names) < 2:
        return "".join(names)
    digest = hashlib.blake2s("\n".join(names).encode(), digest_size=16).hexdigest()
    return f"{names[0]}+{len(names) - 1}:{digest}"


def _reachable(text: str, allow_loopback: bool) -> bool:
    """Whether we may connect there; the addresses inside IPv6 transition forms count as well."""
    faces = list(_faces(ipaddress.ip_address(text)))
    if any(face.is_multicast or face.is_unspecified or _is_of_a_site(face) for face in faces):
        return False
    return all(face.is_global or (allow_loopback and face.is_loopback) for face in faces)


def _faces(address: _IP) -> Iterator[_IP]:
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour
        if hidden is not None:
            yield hidden
        if any(address in network for network in _HIDING) and not address.is_loopback:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _is_of_a_site(address: _IP) -> bool:
    """Whether it means something to one network only, though the registries call it global."""
    return isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address in _LOCAL_NAT64)
