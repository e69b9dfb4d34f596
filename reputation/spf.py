"""SPF as RFC 7208 has it: what a receiver concludes about the address that mail comes from.

`check_host` follows the RFC to the letter, limits included: ten terms that ask the DNS, two void look-ups, ten names
of an MX or PTR. Asks nothing by itself: `lookup` is passed in. Refuses to guess: an unanswered question is
`temperror`, a broken record `permerror`. What an admin should know of a record, whoever sends, is `examine`'s.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from reputation import spf_macros
from reputation.asking import Absent, Lookup, Temporary
from reputation.spf_macros import BadMacro, Pieces, expand, expand_name, is_name
from reputation.spf_report import SpfReport, examine
from reputation.spf_terms import (
    ASKING,
    MAX_LOOKUPS,
    MAX_NAMES,
    MAX_VOIDS,
    BadRecord,
    Mechanism,
    Record,
    parse,
    records_among,
)

__all__ = ["Absent", "Lookup", "Result", "SpfReport", "SpfResult", "Temporary", "check_host", "examine"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Result(StrEnum):
    """RFC 7208 §2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 the RFC's word
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_QUALIFIED: Final = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}


@dataclass(frozen=True, slots=True)
class SpfResult:
    """What a receiver concludes. `problem` says in words why, for temperror, permerror and none; `lookups` and
    `voids` are those spent; `explanation` is the domain's own text for a fail, if it publishes one.
    """

    result: Result
    problem: str = ""
    lookups: int = 0
    voids: int = 0
    explanation: str = ""


def check_host(ip: str, domain: str, sender: str, helo: str, lookup: Lookup) -> SpfResult:
    """RFC 7208 §4. `sender` is the MAIL FROM address, empty for the null path (then give `helo` as `domain`).

    Raises ValueError for an `ip` that is none.
    """
    local, _, host = (sender or helo).rpartition("@")
    check = _Check(_address(ip), local or "postmaster", host, helo, lookup)
    try:
        result, explanation = check.outermost(domain.removesuffix("."))
    except _Stop as stop:
        return SpfResult(stop.result, stop.problem, check.lookups, check.voids)
    return SpfResult(result, "", check.lookups, check.voids, explanation)


class _Stop(Exception):
    """The check ends here with none, temperror or permerror."""

    def __init__(self, result: Result, problem: str) -> None:
        super().__init__(problem)
        self.result = result
        self.problem = problem


def _address(ip: str) -> Address:
    address = ipaddress.ip_address(ip)
    # §5: an IPv4-mapped address is an IPv4 address
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _record_of(domain: str, lookup: Lookup) -> Record:
    """The one record of a domain (§4.4, §4.5); raises _Stop."""
    if not is_name(domain):
        raise _Stop(Result.NONE, f"“{domain}” is not a domain name")
    try:
        found = records_among(lookup(domain, "TXT"))
    except Absent:
        found = ()
    except Temporary:
        raise _Stop(Result.TEMPERROR, f"nobody answered for the SPF record of {domain}") from None
    if not found:
        raise _Stop(Result.NONE, f"{domain} has no SPF record")
    if len(found) > 1:
        raise _Stop(Result.PERMERROR, f"{domain} has {len(found)} SPF records; there may be one")
    try:
        return parse(found[0])
    except BadRecord as why:
        raise _Stop(Result.PERMERROR, f"the SPF record of {domain} is broken: {why}") from None


