"""Places and conversations: reuse, limits, order, leaving."""

import asyncio
import random
from typing import Any, cast

import pytest

from outbox.delivery import Limits, SmtpTransport, Timeouts, clock
from outbox.grammar import Places
from outbox.outcomes import Fault, Phase
from outbox.pool import Busy, Pool
from outbox.wire import Conversation
from tests.outbox.scripted import (
    DROP,
    ONE,
    RESET,
    SHORT,
    STUCK,
    Server,
    Zone,
    cleared,
    direct,
    envelope,
    on_both_loops,
    transport,
)

ONE_PLACE = Places(1)


@on_both_loops
async def test_conversations_are_reused_and_left_with_quit_when_worn() -> None:
    server = Server()
    async with server.listening(), transport(limits=Limits(per_connection=3)) as out:
        for _ in range(4):
            assert (await out.deliver(envelope(), direct(server.port), cleared)).code == 250
    assert [session.dots for session in server.sessions] == [3, 1]
    for session in server.sessions:
        await session.over.wait()
        assert session.words[-1] == "QUIT"


@pytest.mark.parametrize("action", [DROP, RESET])
@on_both_loops
async def test_a_silent_disconnect_between_messages_is_no_failure(action: Any) -> None:
    server = Server(dot=[(b"250 last one\r\n", action), b"250 first one\r\n"])
    async with server.listening(), transport() as out:
        first = await out.deliver(envelope(), direct(server.port), cleared)
        await server.sessions[0].over.wait()
        second = await out.deliver(envelope(), direct(server.port), cleared)
    assert [first.text, second.text] == ["last one", "first one"]


@on_both_loops
async def test_a_disconnect_at_the_next_mail_is_tried_once_on_a_fresh_connection() -> None:
    server = Server(MAIL=[b"250 ok\r\n", DROP])
    async with server.listening(), transport() as out:
        first = await out.deliver(envelope(), direct(server.port), cleared)
        second = await out.deliver(envelope(), direct(server.port), cleared)
    assert first.code == 250
    assert (second.phase, second.fault) == (Phase.MAIL, Fault.CLOSED)
    assert len(server.sessions) == 2


@on_both_loops
async def test_after_any_reply_a_disconnect_is_not_tried_again() -> None:
    server = Server(RCPT=[b"250 ok\r\n", DROP])
    async with server.listening(), transport() as out:
        await out.deliver(envelope(), direct(server.port), cleared)
        second = await out.deliver(envelope(), direct(server.port), cleared)
    assert (second.phase, second.fault) == (Phase.RCPT, Fault.CLOSED)
    assert len(server.sessions) == 1


@on_both_loops
async def test_a_site_gets_no_more_connections_than_its_limit_and_waiters_are_served_in_order() -> None:
    order: list[str] = []

    async def send(name: str) -> None:
        async def clear() -> float:
            order.append(name)
            return clock() + 5

        await out.deliver(envelope(f"{name}@one.test"), direct(server.port), clear)

    server = Server()
    async with server.listening(), transport(limits=Limits(per_site=1)) as out:
        await asyncio.gather(*(send(str(n)) for n in range(10)))
    assert order == [str(n) for n in range(10)]
    assert len(server.sessions) == 1


@on_both_loops
async def test_a_site_that_hangs_holds_up_no_other_and_refuses_what_is_too_much() -> None:
    hanging, good = Server(greeting=STUCK), Server()
    zone = Zone(one=[("a.test", "127.0.0.1")], two=[("b.test", "127.0.0.2")])
    limits = Limits(per_site=2, max_waiting=3)
    async with (
        hanging.listening() as first,
        good.listening("127.0.0.2", first.port),
        transport(zone, limits) as out,
    ):
        route = direct(first.port)
        stuck = [asyncio.create_task(out.deliver(envelope(), route, cleared)) for _ in range(6)]
        done, _ = await asyncio.wait(stuck, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().fault for task in done] == [Fault.SITE_BUSY]
        assert (await out.deliver(envelope(domain="two.test"), route, cleared)).code == 250
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        # all places came back
        hanging.script["greeting"] = b"220 awake\r\n"
        assert (await out.deliver(envelope(), route, cleared)).code == 250


@on_both_loops
async def test_a_wait_for_a_place_has_an_end() -> None:
    server = Server(greeting=STUCK)
    async with server.listening(), transport(limits=Limits(per_site=1, wait=SHORT)) as out:
        first = asyncio.create_task(out.deliver(envelope(), direct(server.port), cleared))
        await asyncio.sleep(0)
        second = await out.deliver(envelope(), direct(server.port), cleared)
        first.cancel()
    assert second.fault is Fault.SITE_BUSY


