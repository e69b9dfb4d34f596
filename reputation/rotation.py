"""What time does to signing keys: a new one in good time, its turn when the DNS shows it, the end of the old one.

Guarantees: no key takes over before the DNS has shown it for ``SETTLING``; a key that has retired stays verifiable for
``RETIREMENT``; of each algorithm at most one new key is made by schedule. Every step looks again under the domain's
row, so that two rounds at once do each thing once. Refuses to conclude anything from a DNS that does not answer, and
asks it before it takes a lock.

A key made while the active one is young waits as a spare for an emergency: it is not switched to until the active
one is due, or gone.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from reputation import keyring
from reputation.keyring import By, Kind, Look, State
from reputation.models import KeyEvent, SendingDomain, SigningKey

WHO: Final = "schedule"

# Two weeks for people to publish a record, before the age at which a key is to be replaced (M3AAWG: 6 months).
LEAD: Final = timedelta(days=14)
# The zone's other name servers follow within their refresh, and a "no such name" is remembered for minutes.
SETTLING: Final = timedelta(hours=1)
# Every attempt is signed anew, so what waits with us, up to 60 days, never needs an old key: only what another server
# has taken does. A relay tries for 5 days (RFC 5321 §4.5.4.1); two more for receivers who verify when the mail is read.
RETIREMENT: Final = timedelta(days=7)

NONE_ACTIVE: Final = "there was no active key"

Act = Callable[[SendingDomain, str, datetime], list[KeyEvent]]


def tend(now: datetime, look: Look) -> list[KeyEvent]:
    """One round over all keys, for beat; what was done. The records of the revoked ones may be taken out of the DNS.

    Raises:
        BadMasterKey: a new key was due and there is nothing to seal it with; the rest of the round is done.
    """
    done = [*_read_the_dns(now, look), *_switch(now), *_let_go(now)]
    return [*done, *rotate_due(now)]


def rotate_due(now: datetime) -> list[KeyEvent]:
    """A new key for each domain whose active one is due, unless there is one in the making; what was made.

    Raises:
        BadMasterKey: there is nothing to seal it with.
    """
    old = (key for key in _live(State.ACTIVE) if due(key, key.domain, now))
    return [event for key in old for event in _under_lock(key.domain_id, key.algorithm, now, _succeed)]


def begin(domain_id: int, who: str, now: datetime) -> list[KeyEvent]:
    """Let a domain sign with what the DNS has shown, by each algorithm that has no active key; what was done."""
    with keyring.locked(domain_id) as domain:
        return [
            event
            for algorithm in SigningKey.Algorithm
            for event in _first(domain, algorithm, By(who, NONE_ACTIVE, now))
        ]


def due(active: SigningKey, domain: SendingDomain, now: datetime) -> bool:
    """Whether it is time for a successor: in use for ``rotate_after_days`` less the lead, and at least half of them."""
    life = timedelta(days=domain.rotate_after_days)
    wanted = active.algorithm == SigningKey.Algorithm.RSA or domain.ed25519
    return bool(life) and wanted and now - since(active) >= life - min(LEAD, life / 2)


def since(key: SigningKey) -> datetime:
    """When a key's age begins: at its first use."""
    return key.activated_at or key.created_at


def _read_the_dns(now: datetime, look: Look) -> list[KeyEvent]:
    """Mark as published what the DNS shows, and as created again what it does not show any more."""
    coming = {(str(key), "TXT"): key for key in _live(*keyring.COMING)}
    by = By(WHO, "", now)
    told = (keyring.judge(coming[question], found, by) for question, found in look(coming))
    return [event for event in told if event is not None]


def _switch(now: datetime) -> list[KeyEvent]:
    places = {(key.domain_id, key.algorithm) for key in _live(State.PUBLISHED)}
    return [event for place in sorted(places) for event in _under_lock(*place, now, _hand_over)]


def _let_go(now: datetime) -> list[KeyEvent]:
    every = SigningKey.objects.filter(state=State.RETIRING, retired_at__lte=now - RETIREMENT)
    places = set(every.values_list("domain_id", "algorithm"))
    return [event for place in sorted(places) for event in _under_lock(*place, now, _revoke_old)]


def _under_lock(domain_id: int, algorithm: str, now: datetime, act: Act) -> list[KeyEvent]:
    with keyring.locked(domain_id) as domain:
        return act(domain, algorithm, now)


def _succeed(domain: SendingDomain, algorithm: str, now: datetime) -> list[KeyEvent]:
    """Make the successor of an active key that is due, unless one is in the making."""
    keys = keyring.keys_of(domain.pk, algorithm)
    active = keys.filter(state=State.ACTIVE).first()
    if active is None or not due(active, domain, now) or keys.filter(state__in=keyring.COMING).exists():
        return []
    why = f"{active.selector} is in use since {since(active):%Y-%m-%d}"
    return [keyring.made(domain, algorithm, By(WHO, why, now))]


def _hand_over(domain: SendingDomain, algorithm: str, now: datetime) -> list[KeyEvent]:
    """Switch from a key that is due to the one published longest."""
    keys = keyring.keys_of(domain.pk, algorithm)
    active = keys.filter(state=State.ACTIVE).first()
    if active is None:
        return _first(domain, algorithm, By(WHO, NONE_ACTIVE, now))
    settled = keys.filter(state=State.PUBLISHED, published_at__lte=now - SETTLING)
    return _longest(settled, By(WHO, f"{active.selector} is due", now)) if due(active, domain, now) else []


def _first(domain: SendingDomain, algorithm: str, by: By) -> list[KeyEvent]:
    """Where no key is active, at once: nobody has asked for the first one's name, or remembers that it was missing."""
    keys = keyring.keys_of(domain.pk, algorithm)
    if keys.filter(state=State.ACTIVE).exists():
        return []
    return _longest(keys.filter(state=State.PUBLISHED), by)


def _longest(ready: QuerySet[SigningKey], by: By) -> list[KeyEvent]:
    successor = ready.order_by("published_at", "pk").first()
    return keyring.take_over(successor, [Kind.ACTIVATED], by) if successor else []


def _revoke_old(domain: SendingDomain, algorithm: str, now: datetime) -> list[KeyEvent]:
    keys = keyring.keys_of(domain.pk, algorithm)
    by = By(WHO, f"retired {RETIREMENT.days} days ago: take its record out of the DNS", now)
    old = keys.filter(state=State.RETIRING, retired_at__lte=now - RETIREMENT)
    told = (keyring.change(key, Kind.REVOKED, by) for key in old)
    return [event for event in told if event is not None]


def _live(*states: State) -> QuerySet[SigningKey]:
    """Keys in these states of domains that are not retired, without their private halves."""
    live = SigningKey.objects.filter(state__in=states).exclude(domain__state=SendingDomain.State.RETIRED)
    return live.select_related("domain").defer("private_sealed").order_by("pk")
