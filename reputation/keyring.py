"""A sending domain's signing keys through their life: made, activated, retired, revoked.

Guarantees: the private half is sealed before it is stored; at most one key of an algorithm is active, and the
one before it retires in the same transaction, its record still published for the mail that is under way.
Refuses a move that the key's state does not allow, whoever got there first.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from reputation import signing
from reputation.models import SendingDomain, SigningKey
from reputation.vault import vault

State = SigningKey.State


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a key's state that a person may ask for, and what it does to the mail."""

    target: State
    origins: frozenset[str]
    consequence: str


MOVES: Final[Mapping[str, Move]] = {
    "activate": Move(
        State.ACTIVE,
        frozenset({State.CREATED, State.RETIRING}),
        "Mail is signed with it from the next attempt on, and the active key of its algorithm retires. "
        "Publish its record first: what receivers cannot verify, they refuse.",
    ),
    "revoke": Move(
        State.REVOKED,
        frozenset({State.CREATED, State.ACTIVE, State.RETIRING}),
        "It never signs again. A domain without an active RSA key sends nothing: activate another one first. "
        "Then take its record out of the DNS.",
    ),
}


def make(domain: SendingDomain, algorithm: str) -> SigningKey:
    """A new key that nobody signs with yet.

    Raises:
        ValueError: no such algorithm.
        BadMasterKey: there is nothing to seal it with.
    """
    pair = signing.generate(signing.Algorithm(algorithm))
    return SigningKey.objects.create(
        domain=domain,
        selector=f"ao{secrets.token_hex(3)}",
        algorithm=algorithm,
        private_sealed=vault().seal(pair.private_pem),
        public_record=pair.public_record,
    )


def move(key: SigningKey, word: str) -> bool:
    """Activate or revoke a key; False if its state does not allow it any more."""
    wanted = MOVES[word]
    with transaction.atomic():
        # the domain's row is the lock: of two activations at once the second sees the first
        SendingDomain.objects.select_for_update().get(pk=key.domain_id)
        mine = SigningKey.objects.filter(pk=key.pk, state__in=wanted.origins)
        if not mine.exists():
            return False
        if wanted.target is State.ACTIVE:
            others = SigningKey.objects.filter(domain=key.domain_id, algorithm=key.algorithm)
            others.filter(state=State.ACTIVE).update(state=State.RETIRING)
        return mine.update(state=wanted.target) == 1
