"""One SMTP conversation on an open transport: commands in a pipeline, body, clearance, the dot.

Guarantees: a reply is never paired with a command that did not ask for it; the dot is written at most once in
a transaction, only under a clearance that is still fresh at that instant, and the phase says so before its
first byte can leave; a connection on which anything was out of order is dropped, not reused. Nothing waits
here without a limit. It refuses to hold two transactions at once, and knows no DNS, TLS or pool.
"""

import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from outbox.grammar import (
    DATA,
    RSET,
    Ended,
    Envelope,
    Peer,
    ReplyReader,
    Step,
    commands,
    dot_stuffed,
    reply_of,
)
from outbox.outcomes import Fault, Phase, Reply

if sys.platform == "linux":
    import fcntl
    import termios

Clear = Callable[[], Awaitable[float | None]]
"""Asks for clearance: until when (on `clock`) the dot may be written, or None if it may not."""
Gate = Callable[[], bool]
"""Asked before MAIL: False if the lane is closed by now."""
Reached = Callable[[str], None]
"""Told each step of a conversation by name, so that a test can crash there."""

CHUNK: Final = (
    256 * 1024
)  # of a body, handed to the transport at once: bounds what a slow reader makes us copy
FIRST_LOOK, LAST_LOOK = 0.0005, 0.02  # seconds between looks at the send queue
DOT_ACKNOWLEDGED_WITHIN: Final = 10_000  # ms; after this the kernel gives the dot up, and it is uncertain

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds on the clock of clearances, which counts on while the machine sleeps where the system can."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for each step; those of a server's replies default to RFC 5321 4.5.3.2.

    `budget` is for all hosts of a site together; `block` for any byte of the body to move; `early` for the
    rest of a reply that begins before its time.
    """

    connect: float = 30
    greeting: float = 300
    ehlo: float = 300
    tls: float = 60
    auth: float = 120
    budget: float = 600
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180
    clearance: float = 5
    early: float = 5
    dot: float = 600
    quit: float = 5


@dataclass(frozen=True, slots=True)
class Line:
    """An open session: what its EHLO offered (lower case), and its transport; `raw` is the one below TLS."""

    transport: asyncio.Transport
    raw: asyncio.Transport
    sock: socket.socket
    peer: Peer
    extensions: Mapping[str, str]


class Conversation(asyncio.Protocol):
    """Takes over an open session's transport; `transact` once for each message, one at a time."""

    def __init__(self, line: Line, timeouts: Timeouts, reached: Reached) -> None:
        self.line = line
        self.messages = 0
        self.idle_since = 0.0
        self._timeouts = timeouts
        self._reached = reached
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._replies: deque[tuple[int, str]] = deque()
        self._expected = 0  # replies we have asked for and not seen
        self._waiter: asyncio.Future[None] | None = None
        self._fault: Ended | None = None
        self._phase = Phase.EHLO
        self._heard = False  # any reply in this transaction
        self._needs_rset = False
        line.transport.set_protocol(self)
        # no buffering by choice of the event loop: what is written leaves before the next line of ours runs
        line.raw.set_write_buffer_limits(high=0)

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin here."""
        quiet = not (self._replies or self._expected or self._reader.partial)
        return quiet and self._fault is None and not self.line.transport.is_closing()

    @property
    def died_unheard(self) -> bool:
        """The connection was gone before this transaction got any answer."""
        gone = self._fault is not None and self._fault.fault in (Fault.CLOSED, Fault.RESET)
        return gone and not self._heard and self._phase in (Phase.MAIL, Phase.RCPT, Phase.DATA)

    # a transaction, in its order

    async def transact(self, envelope: Envelope, clear: Clear, gate: Gate | None = None) -> Reply:
        """MAIL, RCPT, DATA, body, clearance, dot, reply.

        Cancelled before the dot it raises; after the dot it returns a Reply that says so. What `clear` and
        `gate` raise passes through, undotted. In all these cases the connection is dropped.
        """
        self._phase, self._heard = Phase.EHLO, False
        self.messages += 1
        try:
            reply = self._objection(envelope, gate) or await self._offer(envelope)
            if reply is None:
                await self._transmit(envelope.content)
                await self._wait_for_clearance(clear)
                reply = await self._verdict()
            return reply
        except Ended as end:
            self.abort(end)
            return self._report(end.code, end.text, end.fault)
        except BaseException as error:
            self.abort(Ended(Fault.CLOSED, "hung up"))
            if self._phase is Phase.DOT and isinstance(error, asyncio.CancelledError):
                return self._report(None, "cancelled after the dot", Fault.CLOSED)
            raise

    def _objection(self, envelope: Envelope, gate: Gate | None) -> Reply | None:
        """Why this message should not even be offered on this connection."""
        offered = self.line.extensions
        if gate is not None and not gate():
            return self._report(None, "the gate is closed", Fault.NOT_CLEARED)
        if envelope.needs_smtputf8 and "smtputf8" not in offered:
            return self._report(None, "the server does not offer SMTPUTF8", Fault.SMTPUTF8_MISSING)
        size = offered.get("size", "").strip()
        if size.isdecimal() and 0 < int(size) < len(envelope.content):  # RFC 1870: 0 is no limit
            return self._report(None, f"the server takes at most {size} bytes", Fault.TOO_BIG)
        return None

    async def _offer(self, envelope: Envelope) -> Reply | None:
        """The envelope, until 354; or the refusal."""
        steps = commands(envelope, self.line.extensions)
        if self._needs_rset:
            steps.insert(0, RSET)
            self._needs_rset = False
        if "pipelining" not in self.line.extensions:
            return await self._offer_stepwise(steps)
        self._phase = steps[0][0]
        self._write(b"".join(command for _, command in steps), replies=len(steps))
        return await self._collect(steps)

    async def _offer_stepwise(self, steps: list[Step]) -> Reply | None:
        for step in steps:
            self._phase = step[0]
            self._write(step[1], replies=1)
            refusal = await self._collect([step])
            if refusal is not None:
                return refusal
        return None

    async def _collect(self, steps: list[Step]) -> Reply | None:
        """Each command's reply in turn; the first refusal counts, the others are only read (RFC 2920 3.1)."""
        refusal: Reply | None = None
        code = 0
        for step in steps:
            self._phase = step[0]
            try:
                code, text = await self._reply(getattr(self._timeouts, step[0]))
                refusal = refusal or self._judge(step, code, text)
            except Ended as end:
                if refusal is None:
                    raise
                return self._hang_up(refusal, end)
            if code == 421:
                break  # the server closes now: no more replies
        if refusal is not None and code in (354, 421):
            # a pipelined DATA was taken though there is no recipient: never a lone dot
            return self._hang_up(refusal, Ended(None, "hung up after a refusal"))
        self._needs_rset = refusal is not None
        return refusal

    def _judge(self, step: Step, code: int, text: str) -> Reply | None:
        if code // 100 == (3 if step is DATA else 2):
            if step is not RSET:
                self._reached("354" if step is DATA else step[0])
            return None
        if code < 400 or step is RSET:  # a refused RSET says nothing about this message
            raise Ended(Fault.MALFORMED, f"unexpected reply: {code} {text}")
        return self._report(code, text)

    async def _transmit(self, content: bytes) -> None:
        """The body without the dot, until the peer's kernel has acknowledged it.

        In two pieces or more: Linux acknowledges one small segment only after 40 ms, a second one at once.
        """
        self._phase = Phase.BODY
        self._expected += 1  # the reply to the message: before the dot it would be one before its time
        self._limit_unacknowledged(0)
        body = memoryview(dot_stuffed(content))
        half = (len(body) + 1) // 2
        step = min(half, CHUNK)
        for start in range(0, len(body), step):
            self._write(body[start : start + step])
            if start < half <= start + step:
                self._reached("midbody")
            if len(body) > CHUNK:
                await self._drain(CHUNK)
        await self._drain(0)

    async def _drain(self, level: int) -> None:
        """Until at most `level` bytes are unacknowledged; gives up only when none moves for `block` seconds.

        Polled, since no event says so: the transport's buffer is empty while megabytes wait in the kernel.
        """
        pause, least, moved = FIRST_LOOK, sys.maxsize, self._loop.time()
        while (left := self._unsent()) > level:
            await self._check_silence()
            if left < least:
                least, moved = left, self._loop.time()
            elif self._loop.time() - moved >= self._timeouts.block:
                raise Ended(Fault.TIMEOUT, f"{left} bytes of the body did not move")
            await self._stir(pause)
            pause = min(pause * 2, LAST_LOOK)

    async def _wait_for_clearance(self, clear: Clear) -> None:
        """READY, then the dot if it is cleared: after the last check there is no await before the write."""
        self._phase = Phase.READY
        await self._check_silence()
        try:
            async with asyncio.timeout_at(self._loop.time() + self._timeouts.clearance):
                deadline = await clear()
        except TimeoutError:
            raise Ended(Fault.NOT_CLEARED, "no clearance in time") from None
        self._reached("cleared")
        if deadline is None:
            raise Ended(Fault.NOT_CLEARED, "not cleared")
        await self._check_silence()
        self._limit_unacknowledged(DOT_ACKNOWLEDGED_WITHIN)
        if clock() >= deadline:
            raise Ended(Fault.STALE_CLEARANCE, "the clearance was too old when the dot was due")
        self._phase = Phase.DOT
        self.line.transport.write(b".\r\n")
        self._reached("dotted")

    async def _verdict(self) -> Reply:
        """Any complete 2yz is success (RFC 5321 4.2.1); what is neither yes nor no leaves us at the dot."""
        code, text = await self._reply(self._timeouts.dot)
        if code // 100 == 3:
            raise Ended(Fault.MALFORMED, f"unexpected reply to the dot: {code} {text}")
        self._phase = Phase.REPLIED
        self._reached("replied")
        reply = self._report(code, text)
        return self._hang_up(reply, Ended(None, "421")) if code == 421 else reply

    async def quit(self) -> None:
        """Leave in order, within a few seconds; never raises for what the server does."""
        try:
            self._write(b"QUIT\r\n", replies=1)
            await self._reply(self._timeouts.quit)
        except Ended:
            pass
        finally:
            self.abort(Ended(Fault.CLOSED, "we left"))

    # replies and bytes

    async def _reply(self, seconds: float) -> tuple[int, str]:
        """The next reply, complete within `seconds` however slowly it drips."""
        end = self._loop.time() + seconds
        while not self._replies:
            if self._fault is not None:
                raise self._fault
            left = end - self._loop.time()
            if left <= 0:
                raise Ended(Fault.TIMEOUT, f"no complete reply within {seconds:g} s")
            await self._stir(left)
        self._heard = True
        return self._replies.popleft()

    async def _check_silence(self) -> None:
        """Before the dot the server has nothing to say: if it speaks, that is its reply, and the end."""
        if self._replies or self._reader.partial:
            code, text = await self._reply(self._timeouts.early)
            if code < 400:
                raise Ended(Fault.MALFORMED, f"a reply before its time: {code} {text}")
            raise Ended(None, text, code)
        if self._fault is not None:
            raise self._fault
        if self.line.transport.is_closing():
            raise Ended(Fault.CLOSED, "the connection is gone")

    async def _stir(self, seconds: float) -> None:
        """Until bytes arrive or the connection ends, but at most `seconds`."""
        self._waiter = self._loop.create_future()
        alarm = self._loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            alarm.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _write(self, data: bytes | memoryview, replies: int = 0) -> None:
        if self._fault is not None:
            raise self._fault
        if self.line.transport.is_closing():
            raise Ended(Fault.CLOSED, "the connection is gone")
        self._expected += replies
        self.line.transport.write(data)

    def _unsent(self) -> int:
        """Bytes not yet acknowledged, as far as we can know: our buffers, TLS's, the kernel's queue."""
        if self._fault is not None:
            return 0  # and its descriptor may be another connection's by now
        line = self.line
        waiting = line.transport.get_write_buffer_size()
        if line.raw is not line.transport:
            waiting += line.raw.get_write_buffer_size()
        return waiting + _send_queue(line.sock)

    def _limit_unacknowledged(self, milliseconds: int) -> None:
        if hasattr(socket, "TCP_USER_TIMEOUT") and self._fault is None:
            self.line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def _report(self, code: int | None, text: str, fault: Fault | None = None) -> Reply:
        return reply_of(self._phase, code, text, fault, self.line.peer)

    def _hang_up(self, reply: Reply, why: Ended) -> Reply:
        self.abort(why)
        return reply

    def abort(self, why: Ended) -> None:
        """Drop the connection at once; what was not followed by a dot is thereby unsent."""
        self._fault = self._fault or why
        self.line.transport.abort()
        self._wake()

    # what the event loop tells us

    def data_received(self, data: bytes) -> None:
        if self._fault is not None:
            return
        try:
            for reply in self._reader.feed(data):
                if not self._expected:
                    raise Ended(Fault.MALFORMED, "more replies than commands")
                self._expected -= 1
                self._replies.append(reply)
            if self._reader.partial and not self._expected:
                raise Ended(Fault.MALFORMED, "more replies than commands")
        except Ended as end:
            self.abort(end)
        self._wake()

    def eof_received(self) -> bool:
        self._fault = self._fault or Ended(Fault.CLOSED, "the server closed the connection")
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fault = self._fault or Ended(_lost_by(exc), f"connection lost: {exc or 'closed'}")
        self._wake()


def _lost_by(error: Exception | None) -> Fault:
    if isinstance(error, TimeoutError):  # ETIMEDOUT: nothing of ours was acknowledged in time
        return Fault.SEND_QUEUE_STUCK
    return Fault.RESET if isinstance(error, ConnectionError) else Fault.CLOSED


def _send_queue(sock: socket.socket) -> int:
    """Bytes in the kernel which the peer has not acknowledged; 0 where the system cannot tell."""
    if sys.platform != "linux":
        return 0
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