@dataclass(slots=True)
class _Check:
    """One run of check_host: what is known of the mail, and what has been spent."""

    ip: Address
    local: str
    host: str  # domain of the sender
    helo: str
    lookup: Lookup
    lookups: int = 0
    voids: int = 0
    methods: dict[str, Callable[[Mechanism, str], bool]] = field(init=False)

    def __post_init__(self) -> None:
        self.methods = {
            "all": lambda _, __: True,
            "ip4": self._within,
            "ip6": self._within,
            "a": self._matches_a,
            "mx": self._matches_mx,
            "ptr": self._matches_ptr,
            "exists": self._exists,
            "include": self._includes,
        }

    def outermost(self, domain: str) -> tuple[Result, str]:
        """The result for the mail, and for a fail the explanation of the record that decided (§6.2)."""
        result, record, current = self._judge(domain)
        if result is Result.FAIL and record.exp is not None:
            return result, self._explanation(record.exp, current)
        return result, ""

    def _judge(self, domain: str) -> tuple[Result, Record, str]:
        """The result of one record, with the record and domain a redirect may have led to (§4.6)."""
        record = _record_of(domain, self.lookup)
        for mechanism in record.mechanisms:
            if mechanism.name in ASKING:
                self._spend(mechanism.text, domain)
            if self.methods[mechanism.name](mechanism, domain):
                return _QUALIFIED[mechanism.qualifier], record, domain
        if record.redirect is None:
            return Result.NEUTRAL, record, domain
        return self._redirect(record.redirect, domain)

    def _redirect(self, target: Pieces, domain: str) -> tuple[Result, Record, str]:
        name = self._name(target, domain)
        self._spend(f"redirect={name}", domain)
        try:
            return self._judge(name)
        except _Stop as stop:
            raise _required(stop) from None

    def _includes(self, mechanism: Mechanism, domain: str) -> bool:
        try:
            result, _, _ = self._judge(self._target(mechanism, domain))
        except _Stop as stop:
            raise _required(stop) from None
        return result is Result.PASS

    def _spend(self, term: str, domain: str) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise _Stop(
                Result.PERMERROR,
                f"more than {MAX_LOOKUPS} terms ask the DNS; “{term}” of {domain} is one too many",
            )

    def _ask(self, name: str, rdtype: str) -> tuple[str, ...]:
        """Values, none if there are none; counts what finds nothing (§4.6.4)."""
        if not is_name(name):
            return ()  # §4.8: cannot exist, and is not asked for
        try:
            return self.lookup(name, rdtype)
        except Absent:
            self._count_void(name)
            return ()
        except Temporary:
            raise _Stop(Result.TEMPERROR, f"nobody answered for {rdtype} of {name}") from None

    def _count_void(self, name: str) -> None:
        self.voids += 1
        if self.voids > MAX_VOIDS:
            raise _Stop(Result.PERMERROR, f"more than {MAX_VOIDS} look-ups find nothing; the last was {name}")

    def _within(self, mechanism: Mechanism, _domain: str) -> bool:
        assert mechanism.network is not None
        return self.ip in mechanism.network  # False where the versions differ

    def _matches_a(self, mechanism: Mechanism, domain: str) -> bool:
        return self._near(self._ask(self._target(mechanism, domain), self._family), mechanism)

    def _matches_mx(self, mechanism: Mechanism, domain: str) -> bool:
        target = self._target(mechanism, domain)
        hosts = [value.split()[-1].removesuffix(".") for value in self._ask(target, "MX")]
        if len(hosts) > MAX_NAMES:
            raise _Stop(Result.PERMERROR, f"{target} has more than {MAX_NAMES} MX hosts")
        return any(self._near(self._ask(host, self._family), mechanism) for host in hosts)

    def _matches_ptr(self, mechanism: Mechanism, domain: str) -> bool:
        target = self._target(mechanism, domain).lower()
        return any(name == target or name.endswith(f".{target}") for name in self._validated())

    def _exists(self, mechanism: Mechanism, domain: str) -> bool:
        return bool(self._ask(self._target(mechanism, domain), "A"))  # §5.7: A, whatever the address is

    def _validated(self) -> Iterator[str]:
        """Names of the address that lead back to it (§5.5). Errors match nothing: the peer chose its PTR."""
        for name in self._quiet(self.ip.reverse_pointer, "PTR")[:MAX_NAMES]:
            host = name.removesuffix(".").lower()
            if any(ipaddress.ip_address(one) == self.ip for one in self._quiet(host, self._family)):
                yield host

    def _quiet(self, name: str, rdtype: str) -> tuple[str, ...]:
        """Values, none for whatever reason; counts nothing, for the domain has no say in it."""
        try:
            return self.lookup(name, rdtype) if is_name(name) else ()
        except (Absent, Temporary):
            return ()

    def _near(self, addresses: Iterable[str], mechanism: Mechanism) -> bool:
        prefix = mechanism.prefix4 if self.ip.version == 4 else mechanism.prefix6
        return any(self.ip in ipaddress.ip_network((one, prefix), strict=False) for one in addresses)

    @property
    def _family(self) -> str:
        return "A" if self.ip.version == 4 else "AAAA"

    def _target(self, mechanism: Mechanism, domain: str) -> str:
        return domain if mechanism.domain is None else self._name(mechanism.domain, domain)

    def _name(self, pieces: Pieces, domain: str) -> str:
        return expand_name(pieces, lambda letter: self._value(letter, domain))

    def _explanation(self, target: Pieces, domain: str) -> str:
        """The text `exp` points to, empty if anything at all is wrong with it (§6.2)."""
        texts = self._quiet(self._name(target, domain), "TXT")
        try:
            pieces = spf_macros.explanation(texts[0]) if len(texts) == 1 else ()
        except BadMacro:
            return ""
        return expand(pieces, lambda letter: self._value(letter, domain))

    def _value(self, letter: str, domain: str) -> str:
        """§7.2. The receiver's name (r) is nobody's here, and the time (t) stands still."""
        if letter == "p":
            return self._validated_name(domain)
        return {
            "s": f"{self.local}@{self.host}",
            "l": self.local,
            "o": self.host,
            "d": domain,
            "i": _dotted(self.ip),
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": self.helo,
            "c": str(self.ip),
            "r": "unknown",
            "t": "0",
        }[letter]

    def _validated_name(self, domain: str) -> str:
        """§7.3: the domain itself, else a name below it, else any."""
        names, own = list(self._validated()), domain.lower()
        below = [name for name in names if name.endswith(f".{own}")]
        return own if own in names else next(iter(below or names), "unknown")


def _required(stop: _Stop) -> _Stop:
    """An include or redirect to a domain without a record is a permerror (§5.2, §6.1)."""
    return _Stop(Result.PERMERROR, stop.problem) if stop.result is Result.NONE else stop


def _dotted(ip: Address) -> str:
    if ip.version == 4:
        return str(ip)
    return ".".join(ip.exploded.replace(":", "").upper())
