"""A sending domain's life: enrolled, verified when all it needs is published, degraded when that breaks, retired.

What pages and commands may call. ``declare`` says what an organisational domain is for; ``enrol`` makes a sending
domain with its keys and the list of what to publish (``RecordCheck`` rows: one per record, ready to copy in
``expected``; more about each, its TTL and what it is for, from ``to_publish``); ``verify`` looks everything up, once
for a person who asks and again by ``verify_due`` on schedule; ``tend_keys`` rotates keys. While a check runs
``checking_since`` is set, and the rows checked since then are its progress.

Guarantees: agents send only from below a domain dedicated to them (a trigger in the database says so too), never from
below a protected one. A verified domain degrades only when a second resolver saw the same, and never because nobody
answered. Every change of state is guarded by the state it leaves. Refuses to check one domain twice at once.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Final, LiteralString

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from reputation import alignment, keyring, publishing, rotation, sql
from reputation.lookups import Lookups
from reputation.models import (
    Kind,
    OrganisationalDomain,
    RecordCheck,
    Route,
    SendingDomain,
    SigningKey,
    Stream,
    Warmed,
)
from reputation.records import Facts, Finding, Verdict, Wanted

log = logging.getLogger(__name__)

State = SendingDomain.State
Use = OrganisationalDomain.Use

KEY_TO_SIGN_WITH: Final = "signing-key"  # an open point that no record shows: `manage.py keys make`
CHECK_GIVEN_UP: Final = timedelta(minutes=10)  # the process of a check that is older has died
BROKEN: Final = frozenset({Verdict.MISSING, Verdict.WRONG})
GOOD: Final = frozenset({Verdict.RIGHT, Verdict.ADVICE})
WHO: Final = "verification"

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?=.{{1,230}}\Z)(?:{_LABEL}\.)+[a-z]{_LABEL}")  # a selector fits in front

# An admin who has just enrolled a domain waits for it; one whose records broke, or cannot be told, wants to know soon.
# Everything else is looked at once an hour, spread over ten minutes by its id.
DUE: Final[LiteralString] = """
SELECT d.id FROM reputation_sendingdomain AS d
WHERE d.state <> 'retired' AND (d.checked_at IS NULL OR d.checked_at <= %(now)s - CASE
    WHEN d.state = 'degraded' THEN interval '5 minutes'
    WHEN d.state = 'enrolled' AND d.created_at > %(now)s - interval '3 days' THEN interval '10 minutes'
    WHEN d.state = 'verified' AND EXISTS (
        SELECT FROM reputation_recordcheck AS r
        WHERE r.domain_id = d.id AND r.needed AND r.verdict NOT IN ('right', 'advice')
    ) THEN interval '5 minutes'
    ELSE interval '55 minutes' + d.id %% 11 * interval '1 minute' END)
ORDER BY d.checked_at NULLS FIRST LIMIT %(limit)s
"""


class NotEnrolled(ValueError):
    """The domain cannot be enrolled so; the message says why and what to do instead. `field` is what to correct."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


class NotDeclared(ValueError):
    """The organisational domain cannot be declared so; the message says why."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to: the states before and after, and the purposes of needed records that are not right."""

    domain: str
    before: str
    after: str
    open_points: tuple[str, ...]


def organisation_of(name: str) -> str:
    """The organisational domain of a name by the public suffix list: the one that has to be declared.

    Raises:
        NotEnrolled: not a domain name, or a public suffix, below which everybody registers.
    """
    if not _NAME.fullmatch(name):
        raise NotEnrolled("name", "Enter a domain name in lower case; write its IDN labels as xn--...")
    below = f"x.{name}"
    if alignment.by_list(below) == below:
        raise NotEnrolled("name", "This is a public suffix. Enter a domain that you have registered.")
    return alignment.by_list(name)


