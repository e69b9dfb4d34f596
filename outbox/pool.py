"""Conversations kept for reuse, and places: how many may be open to a site and in this process.

A place is leave to hold one connection; `take` gives a place, with a free conversation if there is one that fits,
and `give_back` must follow each `take`, once. Guarantees: no delivery gets a conversation it did not call fit; no
site and no process passes its limit; waiters of a
site are served in order; a place that comes free goes to the site that has waited longest, so a slow site
holds up nobody else. It refuses (`Busy`) when too many wait already or the wait is too long. All on one
event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from outbox.wire import Conversation, clock

Fits = Callable[[Conversation], bool]
"""Whether a delivery may go over a conversation that was opened for another."""


class Busy(Exception):
    """No place at that site now."""


def anything(_: Conversation) -> bool:
    """Fits for a delivery that demands nothing."""
    return True


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections by site (a relay is one), by process; messages by connection; seconds an idle one is kept.

    `max_waiting` deliveries may wait for a site, each `wait` seconds. `hosts` of a domain are tried at most;
    an address that did not connect is left alone for `dead` seconds, a host whose TLS failed is spoken to in
    plain for `plain` seconds.
    """

    per_site: int = 20
    per_relay: int = 100
    per_process: int = 1000
    per_connection: int = 100
    idle: float = 20
    max_waiting: int = 200
    wait: float = 30
    hosts: int = 4
    dead: float = 60
    plain: float = 3600


@dataclass(eq=False, slots=True)
class _Waiter:
    given: "asyncio.Future[Conversation | None]"
    fits: Fits


@dataclass(eq=False, slots=True)
class _Site:
    limit: int
    open: int = 0
    idle: deque[Conversation] = field(default_factory=deque)  # longest idle first
    waiting: deque[_Waiter] = field(default_factory=deque)


class Pool:
    """Places and idle conversations of one process, by site key."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sites: dict[Hashable, _Site] = {}
        self._hungry: dict[_Site, None] = {}  # sites with waiters, the longest waiting first
        self._open = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, key: Hashable, limit: int, fits: Fits = anything) -> Conversation | None:
        """A place, with a conversation to go on with that `fits`, or None: open one. Raises Busy."""
        if self._closed:
            raise Busy("closing")
        site = self._sites.setdefault(key, _Site(limit))
        kept = _newest(site.idle, fits)
        if kept is not None:
            return kept if kept.usable else None
        if site.open < site.limit and (self._open < self._limits.per_process or self._evict()):
            self._occupy(site)
            return None
        if site.idle:  # none that fits: another takes its place
            self._retire(site.idle.popleft())
            return None
        if len(site.waiting) >= self._limits.max_waiting:
            raise Busy(f"{len(site.waiting)} deliveries wait for this site already")
        given = await self._wait(key, site, fits)
        return given if given is not None and given.usable else None

    def give_back(self, key: Hashable, conversation: Conversation | None) -> None:
        """The place, and the conversation if one is open: it is kept while it is in order."""
        site = self._sites[key]
        if conversation is not None and self._keep(site, conversation):
            return
        self._free(site)
        self._serve()
        self._forget(key, site)

    async def close(self) -> None:
        """Leave idle conversations with QUIT, refuse whoever waits; those in use leave when given back."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for site in self._sites.values():
            while site.idle:
                self._retire(site.idle.pop())
                self._free(site)
            for waiter in site.waiting:
                if not waiter.given.done():
                    waiter.given.set_exception(Busy("closing"))
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _occupy(self, site: _Site) -> None:
        site.open += 1
        self._open += 1

    def _free(self, site: _Site) -> None:
        site.open -= 1
        self._open -= 1

    async def _wait(self, key: Hashable, site: _Site, fits: Fits) -> Conversation | None:
        given: asyncio.Future[Conversation | None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(given, fits)
        site.waiting.append(waiter)
        self._hungry.setdefault(site)
        try:
            async with asyncio.timeout(self._limits.wait):
                return await given
        except BaseException as error:
            if given.done() and not given.cancelled() and given.exception() is None:
                self.give_back(key, given.result())  # served at the moment it gave up
            if isinstance(error, TimeoutError):
                raise Busy("no connection to this site came free in time") from None
            raise
        finally:
            if waiter in site.waiting:
                site.waiting.remove(waiter)
            if not site.waiting:
                self._hungry.pop(site, None)

    def _keep(self, site: _Site, conversation: Conversation) -> bool:
        """Hand it to the next waiter, or keep it idle; False if its place must go to others."""
        if not conversation.usable:
            return False
        worn = conversation.messages >= self._limits.per_connection
        if not worn and not self._closed:
            if self._next(site, conversation):
                return True
            if not self._starving():
                conversation.idle_since = clock()
                site.idle.append(conversation)
                self._sweep_later()
                return True
        self._retire(conversation)
        return False

    def _next(self, site: _Site, conversation: Conversation | None) -> bool:
        """Serve the site's first waiter that is still there; a conversation that does not fit it gives up its place."""
        served = False
        while site.waiting and not served:
            waiter = site.waiting.popleft()
            if not waiter.given.done():
                if conversation is not None and not waiter.fits(conversation):
                    self._retire(conversation)
                    conversation = None
                waiter.given.set_result(conversation)
                served = True
        if not site.waiting:
            self._hungry.pop(site, None)
        return served

    def _serve(self) -> None:
        """Free places to the sites that wait, in turn."""
        for site in list(self._hungry):
            if self._open >= self._limits.per_process:
                return
            if site.open < site.limit and self._next(site, None):
                self._occupy(site)
                if self._hungry.pop(site, 0) is None:
                    self._hungry[site] = None  # the others first, next time

    def _starving(self) -> bool:
        """Whether a site waits only because the process is full."""
        full = self._open >= self._limits.per_process
        return full and any(site.open < site.limit for site in self._hungry)

    def _evict(self) -> bool:
        """Close the longest idle conversation of any site, to make room in the process."""
        idle = [site for site in self._sites.values() if site.idle]
        if not idle:
            return False
        site = min(idle, key=lambda each: each.idle[0].idle_since)
        self._retire(site.idle.popleft())
        self._free(site)
        return True

    def _retire(self, conversation: Conversation) -> None:
        leaving = asyncio.get_running_loop().create_task(conversation.quit())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._limits.idle / 4, self._sweep)

    def _sweep(self) -> None:
        """Retire what was idle too long or died while idle; forget sites nobody uses."""
        self._sweeping = None
        before = clock() - self._limits.idle
        for key, site in list(self._sites.items()):
            stale = [each for each in site.idle if each.idle_since <= before or not each.usable]
            for conversation in stale:
                site.idle.remove(conversation)
                self._retire(conversation)
                self._free(site)
            self._forget(key, site)
        if any(site.idle for site in self._sites.values()):
            self._sweep_later()

    def _forget(self, key: Hashable, site: _Site) -> None:
        if not (site.open or site.idle or site.waiting):
            self._sites.pop(key, None)


def _newest(idle: deque[Conversation], fits: Fits) -> Conversation | None:
    """Take out the one that was idle shortest, of those that fit."""
    found = next((each for each in reversed(idle) if fits(each)), None)
    if found is not None:
        idle.remove(found)
    return found
