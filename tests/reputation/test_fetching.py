"""The guarded HTTPS edge, against servers that misbehave in every way they can."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from reputation.fetching import Answer, Fetcher, FetchFailed, Limits, Ways, place_of
from tests.authority import Authority
from tests.outbox.scripted import on_both_loops

NAME = "mta-sts.one.test"
URL = f"https://{NAME}/.well-known/mta-sts.txt"
FOUND = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n"
SHORT = Limits(total=0.5, step=0.4)
QUICK = Limits(total=10, step=0.2)

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Act = Callable[[Writer], Awaitable[None]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Finder:
    """Every name is at `addresses`, and how often it was asked for."""

    def __init__(self, *addresses: str) -> None:
        self.addresses_given = addresses
        self.asked: list[str] = []

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses_given


class Host:
    """What came in, where to ask it."""

    def __init__(self, port: int, authority: Authority) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self.finder = Finder("127.0.0.1")
        self.fetcher = Fetcher(self.finder, port=port, ca_file=authority.ca_file)

    async def get(self, limits: Limits | None = None, url: str = URL) -> Answer:
        return await self.fetcher.get(url, limits)


@asynccontextmanager
async def host(
    authority: Authority, act: Act | bytes, context: ssl.SSLContext | None = None
) -> AsyncIterator[Host]:
    """A server that reads one request, then does or says `act`."""

    async def serve(reader: Reader, writer: Writer) -> None:
        try:
            there.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(act, bytes):
                writer.write(act)
                await writer.drain()
            else:
                await act(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context or authority.context(NAME))
    there = Host(server.sockets[0].getsockname()[1], authority)
    try:
        yield there
    finally:
        server.close()


GOOD = [
    (FOUND + b"Content-Length: 2\r\n\r\nhi", Answer(200, "text/plain", b"hi")),
    (FOUND + b"\r\nhi", Answer(200, "text/plain", b"hi")),  # until the connection ends
    (
        FOUND + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        Answer(200, "text/plain", b"hi"),
    ),
    (b"HTTP/1.0 404 No\r\n\r\n", Answer(404, "", b"")),
    (FOUND + b"Content-Length: 65536\r\n\r\n" + b"x" * 65_536, Answer(200, "text/plain", b"x" * 65_536)),
    # a redirect is an answer and not followed
    (b"HTTP/1.1 301 Go\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", Answer(301, "", b"")),
]


@pytest.mark.parametrize(("said", "expected"), GOOD)
@on_both_loops
async def test_what_the_host_answers_is_returned_whole(
    authority: Authority, said: bytes, expected: Answer
) -> None:
    async with host(authority, said) as there:
        assert await there.get() == expected
    assert len(there.requests) == 1


@on_both_loops
async def test_the_request_is_plain_and_names_the_host(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    said = FOUND + b"Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with host(authority, said) as there:
        await there.get()
        await there.get(url=f"{URL}?a=b")
    lines = [request.lower().split(b"\r\n") for request in there.requests]
    assert [each[0] for each in lines] == [
        b"get /.well-known/mta-sts.txt http/1.1",
        b"get /.well-known/mta-sts.txt?a=b http/1.1",
    ]
    for each in lines:
        assert any(line.startswith(b"host: mta-sts.one.test") for line in each)
        assert b"accept-encoding: identity" in each
        assert not any(line.startswith(b"cookie") for line in each)


@on_both_loops
async def test_a_name_is_resolved_once_and_only_its_first_address_is_connected_to(
    authority: Authority,
) -> None:
    async with host(authority, FOUND + b"Content-Length: 0\r\n\r\n") as there:
        there.finder.addresses_given = ("127.0.0.1", "127.0.0.2")
        await there.get()
        assert there.finder.asked == [NAME]
        there.finder.addresses_given = ("127.0.0.2", "127.0.0.1")
        with pytest.raises(FetchFailed, match=r"refused|reset"):
            await there.get()


@on_both_loops
async def test_a_host_without_a_good_address_is_not_asked(authority: Authority) -> None:
    async with host(authority, b"") as there:
        there.finder.addresses_given = ()
        with pytest.raises(FetchFailed, match="no address"):
            await there.get()
    assert there.requests == []


@on_both_loops
async def test_without_authorities_nothing_is_fetched(authority: Authority) -> None:
    fetcher = Fetcher(Finder("127.0.0.1"), ca_file=f"{authority.ca_file}.missing")
    with pytest.raises(FetchFailed, match="no authorities"):
        await fetcher.get(URL)


def _certificates(authority: Authority) -> dict[str, ssl.SSLContext]:
    return {
        "of another name": authority.context("other.test"),
        "of nobody we trust": authority.context(NAME, trusted=False),
        "expired": authority.context(NAME, days=-1000),
    }


@pytest.mark.parametrize("which", ["of another name", "of nobody we trust", "expired"])
@on_both_loops
async def test_a_wrong_certificate_ends_it_before_anything_is_said(authority: Authority, which: str) -> None:
    async with host(authority, FOUND + b"\r\nhi", _certificates(authority)[which]) as there:
        with pytest.raises(FetchFailed, match="certificate"):
            await there.get()
    assert there.requests == []


BAD = [
    (FOUND + b"Content-Length: 65537\r\n\r\n" + b"x" * 65_537, "more than"),
    (FOUND + b"Content-Length: 999999999\r\n\r\n" + b"x" * 70_000, "more than"),
    (FOUND + b"\r\n" + b"x" * 70_000, "more than"),  # no length at all
    (FOUND + b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + b"x" * 100_000, "more than"),
    (FOUND + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000, "one.test"),  # a chunk's size without end
    (FOUND + b"Content-Length: 9\r\n\r\nhi", "IncompleteRead"),  # less than announced
    (FOUND + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", "compressed"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "header line"),  # a header line without end
    (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n", "headers"),  # headers without end
    (b"SSH-2.0-OpenSSH\r\n\r\n", "SSH"),
    (b"", "closed"),
]


@pytest.mark.parametrize(("said", "why"), BAD)
@on_both_loops
async def test_an_answer_beyond_limits_or_sense_is_none(authority: Authority, said: bytes, why: str) -> None:
    async with host(authority, said) as there:
        with pytest.raises(FetchFailed, match=why):
            await there.get()


async def _silent(writer: Writer) -> None:
    await writer.wait_closed()


def _dripping(first: bytes, drop: bytes) -> Act:
    async def drip(writer: Writer) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)

    return drip


SLOW = [
    (_silent, QUICK),  # one read has its own limit
    (_dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), SHORT),
    (_dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x"), SHORT),
    (_dripping(FOUND + b"\r\n", b"x"), SHORT),
    (_dripping(FOUND + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), SHORT),
    (_dripping(FOUND + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: x\r\n"), SHORT),
]


@pytest.mark.parametrize(("act", "limits"), SLOW)
@on_both_loops
async def test_however_it_drips_it_ends_and_the_thread_with_it(
    authority: Authority, act: Act, limits: Limits
) -> None:
    over = asyncio.Event()

    async def watched(writer: Writer) -> None:
        try:
            await act(writer)
        finally:
            over.set()

    async with host(authority, watched) as there:
        with pytest.raises(FetchFailed):
            await there.get(limits)
        await over.wait()  # the connection is gone, and with it what kept the thread
        there.fetcher._threads.shutdown(wait=True)


@on_both_loops
async def test_hosts_that_hang_do_not_stop_more_than_their_share(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reputation.fetching.WAIT", 0.05)
    async with host(authority, _silent) as there:
        hanging = [asyncio.create_task(there.get()) for _ in range(16)]
        await asyncio.sleep(0)
        with pytest.raises(FetchFailed, match="too many"):
            await there.get()
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)
        assert not there.fetcher._places.locked()


REFUSED = [
    "http://one.test/",
    "ftp://one.test/",
    "file:///etc/passwd",
    "gopher://one.test/",
    "//one.test/",
    "one.test",
    "",
    "https://",
    "https:///path",
    "https://one.test:25/",
    "https://one.test:6379/",
    "https://one.test:0443x/",
    "https://one.test:99999/",
    "https://user@one.test/",
    "https://user:pass@one.test/",
    "https://one.test@127.0.0.1/",
    "https://@one.test/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",  # decimal
    "https://0177.0.0.1/",  # octal
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://one.0x7f/",  # the last label makes it an address (WHATWG URL 3.5)
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fd00::1%25eth0]/",
    "https://localhost/",
    "https://one.test/#part",
    "https://one.test\\@evil.test/",
    "https://one.test/\r\nX: y",
    "https://one\t.test/",
    "https://one.test/a b",
    "https://one..test/",
    "https://.test/",
    "https://-one.test/",
    "https://%6fne.test/",
    "https://ONE。test/",
    "https://１２７.0.0.1/",
    "https://one.test/" + "x" * 2_000,
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_could_lead_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed):
        place_of(url)


@pytest.mark.parametrize(
    "url",
    ["https://10.0.0.1/in", "https://[::1]/in", "https://[::ffff:127.0.0.1]/", "http://127.0.0.1:9799/in"],
)
def test_an_address_is_refused_as_an_address(url: str) -> None:
    with pytest.raises(FetchFailed, match="an IP address is not followed: give a host's name, over https"):
        place_of(url, Ways(loopback=True))


TAKEN = [
    ("https://one.test", ("one.test", "/")),
    ("HTTPS://One.Test:443/a/b?c=d&e", ("one.test", "/a/b?c=d&e")),
    ("https://one.test./", ("one.test", "/")),
    ("https://mta-sts.xn--bcher-kva.test/x", ("mta-sts.xn--bcher-kva.test", "/x")),
    ("https://1.2.3.4.test/", ("1.2.3.4.test", "/")),
]


@pytest.mark.parametrize(("url", "expected"), TAKEN)
def test_a_url_is_a_name_and_what_to_ask_it_for(url: str, expected: tuple[str, str]) -> None:
    place = place_of(url)
    assert (place.name, place.target) == expected


# -- one connection for many posts ---------------------------------------------------------------------------

TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Plan = Callable[[int, int, Writer], Awaitable[None]]


async def _takes(_connection: int, _request: int, writer: Writer) -> None:
    writer.write(TAKEN)


@asynccontextmanager
async def receiver(
    authority: Authority, plan: Plan = _takes
) -> AsyncIterator[tuple[Fetcher, Finder, list[int]]]:
    """A server that goes on with a connection; the list holds which connection each request came through."""
    seen: list[int] = []
    connections = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal connections
        connections += 1
        mine, number = connections, 0
        try:
            while not writer.is_closing() and (head := await reader.readuntil(b"\r\n\r\n")):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
                await reader.readexactly(length)
                number += 1
                seen.append(mine)
                await plan(mine, number, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=authority.context(NAME))
    finder = Finder("127.0.0.1")
    fetcher = Fetcher(finder, port=server.sockets[0].getsockname()[1], ca_file=authority.ca_file)
    try:
        yield fetcher, finder, seen
    finally:
        for line in fetcher._resting:
            line.hang_up()
        server.close()


async def _posts(fetcher: Fetcher, many: int = 1) -> list[int]:
    return [(await fetcher.post(URL, b"{}", {})).status for _ in range(many)]


@on_both_loops
async def test_posts_follow_each_other_through_one_connection_and_pages_do_not(authority: Authority) -> None:
    async with receiver(authority) as (fetcher, finder, seen):
        assert await _posts(fetcher, 3) == [200] * 3
        [line] = fetcher._resting
        assert line.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "or each waits for 40 ms"
        assert await fetcher.get(URL) == Answer(200, "", b"ok")
        assert seen == [1, 1, 1, 2]
        assert len(finder.asked) == 4, "the name is looked at every time"


@on_both_loops
async def test_a_connection_is_left_once_its_address_is_none_of_the_names(authority: Authority) -> None:
    async with receiver(authority) as (fetcher, finder, seen):
        await _posts(fetcher)
        finder.addresses_given = ()
        with pytest.raises(FetchFailed, match="no address"):
            await _posts(fetcher)
        finder.addresses_given = ("127.0.0.2",)
        with pytest.raises(FetchFailed):  # nobody listens there
            await _posts(fetcher)
        assert seen == [1]
        finder.addresses_given = ("127.0.0.2", "127.0.0.1")
        await _posts(fetcher)
        assert seen == [1, 1]


@on_both_loops
async def test_posts_at_once_have_a_connection_each(authority: Authority) -> None:
    async with receiver(authority) as (fetcher, _, seen):
        await asyncio.gather(*(_posts(fetcher, 2) for _ in range(4)))
        assert len(seen) == 8
        assert set(seen) == {1, 2, 3, 4}


async def _closes(_connection: int, _request: int, writer: Writer) -> None:
    writer.write(TAKEN)
    await writer.drain()
    writer.close()


async def _says_close(_connection: int, _request: int, writer: Writer) -> None:
    writer.write(TAKEN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


async def _half(_connection: int, _request: int, writer: Writer) -> None:
    writer.write(TAKEN[:-1])


async def _long(_connection: int, _request: int, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000)


async def _chunked(_connection: int, _request: int, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("plan", [_closes, _says_close, _half, _long, _chunked])
@on_both_loops
async def test_an_answer_without_a_clean_end_counts_and_nothing_follows_it(
    authority: Authority, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reputation.fetching.LINGER", 0.1)
    async with receiver(authority, plan) as (fetcher, _, seen):
        assert await _posts(fetcher, 2) == [200, 200]
        assert seen == [1, 2]


@on_both_loops
async def test_what_a_connection_that_was_just_ended_did_not_answer_is_posted_through_another(
    authority: Authority,
) -> None:
    async def ends(connection: int, request: int, writer: Writer) -> None:
        if (connection, request) == (1, 2):
            writer.close()
        else:
            writer.write(TAKEN)

    async with receiver(authority, ends) as (fetcher, _, seen):
        assert await _posts(fetcher, 3) == [200] * 3
        assert seen == [1, 1, 2, 2]


@on_both_loops
async def test_a_fresh_connection_that_is_cut_is_a_failure(authority: Authority) -> None:
    async def ends(_connection: int, _request: int, writer: Writer) -> None:
        writer.close()

    async with receiver(authority, ends) as (fetcher, _, seen):
        with pytest.raises(FetchFailed):
            await _posts(fetcher)
        assert seen == [1]


@pytest.mark.parametrize("limit", ["RESTS", "LIVES"])
@on_both_loops
async def test_a_connection_rests_and_lives_so_long(
    authority: Authority, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver(authority) as (fetcher, _, seen):
        monkeypatch.setattr(f"reputation.fetching.{limit}", -1.0)
        await _posts(fetcher, 2)
        assert seen == [1, 2]


@on_both_loops
async def test_one_that_hangs_is_not_asked_again_and_not_used_again(authority: Authority) -> None:
    async def hangs(_connection: int, request: int, writer: Writer) -> None:
        if request == 1:
            writer.write(TAKEN)

    async with receiver(authority, hangs) as (fetcher, _, seen):
        limits = Limits(total=10, step=1)
        assert (await fetcher.post(URL, b"{}", {}, limits)).status == 200
        with pytest.raises(FetchFailed):
            await fetcher.post(URL, b"{}", {}, limits)
        assert seen == [1, 1]
        assert (await fetcher.post(URL, b"{}", {}, limits)).status == 200
        assert seen == [1, 1, 2]
