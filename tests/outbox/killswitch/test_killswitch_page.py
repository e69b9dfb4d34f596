"""The responder's page: it opens whatever fails, who may do what on it, one press stops, what happened is found."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import DatabaseError
from django.test import Client

from outbox import outgoing, panels, proving
from outbox.models import Agent, ApiKey
from reputation import killswitch
from tests import factories
from tests.outbox.killswitch.page import PAGE, one_of, resumed, shown, stopped
from tests.pages.desk import posted

pytestmark = pytest.mark.usefixtures("live_db")


# -- it opens ------------------------------------------------------------------------------------------------


def test_the_stop_buttons_leave_before_anything_is_counted(rita: Client, monkeypatch: Any) -> None:
    def not_yet(*_: Any) -> None:
        raise AssertionError("counted before the buttons were sent")

    monkeypatch.setattr(panels, "panel", not_yet)
    first = next(iter(rita.get(PAGE).streaming_content)).decode()
    assert 'value="agents"' in first
    assert 'value="all"' in first
    assert 'name="kind"' in first


def test_the_page_opens_when_every_count_fails(rita: Client, ada: Agent, monkeypatch: Any) -> None:
    for name in ("flow", "effects", "oldest_transactional", "replies"):
        monkeypatch.setattr(outgoing, name, lambda *_: (_ for _ in ()).throw(DatabaseError("no")))
    monkeypatch.setattr(killswitch, "open_stops", lambda: 1 / 0)
    told = shown(rita.get(PAGE))
    assert told.count("Not known now.") == 6
    assert stopped(rita, "agents")


def test_a_count_that_waits_is_given_up(rita: Client, ada: Agent, live_db: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(panels, "PATIENCE", "SET LOCAL statement_timeout = '50ms'")
    monkeypatch.setattr(outgoing, "DOTS", "SELECT pg_sleep(20) WHERE %(looked)s > 0")
    told = shown(rita.get(PAGE))
    assert told.count("Not known now.") == 3  # what goes out, who sends, and the evidence of both
    assert "None is due." in told


def test_an_effect_that_is_not_known_costs_no_button(rita: Client, ada: Agent, monkeypatch: Any) -> None:
    monkeypatch.setattr(outgoing, "EFFECTS", "SELECT nonsense")
    told = shown(rita.get(PAGE))
    assert "Its effect is not known now." in told
    assert 'value="stream:agents-support"' in told


def test_the_page_runs_nothing_inline_and_cannot_be_framed(rita: Client) -> None:
    response = rita.get(PAGE)
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert "no-store" in response["Cache-Control"]
    assert not re.search(r"<style|<script>|\sstyle\s*=|\son[a-z]+\s*=", shown(response))


# -- who may -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "looks", "stops", "resumes", "revokes"),
    [
        ("responders", 200, 302, 302, 302),
        ("deliverability", 200, 403, 403, 302),  # runs agents and their keys
        ("reviewers", 200, 403, 403, 403),
    ],
)
def test_what_each_group_may(
    ada: Agent, group: str, looks: int, stops: int, resumes: int, revokes: int
) -> None:
    factories.key(ada)
    client = one_of(group)
    done = killswitch.trip("agent:ada", who="rita", why="loop")
    here = f"/killswitch/{done.epoch}/"
    for path in (PAGE, "/killswitch/now/", "/killswitch/timeline/", here, f"{here}now/"):
        assert client.get(path).status_code == looks, path
    assert ("Stop all agents" in shown(client.get(PAGE))) is (stops == 302)
    assert client.post("/killswitch/stop/", {"scope": "agents"}).status_code == stops
    assert client.post(f"{here}note/", {"text": "seen"}).status_code == stops
    assert client.post(f"{here}revoke/{ApiKey.objects.get().pk}/").status_code == revokes
    assert resumed(client, done.epoch).status_code == resumes
    assert ("agents" in {stop.scope for stop in killswitch.open_stops()}) is (stops == 302)
    assert ("agent:ada" in {stop.scope for stop in killswitch.open_stops()}) is (resumes == 403)


def test_whoever_is_not_logged_in_is_asked_to_and_comes_back(ada: Agent) -> None:
    for headers in ({}, {"Authorization": f"Bearer {factories.key(ada)}"}):  # an agent's key is nothing here
        response = Client().get(PAGE, headers=headers)
        assert response.status_code == 302
        assert response["Location"] == f"/admin/login/?next={PAGE}"
        assert (
            Client().post("/killswitch/stop/", {"scope": "all", "sure": "all"}, headers=headers).status_code
            == 302
        )
    assert killswitch.open_stops() == []


def test_somebody_of_no_group_may_not_even_look() -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(PAGE).status_code == 403
    assert client.post("/killswitch/stop/", {"scope": "agents"}).status_code == 403


def test_a_stop_without_a_token_of_the_form_is_refused(rita: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = rita.cookies
    assert strict.post("/killswitch/stop/", {"scope": "agents"}).status_code == 403
    assert strict.get("/killswitch/stop/").status_code == 405
    assert killswitch.open_stops() == []


def test_the_header_of_the_admin_leads_here(rita: Client) -> None:
    assert f'href="{PAGE}"' in shown(rita.get("/admin/"))


# -- stopping ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "scope"),
    [
        ({"scope": "agents"}, "agents"),
        ({"scope": "agent:ada"}, "agent:ada"),
        ({"scope": "all", "sure": "all"}, "all"),
        ({"kind": "stream", "key": " agents-support "}, "stream:agents-support"),
        ({"kind": "recipient_domain", "key": "Example.ORG"}, "recipient_domain:example.org"),
    ],
)
def test_one_press_stops(rita: Client, ada: Agent, given: dict[str, str], scope: str) -> None:
    response = rita.post("/killswitch/stop/", given)
    assert response.status_code == 302
    [stop] = killswitch.open_stops()
    assert (stop.scope, stop.who, stop.why) == (scope, "rita", "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scope": "all"}, "tick that password resets"),
        ({"scope": "everything"}, "Name a scope"),
        (
            {"kind": "stream", "key": "agents-supprt"},
            "There is no stream 'agents-supprt'; there are: agents-support",
        ),
        ({"scope": "stream:agents-supprt"}, "There is no stream"),
        ({"scope": "run:ada/nightly"}, "There is no run"),
        ({}, "Name a scope"),
    ],
)
def test_what_names_nothing_stops_nothing_and_says_so(
    rita: Client, ada: Agent, given: dict[str, str], words: str
) -> None:
    assert words in shown(rita.post("/killswitch/stop/", given), 422)
    assert killswitch.open_stops() == []


def test_a_stop_that_failed_says_so_loudly(rita: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(killswitch, "trip", lambda *_, **__: (_ for _ in ()).throw(DatabaseError("gone")))
    assert "NOT STOPPED" in shown(rita.post("/killswitch/stop/", {"scope": "agents"}), 503)


def test_stopping_is_never_rate_limited_and_needs_no_cache(rita: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(proving, "get_usage", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(cache, "incr", lambda *_, **__: 1 / 0)
    for _ in range(30):
        stopped(rita, "agents")


def test_what_would_be_caught_can_be_asked_first(rita: Client, ada: Agent) -> None:
    posted(ada, {"agent": {"run_id": "nightly"}})
    told = shown(rita.get(PAGE, {"kind": "run", "key": "ada/nightly"}))
    assert "Asked for" in told
    assert 'value="run:ada/nightly"' in told
    assert "1 queued" in told


@pytest.mark.parametrize(
    ("kind", "key"), [("cluster", "nosuch"), ("source", "192.0.2.99"), ("agent", "nosuch"), ("run", "nosuch")]
)
def test_what_does_not_exist_is_said_and_not_offered(rita: Client, ada: Agent, kind: str, key: str) -> None:
    for told in (
        shown(rita.get(PAGE, {"kind": kind, "key": key})),
        shown(rita.post("/killswitch/stop/", {"kind": kind, "key": key}), 422),
    ):
        assert "There is no" in told
        assert f'value="{kind}:{key}"' not in told
    assert killswitch.open_stops() == []


def test_an_old_name_that_lanes_still_hold_is_offered(rita: Client, ada: Agent) -> None:
    posted(ada, {})
    Agent.objects.update(name="lovelace")
    told = shown(rita.post("/killswitch/stop/", {"kind": "agent", "key": "ada"}), 422)
    assert "Stop agent:ada all the same" in told


def test_stopping_again_leads_to_the_first_stop(rita: Client, omar: Client) -> None:
    first, second = stopped(rita, "agents"), stopped(omar, "agents")
    told = shown(omar.get(f"/killswitch/{second}/"))
    assert "stopped already" in told
    assert f'href="/killswitch/{first}/"' in told


# -- the timeline --------------------------------------------------------------------------------------------


def test_the_timeline_is_searched_and_filtered(rita: Client) -> None:
    killswitch.trip("stream:a", who="rule:complaints", why="weak evidence")
    killswitch.trip("stream:b", who="rita", why="a loop")
    killswitch.resume("stream:b", who="omar", why="mended")

    def found(**asked: str) -> list[str]:
        told = shown(rita.get("/killswitch/timeline/", asked))
        return re.findall(r'<span class="outcome is-\w+">(\w+)</span> <a [^>]*>(stream:\w)', told)

    assert found() == [("resume", "stream:b"), ("trip", "stream:b"), ("trip", "stream:a")]
    assert found(action="trip", by="person") == [("trip", "stream:b")]
    assert found(by="rule") == [("trip", "stream:a")]
    assert found(q="omar mended") == [("resume", "stream:b")]
    assert found(q="100%") == []
    assert found(before="2") == [("trip", "stream:a")]
    assert len(found(before="nonsense")) == 3
