"""Worker sessions: one heartbeat row is the lease of everything a worker process holds.

Leases live on the database's real clock. A session that was ended (by its rescuer or its owner) never comes
back: its worker opens a new one, and whatever it held before is no longer its own. The same thread listens for
trips, so that work in a stopped scope is dropped early, and for whatever else the worker wants to hear of; neither the
stop itself nor any work depends on it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, LiteralString

from django.db import Error, connection

from reputation import killswitch, sql

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = float(os.environ.get("AO_LEASE_SECONDS", "15"))
HEARTBEAT_SECONDS: Final = LEASE_SECONDS / 5
RETRY_SECONDS: Final = 0.5
ATTENTION_SECONDS: Final = 0.2  # how long the end of the process may wait for us

OPEN: Final[LiteralString] = """
INSERT INTO outbox_session (name, lease_until, epoch_seen)
VALUES (%(name)s, clock_timestamp() + %(lease)s * interval '1 second', 0) RETURNING id
"""

RENEW: Final[LiteralString] = """
UPDATE outbox_session SET lease_until = clock_timestamp() + %(lease)s * interval '1 second',
    epoch_seen = greatest(epoch_seen, %(epoch)s)
WHERE id = %(session)s AND ended_at IS NULL
"""

END: Final[LiteralString] = (
    "UPDATE outbox_session SET ended_at = clock_timestamp() WHERE id = %s AND ended_at IS NULL"
)

SWITCH: Final = "ao_switch"

LAST_EPOCH: Final[LiteralString] = "SELECT coalesce(max(epoch), 0) AS epoch FROM reputation_switchevent"

# By a partial index over those that have not ended: one entry for each worker process.
PLACE: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE id < %(session)s) AS place, count(*) AS living FROM outbox_session WHERE ended_at IS NULL
"""


def begin(name: str) -> int:
    """Open a session; its id goes into every delivery it claims."""
    row = sql.one(OPEN, {"name": name, "lease": LEASE_SECONDS})
    return int(row.id)


def renew(session: int, epoch: int) -> bool:
    """Push the lease on and acknowledge the last switch epoch seen; False if the session was ended."""
    return sql.count(RENEW, {"session": session, "epoch": epoch, "lease": LEASE_SECONDS}) == 1


def end(session: int) -> None:
    """Close a session; what it still holds is for the rescuer."""
    sql.count(END, [session])


class Lease:
    """Keeps a session alive in a thread of its own, and knows which scopes are stopped.

    ``session`` is None until the first heartbeat and after a loss. ``stops`` may lag behind the database by the
    time of a notification; it only saves work. ``heard`` says what else to call, in this thread, by channel, with what
    was told there.
    """

    def __init__(
        self, name: str, heard: Mapping[LiteralString, Callable[[str], None]] = MappingProxyType({})
    ) -> None:
        self.session: int | None = None
        self.stops: frozenset[str] = frozenset()
        self._name = name
        self._heard = heard
        self._epoch = 0
        self._place, self._living = 0, 1
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to keep the lease; the session comes to exist soon after."""
        self._thread.start()

    def stop(self) -> None:
        """End the session and wait until it is ended, as far as the database can be asked."""
        self._ending.set()
        self._thread.join(HEARTBEAT_SECONDS + RETRY_SECONDS)

    def drawn(self, lot: str) -> bool:
        """Whether this number falls on this session, of all that lived at its last heartbeat."""
        return not lot.isdecimal() or int(lot) % self._living == self._place

    def _keep(self) -> None:
        while not self._ending.is_set():
            try:
                self._listen()
            except Error as error:
                logger.warning("the lease could not be renewed: %s", error)
                connection.close()
                time.sleep(RETRY_SECONDS)
        self._close()

    def _listen(self) -> None:
        """Renew every few seconds, and at once when a trip or resume is told."""
        for channel in (SWITCH, *self._heard):
            sql.count(f"LISTEN {channel}")
        while not self._ending.is_set():
            self._refresh()
            self._await_switch(HEARTBEAT_SECONDS)

    def _await_switch(self, seconds: float) -> None:
        """Until a trip or resume is told, the time is over or the session is to end; passes on what else is heard."""
        deadline = time.monotonic() + seconds
        with connection.wrap_database_errors:
            while not self._ending.is_set() and time.monotonic() < deadline:
                # all that came at once: what is left in the generator would be lost
                told = connection.connection.notifies(timeout=ATTENTION_SECONDS, stop_after=1)
                notices = {(notice.channel, notice.payload) for notice in told}
                for channel, payload in notices:
                    if channel in self._heard:
                        self._heard[channel](payload)
                if any(channel == SWITCH for channel, _ in notices):
                    return

    def _refresh(self) -> None:
        row = sql.one(LAST_EPOCH)
        self.stops = frozenset(stop.scope for stop in killswitch.open_stops())
        self._epoch = row.epoch
        if self.session is None or not renew(self.session, self._epoch):
            self.session = begin(self._name)
            renew(self.session, self._epoch)
        place = sql.one(PLACE, {"session": self.session})
        self._place, self._living = place.place, max(place.living, 1)

    def _close(self) -> None:
        try:
            if self.session is not None:
                end(self.session)
        except Error as error:
            logger.warning("the session was left to the rescuer: %s", error)
        finally:
            connection.close()
