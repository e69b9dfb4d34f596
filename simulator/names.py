"""The DNS data of the small internet: what each name answers, as a table.

A name is looked up in this order: the zone file and `--zone`, the tables here, the domains of `hosts`, and
last the rule that any other `<x>.test` has one MX. Names outside `.test` that nobody enrolled are REFUSED,
unless a block list could have them: this server knows nothing about them. Pure but for the zone file, which is read
again when its mtime changes.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from simulator import hosts
from simulator.policies import POLICIES

Record = tuple[str, str]
"""(type, text), for example ("MX", "10 mx.other.test.")."""


class Rcode(StrEnum):
    """Response codes given here (RFC 1035 §4.1.1), and SILENCE: no answer at all."""

    NOERROR = "NOERROR"
    NXDOMAIN = "NXDOMAIN"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    SILENCE = "SILENCE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say. `chain` is owner name and records of each step (CNAMEs first); `delay` in seconds."""

    rcode: Rcode
    chain: tuple[tuple[str, tuple[Record, ...]], ...] = ()
    delay: float = 0.0
    truncate: bool = False


def _mx(*exchangers: tuple[int, str]) -> list[Record]:
    return [("MX", f"{preference} {name}.") for preference, name in exchangers]


_MANY: Final = 50
_MANY_DEAD: Final = 3

TABLE: Final[dict[str, list[Record]]] = {
    "nomx.test": [("A", hosts.crowd_address("nomx.test"))],
    "nullmx.test": [("MX", "0 .")],
    "privatemx.test": _mx((10, "mx.privatemx.test")),
    "mx.privatemx.test": [("A", "10.0.0.1")],
    "loopmx.test": _mx((10, "localhost")),
    "localhost": [("A", "127.0.0.1")],
    "cnamemx.test": _mx((10, "alias.cnamemx.test")),
    "alias.cnamemx.test": [("CNAME", "mx.other.test.")],
    "cname.test": [("CNAME", "other.test.")],
    "cnameloop.test": [("CNAME", "cnameloop2.test.")],
    "cnameloop2.test": [("CNAME", "cnameloop.test.")],
    "twomx.test": _mx((10, "mx1.twomx.test"), (20, "mx2.twomx.test")),
    "mx1.twomx.test": [("A", hosts.REFUSING)],
    "mx2.twomx.test": [("A", hosts.crowd_address("twomx.test"))],
    "blackhole.test": _mx((10, "mx.blackhole.test")),
    "mx.blackhole.test": [("A", hosts.BLACKHOLE)],
    "refused.test": _mx((10, "mx.refused.test")),
    "mx.refused.test": [("A", hosts.REFUSING)],
    "noaddress.test": _mx((10, "mx.noaddress.test")),
    "mx.noaddress.test": [("TXT", "no address")],
    "v6only.test": _mx((10, "mx.v6only.test")),
    "mx.v6only.test": [("AAAA", "::1")],
    "norrs.test": [("TXT", "neither MX nor A")],
    "manymx.test": _mx(*((n, f"mx{n}.manymx.test") for n in range(1, _MANY + 1))),
    "relay.test": [("A", hosts.NAMELESS)],
}
TABLE.update(
    (f"mx{n}.manymx.test", [("A", hosts.REFUSING if n <= _MANY_DEAD else hosts.crowd_address("manymx.test"))])
    for n in range(1, _MANY + 1)
)
TABLE.update((domain, _mx(*exchangers)) for domain, (_, exchangers) in hosts.PROVIDERS.items())
TABLE.update((host.name, [("A", host.address)]) for host in hosts.HOSTS)
TABLE.update((f"{name}.test", _mx((10, f"mx.{name}.test"))) for name in (*hosts.FAULTS, *hosts.VARIANTS))
TABLE.update((f"mta-sts.{domain}", [("A", hosts.NAMELESS)]) for domain in POLICIES)
TABLE.update((f"_mta-sts.{domain}", [("TXT", "v=STSv1; id=1;")]) for domain in POLICIES)

TROUBLE: Final[dict[str, Answer]] = {
    "nxdomain.test": Answer(Rcode.NXDOMAIN),
    "servfail.test": Answer(Rcode.SERVFAIL),
    "lame.test": Answer(Rcode.REFUSED),
    "timeout.test": Answer(Rcode.SILENCE),
}
"""Domains where every look-up ends so, names below them included."""

