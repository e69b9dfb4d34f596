"""Who keeps watch: a thread of beat's and of every worker process, so that none of them is needed.

Guarantees: it shares neither thread nor connection nor transaction with the walk, and survives whatever a round raises.
"""

import logging
import threading
from typing import Final

from django.db import connection

from outbox import alarms

logger = logging.getLogger(__name__)

# When everything starts at once, workers are given the time to be there.
FIRST_SECONDS: Final = 1.5 * alarms.WATCH_SECONDS


def keep() -> threading.Event:
    """Begin to make rounds, soon and then every few seconds; set what is returned to end it."""
    over = threading.Event()
    threading.Thread(target=_watch, args=[over], name="vigil", daemon=True).start()
    return over


def _watch(over: threading.Event) -> None:
    pause = FIRST_SECONDS
    while not over.wait(pause):
        pause = alarms.WATCH_SECONDS
        try:
            alarms.make_round()
        except Exception as error:  # a bug of ours must not end the watch; the heartbeat tells that it failed
            logger.warning("a round of the watch was not made: %s", error)
        finally:
            connection.close()
