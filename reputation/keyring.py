"""A sending domain's signing keys through their life: made, published, activated, retired, revoked.

Guarantees: the private half is sealed before it is stored; at most one key of an algorithm is active; the one before
it retires in the same transaction, its record still published for the mail that is under way. A key takes over only
after the DNS has shown it, unless a person forces it and writes why. Every change is made under the domain's row and
leaves who, when and why. Refuses a change that the key's state does not allow, whoever got there first.

What time does to keys is in ``rotation``. A domain without an active RSA key sends nothing: ``standing`` is closed.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from reputation import signing, sql
from reputation.findings import compare
from reputation.models import KeyEvent, SendingDomain, SigningKey
from reputation.record_values import Found, Verdict, Wanted
from reputation.record_values import Kind as Record
from reputation.records import SELECTOR_TTL
from reputation.vault import vault

logger = logging.getLogger(__name__)

State = SigningKey.State
Kind = KeyEvent.Kind
Question = tuple[str, str]
Look = Callable[[Iterable[Question]], Iterable[tuple[Question, Found]]]
"""Answers questions (name and type) of the DNS, in any order: ``Lookups.arriving``."""

COMING: Final = frozenset({State.CREATED, State.PUBLISHED})
UNNAMED: Final = "unnamed"


class NoReason(ValueError):
    """A key that the DNS has not shown is activated only with a written reason."""


@dataclass(frozen=True, slots=True)
class By:
    """Who changes a key, why, and when by the database's clock."""

    who: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One change of state: from where it may come, and which time it stamps or takes back."""

    origins: frozenset[State]
    target: State
    stamps: str = ""
    clears: str = ""


STEPS: Final[Mapping[Kind, Step]] = {
    Kind.PUBLISHED: Step(frozenset({State.CREATED}), State.PUBLISHED, "published_at"),
    Kind.WITHDRAWN: Step(frozenset({State.PUBLISHED}), State.CREATED, clears="published_at"),
    Kind.ACTIVATED: Step(frozenset({State.PUBLISHED}), State.ACTIVE, "activated_at"),
    Kind.FORCED: Step(frozenset({State.CREATED}), State.ACTIVE, "activated_at"),
    Kind.RETIRED: Step(frozenset({State.ACTIVE}), State.RETIRING, "retired_at"),
    # keeps its first activated_at: a key that comes back is as old as it is
    Kind.RESTORED: Step(frozenset({State.RETIRING}), State.ACTIVE, clears="retired_at"),
    Kind.REVOKED: Step(frozenset(State) - {State.REVOKED}, State.REVOKED, "revoked_at"),
}

# What the look of a record means for its key; a name that nobody answered for means nothing.
READ: Final[Mapping[Verdict, Kind]] = {
    Verdict.RIGHT: Kind.PUBLISHED,
    Verdict.ADVICE: Kind.PUBLISHED,
    Verdict.MISSING: Kind.WITHDRAWN,
    Verdict.WRONG: Kind.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Move:
    """What a person may ask for: from which states it leads where, and what it does to the mail."""

    target: State
    origins: frozenset[State]
    consequence: str
    owes_reason: bool = False


MOVES: Final[Mapping[str, Move]] = {
    "activate": Move(
        State.ACTIVE,
        frozenset({State.PUBLISHED, State.RETIRING}),
        "Mail is signed with it from the next attempt on, and the active key of its algorithm retires. "
        "Leave the records of both published.",
    ),
    "force": Move(
        State.ACTIVE,
        frozenset({State.CREATED}),
        "The DNS has not shown this key. Mail is signed with it from the next attempt on all the same, and the active "
        "key of its algorithm retires. What receivers cannot verify, they refuse.",
        owes_reason=True,
    ),
    "revoke": Move(
        State.REVOKED,
        frozenset(State) - {State.REVOKED},
        "It never signs again. If it is active, a published key of its algorithm takes its place at once; where "
        "there is none, a domain without an active RSA key sends nothing. Then take its record out of the DNS.",
    ),
}


def make(domain: SendingDomain, algorithm: str, *, who: str = UNNAMED, why: str = "") -> SigningKey:
    """A new key that nobody signs with yet. Made and published ahead of need, it is a spare: see ``revoke``.

    Raises:
        ValueError: no such algorithm.
        BadMasterKey: there is nothing to seal it with.
    """
    return made(domain, algorithm, _by(who, why)).key


def made(domain: SendingDomain, algorithm: str, by: By) -> KeyEvent:
    """The same, told as what happened. Raises as ``make``."""
    pair = signing.generate(signing.Algorithm(algorithm))
    with transaction.atomic():
        key = SigningKey.objects.create(
            domain=domain,
            selector=f"ao{secrets.token_hex(3)}",
            algorithm=algorithm,
            private_sealed=vault().seal(pair.private_pem),
            public_record=pair.public_record,
            created_at=by.at,
        )
        return _tell(key, Kind.MADE, by)


def publish(key: SigningKey, look: Look, *, who: str = UNNAMED) -> bool:
    """Look the key's record up, and mark it as published if the DNS shows exactly it; whether it was marked."""
    told = [judge(key, found, _by(who, "")) for _, found in look([(str(key), "TXT")])]
    return any(event is not None and event.kind == Kind.PUBLISHED for event in told)


