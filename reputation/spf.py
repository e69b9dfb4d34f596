"""SPF as RFC 7208 has it: what a receiver concludes about an address, and what an admin should know of a record.

`check_host` follows the RFC to the letter, limits included: ten terms that ask the DNS, two void look-ups, ten names
of an MX or PTR. `examine` walks the whole tree of a record without an address, so that an admin learns today what
would break tomorrow. Asks nothing by itself: `lookup` is passed in. Refuses to guess: an unanswered question is
`temperror`, a broken record `permerror`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

# (name without its last dot, A|AAAA|MX|PTR|TXT) -> values as a resolver shows them: TXT strings joined, "10 mx.a.example."
Lookup = Callable[[str, str], tuple[str, ...]]


class Absent(Exception):  # noqa: N818 an answer, not an error
    """There is no such name, or no such record at it (a void look-up, RFC 7208 §4.6.4)."""


class Temporary(Exception):  # noqa: N818 an answer, not an error
    """Nobody answered, or with an error other than NXDOMAIN."""


class Result(StrEnum):
    """RFC 7208 §2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


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


@dataclass(frozen=True, slots=True)
class SpfReport:
    """A domain's record and all it leads to.

    `record` is empty when there is none; `problems` are what makes receivers answer permerror, in words, `unanswered`
    the names nobody answered for; `lookups` and `voids` count the whole tree, as the unluckiest receiver does;
    `ending` is its `all` with qualifier (`-all`), or empty; `names` are the domains whose records were read.
    """

    domain: str
    record: str
    problems: tuple[str, ...]
    unanswered: tuple[str, ...]
    lookups: int
    voids: int
    ending: str
    names: tuple[str, ...]


def check_host(ip: str, domain: str, sender: str, helo: str, lookup: Lookup) -> SpfResult:
    """RFC 7208 §4. `sender` is the MAIL FROM address, empty for the null path (then give `helo` as `domain`).

    Raises ValueError for an `ip` that is none.
    """
    raise NotImplementedError


def examine(domain: str, lookup: Lookup) -> SpfReport:
    """The record of `domain` with its whole tree."""
    raise NotImplementedError
