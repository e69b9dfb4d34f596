"""What one looks at first about a sending domain: how it stands, what it wants next, its records, ramps and keys.

Read with a fixed number of statements, however many providers, records and days there are. Guarantees: what the rules
and the checks said is shown in their words, not retold; private keys are not even read. Decides nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.safestring import SafeString

from reputation import keyring, pictures, publishing
from reputation.domains import CHECK_GIVEN_UP
from reputation.models import KeyEvent, Ramp, RampEvent, RecordCheck, SendingDomain, SigningKey
from reputation.pictures import Age
from reputation.tiles import Tile, drawn, plan_of, shared, tiles
from reputation.viewing import chip, stamp, visible

EVENTS: Final = 15
# A worker that runs takes up a check that was asked for within this.
ASKED_PATIENCE: Final = timedelta(seconds=20)
TXT_STRING: Final = 255  # RFC 1035 §3.3: one string of a TXT record; receivers join them (RFC 6376 §3.6.2.2)
BROKEN: Final = ("missing", "wrong")
ALGORITHMS: Final = {"rsa-sha256": "RSA 2048", "ed25519-sha256": "Ed25519"}

State = SendingDomain.State
STATE_WORDS: Final[Mapping[str, str]] = {
    State.ENROLLED: "Not verified yet: it sends nothing.",
    State.VERIFIED: "It may send.",
    State.DEGRADED: "Its records broke: new mail is held; what was accepted before still leaves, signed.",
    State.RETIRED: "It sends nothing any more.",
}

# what a purpose begins with -> how people call it
PURPOSES: Final = (
    ("returns-spf", "SPF of the return-path host"),
    ("returns-mx", "MX of the return-path host"),
    ("spf", "SPF of the From domain"),
    ("mx", "MX of the From domain"),
    ("dkim-revoked", "revoked DKIM key"),
    ("dkim", "DKIM key"),
    ("dmarc-parent", "DMARC of the organisational domain"),
    ("dmarc-reports", "permission to take DMARC reports"),
    ("dmarc", "DMARC"),
    ("soa", "start of authority"),
    ("ehlo", "address of the EHLO name"),
    ("ptr", "name of the address"),
    ("unsubscribe", "unsubscribe host"),
    ("tlsrpt", "TLS reports"),
    ("mta-sts", "MTA-STS"),
    ("certificate", "certificate of the unsubscribe host"),
    ("egress", "port 25 from here"),
)


@dataclass(frozen=True, slots=True)
class Records:
    """A domain's records, how many of them are right, and how far the check has come that runs now."""

    rows: Sequence[RecordCheck]
    advice: Mapping[str, str]
    right: int
    checked: int
    running: bool
    asked: bool
    lost: bool

    @property
    def told(self) -> list[tuple[RecordCheck, str, str]]:
        """Each row with its name among people and what it is for."""
        return [(row, called(row.purpose), self.advice.get(row.purpose, "")) for row in self.rows]

    @property
    def checking(self) -> bool:
        """Whether the page is worth another look in a moment."""
        return self.running or self.asked


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the timeline."""

    when: datetime
    chip: SafeString
    place: str
    detail: str
    why: str
    evidence: str = ""

    @property
    def at(self) -> str:
        return stamp(self.when)


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key with what may be done with it."""

    key: SigningKey
    algorithm: str
    chip: SafeString
    since: str
    record: str
    moves: Sequence[str]


@dataclass(frozen=True, slots=True)
class Overview:
    """All that a domain's page shows above its settings."""

    domain: SendingDomain
    at: str
    checked: str
    state: SafeString
    words: str
    steps: Sequence[str]
    records: Records
    tiles: Sequence[tuple[Tile, Sequence[str]]]
    keys: Sequence[KeyShown]
    ages: SafeString
    happenings: Sequence[Happening]


def of_domain(domain: SendingDomain, asked_at: datetime | None = None) -> Overview:
    """A sending domain as it stands now; ``asked_at``: a check was asked for then."""
    at = keyring.now()
    checked, keys = records(domain, asked_at), _keys(domain)
    ramps = list(Ramp.objects.filter(kind=Ramp.Kind.DOMAIN, key=domain.name).order_by("provider"))
    ages = pictures.ages(_ages(keys, domain.rotate_after_days, at), f"Ages of the keys of {domain}")
    lanes, beside = tiles(ramps, at, plan_of(domain)), shared(domain, at)
    return Overview(
        domain=domain,
        at=stamp(at),
        checked=stamp(domain.checked_at),
        state=chip(domain.state),
        words=STATE_WORDS[domain.state],
        steps=[*_steps(domain, checked, keys), *map(_step_of, lanes)],
        records=checked,
        tiles=[(tile, beside.get(tile.ramp.provider, ())) for tile in lanes],
        keys=[_key(key) for key in keys],
        ages=drawn(ages),
        happenings=happenings(ramps, keys),
    )


def records(domain: SendingDomain, asked_at: datetime | None = None) -> Records:
    """The records of a domain; while a check runs, how far it has come (by the real clock, as checks are)."""
    rows, since, clock = (
        list(RecordCheck.objects.filter(domain=domain)),
        domain.checking_since,
        timezone.now(),
    )
    running = since is not None and clock - since < CHECK_GIVEN_UP
    waiting = (
        asked_at is not None and not running and (domain.checked_at is None or domain.checked_at < asked_at)
    )
    asked = bool(waiting and asked_at and clock - asked_at < ASKED_PATIENCE)
    return Records(
        rows,
        advice=_advice(domain),
        right=sum(row.verdict in {"right", "advice"} for row in rows),
        checked=sum(bool(since and row.checked_at and row.checked_at >= since) for row in rows),
        running=running,
        asked=asked,
        lost=(since is not None and not running) or (waiting and not asked),
    )