def judge(key: SigningKey, found: Found, by: By) -> KeyEvent | None:
    """What an answer of the DNS means for a key that nobody signs with yet; no answer means nothing."""
    meant = (key.public_record,)
    wanted = Wanted("dkim", Record.DKIM, str(key), "TXT", meant, "", True, SELECTOR_TTL, "")
    finding = compare(wanted, found)
    kind = READ.get(finding.verdict)
    if kind is None or key.state not in STEPS[kind].origins:  # nothing new: no lock for that
        return None
    with locked(key.domain_id):
        return change(key, kind, replace(by, why=finding.words))


def activate(key: SigningKey, who: str, why: str = "", *, force: bool = False) -> bool:
    """Sign with this key from now on; False if its state does not allow it.

    A key takes over when the DNS has shown it, or comes back while its record is still out; ``force`` is for one that
    the DNS has not shown.

    Raises:
        NoReason: forced, and nobody wrote why.
    """
    if force and not why.strip():
        raise NoReason("Say why this key signs before the DNS has shown it.")
    kinds = [Kind.ACTIVATED, Kind.RESTORED, *([Kind.FORCED] if force else [])]
    with locked(key.domain_id):
        return bool(take_over(key, kinds, _by(who, why)))


def revoke(key: SigningKey, who: str, why: str) -> list[KeyEvent]:
    """Never sign with this key again, at once; empty if it was revoked already.

    An active key is succeeded by a published one of its algorithm in the same transaction. Where there is none the
    domain has no active key of that algorithm any more, and without RSA nothing is accepted or sent.
    """
    by = _by(who, why)
    with locked(key.domain_id):
        gone = change(key, Kind.REVOKED, by)
        if gone is None:
            return []
        same = keys_of(key.domain_id, key.algorithm)
        spare = same.filter(state=State.PUBLISHED).order_by("published_at").first()
        if spare is None or same.filter(state=State.ACTIVE).exists():
            return [gone]
        return [gone, *take_over(spare, [Kind.ACTIVATED], _by(who, f"{key.selector} was revoked: {why}"))]


def move(key: SigningKey, word: str, *, who: str = UNNAMED, why: str = "") -> bool:
    """Do what a word of ``MOVES`` says; False if the key's state does not allow it any more.

    Raises:
        NoReason: it owes a reason, and nobody wrote one.
    """
    if MOVES[word].target is State.REVOKED:
        return bool(revoke(key, who, why))
    return activate(key, who, why, force=MOVES[word].owes_reason)


@contextmanager
def locked(domain_id: int) -> Iterator[SendingDomain]:
    """A transaction with the domain's row as the lock: of two changes at once the second sees the first."""
    with transaction.atomic():
        yield SendingDomain.objects.select_for_update(no_key=True).get(pk=domain_id)


def keys_of(domain_id: int, algorithm: str) -> QuerySet[SigningKey]:
    """A domain's keys of one algorithm, without their private halves."""
    every = SigningKey.objects.filter(domain=domain_id, algorithm=algorithm)
    return every.select_related("domain").defer("private_sealed")


def take_over(key: SigningKey, kinds: Iterable[Kind], by: By) -> list[KeyEvent]:
    """Activate a key by the first kind its state allows, and retire the active one; the caller holds the lock."""
    state = SigningKey.objects.values_list("state", flat=True).get(pk=key.pk)
    kind = next((kind for kind in kinds if state in STEPS[kind].origins), None)
    if kind is None:
        return []
    before = keys_of(key.domain_id, key.algorithm).filter(state=State.ACTIVE)
    # in this order: the database allows one active key, at every moment
    retired = [change(old, Kind.RETIRED, By(by.who, f"{key.selector} takes over", by.at)) for old in before]
    return [event for event in [*retired, change(key, kind, by)] if event is not None]


def change(key: SigningKey, kind: Kind, by: By) -> KeyEvent | None:
    """One guarded statement and its story, or None if the key was not where it must be; the caller holds the lock."""
    step = STEPS[kind]
    times: dict[str, Any] = {step.stamps: by.at} if step.stamps else {step.clears: None}
    mine = SigningKey.objects.filter(pk=key.pk, state__in=step.origins)
    return _tell(key, kind, by) if mine.update(state=step.target, **times) else None


def now() -> datetime:
    """The time by which keys are judged."""
    at: datetime = sql.one("SELECT ao_now() AS now").now
    return at


def _by(who: str, why: str) -> By:
    return By(who, why.strip(), now())


def _tell(key: SigningKey, kind: Kind, by: By) -> KeyEvent:
    logger.info("key %s: %s by %r, %r", key, kind.value, by.who, by.why)
    return KeyEvent.objects.create(key=key, kind=kind, at=by.at, who=by.who, why=by.why)
