"""A stop's page: how it ends, and against whose guesses it is guarded."""

from typing import Any

import pytest
from django.test import Client

from outbox import ledger, proving, sessions
from outbox.models import Agent
from reputation import killswitch, sql
from reputation.models import ResumeProposal, SwitchEvent
from tests.outbox.killswitch.page import PAGE, PASSWORD, resumed, shown, stopped
from tests.pages.desk import posted

pytestmark = pytest.mark.usefixtures("live_db")


def test_a_resume_wants_a_reason_and_the_password_again(rita: Client, ada: Agent) -> None:
    posted(ada, {"to": ["a@gmail.test"]})
    epoch = stopped(rita, "agent:ada")
    assert ledger.claim(sessions.begin("parks the lane"), tier=1, limit=10) == []
    assert "Your password, again" in shown(rita.get(f"/killswitch/{epoch}/"))
    assert "not your password" in shown(resumed(rita, epoch, password="wrong"), 422)
    assert "Give your password" in shown(resumed(rita, epoch, password=""), 422)
    assert "why it is safe" in shown(resumed(rita, epoch, why=" "), 422)
    assert len(killswitch.open_stops()) == 1
    # the password was right with the last one, and counts for ten minutes
    assert "Your password, again" not in shown(rita.get(f"/killswitch/{epoch}/"))
    response = resumed(rita, epoch, password="")
    assert response.status_code == 302
    assert killswitch.open_stops() == []
    assert len(ledger.claim(sessions.begin("a worker"), tier=1, limit=10)) == 1, "its lanes are visited again"
    assert "Was stopped" in shown(rita.get(f"/killswitch/{epoch}/"))
    assert "It ended the stop of" in shown(rita.get(response["Location"]))


def test_a_resume_tells_what_keeps_its_mail_back_all_the_same(rita: Client, ada: Agent) -> None:
    posted(ada, {"to": ["a@gmail.test"], "agent": {"run_id": "nightly"}})
    run, agent = (stopped(rita, scope) for scope in ("run:ada/nightly", "agent:ada"))
    killswitch.trip("domain:elsewhere.test", who="omar", why="another one")
    response = resumed(rita, run)
    for page in (f"/killswitch/{run}/", response["Location"], f"{response['Location']}now/"):
        told = shown(rita.get(page))
        assert f'<a href="/killswitch/{agent}/">agent:ada</a> is stopped as well' in told
        assert "elsewhere.test" not in told
    resumed(rita, agent, password="")
    assert "stopped as well" not in shown(rita.get(response["Location"]))


def test_a_log_in_of_now_is_fresh_and_one_of_long_ago_is_not(rita: Client, monkeypatch: Any) -> None:
    client = Client()
    response = client.post(f"/admin/login/?next={PAGE}", {"username": "rita", "password": PASSWORD})
    assert response["Location"] == PAGE
    epoch = stopped(client, "agents")
    assert "Your password, again" not in shown(client.get(f"/killswitch/{epoch}/"))
    now = proving.time.time()
    monkeypatch.setattr(proving.time, "time", lambda: now + proving.FRESH_SECONDS)
    assert "Your password, again" in shown(client.get(f"/killswitch/{epoch}/"))
    assert resumed(client, epoch, password="").status_code == 422


def test_a_stop_by_a_rule_is_ended_by_two_people(rita: Client, omar: Client) -> None:
    epoch = killswitch.trip("stream:a", who="rule:complaints", why="weak evidence").epoch
    assert "Propose to resume" in shown(rita.get(f"/killswitch/{epoch}/"))
    assert resumed(rita, epoch, "a false alarm").status_code == 302
    assert len(killswitch.open_stops()) == 1
    assert "Another person has to confirm" in shown(rita.get(f"/killswitch/{epoch}/"))
    assert "another person has to confirm" in shown(resumed(rita, epoch, "really"), 422)
    assert "Confirm and resume" in shown(omar.get(f"/killswitch/{epoch}/"))
    assert resumed(omar, epoch, "I have looked too").status_code == 302
    assert killswitch.open_stops() == []
    last = SwitchEvent.objects.latest("epoch")
    assert last.who == "rita and omar"
    assert "a false alarm" in last.why
    assert "I have looked too" in last.why


def test_a_rule_that_trips_again_wants_two_people_and_refutes_who_had_proposed(
    rita: Client, omar: Client
) -> None:
    epoch = stopped(rita, "recipient_domain:a.test")
    killswitch.trip("recipient_domain:a.test", who="rule:complaints", why="weak evidence")
    assert resumed(rita, epoch).status_code == 302
    killswitch.trip("recipient_domain:a.test", who="rule:complaints", why="still")
    assert resumed(omar, epoch).status_code == 302  # a proposal of his own, no confirmation
    assert len(killswitch.open_stops()) == 1
    assert ResumeProposal.objects.count() == 2


def test_a_proposal_lasts_an_hour(rita: Client, omar: Client) -> None:
    epoch = killswitch.trip("stream:a", who="rule:complaints", why="weak evidence").epoch
    resumed(rita, epoch)
    sql.count("UPDATE reputation_resumeproposal SET at = at - interval '61 minutes'", using="owner")
    sql.count("UPDATE reputation_switchevent SET at = at - interval '61 minutes'", using="owner")
    assert resumed(omar, epoch).status_code == 302
    assert len(killswitch.open_stops()) == 1


def test_only_the_stop_that_was_looked_at_is_ended(rita: Client, omar: Client) -> None:
    epoch = stopped(rita, "agents")
    resumed(omar, epoch)
    stopped(omar, "agents")
    assert "resumed meanwhile" in shown(resumed(rita, epoch), 422)
    assert len(killswitch.open_stops()) == 1


@pytest.mark.parametrize("broken", [False, True])
def test_resuming_is_rate_limited_and_closed_while_nobody_counts(
    rita: Client, monkeypatch: Any, broken: bool
) -> None:
    epoch = stopped(rita, "agents")
    if broken:
        monkeypatch.setattr(proving, "get_usage", lambda *_, **__: 1 / 0)
    else:
        assert {resumed(rita, epoch, password="wrong").status_code for _ in range(10)} == {422}
    assert "Too many tries" in shown(resumed(rita, epoch), 429)
    assert len(killswitch.open_stops()) == 1
    stopped(rita, "recipient_domain:a.test")


def test_only_what_was_refused_counts_against_the_rate(rita: Client) -> None:
    for _ in range(12):
        assert resumed(rita, stopped(rita, "agents")).status_code == 302
    epoch = stopped(rita, "agents")
    assert {resumed(rita, epoch, why="").status_code for _ in range(12)} == {422}, "nor a missing reason"
    assert resumed(rita, epoch).status_code == 302


def test_guesses_at_a_log_in_are_limited_by_address_and_name(rita: Client) -> None:
    def tried(name: str, password: str, address: str) -> int:
        given = {"username": name, "password": password}
        return Client(REMOTE_ADDR=address).post("/admin/login/", given).status_code

    assert {tried("rita", "wrong", "192.0.2.1") for _ in range(10)} == {200}
    assert tried("RITA", PASSWORD, "192.0.2.1") == 429
    assert tried("rita", PASSWORD, "192.0.2.2") == 302, "a guesser elsewhere locks nobody out"


def test_people_can_log_in_while_the_cache_is_down(rita: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(proving, "get_usage", lambda *_, **__: 1 / 0)
    given = {"username": "rita", "password": PASSWORD}
    assert Client().post(f"/admin/login/?next={PAGE}", given).status_code == 302
