"""An SMTP server that does exactly what a test tells it, step by step, and remembers what it saw.

Steps: `greeting`, each command by its first word, `body` (as soon as a byte of it came) and `dot`. An action
is bytes to send, one of DROP, RESET, STUCK, a coroutine function of the session, or a tuple of these; a list
gives one action for each time the step is taken, the last one for ever.
"""

import asyncio
import functools
import inspect
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

import pytest
import uvloop

from outbox.delivery import Envelope, Limits, Reply, Route, Security, SmtpTransport, clock
from reputation.resolver import Exchanger, Exchangers


class Act(Enum):
    DROP = auto()  # FIN, all that was said before it arrives
    RESET = auto()  # RST
    STUCK = auto()  # says nothing more until the client hangs up


DROP, RESET, STUCK = Act.DROP, Act.RESET, Act.STUCK

ORDINARY: dict[str, Any] = {
    "greeting": b"220 mx.test ESMTP\r\n",
    "EHLO": b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 ENHANCEDSTATUSCODES\r\n",
    "HELO": b"250 mx.test\r\n",
    "STARTTLS": b"454 4.7.0 not today\r\n",
    "AUTH": b"235 2.7.0 welcome\r\n",
    "MAIL": b"250 2.1.0 fine\r\n",
    "RCPT": b"250 2.1.5 known\r\n",
    "DATA": b"354 go on\r\n",
    "RSET": b"250 2.0.0 forgotten\r\n",
    "QUIT": (b"221 2.0.0 bye\r\n", DROP),
    "dot": b"250 2.0.0 taken\r\n",
}


class Session:
    """One connection as the server saw it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.commands: list[str] = []
        self.bodies: list[bytes] = []  # as they came, dot-stuffed, the last perhaps without its dot
        self.dots = 0
        self.over = asyncio.Event()

    @property
    def words(self) -> list[str]:
        return [command.split(" ")[0].split(":")[0] for command in self.commands]


class Server:
    """Listens on `address`; `sessions` in the order of their coming."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        **script: Any,
    ) -> None:
        self.script = {**ORDINARY, **script}
        self.sessions: list[Session] = []
        self.port = 0
        self._tls, self._implicit = tls, implicit
        self._taken: dict[str, int] = {}
        self.dot_seen = asyncio.Event()

    @asynccontextmanager
    async def listening(
        self, address: str = "127.0.0.1", port: int = 0, receive_buffer: int = 0
    ) -> AsyncIterator["Server"]:
        context = self._tls if self._implicit else None
        sock = socket.create_server((address, port))
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        server = await asyncio.start_server(self._connected, sock=sock, ssl=context, limit=1 << 26)
        self.port = sock.getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for session in self.sessions:
                session.writer.transport.abort()

    @property
    def dots(self) -> int:
        return sum(session.dots for session in self.sessions)

    @property
    def commands(self) -> list[str]:
        return [command for session in self.sessions for command in session.commands]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(reader, writer)
        self.sessions.append(session)
        # asyncio does this only for sockets it made; without it each of several replies waits for an ACK
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._talk(session)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            session.over.set()
            writer.close()

    async def _talk(self, session: Session) -> None:
        await self._act(session, "greeting")
        while line := (await session.reader.readline()).decode():
            session.commands.append(line.removesuffix("\r\n"))
            word = session.words[-1].upper()
            said = await self._act(session, word)
            if word == "DATA" and said.startswith(b"354"):
                await self._body(session)
            if word == "STARTTLS" and said.startswith(b"220") and self._tls:
                await self._start_tls(session, self._tls)

    async def _start_tls(self, session: Session, context: ssl.SSLContext) -> None:
        plain = session.writer.transport
        try:
            await session.writer.start_tls(context)
        except AttributeError:  # asyncio's own, when the client leaves during the handshake
            session.writer._transport = plain
            raise ConnectionResetError from None

    async def _body(self, session: Session) -> None:
        session.bodies.append(b"")
        told = False
        while not session.bodies[-1].endswith(b"\r\n.\r\n"):
            piece = await session.reader.read(1 << 16)
            if not piece:
                raise ConnectionResetError
            session.bodies[-1] += piece
            if not told:
                told = True
                await self._act(session, "body")
        session.dots += 1
        self.dot_seen.set()
        await self._act(session, "dot")

    async def _act(self, session: Session, step: str) -> bytes:
        action = self.script.get(step, b"" if step == "body" else b"500 5.5.1 what?\r\n")
        if isinstance(action, list):
            turn = self._taken[step] = self._taken.get(step, -1) + 1
            action = action[min(turn, len(action) - 1)]
        said = b""
        for each in action if isinstance(action, tuple) else (action,):
            said += await self._do(session, each)
        return said

    async def _do(self, session: Session, action: Any) -> bytes:
        if isinstance(action, bytes):
            session.writer.write(action)
            await session.writer.drain()
            return action
        if action is STUCK:
            await session.reader.read()
            raise ConnectionResetError
        if not isinstance(action, Act):
            return await action(session) or b""
        if action is RESET:
            sock = session.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            session.writer.transport.abort()
        else:
            session.writer.close()
        raise ConnectionResetError


async def stop_reading(session: Session) -> bytes:
    session.writer.transport.pause_reading()
    session.writer.write(b"354 go on\r\n")
    return b"354"


class Zone:
    """Answers for mail exchangers: `hosts` by domain, in order; one domain's hosts are one site."""

    def __init__(self, **hosts: list[tuple[str, str]] | Exchangers) -> None:
        self._hosts = hosts

    async def exchangers(self, domain: str) -> Exchangers:
        found = self._hosts[domain.partition(".")[0]]
        if isinstance(found, Exchangers):
            return found
        hosts = tuple(Exchanger(name, (address,), 10) for name, address in found)
        return Exchangers(domain, hosts, None, "+".join(sorted(name for name, _ in found)))


CONTENT = b"From: a@b.test\r\nSubject: hi\r\n\r\n.a line that begins with a dot\r\nand one that does not\r\n"


def envelope(rcpt_to: str = "grace@one.test", content: bytes = CONTENT, **given: Any) -> Envelope:
    given = {"mail_from": "b+token@rp.test", "needs_smtputf8": False, "domain": "one.test", **given}
    return Envelope(rcpt_to=rcpt_to, content=content, **given)


def direct(port: int, **given: Any) -> Route:
    return Route("direct", "out.test", port=port, **given)


def relay(port: int, **given: Any) -> Route:
    given = {"security": Security.NONE, "host": "127.0.0.1", **given}
    return Route("relay", "out.test", port=port, **given)


async def cleared() -> float:
    return clock() + 5


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


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine test on asyncio's event loop and on uvloop's."""

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **given: Any) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(**given), 30)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(bounded())

    signature = inspect.signature(test)
    loop = inspect.Parameter("new_loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), loop])
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("new_loop", loops, ids=["asyncio", "uvloop"])(run)
