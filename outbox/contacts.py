"""stub: the rooms of policies have it."""

from collections.abc import Collection


def keep(addresses: Collection[str]) -> None:
    """Whom a person has released mail to is a contact from now on."""