def both_organisations(name: str) -> alignment.Organisation:
    """The organisational domain by the public suffix list and by the tree walk, which asks the DNS.

    Where they `differ` say so: some receivers find other records for the domain than others (RFC 9989 §4.10).
    """
    with _asking(settings.AO_NAMESERVERS or None) as lookups:
        return alignment.organisation(name, lookups.values)


def declare(name: str, use: str, *, who: str) -> OrganisationalDomain:
    """Say what an organisational domain is for; it is made if nobody has heard of it.

    Raises:
        NotDeclared: agents send from below it, or it is protected and would become the agents' in one step.
        NotEnrolled: not an organisational domain.
    """
    above = organisation_of(name)
    if above != name:
        raise NotEnrolled("name", f"{name} is below {above}: declare that.")
    row, _ = OrganisationalDomain.objects.get_or_create(name=name)
    # a slip of the hand must not give the company's own domain to agents: that takes two declarations
    if row.use == use:
        return row  # who declared it, and when, stands
    allowed = ~Q(use=Use.PROTECTED) if use == Use.AGENTS else Q()
    said = {"use": Use(use), "declared_by": who, "declared_at": timezone.now()}
    try:
        with transaction.atomic():
            if not OrganisationalDomain.objects.filter(allowed, pk=row.pk).update(**said):
                raise NotDeclared(f"{name} is protected. Declare it undeclared first, if you are sure.")
    except IntegrityError:
        raise NotDeclared(f"Agents send from below {name}: retire and move their domains first.") from None
    row.refresh_from_db()
    return row


def enrol(
    stream: Stream,
    name: str,
    route: Route,
    sender: str,
    *,
    who: str,
    preset: str = Warmed.Preset.CAREFUL,
    ed25519: bool = False,
) -> SendingDomain:
    """A sending domain for a stream, with an RSA and an Ed25519 key that nobody signs with yet, and its list.

    Raises:
        NotEnrolled: the name, the sender or the stream will not do.
        BadMasterKey: there is nothing to seal keys with.
    """
    name, organisation = _permitted(stream, name, sender)
    row = SendingDomain(
        name=name,
        stream=stream,
        organisation=organisation,
        route=route,
        default_sender=sender,
        preset=preset,
        ed25519=ed25519,
    )
    return _made(row, who)


def _made(domain: SendingDomain, who: str) -> SendingDomain:
    """The row, its keys and its list, together or not at all."""
    try:
        with transaction.atomic():
            domain.save(force_insert=True)
            for algorithm in SigningKey.Algorithm:
                keyring.make(domain, algorithm, who=who, why="enrolled")
            to_publish(domain)
    except IntegrityError:  # somebody was faster: took the stream or the name, or took the dedication back
        raise NotEnrolled(
            "name", "Meanwhile this changed: look at the stream and the domain again."
        ) from None
    return domain


def _permitted(stream: Stream, name: str, sender: str) -> tuple[str, OrganisationalDomain]:
    """The name as it is written here, and its organisational domain, which is made if nobody has heard of it.

    Raises:
        NotEnrolled: the name, the sender or the stream will not do.
    """
    name = name.strip().lower().removesuffix(".")
    above = organisation_of(name)
    _refuse_sender(sender, name)
    _refuse_taken(stream, name)
    organisation, _ = OrganisationalDomain.objects.get_or_create(name=above)
    _refuse_undedicated(stream, organisation)
    if stream.kind != Kind.TRANSACTIONAL and name == above:
        raise NotEnrolled("name", f"Agents send from below {above}, not from itself: take agents.{above}.")
    return name, organisation


def _refuse_sender(sender: str, name: str) -> None:
    """Raises NotEnrolled for a default sender that is not at its sending domain."""
    if parseaddr(sender)[1].rpartition("@")[2].lower() != name:
        raise NotEnrolled("default_sender", f"Enter an address at {name}, such as robot@{name}.")


