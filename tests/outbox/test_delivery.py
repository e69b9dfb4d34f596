"""Where a delivery goes: exchangers one after another, and what DNS says instead."""

import asyncio
import socket
from typing import Any

import pytest

from outbox.delivery import Timeouts
from outbox.outcomes import Fault, Phase
from reputation.resolver import Exchangers, Problem
from tests.outbox.scripted import (
    DROP,
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


@on_both_loops
async def test_the_next_exchanger_is_tried_until_one_takes_us() -> None:
    refusing, dropping, good = Server(greeting=b"554 no\r\n"), Server(EHLO=DROP), Server()
    zone = Zone(one=[(f"mx{n}.one.test", f"127.0.0.{n}") for n in (1, 2, 3, 4)])
    async with (
        refusing.listening("127.0.0.2") as first,
        dropping.listening("127.0.0.3", first.port),
        good.listening("127.0.0.4", first.port),
        transport(zone) as out,
    ):
        reply = await out.deliver(envelope(), direct(first.port), cleared)
    assert (reply.code, reply.host, reply.address) == (250, "mx4.one.test", "127.0.0.4")


@on_both_loops
async def test_an_address_that_does_not_connect_is_left_alone_for_a_while(unused_port: int) -> None:
    tries: list[str] = []
    async with transport(reached=tries.append) as out:
        loop = asyncio.get_running_loop()
        real, connects = loop.sock_connect, []

        async def counted(sock: socket.socket, address: Any) -> None:
            connects.append(address)
            await real(sock, address)

        loop.sock_connect = counted
        replies = [await out.deliver(envelope(), direct(unused_port), cleared) for _ in range(2)]
    assert [(reply.phase, reply.fault) for reply in replies] == [(Phase.CONNECT, Fault.REFUSED)] * 2
    assert len(connects) == 1


@on_both_loops
async def test_all_exchangers_together_have_one_budget() -> None:
    server = Server(greeting=STUCK)
    zone = Zone(one=[(f"mx{n}.one.test", "127.0.0.1") for n in range(4)])
    async with server.listening(), transport(zone, timeouts=Timeouts(budget=SHORT)) as out:
        reply = await out.deliver(envelope(), direct(server.port), cleared)
    assert (reply.phase, reply.fault) == (Phase.GREETING, Fault.TIMEOUT)


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        (Problem.NO_SUCH_DOMAIN, Fault.NO_SUCH_DOMAIN),
        (Problem.NULL_MX, Fault.NULL_MX),
        (Problem.TEMPORARY, Fault.DNS_TEMPORARY),
        (Problem.NO_ROUTE, Fault.NO_ROUTE),
        (Problem.NO_ADDRESS, Fault.NO_ADDRESS),
    ],
)
@on_both_loops
async def test_what_dns_says_ends_the_delivery_before_any_connection(problem: Problem, fault: Fault) -> None:
    async with transport(Zone(one=Exchangers("one.test", (), problem, "", "why"))) as out:
        reply = await out.deliver(envelope(), direct(25), cleared)
    assert (reply.phase, reply.fault, reply.text, reply.code) == (Phase.RESOLVE, fault, "why", None)
