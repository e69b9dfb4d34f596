"""The alarm: wake the workers soon after work was committed. Hints, never a promise.

Two ways, each with a thread of its own, so that neither waits for the other: Celery, by task name, so that no room
needs to import a task; and a notification of the database, which a worker's lease thread hears at once, whatever the
broker is at. Both are coalesced (one per process and ten milliseconds): a broker that is slow or gone costs the accept
nothing, and beat's poll finds the work anyway.
"""

import functools
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, LiteralString

from celery import current_app
from django.db import transaction

from reputation import sql

logger = logging.getLogger(__name__)

COALESCE_SECONDS: Final = 0.01
# While it does not stop ringing the workers are awake anyway.
INCESSANT_SECONDS: Final = 0.05
# After a failed kick that way is left in peace for a while; the other one and beat's poll carry on.
DISCOURAGED_SECONDS: Final = 1.0

CHANNEL: Final = "ao_kick"
LOTS: Final = 1 << 30
# Once for many accepts, in a transaction of its own: in each accept it would make their commits wait for each other.
# The lot says which of the living sessions is to look at once: that all do costs a claim of each, in vain.
NOTIFY: Final[LiteralString] = "SELECT pg_notify(%s, %s)"


class Alarm:
    """Kicks in one way when rung, at most once per ten milliseconds."""

    def __init__(self, name: str, kick: Callable[[], object]) -> None:
        self._name = name
        self._kick = kick
        self._rung = threading.Event()
        threading.Thread(target=self._watch, name=f"alarm by {name}", daemon=True).start()

    def ring(self) -> None:
        """Ask for a kick; returns at once."""
        self._rung.set()

    def _watch(self) -> None:
        pause = COALESCE_SECONDS
        while self._rung.wait():
            self._rung.clear()
            time.sleep(pause if self._kicked() else DISCOURAGED_SECONDS)
            pause = min(2 * pause, INCESSANT_SECONDS) if self._rung.is_set() else COALESCE_SECONDS

    def _kicked(self) -> bool:
        try:
            self._kick()
        except Exception as error:  # whatever the broker's client raises: it is only a hint
            logger.warning("could not kick a worker by %s, beat will: %s", self._name, error)
            return False
        return True


def _notify() -> None:
    sql.count(NOTIFY, [CHANNEL, str(random.randrange(LOTS))])  # noqa: S311 (spreads work, guards nothing)


def _send() -> None:
    current_app.send_task("outbox.dispatch", ignore_result=True, expires=5)


@functools.cache
def _alarms() -> tuple[Alarm, ...]:
    # Made at first use, so that they live in the process that rings: threads do not survive a fork.
    return Alarm("notification", _notify), Alarm("Celery", _send)


def ring() -> None:
    """Kick the workers soon."""
    for alarm in _alarms():
        alarm.ring()


def ring_on_commit() -> None:
    """Kick the workers once the transaction has committed."""
    transaction.on_commit(ring)
