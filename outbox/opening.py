"""Opens a session with one address: connect, greeting, EHLO, STARTTLS, AUTH; hands it to a `Conversation`.

Guarantees: what fails ends as a `Reply` that names the step, with nothing left open; the address connected
to is the one given; TLS is 1.2 or newer, and verified where it says so below; a password crosses a plain line
only if the route says `none`. The only importer of aiosmtplib, which speaks these
steps; after them its protocol is replaced, because its DATA cannot tell before from after the dot.
"""

import asyncio
import functools
import re
import socket
import ssl
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Literal, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from outbox.grammar import Ended, Peer, reply_of
from outbox.outcomes import Fault, Phase, Reply
from outbox.wire import Conversation, Line, Reached, Timeouts

_NAME = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")


class Security(StrEnum):
    """TLS of a route."""

    OPPORTUNISTIC = "opportunistic"  # STARTTLS where it works, unverified (RFC 7435)
    ENCRYPTED = "encrypted"  # required, unverified: never in the clear
    STARTTLS = "starttls"  # required, verified
    IMPLICIT = "implicit"  # TLS from the first byte, verified (RFC 8314 3.3)
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Route:
    """How one sending domain's mail leaves. `host` is the relay's; direct routes ask DNS and use only `port`.

    `ca_file` replaces the system's authorities; `source_address` also chooses the address family. `require_tls`
    makes `ENCRYPTED` the least security: a server without working STARTTLS defers the delivery, until it expires,
    because one that offers none cannot be told from one whose offer was taken out on the way.
    """

    kind: Literal["direct", "relay"]
    ehlo: str
    host: str = ""
    port: int = 25
    security: Security = Security.OPPORTUNISTIC
    username: str = ""
    password: str = field(default="", repr=False)
    source_address: str = ""
    ca_file: str = ""
    require_tls: bool = False

    def __post_init__(self) -> None:
        if (self.kind == "relay") is not bool(self.host):
            raise ValueError("a relay has a host, a direct route none")
        if not _NAME.fullmatch(self.ehlo):
            raise ValueError(f"not a name to greet with: {self.ehlo!r}")


