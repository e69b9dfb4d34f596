"""stub: the rooms of policies have it."""

from collections.abc import Collection, Iterable


def marks(addresses: Iterable[str]) -> list[bytes]:
    """The keyed hashes of the people behind these addresses."""
    return [address.encode() for address in addresses]


def keep(known: Collection[bytes]) -> None:
    """Mail was let go to these people. In the caller's transaction."""
