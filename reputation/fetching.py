"""The guarded HTTPS edge: one request to a host that somebody else chose, and so perhaps chose to reach us from inside.

Guarantees: https to an allowed port of a name, no credentials, cookies, redirects, proxies or decompression; the name
is resolved once, addresses that are private, loopback, link-local, multicast or hide such a one are refused
(`resolver`), and the connection goes to the very address that was looked at, with the certificate checked for the
name. A post may follow another through its connection, as long as that leads to an address the name has when it is
looked at anew. No answer is longer or later than its limits say, however it drips, and few fetches run at once. The
only importer of urllib3. What a body means is for others; a status other than 200 is an answer, too.
"""

import asyncio
import contextlib
import functools
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import urllib3
import urllib3.connection
from urllib3.exceptions import HTTPError

HTTPS: Final = 443
HTTP: Final = 80
AT_ONCE: Final = 16  # fetches, each with a thread that mostly waits
WAIT: Final = (
    5.0  # seconds for one of them to end: a host that hangs may not hold up the others' fetches for long
)
PIECE: Final = 16 * 1024  # octets read at once
WORDS: Final = 1024  # octets of an answer to a POST: for people, if it is a refusal
LINGER: Final = 0.5  # seconds that they may take: the status counts without them
RESTS: Final = 10.0  # seconds between two requests through one connection; most servers wait longer
LIVES: Final = 300.0  # seconds: certificates are checked anew after them
AGENT: Final = "AgentOutbox"
LOCALHOST: Final = "localhost"

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
class Ways:
    """Which URLs are followed. `loopback`, for installations that may: also http, any port, and localhost."""

    ports: frozenset[int] = frozenset({HTTPS})
    loopback: bool = False


PAGES: Final = Ways()


