"""One conversation at every step: both sides of the dot, clearance, silence, garbage, cancellation."""

import asyncio
import socket
from typing import Any

import pytest

from outbox.delivery import Limits, Timeouts, clock
from outbox.grammar import dot_stuffed
from outbox.outcomes import Fault, Phase, Reply
from outbox.wire import DOT_ACKNOWLEDGED_WITHIN
from tests.outbox.scripted import (
    CONTENT,
    DROP,
    RESET,
    SHORT,
    STUCK,
    Server,
    Session,
    cleared,
    deliver,
    direct,
    envelope,
    on_both_loops,
    stop_reading,
    transport,
)

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
async def test_each_step_is_reached_in_its_order() -> None:
    steps: list[str] = []
    server = Server()
    async with server.listening(), transport(reached=steps.append) as out:
        await out.deliver(envelope(), direct(server.port), cleared)
    assert steps == ["connected", "ehlo", "mail", "rcpt", "354", "midbody", "cleared", "dotted", "replied"]


@pytest.mark.parametrize(
    ("step", "written"), [("354", 0), ("midbody", 0.5), ("cleared", 1), ("dotted", 1)], ids=str
)
@on_both_loops
async def test_what_breaks_at_a_step_leaves_the_peer_with_what_was_written_before(
    step: str, written: float
) -> None:
    def reached(name: str) -> None:
        if name == step:
            raise ArithmeticError(name)

    server = Server()
    async with server.listening(), transport(reached=reached) as out:
        try:
            await out.deliver(envelope(), direct(server.port), cleared)
        except ArithmeticError:
            await server.sessions[0].over.wait()
    body = dot_stuffed(CONTENT)
    expected = body[: round(len(body) * written)] + (b".\r\n" if step == "dotted" else b"")
    assert server.sessions[0].bodies == [expected]


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
    steps: list[int] = []

    async def sip(session: Session) -> bytes:
        async def wake() -> None:
            for _ in range(12):
                await asyncio.sleep(SHORT / 4)
                session.writer.transport.resume_reading()
                await asyncio.sleep(0.001)
                session.writer.transport.pause_reading()
                steps.append(1)
            session.writer.transport.resume_reading()

        waking.append(asyncio.create_task(wake()))
        return await stop_reading(session)

    waking: list[asyncio.Task[None]] = []
    server = Server(DATA=sip)
    async with server.listening(receive_buffer=4096), transport(timeouts=Timeouts(block=SHORT * 1.5)) as out:
        reply = await out.deliver(envelope(content=BIG * 8), direct(server.port), cleared)
        await waking[0]
    assert (reply.code, len(steps)) == (250, 12)
    assert server.sessions[0].bodies[0] == dot_stuffed(BIG * 8) + b".\r\n"


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


@pytest.mark.parametrize("words", [b"250 and another thing\r\n", b"2"])
@on_both_loops
async def test_a_server_that_speaks_while_nobody_asks_is_hung_up_on_at_once(words: bytes) -> None:
    speak = asyncio.Event()

    async def babble(session: Session) -> bytes:
        session.writer.write(b"250 taken\r\n")
        await speak.wait()
        session.writer.write(words)
        return words

    server = Server(dot=babble)
    async with server.listening(), transport(limits=Limits(idle=1000)) as out:
        reply = await out.deliver(envelope(), direct(server.port), cleared)
        speak.set()
        await server.sessions[0].over.wait()
    assert reply.text == "taken"


@on_both_loops
async def test_after_421_the_connection_is_not_used_again() -> None:
    server = Server(dot=[b"421 4.3.2 closing\r\n", b"250 taken\r\n"])
    async with server.listening(), transport() as out:
        replies = [await out.deliver(envelope(), direct(server.port), cleared) for _ in range(2)]
    assert [reply.code for reply in replies] == [421, 250]
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
