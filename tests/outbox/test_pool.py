"""Places and conversations: reuse, limits, order, leaving."""

import asyncio
from typing import Any

import pytest

from outbox.delivery import Limits, SmtpTransport, Timeouts, clock
from outbox.grammar import Places
from outbox.outcomes import Fault, Phase
from outbox.pool import Pool
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
