"""The dispatcher of one worker process: a thread with an event loop that claims, dispatches and settles.

After the fork each Celery child starts one at its first task. A task only pokes it; the loop claims while it
has room, and asks again by itself every second, so that a dead broker costs latency and nothing else.
Transactional mail has room of its own. A conversation that takes long gives its room back, so that slow
servers do not hold up the others; how many may be open at all is bounded.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import Error

from outbox import alarm, ledger, press, releasing
from outbox.crashpoints import reached
from outbox.delivery import Envelope, Limits, SmtpTransport
from outbox.dispatch import Pipeline
from outbox.grouping import Grouped
from outbox.hearing import Hearing
from outbox.ledger import Claimed, Settlement
from outbox.press import Job
from outbox.room import OPEN_FOR_ONE_YOUNG, Place, Room
from outbox.sessions import Lease
from reputation import families, reopening, tlspolicies
from reputation.fetching import Fetcher
from reputation.providers import OTHER
from reputation.resolver import Resolver
from reputation.tlspolicies import TlsPolicies

logger = logging.getLogger(__name__)
T = TypeVar("T")

TIERS: Final = (0, 1)  # urgent mail first
POLL_SECONDS: Final = 1.0
SOON: Final = 0.005  # seconds: what is due was out of reach for a moment
ROUNDS_SECONDS: Final = 5.0
ROUSE_EVERY: Final = 6  # rounds
DISOWN_EVERY: Final = 12  # rounds: nobody else takes back what a living session holds and has forgotten
WAIT_FOR_SITE: Final = 10.0
RESERVED: Final = 50  # room that only transactional mail may use
RESERVED_AT_SITE: Final = 2  # connections of any site that only transactional mail may use
DRAIN_SECONDS: Final = 25.0
RETRY_SECONDS: Final = 0.5
SECOND_LOOK: Final = 0.1  # seconds after a kick that was another's: it may be busy, or dead
BAD: Final = "bounced"  # evidence that may close a scope
HEAVY_AT_ONCE: Final = 4  # messages of megabytes in memory


class Dispatcher:
    """One process's claims and conversations, on one event loop in one thread."""

    def __init__(self) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        self._lease = Lease(name, {alarm.CHANNEL: self._kicked})
        self._claimer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="claim")
        self._heavy_press = ThreadPoolExecutor(max_workers=1, thread_name_prefix="press")
        self._clear = Grouped("clear", _clear, crowd=lambda: self._rooms[1].young)
        self._settle = Grouped("settle", _settle, crowd=lambda: self._rooms[1].young)
        self._resolver = Resolver(settings.AO_NAMESERVERS or None, allow_loopback=settings.AO_ALLOW_LOOPBACK)
        second = Resolver(settings.AO_SECOND_NAMESERVERS, allow_loopback=settings.AO_ALLOW_LOOPBACK)
        self._hearing = Hearing(self, self._resolver, second)
        self._rooms = (Room(RESERVED), Room(settings.AO_MAX_CONVERSATIONS))
        self._last_agent = [0, 0]  # of each tier: whose turn the next claim begins after
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
        self._poked = asyncio.Event()
        self._heavy = asyncio.Semaphore(HEAVY_AT_ONCE)
        self._later: asyncio.TimerHandle | None = None
        self._draining = False
        self._held: set[UUID] = set()
        self._doubtful = False
        self._cramped = False

    def start(self) -> None:
        """Begin to work."""
        self._lease.start()
        self._thread.start()

    def poke(self) -> None:
        """There may be work: look now."""
        self._loop.call_soon_threadsafe(self._poked.set)

    def _kicked(self, lot: str) -> None:
        """Work was committed: one session looks at once, the others a little later, once for many kicks."""
        if self._lease.drawn(lot):
            self.poke()
        else:
            self._loop.call_soon_threadsafe(self._look_later)

    def _look_later(self) -> None:
        if self._later is None:
            self._later = self._loop.call_later(SECOND_LOOK, self._wake)

    def _wake(self) -> None:
        self._later = None
        self._poked.set()

    def drain(self) -> None:
        """Claim nothing more, let conversations end for a while, end the session; what is left is rescued."""
        self._draining = True
        self.poke()
        self._thread.join(DRAIN_SECONDS + 5)
        self._lease.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._work())

    async def _work(self) -> None:
        transport = _transport(self._resolver)
        told = (self._hearing.met, self._hearing.doubts)
        self._pipeline = Pipeline(transport, self._lease, self._ask_clearance, self._settle_surely, *told)
        rounds = self._loop.create_task(self._make_rounds())
        while not self._draining:
            self._poked.clear()
            if seconds := await self._look():
                await self._rest(seconds)
        rounds.cancel()
        await self._drained(self._loop.time() + DRAIN_SECONDS)
        await transport.close()

    async def _drained(self, deadline: float) -> None:
        """Let what was claimed end by itself until the deadline; hang up on the rest, and settle it."""
        while self._tasks and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make_rounds(self) -> None:
        """What beat orders, also without beat: a worker whose Celery has gone deaf still takes back, ends and wakes."""
        for turn in itertools.count():
            await asyncio.sleep(ROUNDS_SECONDS)
            try:
                await self.in_claimer(_rounds, turn % ROUSE_EVERY == 0)
                await self._hearing.refresh()
                self._doubtful |= turn % DISOWN_EVERY == 0
            except Error as error:
                logger.warning("a round was not made: %s", error)
            await self._hearing.conclude()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._poked.wait()

    async def _look(self) -> float:
        """Claim where work is due; the seconds until it is worth to look again, if nobody pokes."""
        try:
            found, waits = await self._claim_due()
        except Exception as error:
            # the claim may have been committed all the same, and nobody here would know of it; a bug of ours must not
            # leave a worker that renews its lease and claims nothing
            self._doubtful = True
            logger.warning("could not claim: %s", error, exc_info=not isinstance(error, Error))
            await asyncio.sleep(RETRY_SECONDS)
            return 0
        if found:
            return 0
        self._cramped = not all(room.wide() for room in self._rooms)
        if self._cramped:
            return POLL_SECONDS  # or sooner: the conversation that makes room says so
        return min(max(min(waits.values(), default=POLL_SECONDS), SOON), POLL_SECONDS)

    async def _claim_due(self) -> tuple[bool, Mapping[int, float]]:
        """Whether anything was claimed, and what was known before of how long each tier waits."""
        session, found = self._lease.session, False
        if session is None or not any(room.wide() for room in self._rooms):
            return False, {}
        await self._disown(session)
        waits = await self.in_claimer(ledger.waits)
        for tier in TIERS:
            if waits.get(tier, POLL_SECONDS) <= 0 and self._rooms[tier].wide():
                found |= await self._claim(session, tier)
        return found, waits

    async def _claim(self, session: int, tier: int) -> bool:
        """Whether anything was claimed. Asked for only where work is due: a claim in vain locks and commits, too."""
        room = self._rooms[tier]
        limit = room.free()
        reached("before_claim")
        jobs = await self.in_claimer(_claimed, session, tier, limit, self._last_agent[tier])
        if not jobs:
            return False
        self._last_agent[tier] = jobs[-1].claimed.agent_id
        reached("claimed")
        if len(jobs) >= limit:
            alarm.ring()  # more than one process's work: let another have a look too
        self._held |= {job.claimed.id for job in jobs}
        self.begin(self._press([(job, room.enter()) for job in in_turn(jobs)], room))
        return True

    async def _disown(self, session: int) -> None:
        """After a claim that failed: give back what our session holds and we do not know of."""
        if self._doubtful:
            await self.in_claimer(ledger.disown, session, list(self._held))
            self._doubtful = False

    async def _press(self, held: list[tuple[Job, Place]], room: Room) -> None:
        """Compose and sign one after the other, conversations going on in between.

        On the loop: to hand each to a thread and back costs the interpreter more than half a signature, and who wants
        more of the machine starts another process.
        """
        for job, place in held:
            if job.sheet is None:
                self.begin(self._dispatch_heavy(job, room, place))
            else:
                self.begin(self._dispatch(job, press.pressed(job), room, place))
                await asyncio.sleep(0)

    async def _dispatch(self, job: Job, pressed: Envelope | Exception, room: Room, place: Place) -> None:
        try:
            if isinstance(pressed, Envelope):
                self._hearing.sample(job, pressed)
            if not await self._relaned(job):
                await self._pipeline.dispatch(job, pressed)
        finally:
            self._held.discard(job.claimed.id)
            room.leave(place)
        if self._cramped and room.wide():
            self._poked.set()

    async def _relaned(self, job: Job) -> bool:
        """Before MAIL: a domain nobody had seen at the accept belongs to a provider whose own ramp must count it."""
        place, claimed = job.standing, job.claimed
        if place is None or not place.warming or place.means != "direct" or claimed.provider != OTHER:
            return False
        domain = claimed.recipient.rpartition("@")[2]
        found = await self._resolver.exchangers(domain)
        try:
            provider = await self.in_claimer(_told, domain, found.hosts[0].host) if found.hosts else OTHER
            if provider == OTHER:
                return False
            await self.in_claimer(ledger.relane, job.session, claimed, provider, place.domain)
        except Error as error:
            logger.warning("%s stays in the lane it is in: %s", claimed.id, error)
            return False
        self._poked.set()
        return True

    async def _dispatch_heavy(self, job: Job, room: Room, place: Place) -> None:
        """Few messages at a time hold megabytes, however many are claimed."""
        async with self._heavy:
            loaded = await self._loop.run_in_executor(self._heavy_press, press.load, job)
            pressed = await self._loop.run_in_executor(self._heavy_press, press.pressed, loaded)
            await self._dispatch(loaded, pressed, room, place)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it run beside the loop; waited for when the worker ends."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def in_claimer(self, call: Callable[..., T], *words: object) -> T:
        """The result of a call made in the thread that claims."""
        return await self._loop.run_in_executor(self._claimer, call, *words)

    async def _ask_clearance(self, job: Job) -> bool:
        reached("clearing")
        try:
            return await self._clear((job.session, job.claimed))
        except Error as error:
            logger.warning("nothing was cleared: %s", error)
            return False

    async def _settle_surely(self, settlement: Settlement, session: int) -> None:
        """Settle, however long the database stays away: the outcome is known only here."""
        while True:
            try:
                await self._settle((session, settlement))
            except Error as error:
                logger.warning("could not settle yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        if settlement.evidence == BAD:
            self.begin(self._hearing.conclude())


def _told(domain: str, host: str) -> str:
    """The provider that a mail host tells, kept for accepts to come."""
    families.learn(domain, host)
    return families.families([domain])[domain]


def _rounds(rouse: bool) -> None:
    ledger.rescue()
    ledger.expire()
    ledger.resend_uncertain()
    reopening.close_unconfirmed()
    releasing.tend(0)  # a page of each: claims wait for this thread
    if rouse:
        ledger.rouse()
        ledger.release_rechecked()


def _claimed(session: int, tier: int, limit: int, last_agent: int) -> list[Job]:
    return press.gather(session, ledger.claim(session, tier=tier, limit=limit, last_agent=last_agent))


def in_turn(jobs: Sequence[Job]) -> list[Job]:
    """A claim comes lane by lane; its providers are to be spoken to side by side."""
    places: Counter[str] = Counter()
    turns = []
    for job in jobs:
        turns.append(places[job.claimed.provider])
        places[job.claimed.provider] += 1
    return [job for _, job in sorted(zip(turns, jobs, strict=True), key=itemgetter(0))]


def _clear(group: Sequence[tuple[int, Claimed]]) -> list[bool]:
    cleared = set()
    for session, members in groupby(sorted(group, key=_session), key=_session):
        cleared |= ledger.clear(session, [(one.id, one.attempt) for _, one in members])
    return [one.id in cleared for _, one in group]


def _settle(group: Sequence[tuple[int, Settlement]]) -> list[None]:
    for session, members in groupby(sorted(group, key=_session), key=_session):
        ledger.settle(session, [one for _, one in members])
    return [None for _ in group]


def _session(pair: tuple[int, object]) -> int:
    return pair[0]


def _transport(resolver: Resolver) -> SmtpTransport:
    limits = Limits(
        per_site=settings.AO_MAX_PER_SITE,
        reserved=RESERVED_AT_SITE,
        per_process=OPEN_FOR_ONE_YOUNG * settings.AO_MAX_CONVERSATIONS,
        # A whole claim may be for one site: a quick one is through with it at once, a slow one refuses the next.
        max_waiting=settings.AO_MAX_CONVERSATIONS,
        wait=WAIT_FOR_SITE,
    )
    pages = Fetcher(resolver, port=settings.AO_STS_PORT, ca_file=settings.AO_CA_FILE)
    policies = TlsPolicies(resolver, pages, Grouped("policies", tlspolicies.holding))
    return SmtpTransport(resolver, limits, reached=reached, policy_for=policies.policy_for)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@functools.cache
def dispatcher() -> Dispatcher:
    """This process's dispatcher, started at first use: threads and sockets do not survive a fork."""
    made = Dispatcher()
    made.start()
    return made


def drain() -> None:
    """Let this process's dispatcher end in order, if it ever began."""
    if dispatcher.cache_info().currsize:
        dispatcher().drain()
