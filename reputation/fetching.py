"""The guarded HTTPS edge: one GET to a host that somebody else chose, and so perhaps chose to reach us from inside.

Guarantees: https to port 443 of a name, no credentials, cookies, redirects, proxies or decompression; the name is
resolved once, addresses that are private, loopback, link-local, multicast or hide such a one are refused
(`resolver`), and the connection goes to the very address that was looked at, with the certificate checked for the
name. No answer is longer or later than its limits say, however it drips, and few fetches run at once. The only
importer of urllib3. What a body means is for others; a status other than 200 is an answer, too.
"""

import asyncio
import contextlib
import functools
import http.client
import re
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

import urllib3
import urllib3.connection
from urllib3.exceptions import HTTPError

HTTPS: Final = 443
AT_ONCE: Final = 16  # fetches, each with a thread that mostly waits
WAIT: Final = (
    5.0  # seconds for one of them to end: a host that hangs may not hold up the others' fetches for long
)
PIECE: Final = 16 * 1024  # octets read at once
AGENT: Final = "AgentOutbox"

_VISIBLE = re.compile(r"[!-\[\]-~]{1,2000}")  # neither space, control, backslash nor anything beyond ASCII
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: 127.1, 2130706433 and 0x7f000001 are addresses to some and no names.
_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")


class FetchFailed(Exception):
    """There is no answer; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets of a body; seconds for all of it, and for each step: connect, handshake, one read."""

    size: int = 64 * 1024
    total: float = 20.0
    step: float = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `content_type` is the media type in lower case, without parameters."""

    status: int
    content_type: str
    body: bytes


class Finder(Protocol):
    """The part of the resolver that is needed here: only addresses we may connect to."""

    async def addresses(self, host: str) -> Sequence[str]: ...


class Fetcher:
    """Fetches for one event loop; the work is done in threads of its own.

    `port` and `ca_file` (a PEM that replaces the system's authorities) are for simulators.
    """

    def __init__(self, finder: Finder, *, port: int = HTTPS, ca_file: str = "") -> None:
        self._finder = finder
        self._port = port
        self._ca_file = ca_file
        self._places = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="fetch")

    async def get(self, url: str, limits: Limits | None = None) -> Answer:
        """What the URL's host answers.

        Raises:
            FetchFailed: the URL is none we follow, its host is not to be reached, or the answer breaks a limit.
        """
        limits = limits or Limits()
        name, target = _taken_apart(url)
        await self._enter()
        try:
            async with asyncio.timeout(limits.total):
                return await self._fetch(name, target, limits)
        except TimeoutError:
            raise FetchFailed(f"{name}: no answer within {limits.total:g} s") from None
        finally:
            self._places.release()

    async def _enter(self) -> None:
        try:
            async with asyncio.timeout(WAIT):
                await self._places.acquire()
        except TimeoutError:
            raise FetchFailed("too many fetches at once") from None

    async def _fetch(self, name: str, target: str, limits: Limits) -> Answer:
        addresses = await self._finder.addresses(name)
        if not addresses:
            raise FetchFailed(f"{name} has no address that we may connect to")
        try:
            context = _context(self._ca_file)
        except OSError as error:
            raise FetchFailed(f"no authorities to check certificates by: {error}") from error
        line = _Line(name, addresses[0], self._port, limits, context)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, line.get, target)
        finally:
            line.hang_up()  # too late or not wanted any more: the thread must not go on with it


class _Line(urllib3.connection.HTTPSConnection):
    """A connection to one address, whatever its name resolves to by now, that another thread may end."""

    def __init__(self, name: str, address: str, port: int, limits: Limits, context: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=limits.step, ssl_context=context)
        self._address = address
        self._limits = limits
        self._handle: socket.socket | None = None
        self._over = False

    def _new_conn(self) -> socket.socket:
        sock = socket.create_connection((self._address, self.port), self._limits.step)
        self._handle = sock.dup()  # TLS takes the first one over, and could not be shut down from outside
        if self._over:
            self.hang_up()
        return sock

    def get(self, target: str) -> Answer:
        """GET, and the whole answer. Raises FetchFailed."""
        try:
            headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
            self.request("GET", target, headers=headers, preload_content=False, decode_content=False)
            return self._answer()
        except (OSError, HTTPError, http.client.HTTPException, ValueError) as error:
            raise FetchFailed(f"{self.host}: {error or type(error).__name__}") from error
        finally:
            self.close()
            if self._handle is not None:
                self._handle.close()

    def hang_up(self) -> None:
        """End it from another thread: whatever is read or written there fails at once."""
        self._over = True
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def _answer(self) -> Answer:
        response = self.getresponse()
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise FetchFailed(f"{self.host}: the body is compressed, though we asked for it plain")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Answer(response.status, kind, self._body(response))

    def _body(self, response: urllib3.HTTPResponse) -> bytes:
        """Counted as it comes, whatever length was announced; one that ends before that length is no answer."""
        body = bytearray()
        while piece := response.read(PIECE, decode_content=False):
            body += piece
            if len(body) > self._limits.size:
                raise FetchFailed(f"{self.host}: more than {self._limits.size} octets")
        return bytes(body)


def _taken_apart(url: str) -> tuple[str, str]:
    """The name to ask and what to ask it for.

    Raises:
        FetchFailed: it is no https URL of a name on port 443, or carries a user, a password or a fragment.
    """
    if not _VISIBLE.fullmatch(url):  # urlsplit drops tabs and line ends without a word
        raise FetchFailed("the URL holds characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchFailed(f"not a URL: {error}") from None
    name = (parts.hostname or "").removesuffix(".")
    if parts.scheme != "https" or port not in (None, HTTPS):
        raise FetchFailed("only https to port 443 is fetched")
    if "@" in parts.netloc or parts.fragment or not _NAME.fullmatch(name):
        raise FetchFailed("the URL does not name a host, and only that")
    return name, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


@functools.lru_cache(maxsize=8)
def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
