"""Conversations kept for reuse, and places: how many may be open to a site and in this process.

A place is leave to hold one connection; `take` gives a place, with a free conversation if there is one that fits,
and `give_back` must follow each `take`, once. Guarantees: no delivery gets a conversation it did not call fit; no site
and no process passes its limit, and only urgent deliveries use the last places of a site; waiters of a site are
served in order, the urgent ones first; a place that comes free goes to the site that has waited longest, so a slow
site holds up nobody else. It refuses (`Busy`) when too many wait already or the wait is too long. All on one event
loop.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from outbox.grammar import Places
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

    `reserved` of a site's are for urgent deliveries, where its provider has no `Places` of its own. `max_waiting`
    deliveries (urgent ones apart) may wait for a site, each `wait` seconds. `hosts` of a domain are tried at most;
    an address that did not connect is left alone for `dead` seconds, a host whose TLS failed is spoken to in
    plain for `plain` seconds.
    """

    per_site: int = 20
    per_relay: int = 100
    reserved: int = 0
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
    places: Places
    busy: int = 0  # places that deliveries hold
    idle: deque[Conversation] = field(default_factory=deque)  # longest idle first
    urgent: deque[_Waiter] = field(default_factory=deque)
    others: deque[_Waiter] = field(default_factory=deque)

    @property
    def open(self) -> int:
        return self.busy + len(self.idle)

    @property
    def waited_for(self) -> bool:
        return bool(self.urgent or self.others)

    def queue(self, urgent: bool) -> deque[_Waiter]:
        return self.urgent if urgent else self.others

    def spares(self, urgent: bool) -> bool:
        """Whether a delivery may have one more place: an ordinary one leaves the last ones, but never all."""
        connections, reserved = self.places.connections, self.places.reserved
        return self.busy < (connections if urgent else max(connections - reserved, 1))

    def next(self) -> _Waiter | None:
        """Who is to be served now, if anybody may be: it stays in its queue."""
        for urgent in (True, False):
            queue = self.queue(urgent)
            while queue and queue[0].given.done():
                queue.popleft()
            if queue:
                return queue[0] if self.spares(urgent) else None
        return None


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

    async def take(
        self, key: Hashable, places: Places, fits: Fits = anything, urgent: bool = False
    ) -> Conversation | None:
        """A place, with a conversation to go on with that `fits`, or None: open one. Raises Busy.

        The site has as many `places` as the latest delivery says.
        """
        if self._closed:
            raise Busy("closing")
        site = self._sites.setdefault(key, _Site(places))
        site.places = places
        if site.spares(urgent):
            kept = _newest(site.idle, fits)
            if kept is not None or self._make_place(site):
                site.busy += 1
                return kept if kept is not None and kept.usable else None
        if len(site.queue(urgent)) >= self._limits.max_waiting:
            raise Busy(f"{len(site.queue(urgent))} deliveries wait for this site already")
        given = await self._wait(key, site, _Waiter(asyncio.get_running_loop().create_future(), fits), urgent)
        return given if given is not None and given.usable else None

    def give_back(self, key: Hashable, conversation: Conversation | None) -> None:
        """The place, and the conversation if one is open: it is kept while it is in order."""
        site = self._sites[key]
        site.busy -= 1
        if conversation is None or not self._keep(site, conversation):
            self._open -= 1
            self._serve()
        self._forget(key, site)

    async def close(self) -> None:
        """Leave idle conversations with QUIT, refuse whoever waits; those in use leave when given back."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for site in self._sites.values():
            while site.idle:
                self._let_go(site)
            for waiter in (*site.urgent, *site.others):
                if not waiter.given.done():
                    waiter.given.set_exception(Busy("closing"))
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _make_place(self, site: _Site) -> bool:
        """One more place for this site: a new one, another site's idle one, or one of its own that did not fit."""
        if site.open < site.places.connections:
            if self._open >= self._limits.per_process and not self._evict():
                return False
        elif site.idle:
            self._let_go(site)
        else:
            return False
        self._open += 1
        return True

    async def _wait(self, key: Hashable, site: _Site, waiter: _Waiter, urgent: bool) -> Conversation | None:
        site.queue(urgent).append(waiter)
        self._hungry.setdefault(site)
        given = waiter.given
        try:
            async with asyncio.timeout(self._limits.wait):
                return await given
        except BaseException as error:
            if given.done() and not given.cancelled() and given.exception() is None:
                self.give_back(key, given.result())  # served at the moment it gave up
            with contextlib.suppress(ValueError):  # served or refused: then it is no longer in line
                site.queue(urgent).remove(waiter)
            if isinstance(error, TimeoutError):
                raise Busy("no connection to this site came free in time") from None
            raise
        finally:
            if not site.waited_for:
                self._hungry.pop(site, None)
            self._forget(key, site)

    def _keep(self, site: _Site, conversation: Conversation) -> bool:
        """Hand it to the next waiter, or keep it idle; False if its place must go to others."""
        if not conversation.usable:
            return False
        worn = conversation.messages >= self._limits.per_connection
        if not worn and not self._closed:
            waiter = site.next()
            if waiter is not None and waiter.fits(conversation):
                self._give(site, waiter, conversation)
                return True
            if waiter is None and not self._starving():
                conversation.idle_since = clock()
                site.idle.append(conversation)
                self._sweep_later()
                return True
        self._retire(conversation)
        return False

    def _give(self, site: _Site, waiter: _Waiter, conversation: Conversation | None) -> None:
        site.busy += 1
        (site.urgent or site.others).popleft()
        waiter.given.set_result(conversation)
        if not site.waited_for:
            self._hungry.pop(site, None)

    def _serve(self) -> None:
        """Free places to the sites that wait, in turn."""
        for site in list(self._hungry):
            waiter = site.next()
            if waiter is None:
                continue
            kept = _newest(site.idle, waiter.fits)
            if kept is not None or self._make_place(site):
                self._give(site, waiter, kept)
                if self._hungry.pop(site, 0) is None:
                    self._hungry[site] = None  # the others first, next time

    def _starving(self) -> bool:
        """Whether a site waits only because the process is full."""
        full = self._open >= self._limits.per_process
        return full and any(
            site.open < site.places.connections and site.next() is not None for site in self._hungry
        )

    def _evict(self) -> bool:
        """Close the longest idle conversation of any site, to make room in the process."""
        idle = [site for site in self._sites.values() if site.idle]
        if not idle:
            return False
        self._let_go(min(idle, key=lambda each: each.idle[0].idle_since))
        return True

    def _let_go(self, site: _Site) -> None:
        """Leave the site's longest idle conversation."""
        self._retire(site.idle.popleft())
        self._open -= 1

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
                self._open -= 1
            self._forget(key, site)
        if any(site.idle for site in self._sites.values()):
            self._sweep_later()

    def _forget(self, key: Hashable, site: _Site) -> None:
        if not (site.open or site.waited_for):
            self._sites.pop(key, None)


def _newest(idle: deque[Conversation], fits: Fits) -> Conversation | None:
    """Take out the one that was idle shortest, of those that fit."""
    found = next((each for each in reversed(idle) if fits(each)), None)
    if found is not None:
        idle.remove(found)
    return found
