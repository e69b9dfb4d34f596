"""Holding a request until something changes, without a query per moment.

One thread per web process listens on a database connection of its own; the ledger notifies once per settled
batch, and every waiter then reads again. A notification is a hint: while nobody listens, waiters read once a
second, and now and then anyway. At most a quarter of the web threads wait, so that posts are always answered;
whoever finds no place is answered at once, and may ask again.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from django.db import connections

logger = logging.getLogger(__name__)

CHANNEL: Final = "ao_settled"
LONGEST: Final = 55.0
LOOK_SECONDS, BLIND_LOOK_SECONDS = 5.0, 1.0  # while the listener is up, and while it is down
COALESCE_SECONDS: Final = 0.02  # a busy ledger rings hundreds of times a second
LISTEN_SECONDS: Final = 30.0  # then the connection is tried, since a dead peer is silent


class Bell:
    """Rings for everybody who waits. Its thread starts with the first one: threads do not survive a fork."""

    def __init__(self, places: int) -> None:
        self._places = threading.Semaphore(places)
        self._changed = threading.Condition()
        self._rings = 0
        self._hearing = False
        self._thread: threading.Thread | None = None

    def hold(self, changed: Callable[[], bool], seconds: float) -> None:
        """Return when ``changed()``, when time is up, or at once if too many wait already."""
        deadline = time.monotonic() + min(seconds, LONGEST)
        if not self._places.acquire(blocking=False):
            return
        try:
            self._start()
            heard = self._rings  # taken before the state is read: a ring in between is not slept through
            while not changed() and (left := deadline - time.monotonic()) > 0:
                heard = self._sleep(heard, left)
        finally:
            self._places.release()

    def ring(self) -> None:
        """Wake everybody who waits."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def _sleep(self, heard: int, seconds: float) -> int:
        with self._changed:
            longest = LOOK_SECONDS if self._hearing else BLIND_LOOK_SECONDS
            self._changed.wait_for(lambda: self._rings != heard, min(seconds, longest))
        time.sleep(COALESCE_SECONDS)
        return self._rings

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen_for_ever, name="bell", daemon=True)
                self._thread.start()

    def _listen_for_ever(self) -> None:
        while True:
            try:
                self._listen()
            except Exception as error:  # whatever it is, waiters look for themselves meanwhile
                logger.warning("not listening for settled deliveries: %s", error)
            self._hearing = False
            time.sleep(BLIND_LOOK_SECONDS)

    def _listen(self) -> None:
        own = connections.create_connection("default")
        try:
            own.ensure_connection()
            raw = own.connection
            raw.execute(f"LISTEN {CHANNEL}")
            self._hearing = True
            self.ring()  # what was settled while nobody listened
            while True:
                for _ in raw.notifies(timeout=LISTEN_SECONDS):
                    self.ring()
                raw.execute("SELECT 1")
        finally:
            own.close()


BELL: Final = Bell(places=max(1, int(os.environ.get("AO_WEB_THREADS", "8")) // 4))
