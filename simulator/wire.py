"""One connection as bytes: what came in, what goes out, how far away it is, and how rudely it ends.

`feed` collects input and calls `consume` until nothing whole is left or the connection is busy; replies of
one round are written together. Guarantees: replies keep their order (nothing is consumed while an answer is
under way), input that piles up meanwhile stops being read, and a closed connection swallows whatever is still
said. Latency: each chunk is looked at one round trip after it came; the kernel's acknowledgements are not
delayed.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, cast

INBOX_LIMIT: Final = 1_048_576
"""Octets kept while busy; beyond it the connection is not read."""

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_ESTABLISHED: Final = 1
_POLL_SECONDS: Final = 0.2
_SMALL_WINDOW: Final = 4_096


class Wire(asyncio.Protocol):
    """The byte side of a server connection. Subclasses give `greet` and `consume`."""

    delay: float = 0.0
    """Seconds of a round trip."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.inbox = b""
        self.busy = False
        self.closed = False
        self.transport: asyncio.Transport
        self._outbox: list[bytes] = []
        self._travelling: deque[bytes] = deque()
        self._task: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._may_write: asyncio.Event | None = None
        self._choked = False
        self._rate = 0

    def greet(self) -> None:
        """Say the first thing."""
        raise NotImplementedError

    def consume(self) -> bool:
        """Take one unit from `inbox`; False if there is no whole one."""
        raise NotImplementedError

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.delay:
            # connect() cost nothing here: its round trip and the banner's own are both paid now.
            self.loop.call_later(2 * self.delay, self._greet)
        else:
            self._greet()

    def data_received(self, data: bytes) -> None:
        if self._rate:
            self._pay_for(len(data))
        if not self.delay and not self._travelling:
            self.feed(data)
            return
        self._travelling.append(data)
        self.loop.call_later(self.delay, self._arrive)

    def pause_writing(self) -> None:
        self._may_write = asyncio.Event()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._may_write is not None:
            self._may_write.set()
        self._may_write = None
        self.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self._task is not None:
            self._task.cancel()

    def _greet(self) -> None:
        self.greet()
        self.flush()

    def _arrive(self) -> None:
        # Also after the peer is gone: what it had sent before it died still arrives.
        self.feed(self._travelling.popleft())

    # input

    def feed(self, data: bytes) -> None:
        """Take a chunk in and act on it."""
        self.inbox = self.inbox + data if self.inbox else data
        if not self.busy:
            self.pump()
        elif len(self.inbox) > INBOX_LIMIT and not self._choked:
            self._choked = True
            self.transport.pause_reading()

    def pump(self) -> None:
        """Consume what is there, then write all replies at once."""
        while self.inbox and not self.busy and self.consume():
            pass
        if self._choked and not self.busy:
            self._choked = False
            self.transport.resume_reading()
        self.flush()

    def run(self, pending: Awaitable[None]) -> None:
        """Be busy until `pending` is done."""
        self.busy = True
        self.flush()
        self._task = asyncio.ensure_future(pending, loop=self.loop)
        self._task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Future[None]) -> None:
        self._task = None
        self.busy = False
        if not task.cancelled() and task.exception() is not None:
            self.loop.call_exception_handler({"message": "behaviour failed", "exception": task.exception()})
            self.reset()
        if not self.closed:
            self.pump()

    # output

    def push(self, data: bytes) -> None:
        """Say `data` at the end of this round."""
        self._outbox.append(data)

    def flush(self) -> None:
        """Write what was said."""
        if self._outbox:
            if not self.closed and not self.transport.is_closing():
                self.transport.write(b"".join(self._outbox))
            self._outbox.clear()

    def close(self) -> None:
        """Flush and send FIN; nothing more is consumed."""
        self.flush()
        self.busy = self.closed = True
        self.transport.close()

    def reset(self) -> None:
        """Send RST."""
        if not self.closed:
            self._option(socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.busy = self.closed = True
        self.transport.abort()

    async def drip(self, seconds: float) -> None:
        """Write what was said one byte at a time."""
        said = b"".join(self._outbox)
        self._outbox.clear()
        for octet in said:
            if self.closed:
                return
            self.transport.write(bytes((octet,)))
            await asyncio.sleep(seconds)

    async def writable(self) -> None:
        """Flush, and wait until the peer has taken enough of it."""
        self.flush()
        if self._may_write is not None:
            await self._may_write.wait()
        await asyncio.sleep(0.001)

    async def gone(self, seconds: float) -> None:
        """Flush, and wait until the peer has hung up; hang up ourselves after `seconds`."""
        self.flush()
        if self.closed:
            return
        self._gone = self.loop.create_future()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone, seconds)
        self.close()

    # slowness

    async def freeze(self, seconds: float) -> None:
        """Read nothing more until the peer has hung up or `seconds` are over."""
        self._option(socket.SO_RCVBUF, 1)
        self.transport.pause_reading()
        until = self.loop.time() + seconds
        while self.loop.time() < until and not self._peer_closed():  # noqa: ASYNC110  # the kernel has no event
            await asyncio.sleep(_POLL_SECONDS)
        self.reset()

    def _peer_closed(self) -> bool:
        """A FIN behind unread data is invisible to a transport that is not reading; ask the kernel."""
        if _TCP_INFO is None or self.closed:
            return self.closed
        sock = self.transport.get_extra_info("socket")
        return sock is None or sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] != _ESTABLISHED

    def throttle(self, rate: int) -> None:
        """From now on read about `rate` octets a second; 0 reads freely."""
        self._rate = rate
        if rate:
            self._option(socket.SO_RCVBUF, _SMALL_WINDOW)

    def _pay_for(self, octets: int) -> None:
        self.transport.pause_reading()
        self.loop.call_later(octets / self._rate, self._read_on)

    def _read_on(self) -> None:
        if not self.closed and not self.transport.is_closing():
            self.transport.resume_reading()

    def _option(self, option: int, value: int | bytes) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None:  # TLS over a connection that has just been lost has none
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, value)

    # TLS

    async def upgrade(self, context: ssl.SSLContext) -> bool:
        """Shake hands on the open connection; False (and closed) if that failed."""
        self.flush()
        self.transport.pause_reading()
        if self.delay:
            await asyncio.sleep(self.delay)
        self.inbox = b""  # what came before the handshake was not protected (RFC 3207 §4.2)
        try:
            secured = await self.loop.start_tls(self.transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            self.closed = True
            self.transport.abort()
            return False
        if secured is None:
            return False
        self.transport = secured
        return True
