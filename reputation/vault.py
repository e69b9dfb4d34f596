"""Secrets at rest: what a copy of the database, a dump or a log must never show.

Guarantees: a sealed value is encrypted and authenticated (Fernet: AES-128-CBC with HMAC-SHA256), sealed
with the first master key and opened with any of them, so that a master key is rotated by putting a new one
in front, calling `rotate` on every value (``resealing``), and dropping the old one. No representation and no error
holds a key or a secret.

Refuses to exist without a usable key: a service that cannot encrypt must not start.
"""

from collections.abc import Sequence
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class BadMasterKey(ValueError):
    """A master key is missing or is not 32 bytes in URL-safe base64; the message says which by position,
    never its text.
    """


class Unsealable(Exception):
    """The value was altered, or sealed with a master key that is no longer here."""


class Vault:
    """Seals and unseals under master keys: 32 bytes each in URL-safe base64, the newest first."""

    __slots__ = ("_count", "_fernet", "_newest")

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises BadMasterKey if there is no key, or one that is not a key."""
        if not keys:
            raise BadMasterKey("there is no master key")
        self._count = len(keys)
        fernets = [_fernet(key, place) for place, key in enumerate(keys, start=1)]
        self._newest, self._fernet = fernets[0], MultiFernet(fernets)

    def seal(self, plain: bytes) -> bytes:
        """Encrypt under the newest key; sealing twice gives two different values."""
        return self._fernet.encrypt(plain)

    def unseal(self, sealed: bytes) -> bytes:
        """The secret again; raises Unsealable."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise Unsealable("no master key opens this value") from None

    def rotate(self, sealed: bytes) -> bytes:
        """The same secret under the newest key; raises Unsealable."""
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken:
            raise Unsealable("no master key opens this value") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether the newest key alone opens it; raises Unsealable if none does."""
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            self.unseal(sealed)
            return False
        return True

    def __repr__(self) -> str:
        return f"<Vault of {self._count} keys>"


def vault() -> Vault:
    """The installation's vault, by the setting AO_MASTER_KEYS; raises BadMasterKey."""
    from django.conf import settings  # not at the top: the class is for anyone, with or without Django

    return _vault_of(tuple(settings.AO_MASTER_KEYS))


def new_master_key() -> str:
    """A fresh key for AO_MASTER_KEYS."""
    return Fernet.generate_key().decode("ascii")


@cache
def _vault_of(keys: tuple[str, ...]) -> Vault:
    return Vault(keys)


def _fernet(key: str, place: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise BadMasterKey(f"master key {place} is not 32 bytes in URL-safe base64") from None
