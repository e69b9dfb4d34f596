"""The kill switch's own process: it stops when the web process cannot and no connection is left for others."""

import contextlib
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg import sql

from tests.walks.harness.installation import Installation
from tests.walks.harness.waiting import until

PASSWORD = "correct horse battery"
KEPT = 8  # connections, as many as the process has threads


class Hand:
    """Somebody with a browser that keeps cookies and follows redirects."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._jar = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))

    def get(self, path: str) -> str:
        return self._ask(path)

    def post(self, path: str, **fields: str) -> str:
        token = next(cookie.value for cookie in self._jar if cookie.name == "csrftoken")
        return self._ask(path, urlencode({"csrfmiddlewaretoken": token, **fields}).encode())

    def _ask(self, path: str, data: bytes | None = None) -> str:
        with self._opener.open(f"{self._base}{path}", data, timeout=10) as answer:
            return answer.read().decode()


@pytest.fixture
def rita(here: Installation) -> Hand:
    """A responder, logged in at the switch."""
    here.inside.responder("rita", PASSWORD)
    here.env["AO_SWITCH_CONNECTIONS"] = str(KEPT)
    here.switch()
    hand = Hand(here.env["AO_SWITCH_URL"])
    assert "csrfmiddlewaretoken" in hand.get("/killswitch/")
    shown = hand.post("/admin/login/?next=/killswitch/", username="rita", password=PASSWORD)
    assert "Stop all agents" in shown
    return hand


@contextlib.contextmanager
def nobody_else_connects(here: Installation) -> Iterator[None]:
    """All connections that the database has for others are taken."""
    with psycopg.connect(here.urls.superuser, autocommit=True) as root, contextlib.ExitStack() as taken:
        used = root.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        ).fetchone()
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
            sql.Identifier(here.name), used[0] + 2
        )  # type: ignore[index]
        root.execute(limit)
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(here.urls.app))
        yield


def test_it_stops_while_the_web_process_stands_still_and_nobody_can_connect(
    here: Installation, rita: Hand
) -> None:
    web = here.web()
    web.send(signal.SIGSTOP)
    with nobody_else_connects(here):
        with pytest.raises(psycopg.OperationalError, match="too many"):
            psycopg.connect(here.urls.app)
        # all at once, so that every thread needs a connection: none has one by chance of an earlier request
        with ThreadPoolExecutor(KEPT) as hands:
            pages = list(hands.map(lambda _: rita.get("/killswitch/"), range(KEPT)))
        assert all("Stop all agents" in page for page in pages)
        assert "Stopped: agents" in rita.post("/killswitch/stop/", scope="agents")
    web.send(signal.SIGCONT)
    assert [stop.scope for stop in here.ask("SELECT scope FROM reputation_openstop")] == ["agents"]


def test_lost_connections_are_replaced_before_somebody_needs_them(here: Installation, rita: Hand) -> None:
    mine = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'switch'"
    with psycopg.connect(here.urls.superuser, autocommit=True) as root:

        def open_now() -> set[int]:
            return {row[0] for row in root.execute(f"SELECT pid {mine}").fetchall()}  # type: ignore[arg-type]

        before = open_now()
        assert len(before) == KEPT, "opened at the start"
        root.execute(f"SELECT pg_terminate_backend(pid) {mine}")  # type: ignore[arg-type]
        assert "Stop all agents" in rita.get("/killswitch/")
        until(lambda: len(open_now() - before) == KEPT, 30, "replaced", open_now)


def test_what_is_not_the_switch_is_elsewhere(here: Installation, rita: Hand) -> None:
    page = rita.get("/killswitch/")
    link = re.search(r'href="(/admin/)"', page)
    assert link
    request = urllib.request.Request(f"{here.env['AO_SWITCH_URL']}/admin/")
    opener = urllib.request.build_opener(_Stays())
    with pytest.raises(urllib.error.HTTPError) as answer:
        opener.open(request, timeout=10)
    assert answer.value.headers["Location"] == f"{here.env['PUBLIC_URL']}/admin/"
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"{here.env['AO_SWITCH_URL']}/v1/messages", data=b"{}", timeout=10)
    assert answer.value.code == 404


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