def _refuse_undedicated(stream: Stream, organisation: OrganisationalDomain) -> None:
    if stream.kind == Kind.TRANSACTIONAL or organisation.use == Use.AGENTS:
        return
    if organisation.use == Use.PROTECTED:
        words = f"{organisation} is protected: agents never send from below it. Register a domain for them."
    else:
        words = f"Declare {organisation} dedicated to agents first, or take a domain that is."
    raise NotEnrolled("name", words)


def to_publish(domain: SendingDomain) -> tuple[publishing.Listed, ...]:
    """Everything the domain has to show, with its rows brought up to date; call it when a key was made or revoked."""
    wanted = publishing.listed(publishing.facts(domain))
    publishing.keep_list(domain, wanted)
    return wanted


def retire(domain_id: int) -> bool:
    """Let a domain send nothing any more; False if it had been retired before."""
    living = SendingDomain.objects.filter(pk=domain_id).exclude(state=State.RETIRED)
    return living.update(state=State.RETIRED) == 1


def due(now: datetime, limit: int = 20) -> list[int]:
    """Domains whose turn it is to be checked, longest unchecked first."""
    return [row.id for row in sql.rows(DUE, {"now": now, "limit": limit})]


def verify_due(limit: int = 20) -> int:
    """Check the domains whose turn it is; how many were. One that cannot be checked does not stop the others."""
    done = 0
    for domain_id in due(keyring.now(), limit):
        try:
            done += verify(domain_id) is not None
        except Exception:
            log.exception("sending domain %s could not be checked", domain_id)
    return done


def tend_keys() -> int:
    """One round over all signing keys by ``rotation``, and the lists of their domains after it; how many changes.

    Raises:
        BadMasterKey: a new key was due and there is nothing to seal it with; the lists follow at the next check.
    """
    with _asking(settings.AO_NAMESERVERS or None) as lookups:
        told = rotation.tend(keyring.now(), lookups.arriving)
    touched = SendingDomain.objects.filter(pk__in={event.key.domain_id for event in told})
    for domain in touched.select_related("organisation", "route"):
        to_publish(domain)
    return len(told)


def verify(domain_id: int, now: datetime | None = None) -> Checked | None:
    """Look up everything a domain has to publish, row by row, and move its state; None if a check is under way.

    Raises:
        SendingDomain.DoesNotExist: there is none, or it is retired.
    """
    now = now or keyring.now()
    domain = SendingDomain.objects.select_related("organisation", "route", "stream").get(
        ~Q(state=State.RETIRED), pk=domain_id
    )
    began = _begin(domain)
    if began is None:
        return None
    try:
        _look(domain, began)
        return _conclude(domain, began, now)
    finally:
        mine = SendingDomain.objects.filter(pk=domain_id, checking_since=began)
        mine.update(checking_since=None, checked_at=now)


def _begin(domain: SendingDomain) -> datetime | None:
    """Take the check by the real clock, as leases are; None if somebody has it."""
    began = timezone.now()
    free = Q(checking_since=None) | Q(checking_since__lt=began - CHECK_GIVEN_UP)
    taken = SendingDomain.objects.filter(free, pk=domain.pk).update(checking_since=began)
    return began if taken else None


def _look(domain: SendingDomain, began: datetime) -> None:
    """Bring the list up to date, then write each finding into its row as it comes."""
    with (
        _asking(settings.AO_NAMESERVERS or None) as lookups,
        _asking(settings.AO_SECOND_NAMESERVERS) as second,
    ):
        publishing.look_at_parent(domain, lookups)
        known = publishing.facts(domain)
        wanted = publishing.listed(known)
        publishing.keep_list(domain, wanted)
        of = {each.purpose: each.wanted for each in wanted if each.wanted is not None}
        for finding in publishing.findings(known, list(of.values()), lookups):
            told = finding
            if domain.state == State.VERIFIED and of[finding.purpose].needed and finding.verdict in BROKEN:
                told = _asked_again(known, of[finding.purpose], finding, second)
            _write(domain, told)
        for key in (
            domain.keys.filter(state__in=keyring.COMING).select_related("domain").defer("private_sealed")
        ):
            keyring.publish(key, lookups.arriving, who=WHO)
        for finding in publishing.tried(known, domain, lookups, began):
            _write(domain, finding)


