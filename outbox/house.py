"""Housekeeping that is nobody's step of the walk: partitions of the months to come."""

from typing import Final, LiteralString

from reputation import sql

MAKE: Final[LiteralString] = "SELECT ao_make_partitions() AS made"


def make_partitions() -> int:
    """Make the monthly partitions up to two months ahead; how many were missing."""
    return int(sql.one(MAKE).made)