class Opening:
    """One way from nothing to a conversation with one address; `phase` is the step being taken."""

    def __init__(
        self, peer: Peer, route: Route, security: Security, timeouts: Timeouts, reached: Reached
    ) -> None:
        self._peer = peer
        self._route = route
        self._security = security
        self._timeouts = timeouts
        self._reached = reached
        self._phase = Phase.CONNECT
        self._sock: socket.socket | None = None
        self._raw: asyncio.Transport | None = None
        self._smtp = aiosmtplib.SMTP(hostname=peer.host, local_hostname=route.ehlo, start_tls=False)

    async def run(self, end: float) -> Conversation | Reply:
        """Open before `end` (on the loop's clock), or say what went wrong and leave nothing open."""
        try:
            async with asyncio.timeout_at(end):
                await self._steps()
            return self._hand_over()
        except (OSError, UnicodeError, aiosmtplib.SMTPException, Ended) as error:
            self._abandon()
            code, text, fault = _explain(error)
            return reply_of(self._phase, code, text, fault, self._peer)
        except BaseException:
            self._abandon()
            raise

    async def _steps(self) -> None:
        raw, protocol = await self._connect()
        if self._security is Security.IMPLICIT:
            await self._implicit_tls(protocol, raw)
        await self._greeting(protocol)
        self._phase = Phase.EHLO
        await self._ehlo()
        offered = self._smtp.supports_extension("starttls")
        demanded = self._security in (Security.STARTTLS, Security.ENCRYPTED)
        if demanded or (offered and self._security is Security.OPPORTUNISTIC):
            await self._starttls(offered)
        if self._route.username:
            await self._login()
        self._reached("ehlo")

    async def _connect(self) -> tuple[asyncio.Transport, SMTPProtocol]:
        """TCP to this very address, so that no second look-up can lead elsewhere."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._peer.address else socket.AF_INET
        self._sock = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._route.source_address:
            sock.bind((self._route.source_address, 0))
        async with asyncio.timeout(self._timeouts.connect):
            await loop.sock_connect(sock, (self._peer.address, self._route.port))
        self._raw, protocol = await loop.create_connection(lambda: SMTPProtocol(loop=loop), sock=sock)
        self._reached("connected")
        return self._raw, protocol

    async def _implicit_tls(self, protocol: SMTPProtocol, raw: asyncio.Transport) -> None:
        """RFC 8314 3.3, in the way of STARTTLS: only so the transport below TLS stays known."""
        self._phase = Phase.STARTTLS
        protocol.transport = await asyncio.get_running_loop().start_tls(
            raw,
            protocol,
            _tls_context(verified=True, ca_file=self._route.ca_file),
            server_hostname=self._peer.host,
            ssl_handshake_timeout=self._timeouts.tls,
        )

    async def _greeting(self, protocol: SMTPProtocol) -> None:
        self._phase = Phase.GREETING
        greeting = await protocol.read_response(timeout=self._timeouts.greeting)
        if greeting.code != 220:
            raise aiosmtplib.SMTPConnectResponseError(greeting.code, greeting.message)
        self._smtp.protocol, self._smtp.transport = protocol, protocol.transport

    async def _ehlo(self) -> None:
        try:
            await self._smtp.ehlo(timeout=self._timeouts.ehlo)
        except aiosmtplib.SMTPHeloError as error:
            if error.code not in (500, 502, 504):  # RFC 5321 3.2: an old server, not a refusal
                raise
            await self._smtp.helo(timeout=self._timeouts.ehlo)

    async def _starttls(self, offered: bool) -> None:
        self._phase = Phase.STARTTLS
        if not offered:
            raise Ended(Fault.TLS_MISSING, "the server does not offer STARTTLS")
        verified = self._security is Security.STARTTLS
        context = _tls_context(verified=verified, ca_file=self._route.ca_file if verified else "")
        await self._smtp.starttls(tls_context=context, timeout=self._timeouts.tls)
        try:
            await self._ehlo()  # RFC 3207 4.2: what was said in plain is forgotten
        except aiosmtplib.SMTPHeloError:
            self._phase = Phase.EHLO  # TLS works; it is us who are not wanted
            raise

    async def _login(self) -> None:
        self._phase = Phase.AUTH
        plain = self._smtp.get_transport_info("sslcontext") is None
        if plain and self._security is not Security.NONE:
            raise Ended(Fault.TLS_MISSING, "no password over a plain connection")
        if not self._smtp.supported_auth_methods:
            raise Ended(Fault.AUTH_MISSING, "the relay offers no login that we know")
        await self._smtp.login(self._route.username, self._route.password, timeout=self._timeouts.auth)

    def _hand_over(self) -> Conversation:
        """Nothing is awaited here: no byte of the server's can fall between the two protocols."""
        transport, raw, sock = cast(asyncio.Transport | None, self._smtp.transport), self._raw, self._sock
        if transport is None or raw is None or sock is None or transport.is_closing():
            raise Ended(Fault.CLOSED, "the server closed the connection")
        tls = transport.get_extra_info("ssl_object")
        verified = self._security in (Security.STARTTLS, Security.IMPLICIT)
        version = "" if tls is None else tls.version() or ""
        peer = replace(self._peer, tls=version, verified=bool(version) and verified)
        line = Line(transport, raw, sock, peer, dict(self._smtp.esmtp_extensions))
        return Conversation(line, self._timeouts, self._reached)

    def _abandon(self) -> None:
        if self._raw is not None:
            self._raw.abort()
        elif self._sock is not None:
            self._sock.close()


@functools.lru_cache(maxsize=64)
def _tls_context(*, verified: bool, ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


_FAULTS: Final[tuple[tuple[type[BaseException], Fault], ...]] = (  # the first that fits
    (ssl.SSLError, Fault.TLS),
    (TimeoutError, Fault.TIMEOUT),
    (ConnectionAbortedError, Fault.TIMEOUT),  # what asyncio makes of a handshake that takes too long
    (ConnectionResetError, Fault.RESET),
    (BrokenPipeError, Fault.RESET),
    (aiosmtplib.SMTPServerDisconnected, Fault.CLOSED),
    (OSError, Fault.REFUSED),  # refused, unreachable
    (aiosmtplib.SMTPException, Fault.AUTH_MISSING),  # no login method in common
)


def _explain(error: Exception) -> tuple[int | None, str, Fault | None]:
    """Reply code if there was one, words, and the fault if there was none."""
    if isinstance(error, Ended):
        return error.code, error.text, error.fault
    if isinstance(error, aiosmtplib.SMTPResponseException):
        text = error.message.replace("\n", " ")
        if 400 <= error.code <= 599:
            return error.code, text, None
        too_long = error.code < 0 and "too long" in text
        return None, f"{error.code} {text}", Fault.LINE_TOO_LONG if too_long else Fault.MALFORMED
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPServerDisconnected) else None
    for kind, fault in _FAULTS:
        if isinstance(cause or error, kind):
            return None, str(error) or type(error).__name__, fault
    return None, str(error), Fault.MALFORMED
