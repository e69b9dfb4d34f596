"""What an admin should know of an SPF record: the whole tree it leads to, whoever sends.

A receiver stops at the first match, so a record that is broken further down passes today and fails on the day another
address is tried. Here every term counts. Refuses to follow a tree without end, and what only a mail could tell
(macros of its sender or address) is counted and not followed.
"""

from dataclasses import dataclass, field
from typing import Final

from reputation.asking import Absent, Lookup, Temporary
from reputation.spf_macros import Pieces, expand_name, is_name, letters
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

MAX_FOLLOWED: Final = 50  # terms an examination follows


@dataclass(frozen=True, slots=True)
class SpfReport:
    """A domain's record and all it leads to.

    `record` is empty when there is none, and with several holds one a line. `problems` are what makes receivers answer
    permerror, in words; `advice` what works and could be better; `unanswered` the names nobody answered for.
    `lookups` and `voids` count the whole tree, as the unluckiest receiver does. `ending` is the `all` mail ends at
    (`-all`), or empty; `names` are the domains whose records were read, this one first.
    """

    domain: str
    record: str
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    lookups: int = 0
    voids: int = 0
    ending: str = ""
    names: tuple[str, ...] = ()


def examine(domain: str, lookup: Lookup) -> SpfReport:
    """The record of `domain` with its whole tree."""
    walk = _Walk(lookup)
    ending = walk.visit(domain, (), required=False)
    walk.judge_limits()
    return SpfReport(
        domain,
        walk.record,
        tuple(walk.problems),
        tuple(walk.advice),
        tuple(walk.unanswered),
        walk.lookups,
        len(walk.voids),
        ending,
        tuple(walk.names),
    )


@dataclass(slots=True)
class _Walk:
    """What the walk has found so far; `record` is the outermost one."""

    lookup: Lookup
    record: str = ""
    lookups: int = 0
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    voids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def visit(self, domain: str, above: tuple[str, ...], *, required: bool) -> str:
        """One record and all below it; the `all` it ends at."""
        if domain.lower() in above:
            self.problems.append(f"{domain} leads back to itself")
            return ""
        record = self._read(domain, required=required)
        if record is None:
            return ""
        self.names.append(domain)
        path = (*above, domain.lower())
        for mechanism in _reached(record):
            self._follow(mechanism, domain, path)
        return (
            record.ending
            if record.redirect is None or record.ending
            else self._redirect(record, domain, path)
        )

    def judge_limits(self) -> None:
        """The limits of the whole tree (§4.6.4)."""
        if self.lookups > MAX_LOOKUPS:
            self.problems.append(
                f"{self.lookups} terms ask the DNS and receivers stop at {MAX_LOOKUPS}: take out what is not used, or "
                "write addresses (ip4:, ip6:) in place of includes"
            )
        if len(self.voids) > MAX_VOIDS:
            self.problems.append(
                f"{len(self.voids)} look-ups find nothing and receivers stop at {MAX_VOIDS}: take out "
                + ", ".join(self.voids)
            )

    def _read(self, domain: str, *, required: bool) -> Record | None:
        found = records_among(self._ask(domain, "TXT"))
        self.record = self.record or "\n".join(found)
        if not found:
            if required and domain not in self.unanswered:
                self.problems.append(f"{domain} is included and has no SPF record")
            return None
        if len(found) > 1:
            self.problems.append(f"{domain} has {len(found)} SPF records; there may be one: merge them")
            return None
        try:
            return parse(found[0])
        except BadRecord as why:
            self.problems.append(f"the SPF record of {domain} is broken: {why}")
            return None

    def _redirect(self, record: Record, domain: str, path: tuple[str, ...]) -> str:
        self.lookups += 1
        target = None if record.redirect is None else _static(record.redirect, domain)
        return "" if target is None else self.visit(target, path, required=True)

    def _follow(self, mechanism: Mechanism, domain: str, path: tuple[str, ...]) -> None:
        if mechanism.name not in ASKING:
            return
        self.lookups += 1
        target = domain if mechanism.domain is None else _static(mechanism.domain, domain)
        if self.lookups > MAX_FOLLOWED or target is None:
            return
        if mechanism.name == "include":
            self.visit(target, path, required=True)
        elif mechanism.name == "mx":
            self._hosts(target)
        elif mechanism.name in {"a", "exists"}:
            self._addresses(target)
        else:
            self.advice.append(
                f"“{mechanism.text}” of {domain} is slow and unreliable (RFC 7208 §5.5): name addresses"
            )

    def _hosts(self, target: str) -> None:
        hosts = [value.split()[-1].removesuffix(".") for value in self._ask(target, "MX")]
        if len(hosts) > MAX_NAMES:
            self.problems.append(f"{target} has {len(hosts)} MX hosts and receivers stop at {MAX_NAMES}")
        if not hosts and target not in self.unanswered:
            self.voids.append(target)
        for host in filter(None, hosts[:MAX_NAMES]):
            self._addresses(host)

    def _addresses(self, name: str) -> None:
        """Void only where there is no address of either kind: which kind is asked for depends on the peer."""
        if not any(self._ask(name, rdtype) for rdtype in ("A", "AAAA")) and name not in self.unanswered:
            self.voids.append(name)

    def _ask(self, name: str, rdtype: str) -> tuple[str, ...]:
        try:
            return self.lookup(name, rdtype) if is_name(name) else ()
        except Absent:
            return ()
        except Temporary:
            if name not in self.unanswered:
                self.unanswered.append(name)
            return ()


def _reached(record: Record) -> tuple[Mechanism, ...]:
    """What stands before `all`: the rest is never looked at (§5.1)."""
    names = [each.name for each in record.mechanisms]
    return record.mechanisms[: names.index("all")] if "all" in names else record.mechanisms


def _static(pieces: Pieces, domain: str) -> str | None:
    """The name, if it is the same for every mail."""
    return expand_name(pieces, lambda _: domain) if letters(pieces) <= {"d"} else None
