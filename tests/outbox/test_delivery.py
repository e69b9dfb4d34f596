"""The SMTP edge against a scripted server: each phase, both sides of the dot, clearance, TLS, pool."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outbox.delivery import Limits, Security, SmtpTransport, Timeouts, clock
from outbox.grammar import MAX_REPLY, Ended, ReplyReader, dot_stuffed, xtext
from outbox.outcomes import Fault, Phase, Reply
from outbox.wire import DOT_ACKNOWLEDGED_WITHIN
from reputation.resolver import Exchangers, Problem
from simulator.certificates import contexts, issue
from tests.outbox.scripted import (
    CONTENT,
    DROP,
    RESET,
    STUCK,
    Server,
    Session,
    Zone,
    cleared,
    direct,
    envelope,
    on_both_loops,
    relay,
)

ONE = Zone(one=[("mx.one.test", "127.0.0.1")])
SHORT = 0.2  # seconds, where a test waits for a limit to be reached


@asynccontextmanager
async def transport(
    zone: Zone = ONE, limits: Limits | None = None, **given: Any
) -> AsyncIterator[SmtpTransport]:
    made = SmtpTransport(zone, limits, **given)
    try:
        yield made
    finally:
        await made.close()


async def deliver(server: Server, **given: Any) -> Reply:
    """One message on a transport of its own, through the direct route."""
    timeouts = given.pop("timeouts", None)
    async with server.listening(), transport(timeouts=timeouts) as out:
        reply = await out.deliver(envelope(), direct(server.port), given.pop("clear", cleared))
        for session in server.sessions:
            if not (reply.code and reply.fault is None):
                await session.over.wait()
        return reply


# the ordinary way


@on_both_loops
async def test_a_message_arrives_byte_for_byte_with_its_dots_stuffed_and_one_dot() -> None:
    server = Server()
    reply = await deliver(server)
    assert reply == Reply(
        Phase.REPLIED, 250, "2.0.0 taken", "2.0.0", None, "mx.one.test", "127.0.0.1", "", dot_written=True
    )
    assert server.sessions[0].bodies == [dot_stuffed(CONTENT) + b".\r\n"]
    assert server.commands[:4] == [
        "EHLO out.test",
        f"MAIL FROM:<b+token@rp.test> SIZE={len(CONTENT)}",
        "RCPT TO:<grace@one.test>",
        "DATA",
    ]


@on_both_loops
async def test_the_envelope_goes_out_in_one_write_only_where_pipelining_is_offered() -> None:
    waiting: list[bool] = []

    async def look(session: Session) -> bytes:
        await asyncio.sleep(0.02)
        waiting.append(bool(session.reader._buffer))
        return b""

    for offer in (b"250-x\r\n250 PIPELINING\r\n", b"250 x\r\n"):
        reply = await deliver(Server(EHLO=offer, MAIL=(look, b"250 ok\r\n")))
        assert reply.code == 250
    assert waiting == [True, False]


@on_both_loops
async def test_parameters_are_sent_only_where_offered() -> None:
    server = Server(EHLO=b"250-x\r\n250-DSN\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n")
    async with server.listening(), transport() as out:
        message = envelope("a+b=c@one.test", envid="x=1")
        assert (await out.deliver(message, direct(server.port), cleared)).code == 250
        message = envelope("grüße@one.test", CONTENT + "ü\r\n".encode(), needs_smtputf8=True)
        assert (await out.deliver(message, direct(server.port), cleared)).code == 250
    commands = [each for each in server.commands if each[:4] in ("MAIL", "RCPT")]
    assert commands == [
        "MAIL FROM:<b+token@rp.test> RET=HDRS ENVID=x+3D1",
        "RCPT TO:<a+b=c@one.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@one.test",
        "MAIL FROM:<b+token@rp.test> BODY=8BITMIME SMTPUTF8 RET=HDRS",
        "RCPT TO:<grüße@one.test> NOTIFY=FAILURE,DELAY",
    ]


@on_both_loops
async def test_what_the_server_cannot_take_is_not_offered_to_it() -> None:
    server = Server(EHLO=b"250-x\r\n250 SIZE 50\r\n")
    async with server.listening(), transport() as out:
        big = await out.deliver(envelope(), direct(server.port), cleared)
        utf8 = await out.deliver(envelope(needs_smtputf8=True), direct(server.port), cleared)
        shut = await out.deliver(envelope(), direct(server.port), cleared, gate=lambda: False)
    assert [big.fault, utf8.fault, shut.fault] == [
        Fault.TOO_BIG,
        Fault.SMTPUTF8_MISSING,
        Fault.NOT_CLEARED,
    ]
    assert len(server.sessions) == 1
    assert server.sessions[0].words == ["EHLO", "QUIT"]


@on_both_loops
async def test_a_server_that_knows_no_ehlo_is_greeted_with_helo() -> None:
    server = Server(EHLO=b"502 5.5.1 what?\r\n")
    assert (await deliver(server)).code == 250
    assert server.sessions[0].words[:3] == ["EHLO", "HELO", "MAIL"]


@on_both_loops
async def test_each_step_is_reached_in_its_order() -> None:
    steps: list[str] = []
    server = Server()
    async with server.listening(), transport(reached=steps.append) as out:
        await out.deliver(envelope(), direct(server.port), cleared)
    assert steps == ["connected", "ehlo", "mail", "rcpt", "354", "midbody", "cleared", "dotted", "replied"]


# refusals and losses before the dot: none of them may look like anything else

REFUSALS = [
    # step, what the server says, phase, code, enhanced
    ("greeting", b"554 5.3.2 no SMTP here\r\n", Phase.GREETING, 554, "5.3.2"),
    ("greeting", b"421 busy\r\n", Phase.GREETING, 421, None),
    ("EHLO", b"550-5.7.1 go\r\n550 away\r\n", Phase.EHLO, 550, "5.7.1"),
    ("MAIL", b"451 4.7.1 later\r\n", Phase.MAIL, 451, "4.7.1"),
    ("MAIL", (b"421 4.7.28 slow down\r\n", DROP), Phase.MAIL, 421, "4.7.28"),
    ("RCPT", b"550 5.1.1 nobody\r\n", Phase.RCPT, 550, "5.1.1"),
    ("RCPT", b"450 5.1.1 wrong class\r\n", Phase.RCPT, 450, "5.1.1"),
    ("DATA", b"554 no\r\n", Phase.DATA, 554, None),
    ("body", b"552 5.3.4 enough\r\n", Phase.BODY, 552, "5.3.4"),
    ("body", (b"451 4.3.0 disk\r\n", DROP), Phase.BODY, 451, "4.3.0"),
]


@pytest.mark.parametrize(("step", "said", "phase", "code", "enhanced"), REFUSALS)
@on_both_loops
async def test_a_refusal_before_the_dot_keeps_its_phase_and_code(
    step: str, said: Any, phase: Phase, code: int, enhanced: str | None
) -> None:
    server = Server(**{step: said})
    reply = await deliver(server)
    # an early reply may be seen while the body is acknowledged or just after it
    phases = (Phase.BODY, Phase.READY) if phase is Phase.BODY else (phase,)
    assert reply.phase in phases
    assert (reply.code, reply.enhanced, reply.fault) == (code, enhanced, None)
    assert not reply.dot_written
    assert server.dots == 0


LOSSES = [
    ("greeting", DROP, Phase.GREETING, Fault.CLOSED),
    ("greeting", RESET, Phase.GREETING, Fault.RESET),
    ("greeting", b"hello there\r\n", Phase.GREETING, Fault.MALFORMED),
    ("greeting", b"250 not a greeting\r\n", Phase.GREETING, Fault.MALFORMED),
    ("greeting", b"220 " + b"x" * 9000 + b"\r\n", Phase.GREETING, Fault.LINE_TOO_LONG),
    ("EHLO", DROP, Phase.EHLO, Fault.CLOSED),
    ("EHLO", b"250-more\r\n" * 10_000, Phase.EHLO, Fault.LINE_TOO_LONG),
    ("MAIL", DROP, Phase.MAIL, Fault.CLOSED),
    ("MAIL", RESET, Phase.MAIL, Fault.RESET),
    ("RCPT", DROP, Phase.RCPT, Fault.CLOSED),
    ("RCPT", b"\0\0\0\r\n", Phase.RCPT, Fault.MALFORMED),
    ("RCPT", b"250-more\r\n" * 10_000, Phase.RCPT, Fault.LINE_TOO_LONG),
    ("RCPT", b"2" * 100_000, Phase.RCPT, Fault.LINE_TOO_LONG),
    ("RCPT", b"250-a\r\n550 b\r\n", Phase.RCPT, Fault.MALFORMED),
    ("RCPT", b"354 what?\r\n", Phase.RCPT, Fault.MALFORMED),
    ("DATA", DROP, Phase.DATA, Fault.CLOSED),
    ("DATA", b"250 what?\r\n", Phase.DATA, Fault.MALFORMED),
    ("body", DROP, Phase.BODY, Fault.CLOSED),
    ("body", b"250 2.0.0 taken, before its dot\r\n", Phase.BODY, Fault.MALFORMED),
]


@pytest.mark.parametrize(("step", "action", "phase", "fault"), LOSSES)
@on_both_loops
async def test_a_loss_before_the_dot_is_undotted_and_uncoded(
    step: str, action: Any, phase: Phase, fault: Fault
) -> None:
    async def clear_late() -> float:
        await asyncio.sleep(SHORT)  # what the server says at the body is certainly here by now
        return clock() + 5

    server = Server(**{step: action})
    reply = await deliver(server, clear=clear_late)
    phases = (Phase.BODY, Phase.READY) if phase is Phase.BODY else (phase,)
    assert reply.phase in phases
    if step == "body" and action is DROP:
        assert reply.fault in (Fault.CLOSED, Fault.RESET)  # what we still sent may have been answered by RST
    else:
        assert reply.fault is fault
    assert (reply.code, reply.dot_written) == (None, False)
    assert server.dots == 0


@pytest.mark.parametrize(
    ("step", "phase"),
    [
        ("greeting", Phase.GREETING),
        ("EHLO", Phase.EHLO),
        ("MAIL", Phase.MAIL),
        ("RCPT", Phase.RCPT),
        ("DATA", Phase.DATA),
        ("dot", Phase.DOT),
    ],
)
@on_both_loops
async def test_silence_ends_at_that_steps_limit(step: str, phase: Phase) -> None:
    limits = Timeouts(greeting=SHORT, ehlo=SHORT, mail=SHORT, rcpt=SHORT, data=SHORT, dot=SHORT)
    reply = await deliver(Server(**{step: STUCK}), timeouts=limits)
    assert (reply.phase, reply.fault, reply.dot_written) == (phase, Fault.TIMEOUT, step == "dot")


@on_both_loops
async def test_a_reply_that_drips_is_not_given_more_time_for_each_byte() -> None:
    async def drip(session: Session) -> None:
        while not session.writer.is_closing():
            session.writer.write(b"2")
            await asyncio.sleep(SHORT / 4)

    reply = await deliver(Server(RCPT=drip), timeouts=Timeouts(rcpt=SHORT))
    assert (reply.phase, reply.fault) == (Phase.RCPT, Fault.TIMEOUT)


@on_both_loops
async def test_no_lone_dot_when_the_recipient_is_refused_and_data_is_not() -> None:
    server = Server(RCPT=b"550 5.1.1 nobody\r\n")
    reply = await deliver(server)
    await server.sessions[0].over.wait()
    assert (reply.phase, reply.code) == (Phase.RCPT, 550)
    assert server.sessions[0].bodies == [b""]
    assert server.dots == 0


@on_both_loops
async def test_a_connection_is_used_again_after_a_refusal_once_it_was_reset() -> None:
    server = Server(
        RCPT=[b"550 5.1.1 nobody\r\n", b"250 ok\r\n"], DATA=[b"503 5.5.1 no recipient\r\n", b"354 go\r\n"]
    )
    async with server.listening(), transport() as out:
        first = await out.deliver(envelope(), direct(server.port), cleared)
        second = await out.deliver(envelope(), direct(server.port), cleared)
    assert (first.phase, first.code, second.code) == (Phase.RCPT, 550, 250)
    assert [session.words for session in server.sessions] == [
        ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]
    ]


@on_both_loops
async def test_a_refused_reset_is_never_the_messages_refusal() -> None:
    server = Server(RCPT=b"550 5.1.1 nobody\r\n", DATA=b"503 no\r\n", RSET=b"554 no\r\n")
    async with server.listening(), transport() as out:
        await out.deliver(envelope(), direct(server.port), cleared)
        reply = await out.deliver(envelope(), direct(server.port), cleared)
    assert (reply.code, reply.fault) == (None, Fault.MALFORMED)


# clearance


@on_both_loops
async def test_without_clearance_the_peer_has_the_body_and_no_dot() -> None:
    async def refuse() -> None:
        return None

    server = Server()
    reply = await deliver(server, clear=refuse)
    assert (reply.phase, reply.fault, reply.dot_written) == (Phase.READY, Fault.NOT_CLEARED, False)
    assert server.sessions[0].bodies == [dot_stuffed(CONTENT)]
    assert server.dots == 0


BIG = CONTENT + (b"y" * 98 + b"\r\n") * 1_000  # 100 KB: fits the send queue, not a small receive buffer


async def stop_reading(session: Session) -> bytes:
    session.writer.transport.pause_reading()
    session.writer.write(b"354 go on\r\n")
    return b"354"


@on_both_loops
async def test_clearance_is_not_asked_while_a_byte_of_the_body_is_unacknowledged() -> None:
    asked: list[float] = []

    async def clear() -> float:
        asked.append(clock())
        return clock() + 5

    server = Server(DATA=stop_reading)
    async with server.listening(receive_buffer=4096), transport(timeouts=Timeouts(block=SHORT)) as out:
        reply = await out.deliver(envelope(content=BIG), direct(server.port), clear)
    assert (reply.phase, reply.fault, reply.dot_written) == (Phase.BODY, Fault.TIMEOUT, False)
    assert asked == []


@on_both_loops
async def test_a_slow_reader_may_take_longer_than_the_limit_for_one_step_forward() -> None:
    async def wake_slowly(session: Session) -> bytes:
        async def wake() -> None:
            for _ in range(6):
                await asyncio.sleep(SHORT / 2)
                session.writer.transport.resume_reading()
                await asyncio.sleep(0.01)
                session.writer.transport.pause_reading()
            session.writer.transport.resume_reading()

        waking.append(asyncio.create_task(wake()))
        return await stop_reading(session)

    waking: list[asyncio.Task[None]] = []
    server = Server(DATA=wake_slowly)
    async with server.listening(receive_buffer=4096), transport(timeouts=Timeouts(block=SHORT * 2)) as out:
        reply = await out.deliver(envelope(content=BIG), direct(server.port), cleared)
        assert reply.code == 250
        assert server.sessions[0].bodies[0] == dot_stuffed(BIG) + b".\r\n"
        await waking[0]


@pytest.mark.parametrize("late", [0.0, 3600.0])
@on_both_loops
async def test_a_stale_clearance_writes_no_dot(late: float) -> None:
    async def stale() -> float:
        return clock() - late

    server = Server()
    reply = await deliver(server, clear=stale)
    assert (reply.phase, reply.fault, reply.dot_written) == (Phase.READY, Fault.STALE_CLEARANCE, False)
    assert server.dots == 0


@on_both_loops
async def test_nobody_waits_long_before_the_dot() -> None:
    async def never() -> float:
        await asyncio.Event().wait()
        raise AssertionError

    server = Server()
    reply = await deliver(server, clear=never, timeouts=Timeouts(clearance=SHORT))
    assert (reply.phase, reply.fault, server.dots) == (Phase.READY, Fault.NOT_CLEARED, 0)


@on_both_loops
async def test_what_clear_raises_passes_through_undotted() -> None:
    async def broken() -> float:
        raise LookupError("database")

    server = Server()
    async with server.listening(), transport() as out:
        with pytest.raises(LookupError):
            await out.deliver(envelope(), direct(server.port), broken)
        await server.sessions[0].over.wait()
    assert server.dots == 0


@on_both_loops
async def test_a_server_that_speaks_while_we_wait_for_clearance_gets_no_dot() -> None:
    spoken = asyncio.Event()

    async def speak(session: Session) -> None:
        await clearing.wait()
        session.writer.write(b"451 4.3.2 shutting down\r\n")
        spoken.set()

    async def clear() -> float:
        clearing.set()
        await spoken.wait()
        await asyncio.sleep(0.02)
        return clock() + 5

    clearing = asyncio.Event()
    server = Server(body=speak)
    reply = await deliver(server, clear=clear)
    assert (reply.phase, reply.code, reply.dot_written, server.dots) == (Phase.READY, 451, False, 0)


@on_both_loops
async def test_the_dot_has_ten_seconds_in_the_send_queue_and_the_body_has_not() -> None:
    seen: list[int] = []
    server = Server()
    made: list[socket.socket] = []

    def reached(step: str) -> None:
        if step in ("midbody", "dotted"):
            seen.append(made[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    async with server.listening(), transport(reached=reached) as out:
        real = asyncio.get_running_loop().sock_connect

        async def connect(sock: socket.socket, address: Any) -> None:
            made.append(sock)
            await real(sock, address)

        asyncio.get_running_loop().sock_connect = connect
        for _ in range(2):
            await out.deliver(envelope(), direct(server.port), cleared)
    assert seen == [0, DOT_ACKNOWLEDGED_WITHIN] * 2


# after the dot: a complete reply, or doubt

VERDICTS = [
    # what the server does at the dot, phase, code, fault
    (b"250 ok\r\n", Phase.REPLIED, 250, None),
    (b"251 ok\r\n", Phase.REPLIED, 251, None),
    (b"252 ok\r\n", Phase.REPLIED, 252, None),
    (b"299 ok\r\n", Phase.REPLIED, 299, None),
    (b"250\r\n", Phase.REPLIED, 250, None),
    (b"250-2.0.0 one\r\n250 2.0.0 two\r\n", Phase.REPLIED, 250, None),
    (b"250 bare line feed\n", Phase.REPLIED, 250, None),
    ((b"250 ok\r\n", DROP), Phase.REPLIED, 250, None),
    ((b"250 ok\r\n", b"250 again\r\n"), Phase.REPLIED, 250, None),
    (b"250 ok\r\n451 and no\r\n", Phase.REPLIED, 250, None),
    (b"452 4.2.2 full\r\n", Phase.REPLIED, 452, None),
    (b"421 4.3.2 closing\r\n", Phase.REPLIED, 421, None),
    (b"550 5.7.1 spam\r\n", Phase.REPLIED, 550, None),
    (b"354 what?\r\n", Phase.DOT, None, Fault.MALFORMED),
    (b"150 what?\r\n", Phase.DOT, None, Fault.MALFORMED),
    (b"okay\r\n", Phase.DOT, None, Fault.MALFORMED),
    (b"2500 ok\r\n", Phase.DOT, None, Fault.MALFORMED),
    (b"250-a\r\n550 b\r\n", Phase.DOT, None, Fault.MALFORMED),
    ((b"250 cut of", DROP), Phase.DOT, None, Fault.CLOSED),
    ((b"250-more\r\n", DROP), Phase.DOT, None, Fault.CLOSED),
    (DROP, Phase.DOT, None, Fault.CLOSED),
    (RESET, Phase.DOT, None, Fault.RESET),
    (b"250-more\r\n" * 10_000, Phase.DOT, None, Fault.LINE_TOO_LONG),
    (b"250 " + b"x" * 100_000, Phase.DOT, None, Fault.LINE_TOO_LONG),
]


@pytest.mark.parametrize(("action", "phase", "code", "fault"), VERDICTS)
@on_both_loops
async def test_after_the_dot_a_complete_reply_counts_and_all_else_is_doubt(
    action: Any, phase: Phase, code: int | None, fault: Fault | None
) -> None:
    server = Server(dot=action)
    reply = await deliver(server)
    assert (reply.phase, reply.code, reply.fault, reply.dot_written) == (phase, code, fault, True)
    assert server.dots == 1


@on_both_loops
async def test_a_reply_in_single_bytes_is_one_reply() -> None:
    async def split(session: Session) -> None:
        for byte in b"250-2.0.0 a\r\n250 2.0.0 b\r\n":
            session.writer.write(bytes([byte]))
            await asyncio.sleep(0)

    reply = await deliver(Server(dot=split))
    assert (reply.code, reply.text) == (250, "2.0.0 a 2.0.0 b")


@pytest.mark.parametrize("extra", [b"250 again\r\n", b"2", b"550 5.7.1 changed my mind\r\n"])
@on_both_loops
async def test_what_comes_after_the_reply_is_never_paired_with_the_next_command(extra: bytes) -> None:
    server = Server(dot=[b"250 first\r\n" + extra, b"250 second\r\n"])
    async with server.listening(), transport() as out:
        replies = [await out.deliver(envelope(), direct(server.port), cleared) for _ in range(2)]
    assert [reply.text for reply in replies] == ["first", "second"]
    assert len(server.sessions) == 2


@on_both_loops
async def test_a_reply_later_than_the_limit_is_not_read_by_anyone() -> None:
    late = asyncio.Event()

    async def wait(session: Session) -> bytes:
        await late.wait()
        return b""

    server = Server(dot=[(wait, b"250 late\r\n"), b"250 in time\r\n"])
    async with server.listening(), transport(timeouts=Timeouts(dot=SHORT)) as out:
        first = await out.deliver(envelope(), direct(server.port), cleared)
        late.set()
        second = await out.deliver(envelope(), direct(server.port), cleared)
    assert (first.phase, first.fault) == (Phase.DOT, Fault.TIMEOUT)
    assert second.text == "in time"


@on_both_loops
async def test_text_is_made_safe_to_show() -> None:
    reply = await deliver(Server(dot=b"550 5.7.1 \x1b[31mred\x00 \xff \xe2\x80\xae" + b"x" * 2000 + b"\r\n"))
    assert reply.text.startswith(r"5.7.1 \x1b[31mred\x00 \xff \u202e" + "x")
    assert len(reply.text) == 1000
    assert reply.text.isprintable()


# cancellation


@on_both_loops
async def test_cancelled_before_the_dot_it_raises_and_unsends() -> None:
    async def never() -> float:
        asking.set()
        await asyncio.Event().wait()
        raise AssertionError

    asking = asyncio.Event()
    server = Server()
    async with server.listening(), transport() as out:
        task = asyncio.create_task(out.deliver(envelope(), direct(server.port), never))
        await asking.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.sessions[0].over.wait()
    assert server.dots == 0


@on_both_loops
async def test_cancelled_after_the_dot_it_says_so() -> None:
    server = Server(dot=STUCK)
    async with server.listening(), transport() as out:
        task = asyncio.create_task(out.deliver(envelope(), direct(server.port), cleared))
        await server.dot_seen.wait()
        task.cancel()
        reply = await task
        await server.sessions[0].over.wait()
    assert (reply.phase, reply.fault, reply.dot_written) == (Phase.DOT, Fault.CLOSED, True)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return contexts(tmp_path_factory.mktemp("certificates"), dt.datetime.now(dt.UTC))


TLS = {
    "STARTTLS": b"220 2.0.0 go\r\n",
    "EHLO": b"250-x\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n",
}


@on_both_loops
async def test_to_an_exchanger_tls_is_used_and_not_verified(certificates: Any) -> None:
    server = Server(tls=certificates.exchangers, **TLS)
    reply = await deliver(server)
    assert (reply.code, reply.tls) == (250, "TLSv1.3")
    assert server.sessions[0].words[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


@on_both_loops
async def test_a_large_body_over_tls_is_cleared_only_when_acknowledged_below_it(certificates: Any) -> None:
    asked: list[float] = []

    async def stop(session: Session) -> bytes:
        session.writer.transport.pause_reading()
        session.writer.write(b"354 go on\r\n")
        return b"354"

    async def clear() -> float:
        asked.append(clock())
        return clock() + 5

    server = Server(tls=certificates.exchangers, DATA=stop, **TLS)
    content = CONTENT + (b"z" * 98 + b"\r\n") * 100_000
    async with server.listening(receive_buffer=4096), transport(timeouts=Timeouts(block=SHORT)) as out:
        reply = await out.deliver(envelope(content=content), direct(server.port), clear)
    assert (reply.phase, reply.fault, asked) == (Phase.BODY, Fault.TIMEOUT, [])


async def _broken_handshake(session: Session) -> bytes:
    session.writer.write(b"220 go\r\nthis is not TLS\r\n" * 20)
    return b""


@pytest.mark.parametrize(
    "starttls",
    [_broken_handshake, b"454 4.7.0 no certificate today\r\n", (b"220 go\r\n", DROP), DROP],
    ids=["garbage", "454", "drop after 220", "drop"],
)
@on_both_loops
async def test_where_opportunistic_tls_fails_plain_is_spoken_and_remembered(starttls: Any) -> None:
    server = Server(**{**TLS, "STARTTLS": starttls})
    async with server.listening(), transport(limits=Limits(per_connection=1)) as out:
        replies = [await out.deliver(envelope(), direct(server.port), cleared) for _ in range(2)]
    assert [(reply.code, reply.tls) for reply in replies] == [(250, ""), (250, "")]
    tried = ["STARTTLS" in session.words for session in server.sessions]
    assert tried == [True, False, False]


@on_both_loops
async def test_plaintext_injected_behind_the_220_is_not_read_as_part_of_the_session(
    certificates: Any,
) -> None:
    server = Server(
        tls=certificates.exchangers, **{**TLS, "STARTTLS": b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n"}
    )
    reply = await deliver(server)
    # either the handshake fails and plain is spoken, or what was injected is discarded: never is it believed
    assert reply.code == 250
    assert all("AUTH" not in session.words for session in server.sessions)


BAD_RELAYS = [
    # route security, the certificate's name, server offers TLS, expected phase and fault
    (Security.STARTTLS, "wrong.test", True, Phase.STARTTLS, Fault.TLS),
    (Security.STARTTLS, "localhost", False, Phase.STARTTLS, Fault.TLS_MISSING),
    (Security.OPPORTUNISTIC, "localhost", False, Phase.AUTH, Fault.TLS_MISSING),
]


@pytest.mark.parametrize(("security", "name", "offers", "phase", "fault"), BAD_RELAYS)
@on_both_loops
async def test_a_relay_that_cannot_prove_itself_gets_neither_password_nor_mail(
    tmp_path: Path, security: Security, name: str, offers: bool, phase: Phase, fault: Fault
) -> None:
    context, ca_file = _certified(tmp_path, name, dt.datetime.now(dt.UTC))
    server = Server(tls=context, **(TLS if offers else {}))
    login = {"username": "u", "password": "p"}
    async with server.listening(), transport() as out:
        route = relay(server.port, host="localhost", security=security, ca_file=ca_file, **login)
        reply = await _through(out, route)
    assert (reply.phase, reply.fault) == (phase, fault)
    assert not {"AUTH", "MAIL"} & {word for session in server.sessions for word in session.words}


def _certified(folder: Path, name: str, now: dt.datetime) -> tuple[ssl.SSLContext, str]:
    """A server's context with a self-signed certificate, and the file which makes it trusted."""
    chain = folder / "chain.pem"
    chain.write_bytes(issue(name, (name,), now, None).pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, str(chain)


@on_both_loops
async def test_an_expired_certificate_is_refused_by_a_relay_route(tmp_path: Path) -> None:
    context, ca_file = _certified(tmp_path, "localhost", dt.datetime.now(dt.UTC) - dt.timedelta(days=1000))
    server = Server(tls=context, **TLS)
    async with server.listening(), transport() as out:
        route = relay(server.port, host="localhost", security=Security.STARTTLS, ca_file=ca_file)
        reply = await _through(out, route)
    assert (reply.phase, reply.fault) == (Phase.STARTTLS, Fault.TLS)
    assert "expired" in reply.text


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
@on_both_loops
async def test_a_verified_relay_gets_login_and_mail(certificates: Any, security: Security) -> None:
    server = Server(tls=certificates.relay, implicit=security is Security.IMPLICIT, **TLS)
    async with server.listening(), transport() as out:
        route = relay(
            server.port, security=security, ca_file=str(certificates.ca_file), username="u", password="secret"
        )
        replies = [await _through(out, route) for _ in range(2)]
    assert [(reply.code, reply.tls) for reply in replies] == [(250, "TLSv1.3")] * 2
    assert len(server.sessions) == 1
    assert server.sessions[0].words.count("AUTH") == 1
    assert "secret" not in repr(route)


@on_both_loops
async def test_a_refused_login_keeps_its_code() -> None:
    server = Server(EHLO=b"250-x\r\n250 AUTH PLAIN\r\n", AUTH=b"535 5.7.8 wrong\r\n")
    async with server.listening(), transport() as out:
        reply = await _through(out, relay(server.port, username="u", password="p"))
    assert (reply.phase, reply.code, reply.enhanced) == (Phase.AUTH, 535, "5.7.8")


async def _through(out: SmtpTransport, route: Any) -> Reply:
    return await out.deliver(envelope(), route, cleared)


# where to: exchangers, one after another


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


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


# the pool


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


# what never becomes an envelope, and the grammar


@pytest.mark.parametrize(
    "address",
    [
        "b@y> SIZE=1",
        "bob@x <c@z>",
        "b@y\r\nRCPT TO:<c@z>",
        "b@y\0",
        "b@y\n",
        "b y@z",
        "\x85@z",
        "<b@y>",
        "b@\u2028z",
        "",
    ],
)
def test_an_address_that_is_more_than_an_address_is_no_recipient(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|recipient"):
        envelope(address, needs_smtputf8=True)


def test_a_comma_is_not_a_second_recipient() -> None:
    assert envelope("b@y,c@z").rcpt_to == "b@y,c@z"


def test_a_unicode_address_needs_smtputf8() -> None:
    with pytest.raises(ValueError, match="address"):
        envelope("grüße@one.test")


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\r\n",
        b"a\rb\r\n",
        b"a\r\r\n",
        b"a\n.\n\r\n",
        b"a\r\n.\r\r\n",
        b"a\0\r\n",
        b"no end",
        b"",
        b"\xc3\xbc\r\n",
    ],
)
def test_content_that_could_end_elsewhere_is_no_content(content: bytes) -> None:
    with pytest.raises(ValueError, match="content"):
        envelope(content=content)


@pytest.mark.parametrize(
    ("content", "stuffed"),
    [
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\n.\r\n", b"a\r\n..\r\n..\r\n"),
        (b"..a\r\n", b"...a\r\n"),
        (b"a.b\r\n", b"a.b\r\n"),
    ],
)
def test_dots_are_stuffed(content: bytes, stuffed: bytes) -> None:
    assert dot_stuffed(content) == stuffed


def test_xtext_leaves_only_what_rfc_3461_allows() -> None:
    assert xtext("a+b=c d\u00fc~!") == "a+2Bb+3Dc+20d+C3+BC~!"


def test_an_unfinished_reply_never_holds_more_than_its_limit() -> None:
    reader = ReplyReader()
    with pytest.raises(Ended, match="longer"):
        list(reader.feed(b"250-\r\n" * MAX_REPLY))


def test_several_replies_in_one_piece_come_one_by_one() -> None:
    assert list(ReplyReader().feed(b"250 a\r\n250-b\r\n250 c\r\n354 d\r\n2")) == [
        (250, "a"),
        (250, "b c"),
        (354, "d"),
    ]
