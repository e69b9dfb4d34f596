"""Which organisation a name belongs to, by the old rule and by the new one, and whether two names are aligned.

Receivers differ: those of RFC 7489 ask the public suffix list, those of RFC 9989 walk up the DNS tree. A domain is
safe only where both agree, so every answer here is a pair, and says when its halves differ. Asks nothing by itself:
the list and `lookup` are passed in. An unanswered question makes the walk's half unknown, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reputation.asking import Lookup


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

    policy: str  # p: none | quarantine | reject; "" if not given or not valid, which counts as none
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
    """The record in one TXT value, or None if it is not one."""
    raise NotImplementedError


def organisation(name: str, lookup: Lookup) -> Organisation:
    """The organisational domain of `name` by both rules."""
    raise NotImplementedError


def aligned(a: Organisation, b: Organisation, mode: Mode) -> Aligned:
    """Whether two names are aligned: strict when identical, relaxed when of one organisation."""
    raise NotImplementedError
