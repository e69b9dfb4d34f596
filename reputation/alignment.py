"""Which organisation a name belongs to, by the old rule and by the new one, and whether two names are aligned.

Receivers differ: those of RFC 7489 ask the public suffix list, those of RFC 9989 walk up the DNS tree. A domain is
safe only where both agree, so every answer here is a pair, and says when its halves differ. Asks nothing by itself:
`lookup` is passed in, the list is the library's. An unanswered question makes the walk's half unknown, never a
guess.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from publicsuffixlist import PublicSuffixList

from reputation.asking import Absent, Lookup, Temporary

LABELS_KEPT: Final = (
    7  # RFC 9989 §4.10: a name of eight labels or more goes on with seven, so eight questions at most
)

_VERSION: Final = re.compile(r"v\s*=\s*DMARC1", re.ASCII)
_MAILBOX: Final = re.compile(r"mailto:[^\s@,!]+@[^\s@,!]+(?:![0-9]+[kmgt]?)?", re.IGNORECASE)
_POLICIES: Final = ("none", "quarantine", "reject")
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "p": _POLICIES,
    "sp": _POLICIES,
    "np": _POLICIES,
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "psd": ("u", "y", "n"),
    "t": ("n", "y"),
}


class Mode(StrEnum):
    """How near two names must be (RFC 9989 §4.4)."""

    STRICT = "s"
    RELAXED = "r"


@dataclass(frozen=True, slots=True)
class Dmarc:
    """A DMARC record (RFC 9989 §4.7), defaults filled in; `errors` say in words what readers will stumble over.

    `tags` are all that were given, in lower case; unknown ones are ignored. A text that does not begin with
    `v=DMARC1` is no record: `parse_dmarc` returns None.
    """

    policy: str  # p: none | quarantine | reject; none if not given or not valid
    subdomains: str  # sp: what holds for subdomains, p if not given
    absent: str  # np: what holds for subdomains that do not exist
    adkim: Mode
    aspf: Mode
    psd: str  # y | n | u
    rua: tuple[str, ...]  # URIs
    ruf: tuple[str, ...]
    testing: bool  # t=y
    tags: Mapping[str, str]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Organisation:
    """The organisational domain of a name by both rules; `by_walk` is None when the DNS did not answer."""

    name: str
    by_list: str
    by_walk: str | None
    walked: tuple[str, ...]  # names asked for, without _dmarc., in order

    @property
    def differ(self) -> bool:
        """Whether the two rules name different organisations."""
        return self.by_walk is not None and self.by_walk != self.by_list


@dataclass(frozen=True, slots=True)
class Aligned:
    """Whether two names are aligned by both rules; `by_walk` is None when the DNS did not answer."""

    by_list: bool
    by_walk: bool | None

    @property
    def differ(self) -> bool:
        """Whether some receivers will accept what others refuse."""
        return self.by_walk is not None and self.by_walk != self.by_list


def parse_dmarc(text: str) -> Dmarc | None:
    """The record in one TXT value, or None if it is not one (RFC 9989 §4.8)."""
    first, *rest = (part.strip() for part in text.split(";"))
    if not _VERSION.fullmatch(first):
        return None
    tags, errors = _tags(part for part in rest if part)
    errors += [
        _bad_value(name, tags[name]) for name in _VALUES if name in tags and not _valid(name, tags[name])
    ]
    addresses = {name: _uris(tags.get(name, "")) for name in ("rua", "ruf")}
    errors += [
        f"“{uri}” in {name}= is not a mailto: address"
        for name, uris in addresses.items()
        for uri in uris
        if not _MAILBOX.fullmatch(uri)
    ]
    if "p" not in tags:
        errors.append("p= is missing, and many receivers then take the record for none")
    return _made(tags, addresses, tuple(errors))


def organisation(name: str, lookup: Lookup) -> Organisation:
    """The organisational domain of `name` by both rules."""
    name = name.lower().removesuffix(".")
    walked: list[str] = []
    try:
        by_walk = _walk(name, lookup, walked)
    except Temporary:
        by_walk = None
    return Organisation(name, by_list(name), by_walk, tuple(walked))


def by_list(name: str) -> str:
    """The organisational domain by the public suffix list alone (RFC 7489 §3.2); a suffix is its own."""
    return str(_list().privatesuffix(name) or name)


def aligned(a: Organisation, b: Organisation, mode: Mode) -> Aligned:
    """Whether two names are aligned: strict when identical, relaxed when of one organisation."""
    if a.name == b.name or mode is Mode.STRICT:
        return Aligned(a.name == b.name, a.name == b.name)
    unknown = a.by_walk is None or b.by_walk is None
    return Aligned(a.by_list == b.by_list, None if unknown else a.by_walk == b.by_walk)


def targets(name: str) -> Iterator[str]:
    """The names a tree walk asks for, in order, without `_dmarc.` (RFC 9989 §4.10)."""
    labels = name.split(".")
    yield name
    for kept in range(min(len(labels) - 1, LABELS_KEPT), 0, -1):
        yield ".".join(labels[-kept:])


def _walk(name: str, lookup: Lookup, walked: list[str]) -> str:
    """RFC 9989 §4.10.2, from the longest name to the shortest; notes in `walked` what it asks for."""
    shortest = name
    for target in targets(name):
        walked.append(target)
        found = _policy(target, lookup)
        if found is None:
            continue
        if found.psd == "n":
            return target
        if found.psd == "y":
            return _one_below(target, name)
        shortest = target
    return shortest


def _one_below(suffix: str, name: str) -> str:
    """The start itself may say it is a suffix: then it is its own organisation."""
    return ".".join(name.split(".")[-suffix.count(".") - 2 :])


def _policy(target: str, lookup: Lookup) -> Dmarc | None:
    """The one record at a name; several count as none. Raises Temporary."""
    try:
        values = lookup(f"_dmarc.{target}", "TXT")
    except Absent:
        return None
    found = [record for record in map(parse_dmarc, values) if record is not None]
    return found[0] if len(found) == 1 else None


def _tags(parts: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    tags: dict[str, str] = {}
    errors: list[str] = []
    for part in parts:
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not name:
            errors.append(f"“{part}” is not a tag: tags are written name=value and end with a semicolon")
        elif name.lower() in tags:
            errors.append(f"{name}= stands there twice")
        else:
            tags[name.lower()] = value
    return tags, errors


def _valid(name: str, value: str) -> bool:
    return value.lower() in _VALUES[name]


def _bad_value(name: str, value: str) -> str:
    return f"{name}={value} is none of {', '.join(_VALUES[name])}"


def _uris(value: str) -> tuple[str, ...]:
    return tuple(uri.strip() for uri in value.split(",") if uri.strip())


def _made(
    tags: Mapping[str, str], addresses: Mapping[str, tuple[str, ...]], errors: tuple[str, ...]
) -> Dmarc:
    def value(name: str, default: str) -> str:
        given = tags.get(name, default).lower()
        return given if given in _VALUES[name] else default

    policy = value("p", "") or "none"
    subdomains = value("sp", policy)
    return Dmarc(
        policy=policy,
        subdomains=subdomains,
        absent=value("np", subdomains),
        adkim=Mode(value("adkim", "r")),
        aspf=Mode(value("aspf", "r")),
        psd=value("psd", "u"),
        rua=addresses["rua"],
        ruf=addresses["ruf"],
        testing=value("t", "n") == "y",
        tags=tags,
        errors=errors,
    )


@functools.cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()
