"""The sender of webhooks: a process of its own, ``manage.py notify``.

Guarantees: what is claimed is sent under its lease or left to it; so many requests run at once, and one endpoint has
few of their places, so that none holds up another; nothing is sent but through the guarded edge (``fetching``), which
looks at the address anew at every attempt. Woken by a notification at the commit of an event; a look every second is
the guarantee. It may run more than once, and may be killed at any line: what it had under way is sent again under the
same webhook-id.
"""

import asyncio
import contextlib
import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol, TypeVar

from django.conf import settings
from django.db import Error, connection

from outbox import endpoints, sessions, webhooks
from outbox.webhook_events import Verdict, body, delay, pause, verdict
from outbox.webhook_signing import signed
from outbox.webhooks import PLACES, REQUEST_SECONDS, Due, Outcome
from reputation import sql
from reputation.fetching import Answer, Fetcher, FetchFailed, Limits
from reputation.resolver import Resolver
from reputation.vault import BadMasterKey, Unsealable, vault

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 1.0  # after the database could not be asked
DRAIN_SECONDS: Final = 5.0
THREADS: Final = 4  # for statements
MAX_SAID: Final = 500

T = TypeVar("T")


class Poster(Protocol):
    """The part of the fetcher that is needed here."""

    async def post(
        self, url: str, body: bytes, headers: dict[str, str], limits: Limits | None = None
    ) -> Answer: ...


class Notifier:
    """Claims, sends and settles until it is told to stop; what is under way then may end first."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._limits = Limits(total=REQUEST_SECONDS, step=REQUEST_SECONDS)
        self._threads = ThreadPoolExecutor(THREADS, "webhooks")
        self._bell = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self.stopping = False

    def ring(self) -> None:
        """There may be something to do."""
        self._bell.set()

    def stop(self) -> None:
        """Begin nothing more."""
        self.stopping = True
        self.ring()

    async def run(self) -> None:
        """Send what is due until told to stop."""
        while not self.stopping:
            self._bell.clear()
            if not await self.round():
                await self._wait(LOOK_SECONDS)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=DRAIN_SECONDS)
        await asyncio.to_thread(self._threads.shutdown)

    async def round(self) -> int:
        """Begin to send what is due and has a place; how many that were."""
        try:
            await self._call(webhooks.confirm_stops)
            free = PLACES - len(self._under_way)
            found = await self._call(partial(webhooks.claim, free)) if free else []
        except Error as error:
            logger.warning("cannot look for notices: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)
            return 0
        for due in found:
            task = asyncio.create_task(self.send(due))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        return len(found)

    async def send(self, due: Due) -> None:
        """One attempt, and what became of it written down."""
        outcome = await self._attempt(due)
        try:
            await self._call(partial(webhooks.settle, due, outcome))
        except Error as error:  # its lease ends, and it goes out again under the same webhook-id
            logger.warning("what became of %s could not be written: %s", due.event_id, error)

    async def _attempt(self, due: Due) -> Outcome:
        try:
            content = body(due.kind, due.at, due.data)
            headers = signed(_secrets(due), due.event_id, datetime.now(UTC), content)
            answer = await self._poster.post(due.url, content, headers, self._limits)
        except (FetchFailed, Unsealable, BadMasterKey) as failure:
            return _outcome(due, None, str(failure))
        asked = pause(answer.status, answer.retry_after, datetime.now(UTC))
        return _outcome(due, answer.status, _words(answer), asked)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), seconds)

    async def _call(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(_closing, act))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a notice could not be sent: %s", error, exc_info=error)
        self.ring()  # what comes after it in its subject may go


class Ear:
    """Hears notifications in a thread of its own and rings; without it the sender still looks every second."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ear", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(2 * sessions.ATTENTION_SECONDS)

    def _keep(self) -> None:
        while not self._over.is_set():
            try:
                self._listen()
            except Error as error:
                logger.warning("cannot hear notifications: %s", error)
                connection.close()
                time.sleep(PAUSE_SECONDS)
        connection.close()

    def _listen(self) -> None:
        sql.count(LISTEN)
        with connection.wrap_database_errors:
            while not self._over.is_set():
                heard = connection.connection.notifies(timeout=sessions.ATTENTION_SECONDS, stop_after=1)
                if any(True for _ in heard):
                    self._ring()


LISTEN: Final = f"LISTEN {webhooks.CHANNEL}"


def fetcher() -> Fetcher:
    """The guarded edge as this installation has it."""
    resolver = Resolver(settings.AO_NAMESERVERS or None, allow_loopback=settings.AO_ALLOW_LOOPBACK)
    return Fetcher(resolver, ca_file=settings.AO_CA_FILE, ways=endpoints.ways(), at_once=PLACES)


async def serve(ready: Callable[[str], None]) -> None:
    """Send until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    notifier = Notifier(fetcher())
    ear = Ear(partial(loop.call_soon_threadsafe, notifier.ring))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, notifier.stop)
    ear.start()
    ready("notify ready")
    try:
        await notifier.run()
    finally:
        await asyncio.to_thread(ear.stop)


def _closing(act: Callable[[], T]) -> T:
    """A connection that broke is not kept by its thread."""
    try:
        return act()
    except Error:
        connection.close()
        raise


def _secrets(due: Due) -> list[str]:
    """The secret, and while it rotates the old one too. Raises Unsealable."""
    box, sealed = vault(), (due.secret_sealed, due.old_secret_sealed)
    return [box.unseal(bytes(each)).decode() for each in sealed if each]


def _outcome(due: Due, status: int | None, said: str, asked: float = 0.0) -> Outcome:
    follows = verdict(status, due.attempt)
    wait = delay(due.attempt, random.random()) if follows is Verdict.LATER else 0.0  # noqa: S311 it spreads retries
    return Outcome(follows, status, said[:MAX_SAID], wait, asked)


def _words(answer: Answer) -> str:
    if 200 <= answer.status < 300:
        return ""
    redirect = "redirects are not followed; " if 300 <= answer.status < 400 else ""
    text = answer.body.decode("utf-8", "replace").replace("\x00", "")
    return f"{redirect}{answer.status} {text}".strip()
