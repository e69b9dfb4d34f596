"""Housekeeping that is nobody's step of the walk: partitions of the months to come."""

from typing import Final, LiteralString

from reputation import sql

MAKE: Final[LiteralString] = "SELECT ao_make_partitions() AS made"


# An uncertain delivery may still name its session, which nothing reads once it has ended.
FORGET_SESSIONS: Final[LiteralString] = """
DELETE FROM outbox_session WHERE ended_at < clock_timestamp() - interval '7 days'
"""


def forget_sessions() -> int:
    """Drop sessions that ended a week ago; how many that were."""
    return sql.count(FORGET_SESSIONS)


def make_partitions() -> int:
    """Make the monthly partitions up to two months ahead; how many were missing."""
    return int(sql.one(MAKE).made)