def _asked_again(known: Facts, wanted: Wanted, finding: Finding, second: Lookups) -> Finding:
    """The same finding if another resolver confirms it; else one that nobody degrades a domain for."""
    (other,) = publishing.findings(known, [wanted], second)
    if other.verdict in BROKEN:
        return finding
    saw = "sees it as it should be" if other.verdict in GOOD else "gave no answer"
    words = (
        f"{finding.words} But another resolver {saw}, so nothing follows yet: it is asked again in minutes."
    )
    return replace(finding, verdict=Verdict.UNKNOWN, words=words)


def _write(domain: SendingDomain, finding: Finding) -> None:
    said = {"verdict": finding.verdict, "words": finding.words, "found": finding.found}
    domain.records.filter(purpose=finding.purpose).update(**said, checked_at=timezone.now())


def _conclude(domain: SendingDomain, began: datetime, now: datetime) -> Checked:
    """Move the state by what the rows say now; whoever took the check over meanwhile concludes instead."""
    needed = dict(domain.records.filter(needed=True).values_list("purpose", "verdict"))
    if not _may_sign(domain):
        needed[KEY_TO_SIGN_WITH] = RecordCheck.Verdict.MISSING
    after = next_state(domain.state, needed.values())
    stamps: dict[str, datetime | None] = {}
    if after == State.VERIFIED:
        rotation.begin(domain.pk, WHO, now)
        stamps = {"verified_at": now, "degraded_at": None}
    elif after != domain.state:
        stamps = {"degraded_at": now}
    mine = SendingDomain.objects.filter(pk=domain.pk, state=domain.state, checking_since=began)
    moved = mine.update(state=after, **stamps) == 1
    checked = Checked(
        domain.name,
        domain.state,
        after if moved else domain.state,
        tuple(purpose for purpose, verdict in needed.items() if verdict not in GOOD),
    )
    _tell(checked)
    return checked


def _may_sign(domain: SendingDomain) -> bool:
    """Whether there is an RSA key that signs, or will: its record, if it is needed, is judged like any other."""
    keys = keyring.keys_of(domain.pk, SigningKey.Algorithm.RSA)
    return keys.exclude(state__in=[keyring.State.RETIRING, keyring.State.REVOKED]).exists()


def next_state(state: str, verdicts: Iterable[str]) -> str:
    """What a domain is, given the verdicts on its needed records, those of a verified one confirmed."""
    found = set(verdicts)
    if found and found <= GOOD:
        return State.VERIFIED
    if state == State.VERIFIED and found & BROKEN:
        return State.DEGRADED
    return state


def _tell(checked: Checked) -> None:
    if checked.before == checked.after:
        return
    if checked.after == State.DEGRADED:
        log.error(
            "sending domain %s is degraded: not as published before: %s. New mail of its stream is held.",
            checked.domain,
            ", ".join(checked.open_points),
        )
    else:
        log.info("sending domain %s is %s (was %s)", checked.domain, checked.after, checked.before)


def _refuse_taken(stream: Stream, name: str) -> None:
    if SendingDomain.objects.filter(name=name).exists():
        raise NotEnrolled("name", f"{name} is enrolled already.")
    if SendingDomain.objects.filter(stream=stream).exists():
        raise NotEnrolled(
            "stream", f"{stream} has a sending domain already: each domain needs its own stream."
        )


def _asking(nameservers: list[tuple[str, int]] | None) -> Lookups:
    return Lookups(nameservers, allow_loopback=settings.AO_ALLOW_LOOPBACK)
