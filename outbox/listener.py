"""The SMTP and LMTP edge of what comes in: our return-paths' mail exchanger. The only room that imports aiosmtpd.

Guarantees: whoever writes to an address that is none of ours, a forged return-path above all, is refused at RCPT,
before any of the message is read; what was answered 250 is in the database. A message is at most 1 MiB, a line 64 KiB,
a connection ten minutes; connections are counted, in all and by address. A peer that cannot be served now is told to
come again, and keeps the message meanwhile.

Refuses: bare CR or LF (SMTP smuggling, CVE-2023-51764), relaying, logins, more than one recipient at a time: a report
has one return-path, and one reply says what became of it in LMTP too (RFC 2033 §4.2).
"""

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import Error

from outbox import counting, mailboxes, returns, tally

logger = logging.getLogger(__name__)

CONNECTIONS: Final = 200
CONNECTIONS_OF_ONE: Final = 50
IDLE_SECONDS: Final = 60.0  # of a command, and of a whole message
LIFE_SECONDS: Final = 600.0
DRAIN_SECONDS: Final = 5.0
# Returned messages quote what they return, and not everybody's lines keep to 1,000 octets (RFC 5321 §4.5.3.1.6).
MAX_LINE: Final = 64 * 1024
# A line without end would be gathered until it ends.
MAX_UNENDED: Final = 2 * returns.MAX_BYTES
COMMANDS: Final = 1000  # of a kind and connection
THREADS: Final = 4

REFUSED: Final = "550 5.1.1 No such address here"
ONE_AT_A_TIME: Final = "452 4.5.3 One recipient at a time"
BARE: Final = "550 5.6.0 Lines end in CRLF"
LATER: Final = "451 4.3.0 Cannot take it now, come again"
RECEIVED: Final = "250 2.0.0 Received"

T = TypeVar("T")


class Handler:
    """What is said to RCPT and to a whole message. Statements wait in threads, each with its own connection."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.threads = ThreadPoolExecutor(THREADS, "returns")

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if envelope.rcpt_tos:
            return ONE_AT_A_TIME
        try:
            mailbox = await self.call(partial(mailboxes.find, address))
        except Error as error:
            logger.warning("cannot tell whose address it is: %s", error)
            return LATER
        if mailbox is None:
            tally.count(self.source, "refused")
            return REFUSED
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        raw = envelope.content
        assert isinstance(raw, bytes)
        if has_bare_ends(raw):
            tally.count(self.source, "refused")
            return BARE
        try:
            await self.call(partial(returns.take, raw, envelope.rcpt_tos[0], source=self.source))
        except (Error, returns.TryLater) as error:
            logger.warning("a message has to come again: %s", error)
            return LATER
        return RECEIVED

    async def handle_exception(self, error: Exception) -> str:
        logger.error("a connection failed: %s", error, exc_info=error)
        return LATER

    async def call(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, act)


class Guests:
    """Who is connected now."""

    def __init__(self) -> None:
        self.by_address: Counter[str] = Counter()
        self.gone = asyncio.Event()
        self.gone.set()

    def enter(self, address: str) -> bool:
        """Count one more, if there is room."""
        if self.by_address.total() >= CONNECTIONS or self.by_address[address] >= CONNECTIONS_OF_ONE:
            return False
        self.by_address[address] += 1
        self.gone.clear()
        return True

    def leave(self, address: str) -> None:
        """Count one less; addresses without connections are forgotten."""
        self.by_address[address] -= 1
        self.by_address += Counter()
        if not self.by_address:
            self.gone.set()


class _Bounded(SMTP):
    """A conversation that ends: by octets, by time, or because there are too many."""

    line_length_limit = MAX_LINE

    def __init__(self, *args: Any, guests: Guests, **more: Any) -> None:
        self._guests = guests
        self._guest = ""
        self._octets = 0
        self._end: asyncio.TimerHandle | None = None
        super().__init__(*args, **more)

    def connection_made(self, transport: Any) -> None:
        address = str((transport.get_extra_info("peername") or ("socket",))[0])
        if not self._guests.enter(address):
            transport.write(b"421 4.7.0 Too many connections, come again\r\n")
            transport.close()
            return
        self._guest = address
        self._end = self.loop.call_later(LIFE_SECONDS, transport.abort)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._end is None:
            return
        self._end.cancel()
        self._guests.leave(self._guest)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._octets += len(data)
        if self._end is None:
            return
        if self._octets > MAX_UNENDED:
            self._writer.write(b"552 5.3.4 Too much\r\n")
            self._writer.close()
            return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self._end else None

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        self._octets = 0

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        if arg.strip().lower() == "<postmaster>":  # RFC 5321 §4.5.1: without a domain, too
            return "postmaster", ""
        return super()._getaddr(arg)


class _BoundedLmtp(_Bounded, LMTP):
    pass


def has_bare_ends(raw: bytes) -> bool:
    """Whether a CR or LF stands alone: servers differ in what they make of it."""
    ends = raw.count(b"\r\n")
    return raw.count(b"\n") != ends or raw.count(b"\r") != ends


class Listener:
    """All that listens, from entering to leaving; what is being taken then is finished. Raises OSError."""

    def __init__(self, places: Sequence[tuple[str, int]], *, lmtp: bool = False) -> None:
        self._places = places
        self._lmtp = lmtp
        self._handler = Handler("lmtp" if lmtp else "smtp")
        self._guests = Guests()
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # the library tells every command
        loop = asyncio.get_running_loop()
        for host, port in self._places:
            self._servers.append(await loop.create_server(partial(self._conversation, loop), host, port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._guests.gone.wait(), DRAIN_SECONDS)
        await self._handler.call(counting.write)
        await asyncio.to_thread(self._handler.threads.shutdown)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [server.sockets[0].getsockname()[:2] for server in self._servers]

    def _conversation(self, loop: asyncio.AbstractEventLoop) -> _Bounded:
        return (_BoundedLmtp if self._lmtp else _Bounded)(
            self._handler,
            guests=self._guests,
            loop=loop,
            data_size_limit=returns.MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=settings.AO_RETURNS_HOST or urlsplit(settings.PUBLIC_URL).hostname or "localhost",
            ident="Agent Outbox returns",
            timeout=IDLE_SECONDS,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            command_call_limit=COMMANDS,
        )


async def serve(places: Sequence[tuple[str, int]], ready: Callable[[str], None], *, lmtp: bool) -> None:
    """Listen until told to stop, saying where. Raises OSError if a port cannot be had."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Listener(places, lmtp=lmtp) as listener:
        ready(f"returns ready {' '.join(f'{host}:{port}' for host, port in listener.addresses)}")
        await stop.wait()