BLOCK_LISTS: Final = ("zen.spamhaus.org", "dbl.spamhaus.org", "bl.spamcop.net")
"""Zones that list nobody but whom the zone file names."""

SOA: Final = "ns.test. hostmaster.test. 1 3600 600 86400 60"
"""Of every `<x>.test`; its minimum is how long negative answers are remembered."""
SLOW_SECONDS: Final = 2.0
MAX_CHAIN: Final = 8


def ordinary(name: str) -> list[Record] | None:
    """Records of `<x>.test` and `mx.<x>.test`, which exist for any x that no table mentions."""
    labels = name.split(".")
    if labels[-1] != "test":
        return None
    if len(labels) == 2:
        return _mx((10, f"mx.{name}"))
    if len(labels) == 3 and labels[0] == "mx":
        return [("A", hosts.crowd_address(".".join(labels[1:])))]
    return None


@dataclass(slots=True)
class Names:
    """All names. `zone` is fixed, `zone_file` (JSON: name -> [[type, text], ...]) may change at any time.

    `only_loopback_one` maps every address in 127/8 to 127.0.0.1, for systems that have no other.
    """

    zone: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    zone_file: Path | None = None
    only_loopback_one: bool = False
    _enrolled: dict[str, list[Record]] = field(default_factory=dict)
    _read_at: int = -1

    def answer(self, name: str, rdtype: str) -> Answer:
        """Answer one question; `name` is lower-case without the final dot."""
        domain = ".".join(name.split(".")[-2:])
        if domain in TROUBLE:
            return TROUBLE[domain]
        rcode, chain = self._follow(name, rdtype)
        return Answer(
            rcode,
            tuple(chain),
            delay=SLOW_SECONDS if domain == "slow.test" else 0.0,
            truncate=domain == "truncated.test",
        )

    def _follow(self, name: str, rdtype: str) -> tuple[Rcode, list[tuple[str, tuple[Record, ...]]]]:
        chain: list[tuple[str, tuple[Record, ...]]] = []
        for _ in range(MAX_CHAIN):
            records = self.records(name)
            if records is None:
                return (Rcode.NOERROR if chain else self._missing(name)), chain
            alias = next((text for kind, text in records if kind == "CNAME"), None)
            if alias is None or rdtype == "CNAME":
                matching = tuple(self._located(r) for r in records if rdtype in (r[0], "ANY"))
                return Rcode.NOERROR, [*chain, (name, matching)] if matching else chain
            chain.append((name, (("CNAME", alias),)))
            name = alias.rstrip(".").lower()
        return Rcode.SERVFAIL, []

    def records(self, name: str) -> list[Record] | None:
        """Every record of a name, or None if there is no such name."""
        self._refresh()
        found = self._enrolled.get(name) or TABLE.get(name) or ordinary(name)
        apex = name.endswith(".test") and name.count(".") == 1
        return [*found, ("SOA", SOA)] if found and apex else found

    def _located(self, record: Record) -> Record:
        if self.only_loopback_one and record[0] == "A" and record[1].startswith("127."):
            return ("A", hosts.NAMELESS)
        return record

    def _missing(self, name: str) -> Rcode:
        below = f".{name}"
        if any(known.endswith(below) for known in (*self._enrolled, *TABLE)):
            return Rcode.NOERROR  # an empty non-terminal exists (RFC 8020 §2)
        ours = name == "test" or name.endswith((".test", *BLOCK_LISTS))
        return Rcode.NXDOMAIN if ours else Rcode.REFUSED

    def _refresh(self) -> None:
        changed = self._changed_at()
        if changed == self._read_at:
            return
        self._read_at = changed
        try:
            from_file = json.loads(self.zone_file.read_bytes()) if self.zone_file and changed else {}
        except (OSError, ValueError) as error:
            # A half-written file must not take the names away that were there before.
            print(f"simulator: zone file not read: {error}", file=sys.stderr)
            return
        self._enrolled = merge(self.zone.items(), from_file.items())

    def _changed_at(self) -> int:
        try:
            return self.zone_file.stat().st_mtime_ns if self.zone_file else 0
        except FileNotFoundError:
            return 0


def merge(*sources: Iterable[tuple[str, Sequence[Sequence[str]]]]) -> dict[str, list[Record]]:
    """One table of several; names lower-cased, records of a name added up."""
    merged: dict[str, list[Record]] = {}
    for source in sources:
        for name, records in source:
            merged.setdefault(name.rstrip(".").lower(), []).extend(
                (kind.upper(), text) for kind, text in records
            )
    return merged