@on_both_loops
async def test_a_full_process_makes_room_by_leaving_the_longest_idle() -> None:
    server = Server()
    zone = Zone(one=[("a.test", "127.0.0.1")], two=[("b.test", "127.0.0.1")], three=[("c.test", "127.0.0.1")])
    async with server.listening(), transport(zone, Limits(per_process=2)) as out:
        for domain in ("one.test", "two.test", "three.test", "two.test"):
            reply = await out.deliver(envelope(domain=domain), direct(server.port), cleared)
            assert reply.code == 250
        await server.sessions[0].over.wait()
        assert [session.dots for session in server.sessions] == [1, 2, 1]
        assert [session.over.is_set() for session in server.sessions] == [True, False, False]


@on_both_loops
async def test_in_a_full_process_a_place_goes_to_the_site_that_waits() -> None:
    server = Server()
    zone = Zone(one=[("a.test", "127.0.0.1")], two=[("b.test", "127.0.0.1")])
    async with server.listening(), transport(zone, Limits(per_process=1)) as out:
        sends = [
            out.deliver(envelope(domain=domain), direct(server.port), cleared)
            for domain in ("one.test", "two.test", "one.test", "two.test")
        ]
        replies = await asyncio.gather(*sends)
    assert [reply.code for reply in replies] == [250] * 4


@on_both_loops
async def test_an_idle_conversation_is_left_after_its_time() -> None:
    server = Server()
    async with server.listening(), transport(limits=Limits(idle=SHORT)) as out:
        await out.deliver(envelope(), direct(server.port), cleared)
        await server.sessions[0].over.wait()
    assert server.sessions[0].words[-1] == "QUIT"


@on_both_loops
async def test_closing_does_not_wait_for_a_server_that_ignores_quit() -> None:
    server = Server(QUIT=STUCK)
    async with server.listening():
        out = SmtpTransport(ONE, timeouts=Timeouts(quit=SHORT))
        await out.deliver(envelope(), direct(server.port), cleared)
        await out.close()
        assert (await out.deliver(envelope(), direct(server.port), cleared)).fault is Fault.SITE_BUSY