def happenings(ramps: Iterable[Ramp], keys: Iterable[SigningKey] = ()) -> list[Happening]:
    """What happened to these ramps and keys, newest first."""
    moved = RampEvent.objects.filter(ramp__in=ramps).select_related("ramp").order_by("-at", "-pk")[:EVENTS]
    turned = KeyEvent.objects.filter(key__in=keys).select_related("key").order_by("-pk")
    both = [*map(_of_ramp, moved), *map(_of_key, turned.defer("key__private_sealed")[:EVENTS])]
    return sorted(both, key=lambda one: one.when, reverse=True)[:EVENTS]


def arithmetic(evidence: Mapping[str, Any]) -> str:
    """What a ramp's event was judged by: the rates in words, other facts by their names."""
    told = [str(rate.get("words", rate)) for rate in evidence.get("rates", [])]
    facts = (f"{key.replace('_', ' ')} {value}" for key, value in evidence.items() if key != "rates")
    return visible("\n".join([*facts, *told]))


def called(purpose: str) -> str:
    """How people call what a record is for."""
    return next((words for prefix, words in PURPOSES if purpose.startswith(prefix)), purpose)


def txt_strings(record: str) -> str:
    """A TXT record's value as zone files want it: quoted strings of at most 255 octets, one a line."""
    parts = (record[start : start + TXT_STRING] for start in range(0, len(record), TXT_STRING))
    return "\n".join(f'"{part}"' for part in parts)


def _advice(domain: SendingDomain) -> Mapping[str, str]:
    """What each record is for, and the TTL it is best given."""
    return {
        each.purpose: f"{each.wanted.why} TTL {each.wanted.ttl} s."
        for each in publishing.listed(publishing.facts(domain))
        if each.wanted
    }


def _keys(domain: SendingDomain) -> list[SigningKey]:
    rows = SigningKey.objects.filter(domain=domain).select_related("domain")
    return list(rows.defer("private_sealed").order_by("-pk"))


def _key(key: SigningKey) -> KeyShown:
    since = key.revoked_at or key.retired_at or key.activated_at or key.published_at or key.created_at
    moves = [word for word, move in keyring.MOVES.items() if key.state in move.origins]
    record = txt_strings(key.public_record)
    return KeyShown(key, ALGORITHMS[key.algorithm], chip(key.state), stamp(since), record, moves)


def _ages(keys: Sequence[SigningKey], limit: int, at: datetime) -> list[Age]:
    """How old each key is that still stands in the DNS; one that signs is measured against the limit."""
    return [
        Age(
            f"{key.selector} · {ALGORITHMS[key.algorithm]} · {key.state}",
            key.state,
            (at - (key.activated_at or key.created_at)).days,
            limit if key.state == SigningKey.State.ACTIVE else 0,
        )
        for key in keys
        if key.state != SigningKey.State.REVOKED
    ]


def _steps(domain: SendingDomain, checked: Records, keys: Sequence[SigningKey]) -> Iterator[str]:
    """What a person does next, the most pressing first."""
    if domain.state == State.RETIRED:
        return
    needed = [row for row in checked.rows if row.needed]
    missing = [row for row in needed if row.verdict == "missing"]
    wrong = [row for row in needed if row.verdict == "wrong"]
    unasked = [row for row in needed if row.verdict == "unchecked"]
    unanswered = [row for row in needed if row.verdict == "unknown"]
    if missing:
        yield f"Publish {_counted(missing)}: {_named(missing)}."
    if wrong:
        yield f"Correct {_counted(wrong)}: {_named(wrong)}."
    if unasked and not checked.checking:
        yield f"Publish {_counted(unasked)} as they stand below if you have not yet, then check them."
    if unanswered and not checked.checking:
        yield f"Check {_counted(unanswered)} again: nobody answered."
    if domain.state == State.ENROLLED and not (missing or wrong or unasked or unanswered):
        yield "Check now: once every needed record is right it may send."
    if domain.state != State.ENROLLED and not any(
        key.state == "active" and "rsa" in key.algorithm for key in keys
    ):
        yield "No RSA key is active, so nothing leaves: publish the record of one and activate it."


def _step_of(tile: Tile) -> str:
    turned = "" if tile.ramp.valve == Ramp.Valve.OPEN else f" It is {tile.ramp.valve} for now."
    return f"{tile.ramp.provider}: {tile.today} {tile.next}{turned}"


def _counted(rows: Sequence[RecordCheck]) -> str:
    return "1 record" if len(rows) == 1 else f"{len(rows)} records"


def _named(rows: Sequence[RecordCheck]) -> str:
    return ", ".join(f"{called(row.purpose)} ({row.type})" for row in rows)


def _of_ramp(row: RampEvent) -> Happening:
    place = row.ramp.provider if row.ramp.kind == Ramp.Kind.DOMAIN else str(row.ramp)
    cap = "no cap" if row.cap is None else f"{row.cap:,} a day"
    mark = chip(row.kind)
    return Happening(
        row.at, mark, place, f"step {row.step}, {cap}", visible(row.why), arithmetic(row.evidence)
    )


def _of_key(row: KeyEvent) -> Happening:
    return Happening(row.at, chip(row.kind), row.key.selector, f"by {visible(row.who)}", visible(row.why))
