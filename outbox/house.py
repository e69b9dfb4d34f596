"""Housekeeping that is nobody's step of the walk: partitions of the months to come, sessions of workers and people."""

import logging
from collections.abc import Callable
from typing import Final, LiteralString

from django.db import Error

from reputation import sql

logger = logging.getLogger(__name__)

MAKE: Final[LiteralString] = "SELECT ao_make_partitions() AS made"


# An uncertain delivery may still name its session, which nothing reads once it has ended.
FORGET_SESSIONS: Final[LiteralString] = """
DELETE FROM outbox_session WHERE ended_at < clock_timestamp() - interval '7 days'
"""

FORGET_LOG_INS: Final[LiteralString] = "DELETE FROM django_session WHERE expire_date < statement_timestamp()"


def do_each(*chores: Callable[[], object]) -> None:
    """Do one after the other. What cannot be done now is told, and tried again at the next call: the rest is done."""
    for chore in chores:
        try:
            chore()
        except Error as error:
            logger.error("%s.%s could not be done: %s", chore.__module__, chore.__name__, error)


def forget_sessions() -> int:
    """Drop workers' sessions that ended a week ago, and people's log-ins that are over; how many that were."""
    return sql.count(FORGET_SESSIONS) + sql.count(FORGET_LOG_INS)


def make_partitions() -> int:
    """Make the monthly partitions up to two months ahead; how many were missing.

    Raises:
        django.db.Error: somebody reads a table for long, a dump perhaps. There are two months to try again.
    """
    return int(sql.one(MAKE).made)