@dataclass(frozen=True, slots=True)
class Place:
    """Whom to ask, at which port (None: the scheme's own), and what to ask it for."""

    name: str
    target: str
    port: int | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A method, headers and a body. `page`: the whole answer is wanted; otherwise its status."""

    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    page: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `content_type` is the media type in lower case, without parameters, `retry_after` as it came."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""


class Finder(Protocol):
    """The part of the resolver that is needed here: only addresses we may connect to."""

    async def addresses(self, host: str) -> Sequence[str]: ...


class Fetcher:
    """Fetches for one event loop; the work is done in threads of its own, so many `at_once`.

    `port`, which stands for 443, and `ca_file` (a PEM that replaces the system's authorities) are for simulators.
    """

    def __init__(
        self,
        finder: Finder,
        *,
        port: int = HTTPS,
        ca_file: str = "",
        ways: Ways = PAGES,
        at_once: int = AT_ONCE,
    ) -> None:
        self._finder = finder
        self._port = port
        self._ca_file = ca_file
        self._ways = ways
        self._at_once = at_once
        self._resting: list[_Guarded] = []
        self._places = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="fetch")

    async def get(self, url: str, limits: Limits | None = None) -> Answer:
        """What the URL's host answers.

        Raises:
            FetchFailed: the URL is none we follow, its host is not to be reached, or the answer breaks a limit.
        """
        return await self._ask(url, Request(), limits or Limits())

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], limits: Limits | None = None
    ) -> Answer:
        """The status that the URL's host answers a POST with, and of a refusal the first words.

        Raises:
            FetchFailed: the URL is none we follow, its host is not to be reached, or there was no status in time.
        """
        return await self._ask(url, Request("POST", headers, body, page=False), limits or Limits())

    async def _ask(self, url: str, request: Request, limits: Limits) -> Answer:
        place = place_of(url, self._ways)
        await self._enter()
        try:
            async with asyncio.timeout(limits.total):
                return await self._fetch(place, request, limits)
        except TimeoutError:
            raise FetchFailed(f"{place.name}: no answer within {limits.total:g} s") from None
        finally:
            self._places.release()

    async def _enter(self) -> None:
        try:
            async with asyncio.timeout(WAIT):
                await self._places.acquire()
        except TimeoutError:
            raise FetchFailed("too many fetches at once") from None

    async def _fetch(self, place: Place, request: Request, limits: Limits) -> Answer:
        addresses = await self._addresses(place.name)
        if not addresses:
            raise FetchFailed(f"{place.name} has no address that we may connect to")
        fresh = self._line(place, addresses[0], limits)
        if request.page:
            return await self._through(fresh, request, place.target)
        if (rested := self._rested(fresh, addresses)) is not None:
            with contextlib.suppress(_Stale):
                return await self._through(rested, request, place.target)
        return await self._through(fresh, request, place.target)

    async def _through(self, line: "_Guarded", request: Request, target: str) -> Answer:
        loop, answered = asyncio.get_running_loop(), False
        try:
            answer = await loop.run_in_executor(self._threads, line.ask, request, target)
            answered = True
            return answer
        finally:
            if answered and line.rests and len(self._resting) < self._at_once:
                self._resting.append(line)
            else:
                line.hang_up()  # too late or not wanted any more: the thread must not go on with it

    def _rested(self, like: "_Guarded", addresses: Sequence[str]) -> "_Guarded | None":
        """A connection that can be used instead of a fresh one like this; what has rested too long is ended."""
        for line in [one for one in self._resting if one.is_over()]:
            self._resting.remove(line)
            line.hang_up()
        found = next((one for one in self._resting if one.replaces(like, addresses)), None)
        if found is not None:
            self._resting.remove(found)
        return found

    async def _addresses(self, name: str) -> Sequence[str]:
        # only installations that allow loopback let this name come so far; it is not the DNS's (RFC 6761 6.3)
        return ("127.0.0.1",) if name == LOCALHOST else await self._finder.addresses(name)

    def _line(self, place: Place, address: str, limits: Limits) -> "_Guarded":
        if place.plain:
            return _PlainLine(place.name, address, place.port or HTTP, limits)
        try:
            context = _context(self._ca_file)
        except OSError as error:
            raise FetchFailed(f"no authorities to check certificates by: {error}") from error
        port = self._port if place.port in (None, HTTPS) else place.port
        return _Line(place.name, address, port, limits, ssl_context=context)


class _Stale(FetchFailed):
    """It was ended by the other side while it rested; what was asked through it may be asked again."""


class _Guarded(urllib3.connection.HTTPConnection):
    """A connection to one address, whatever its name resolves to by now, that another thread may end.

    ``rests``: its last answer was read to its end, so that another request may follow.
    """

    def __init__(self, name: str, address: str, port: int, limits: Limits, **tls: Any) -> None:
        super().__init__(name, port, timeout=limits.step, **tls)
        self._address = address
        self._limits = limits
        self._handle: socket.socket | None = None
        self._over = False
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._rests_until = 0.0
        self.rests = False

    def _new_conn(self) -> socket.socket:
        sock = socket.create_connection((self._address, self.port), self._limits.step)
        # or the body of a request waits for the acknowledgement of its head
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._handle = sock.dup()  # TLS takes the first one over, and could not be shut down from outside
        if self._over:
            self.hang_up()
        return sock

    def is_over(self) -> bool:
        """Whether it has rested too long, or the other side has ended it."""
        return time.monotonic() > self._rests_until or not self.is_connected

    def replaces(self, other: "_Guarded", addresses: Sequence[str]) -> bool:
        """Whether it leads to the same host as another, to an address that was looked at for that."""
        same = (type(self), self.host, self.port) == (type(other), other.host, other.port)
        return same and self._limits == other._limits and self._address in addresses

    def ask(self, request: Request, target: str) -> Answer:
        """Send it, and take the answer. Raises FetchFailed."""
        rested, self.rests = self.rests, False
        headers = {"Accept-Encoding": "identity", "User-Agent": AGENT, **(request.headers or {})}
        try:
            self.request(
                request.method,
                target,
                request.body,
                headers,
                preload_content=False,
                decode_content=False,
            )
            return self._page() if request.page else self._status()
        except (OSError, HTTPError, http.client.HTTPException, ValueError) as error:
            failed = _Stale if rested and isinstance(error, _CUT) else FetchFailed
            raise failed(f"{self.host}: {error or type(error).__name__}") from error
        finally:
            with self._lock:
                self._rests_until = min(time.monotonic() + RESTS, self._began + LIVES)
                if self._over or not self.rests:
                    self._end()

    def hang_up(self) -> None:
        """End it from another thread: whatever is read or written there fails at once."""
        with self._lock:
            self._over = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)
            if self.rests:
                self._end()

    def _end(self) -> None:
        self.rests = False
        self.close()
        if self._handle is not None:
            self._handle.close()

    def _page(self) -> Answer:
        response = self.getresponse()
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise FetchFailed(f"{self.host}: the body is compressed, though we asked for it plain")
        return Answer(response.status, _media_type(response), self._body(response))

    def _status(self) -> Answer:
        """Once the status is there it counts, whatever becomes of the rest."""
        response, words = self.getresponse(), bytearray()
        with contextlib.suppress(OSError, HTTPError, http.client.HTTPException, ValueError):
            self._linger(response, words)
        if 200 <= response.status < 300:
            words.clear()
        return Answer(
            response.status, _media_type(response), bytes(words), response.headers.get("Retry-After", "")
        )

    def _linger(self, response: urllib3.HTTPResponse, words: bytearray) -> None:
        """Take the first words, and all of them if it is known how many there are: then another request may follow."""
        sock, until = self.sock, time.monotonic() + LINGER  # none if the other side ends it
        if sock is None or response.length_remaining is None:
            if not 200 <= response.status < 300:
                words += response.read1(WORDS, decode_content=False)
            return
        while left := min(response.length_remaining, WORDS - len(words)):
            sock.settimeout(max(until - time.monotonic(), 0.001))
            piece = response.read1(left, decode_content=False)
            if not piece or time.monotonic() > until:
                return
            words += piece
        if response.length_remaining == 0:
            response.close()
            self.rests = True

    def _body(self, response: urllib3.HTTPResponse) -> bytes:
        """Counted as it comes, whatever length was announced; one that ends before that length is no answer."""
        body = bytearray()
        while piece := response.read(PIECE, decode_content=False):
            body += piece
            if len(body) > self._limits.size:
                raise FetchFailed(f"{self.host}: more than {self._limits.size} octets")
        return bytes(body)


# How a connection fails that the other side had ended, perhaps before it saw the request.
_CUT: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class _PlainLine(_Guarded):
    """Without TLS, where an installation allows it."""


class _Line(_Guarded, urllib3.connection.HTTPSConnection):
    """With TLS."""


def _media_type(response: urllib3.HTTPResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def place_of(url: str, ways: Ways = PAGES) -> Place:
    """Whom a URL names and what to ask for there.

    Raises:
        FetchFailed: it is no https URL of a name on an allowed port, or carries a user, a password or a fragment.
    """
    if not _VISIBLE.fullmatch(url):  # urlsplit drops tabs and line ends without a word
        raise FetchFailed("the URL holds characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchFailed(f"not a URL: {error}") from None
    name = (parts.hostname or "").removesuffix(".")
    if not _allowed(parts.scheme, port, ways):
        raise FetchFailed(f"only https to port {' or '.join(map(str, sorted(ways.ports)))} is followed")
    if _is_address(name):
        raise FetchFailed("an IP address is not followed: give a host's name, over https")
    known = _NAME.fullmatch(name) or (ways.loopback and name == LOCALHOST)
    if "@" in parts.netloc or parts.fragment or not known:
        raise FetchFailed("the URL does not name a host, and only that")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(name, target, port, parts.scheme == "http")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _allowed(scheme: str, port: int | None, ways: Ways) -> bool:
    if ways.loopback:
        return scheme in {"https", "http"}
    return scheme == "https" and (port is None or port in ways.ports)


@functools.lru_cache(maxsize=8)
def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
