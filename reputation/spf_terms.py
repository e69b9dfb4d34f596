"""An SPF record as terms (RFC 7208 §4.6, §5, §6): all of its syntax, and nothing of its meaning.

The whole record is read before any of it is evaluated, because a syntax error anywhere makes all of it a permerror.
Errors say which term and why, in words for the person who published it.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reputation.spf_macros import BadMacro, Pieces, domain_spec, macro_string

VERSION: Final = "v=spf1"
ASKING: Final = frozenset({"include", "a", "mx", "ptr", "exists"})  # these and redirect cost a look-up
MAX_LOOKUPS: Final = 10  # §4.6.4: terms that ask the DNS
MAX_VOIDS: Final = 2  # §4.6.4: look-ups that find nothing
MAX_NAMES: Final = 10  # §4.6.4: hosts of one MX, names of one PTR

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER: Final = r"0|[1-9][0-9]{0,2}"
_DUAL: Final = rf"(?:/(?P<v4>{_NUMBER}))?(?://(?P<v6>{_NUMBER}))?"
_MECHANISMS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(rest, re.IGNORECASE | re.DOTALL)
    for name, rest in {
        "all": r"",
        "include": r":(?P<domain>.*)",
        "a": rf"(?::(?P<domain>.*?))?{_DUAL}",
        "mx": rf"(?::(?P<domain>.*?))?{_DUAL}",
        "ptr": r"(?::(?P<domain>.*))?",
        "exists": r":(?P<domain>.*)",
        "ip4": rf":(?P<address>[0-9.]+)(?:/(?P<v4>{_NUMBER}))?",
        "ip6": rf":(?P<address>[0-9a-f:.]+)(?:/(?P<v6>{_NUMBER}))?",
    }.items()
}
_NAME: Final = re.compile(r"(?P<qualifier>[-+~?]?)(?P<name>[a-z][a-z0-9]*)", re.IGNORECASE)
_MODIFIER: Final = re.compile(r"(?P<name>[a-z][a-z0-9._-]*)=(?P<value>.*)", re.IGNORECASE | re.DOTALL)


class BadRecord(ValueError):
    """The record is not well formed (permerror); the message says which term and why."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism; `domain` is None where the current domain is meant, `network` is for ip4 and ip6 only."""

    text: str
    qualifier: str
    name: str
    domain: Pieces | None = None
    network: Network | None = None
    prefix4: int = 32
    prefix6: int = 128


@dataclass(frozen=True, slots=True)
class Record:
    """A record that is well formed."""

    mechanisms: tuple[Mechanism, ...]
    redirect: Pieces | None
    exp: Pieces | None

    @property
    def ending(self) -> str:
        """Its `all` with the qualifier, or empty."""
        return next((f"{each.qualifier}all" for each in self.mechanisms if each.name == "all"), "")


def records_among(values: Sequence[str]) -> tuple[str, ...]:
    """The SPF records among TXT values (§4.5)."""
    return tuple(value for value in values if value.split(" ", 1)[0].lower() == VERSION)


def parse(text: str) -> Record:
    """The record that `text`, one of `records_among`, is. Raises BadRecord."""
    if not text.isascii():
        raise BadRecord("the record holds characters that are not ASCII")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, Pieces] = {}
    for term in filter(None, text.split(" ")[1:]):
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            mechanisms.append(_mechanism(term))
        else:
            _add_modifier(modifiers, term, modifier["name"].lower(), modifier["value"])
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


def _add_modifier(modifiers: dict[str, Pieces], term: str, name: str, value: str) -> None:
    """Only redirect and exp mean something, and may stand there once (§6); all others must only be well formed."""
    known = name in {"redirect", "exp"}
    if known and name in modifiers:
        raise BadRecord(f"{name}= stands there twice")
    try:
        pieces = domain_spec(value) if known else macro_string(value)
    except BadMacro as why:
        raise BadRecord(f"“{term}”: {why}") from None
    if known:
        modifiers[name] = pieces


def _mechanism(term: str) -> Mechanism:
    head = _NAME.match(term)
    name = head["name"].lower() if head else ""
    if head is None or name not in _MECHANISMS:
        raise BadRecord(f"“{term}” is not a mechanism")
    rest = _MECHANISMS[name].fullmatch(term, head.end())
    if rest is None:
        raise BadRecord(f"“{term}” is not how {name} is written")
    try:
        return _made(term, head["qualifier"] or "+", name, rest.groupdict())
    except ValueError as why:  # BadMacro, or an address or prefix that is none
        raise BadRecord(f"“{term}”: {why}") from None


def _made(term: str, qualifier: str, name: str, given: Mapping[str, str | None]) -> Mechanism:
    domain, address = given.get("domain"), given.get("address")
    prefix4, prefix6 = int(given.get("v4") or "32"), int(given.get("v6") or "128")
    if prefix4 > 32 or prefix6 > 128:
        raise ValueError("there is no network so small")
    pieces = None if domain is None else domain_spec(domain)
    network: Network | None = None
    if name == "ip4":
        network = ipaddress.IPv4Network((str(address), prefix4), strict=False)
    elif name == "ip6":
        network = ipaddress.IPv6Network((str(address), prefix6), strict=False)
    return Mechanism(term, qualifier, name, pieces, network, prefix4, prefix6)
