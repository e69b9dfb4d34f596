"""The DNS edge: who takes mail for a domain, and which records a name has.

The only room that imports dnspython. It follows RFC 5321 §5.1 and RFC 7505, answers from a bounded cache by TTL, asks
once for many waiters, and never raises for what DNS may say: "no such name" and "cannot tell" are typed results.
It refuses hosts that are private, loopback or our own, because the owner of a domain chooses where its MX points.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    """Why a question has no answer to act on."""

    NO_SUCH_DOMAIN = "no_such_domain"  # NXDOMAIN
    NULL_MX = "null_mx"  # RFC 7505: the domain takes no mail
    TEMPORARY = "temporary"  # SERVFAIL, timeout, refusal, bogus: ask again later
    NO_ROUTE = "no_route"  # only hosts that are private, loopback or our own
    NO_ADDRESS = "no_address"  # the name exists and there is nothing behind it


@dataclass(frozen=True, slots=True)
class Answer:
    """Records of one name and type as text, in the order served; `ttl` in seconds, clamped."""

    name: str
    rdtype: str
    records: tuple[str, ...]
    problem: Problem | None
    ttl: float


@dataclass(frozen=True, slots=True)
class Exchanger:
    """A host that takes mail, with the addresses we may connect to."""

    host: str
    addresses: tuple[str, ...]
    preference: int


@dataclass(frozen=True, slots=True)
class Exchangers:
    """All hosts to try for a domain, best first; equal preferences are shuffled anew in each answer.

    `site` names the set of hosts (not the domain), so that domains behind the same hosts can share connections.
    `problem` is None exactly when `hosts` is not empty.
    """

    domain: str
    hosts: tuple[Exchanger, ...]
    problem: Problem | None
    site: str


class Resolver:
    """One per event loop. `timeout` is for one server, `lifetime` for one question, in seconds."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] | None = None,
        *,
        allow_private: bool = False,
        ipv6: bool = False,
        timeout: float = 5.0,
        lifetime: float = 15.0,
        own_names: Iterable[str] = (),
        own_addresses: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        raise NotImplementedError

    async def exchangers(self, domain: str) -> Exchangers:
        """Hosts that take mail for `domain` (an A-label name, any case)."""
        raise NotImplementedError

    async def records(self, name: str, rdtype: str) -> Answer:
        """Records of one type, CNAMEs followed by the recursive server."""
        raise NotImplementedError

    async def txt(self, name: str) -> Answer:
        """TXT records, the strings of each joined without a space (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""
        raise NotImplementedError
