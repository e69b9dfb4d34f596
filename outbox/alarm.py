"""The alarm: wake a worker soon after work was committed. A hint, never a promise.

Celery is kicked by task name, so no room needs to import a task. Kicks are coalesced (one per process and ten
milliseconds) and published by a thread of their own: a broker that is slow or gone costs the accept nothing,
and beat's poll finds the work anyway.
"""

import functools
import logging
import threading
import time
from typing import Final

from celery import current_app
from django.db import transaction

logger = logging.getLogger(__name__)

COALESCE_SECONDS: Final = 0.01
# While it does not stop ringing the workers are awake anyway.
INCESSANT_SECONDS: Final = 0.05
# After a failed kick the broker is left in peace for a while; beat's poll carries on.
DISCOURAGED_SECONDS: Final = 1.0


class Alarm:
    """Publishes ``outbox.dispatch`` when rung, at most once per ten milliseconds."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        threading.Thread(target=self._watch, name="alarm", daemon=True).start()

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
            current_app.send_task("outbox.dispatch", ignore_result=True, expires=5)
        except Exception as error:  # whatever the broker's client raises: it is only a hint
            logger.warning("could not kick a worker, beat will: %s", error)
            return False
        return True


@functools.cache
def _alarm() -> Alarm:
    # Made at first use, so that it lives in the process that rings: threads do not survive a fork.
    return Alarm()


def ring() -> None:
    """Kick a worker soon."""
    _alarm().ring()


def ring_on_commit() -> None:
    """Kick a worker once the transaction has committed."""
    transaction.on_commit(ring)