@on_both_loops
async def test_a_waiter_that_gives_up_as_it_is_served_returns_its_place() -> None:
    pool = Pool(Limits())
    assert await pool.take("site", ONE_PLACE) is None
    waiting = asyncio.create_task(pool.take("site", ONE_PLACE))
    await asyncio.sleep(0)
    pool.give_back("site", None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await pool.take("site", ONE_PLACE) is None


# --- places that only urgent deliveries use ---------------------------------------------------------------------


class Kept:
    """As much of a conversation as the pool looks at."""

    def __init__(self) -> None:
        self.usable = True
        self.messages = 0
        self.idle_since = 0.0

    async def quit(self) -> None:
        self.usable = False


def kept() -> Conversation:
    return cast(Conversation, Kept())


async def settled(task: "asyncio.Task[Any]") -> bool:
    """Whether it is through, once everything that can run has run."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


FEW = Places(4, reserved=2)


@on_both_loops
async def test_an_ordinary_delivery_leaves_the_last_places_to_urgent_ones() -> None:
    pool = Pool(Limits())
    for _ in range(2):
        await pool.take("site", FEW)
    third = asyncio.create_task(pool.take("site", FEW))
    assert not await settled(third)
    for _ in range(2):
        await pool.take("site", FEW, urgent=True)
    fifth = asyncio.create_task(pool.take("site", FEW, urgent=True))
    assert not await settled(fifth)
    pool.give_back(
        "site", None
    )  # four are in use, and an urgent one waits: it goes first, though it came last
    assert (await settled(fifth), await settled(third)) == (True, False)
    pool.give_back("site", None)
    pool.give_back("site", None)
    assert not await settled(third)  # two are left, and both are reserved
    pool.give_back("site", None)
    assert await settled(third)


@on_both_loops
async def test_a_kept_conversation_is_no_way_round_the_reserve() -> None:
    pool = Pool(Limits())
    for _ in range(3):
        await pool.take("site", FEW, urgent=True)
    await pool.take("site", FEW, urgent=True)
    first = kept()
    pool.give_back("site", first)
    waiting = asyncio.create_task(pool.take("site", FEW))
    assert not await settled(waiting)
    assert await pool.take("site", FEW, urgent=True) is first
    second = kept()
    for conversation in (kept(), second, None):
        pool.give_back("site", conversation)
    assert await settled(waiting)
    assert waiting.result() is second  # the place that came free, and the conversation kept last


@on_both_loops
async def test_a_reserve_never_shuts_ordinary_deliveries_out() -> None:
    pool = Pool(Limits(wait=SHORT))
    assert await pool.take("site", Places(2, reserved=9)) is None
    with pytest.raises(Busy):
        await pool.take("site", Places(2, reserved=9))


@on_both_loops
async def test_waiting_campaigns_do_not_fill_the_queue_of_urgent_deliveries() -> None:
    pool = Pool(Limits(max_waiting=1))
    await pool.take("site", ONE_PLACE)
    ordinary = asyncio.create_task(pool.take("site", ONE_PLACE))
    assert not await settled(ordinary)
    with pytest.raises(Busy):
        await pool.take("site", ONE_PLACE)
    urgent = asyncio.create_task(pool.take("site", ONE_PLACE, urgent=True))
    assert not await settled(urgent)
    pool.give_back("site", None)
    assert await settled(urgent)
    ordinary.cancel()


@on_both_loops
async def test_a_site_nobody_came_through_to_is_forgotten() -> None:
    pool = Pool(Limits(per_process=1, wait=SHORT))
    await pool.take("one", ONE_PLACE)
    with pytest.raises(Busy):
        await pool.take("two", ONE_PLACE)
    assert list(pool._sites) == ["one"]


@pytest.mark.parametrize(("places", "connections"), [(Places(1), 1), (None, 3)])
@on_both_loops
async def test_a_providers_own_places_count_and_others_get_the_ordinary_ones(
    places: Places | None, connections: int
) -> None:
    server = Server()
    async with server.listening(), transport(limits=Limits(per_site=3)) as out:
        sends = [
            out.deliver(envelope(f"r{n}@one.test", places=places), direct(server.port), cleared)
            for n in range(9)
        ]
        assert [reply.code for reply in await asyncio.gather(*sends)] == [250] * 9
    assert len(server.sessions) == connections


class Crowd:
    """Deliveries that come, end and give up at random, and what must hold after each step."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.pool = Pool(Limits(per_process=8))
        self.places = {"a": Places(4, 2), "b": Places(3), "c": Places(6, 1)}
        self.waiting: list[tuple[asyncio.Task[Any], str]] = []
        self.held: list[tuple[str, Conversation | None]] = []

    async def step(self) -> None:
        act = self.dice.choice([self._come, self._come, self._end, self._end, self._give_up])
        act()
        for _ in range(5):
            await asyncio.sleep(0)
        through = [pair for pair in self.waiting if pair[0].done()]
        self.waiting = [pair for pair in self.waiting if not pair[0].done()]
        self.held += [(key, task.result()) for task, key in through if not task.cancelled()]
        self._check()

    def _come(self) -> None:
        key, urgent, picky = self.dice.choice("abc"), self.dice.random() < 0.3, self.dice.random() < 0.3
        fits = (lambda conversation: conversation.messages > 0) if picky else (lambda _: True)
        taking = self.pool.take(key, self.places[key], fits, urgent)
        self.waiting.append((asyncio.create_task(taking), key))

    def _end(self) -> None:
        if self.held:
            key, conversation = self.held.pop(self.dice.randrange(len(self.held)))
            conversation = conversation or kept()
            conversation.messages = self.dice.randrange(2)
            self.pool.give_back(key, conversation if self.dice.random() < 0.8 else None)

    def _give_up(self) -> None:
        if self.waiting:
            self.dice.choice(self.waiting)[0].cancel()

    def _check(self) -> None:
        sites = self.pool._sites
        assert self.pool._open == sum(site.open for site in sites.values()) <= 8
        for key, places in self.places.items():
            held = sum(1 for each, _ in self.held if each == key)
            assert held == (sites[key].busy if key in sites else 0)
            assert key not in sites or sites[key].open <= places.connections
        for site in self.pool._hungry:
            # nobody waits who could be served: the site or the process is full, and nothing in it is idle
            full = self.pool._open == 8 or site.open == site.places.connections
            idle = (any(each.idle for each in sites.values()) and self.pool._open == 8) or site.idle
            assert site.next() is None or (full and not idle)


@pytest.mark.parametrize("seed", range(20))
@on_both_loops
async def test_in_any_crowd_counts_agree_and_nobody_waits_in_vain(seed: int) -> None:
    crowd = Crowd(seed)
    for _ in range(300):
        await crowd.step()
    while crowd.held or crowd.waiting:
        crowd._end()
        crowd._come = lambda: None  # type: ignore[method-assign]
        await crowd.step()
    await crowd.pool.close()
    assert crowd.pool._open == 0
