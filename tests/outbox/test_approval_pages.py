"""The reviewers' door: who may, what a decision carries, what is told to whoever came too late."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from outbox import deciding, desk_approvals, exhibits, ids, reach, releasing, reviewing
from outbox.models import Agent, Approval, Decision
from outbox.people import make_groups
from outbox.reviewing import Filters
from reputation import killswitch
from reputation.models import Stream
from tests import factories
from tests.outbox import asked
from tests.outbox.killswitch.page import one_of, shown
from tests.outbox.reopened import ask
from tests.outbox.reviewed import name_of
from tests.outbox.test_approval_flood import fine, flood
from tests.pages.desk import HOSTILE

pytestmark = pytest.mark.usefixtures("live_db")

LIST = "/approvals/"


@pytest.fixture(autouse=True)
def groups(live_db: Any) -> None:
    make_groups()


@pytest.fixture
def rita(groups: None) -> Client:
    return one_of("reviewers", "rita")


@pytest.fixture
def omar(groups: None) -> Client:
    return one_of("reviewers", "omar")


@pytest.fixture
def ada(groups: None) -> Agent:
    owner = User.objects.create_user("grace", email="grace@acme.test", is_staff=True)
    return factories.agent("ada", owner=owner)


@pytest.fixture
def request_(live_db: Any, ada: Agent) -> Approval:
    asked.held(live_db, ada, *asked.many(3))
    return asked.request()


def address(request: Approval) -> str:
    return f"{LIST}{name_of(request)}/"


def field(page: str) -> str:
    """What a page shows, as its forms carry it."""
    found = re.search(r'name="shown" value="([^"]+)"', page)
    assert found
    return found[1]


def decide(client: Client, request: Approval, act: str, page: str = "", **given: Any) -> Any:
    page = page or shown(client.get(address(request)))
    return client.post(f"{address(request)}decide/", {"act": act, "shown": field(page), **given})


# -- who may -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "looks", "decides"),
    [("reviewers", 200, 302), ("deliverability", 200, 302), ("responders", 200, 403), ("auditors", 200, 403)],
)
def test_what_each_group_may(
    request_: Approval, caplog: pytest.LogCaptureFixture, group: str, looks: int, decides: int
) -> None:
    client, here = one_of(group), address(request_)
    message = request_.members.first().message_id
    for path in (LIST, f"{LIST}now/", f"{LIST}health/", here, f"{here}now/", f"{here}messages/{message}/"):
        assert client.get(path).status_code == looks, path
    told = shown(client.get(here))
    assert ("Release in waves" in told) is (decides == 302)
    page = shown(one_of("reviewers", "anybody").get(here))
    assert decide(client, request_, "refuse", page, why="no").status_code == decides
    assert Decision.objects.count() == (decides == 302)
    assert [one.exc_info for one in caplog.records if one.name == "django.request"] == [None] * (
        decides == 403
    )


def test_whoever_is_not_logged_in_is_asked_to_and_comes_back(request_: Approval, ada: Agent) -> None:
    for headers in ({}, {"Authorization": f"Bearer {factories.key(ada)}"}):  # a key is nothing here
        response = Client().get(address(request_), headers=headers)
        assert (response.status_code, response["Location"]) == (
            302,
            f"/admin/login/?next={address(request_)}",
        )
        assert Client().post(f"{address(request_)}decide/", {}, headers=headers).status_code == 302
    assert not Decision.objects.exists()


def test_a_decision_without_a_token_of_the_form_is_refused(rita: Client, request_: Approval) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = rita.cookies
    assert strict.post(f"{address(request_)}decide/", {"act": "release"}).status_code == 403
    assert rita.get(f"{address(request_)}decide/").status_code == 405


def test_the_owner_of_the_agent_is_told_that_another_has_to(request_: Approval) -> None:
    grace = User.objects.get(username="grace")
    grace.groups.set(asked.reviewer("x").groups.all())
    client = Client()
    client.force_login(grace)
    response = decide(client, request_, "release", why="all mine")
    told = shown(response, 403)
    assert "somebody else has to release it" in told
    assert "all mine" in told
    assert not Decision.objects.exists()


def test_a_second_person_confirms_and_the_first_may_not(
    rita: Client, omar: Client, request_: Approval
) -> None:
    Stream.objects.update(second_person_above=2)
    assert "asks a second person" in shown(rita.get(address(request_)))
    assert decide(rita, request_, "release").status_code == 302
    told = shown(rita.get(address(request_)))
    assert "Waits for a second person" in told
    assert 'value="confirm"' not in told
    assert "<b>Proposed to release</b> by rita" in told
    assert "somebody else has to confirm" in shown(decide(rita, request_, "confirm"), 403)
    assert decide(omar, request_, "confirm").status_code == 302
    asked.carried(request_)
    assert asked.counts() == {"queued": 3}
    told = shown(rita.get(address(request_)))
    assert "<b>Confirmed</b> by omar" in told
    assert "<b>Proposed to release</b> by rita" in told


@pytest.mark.parametrize("answer", ["withdraw", "refuse"])
def test_what_nobody_confirmed_is_not_told_as_released(
    rita: Client, omar: Client, request_: Approval, answer: str
) -> None:
    Stream.objects.update(second_person_above=2)
    decide(rita, request_, "waves")
    assert decide(omar, request_, answer, why="not like this").status_code == 302
    told = shown(rita.get(address(request_)))
    assert "<b>Proposed to release in waves</b> by rita" in told
    assert "<b>Released" not in told


def test_waves_that_are_refused_later_had_been_released(
    rita: Client, request_: Approval, live_db: Any
) -> None:
    decide(rita, request_, "waves")
    asked.carried(request_)
    asked.held(live_db, request_.agent, *asked.to("late"))
    decide(rita, request_, "refuse", why="enough")
    assert "<b>Released in waves</b> by rita" in shown(rita.get(address(request_)))


# -- what is decided -----------------------------------------------------------------------------------------


def test_all_of_it_goes(rita: Client, request_: Approval) -> None:
    response = decide(rita, request_, "release", why="known customers")
    assert response["Location"] == address(request_)
    asked.carried(request_)
    assert asked.counts() == {"queued": 3}
    one = Decision.objects.get()
    assert (one.kind, one.who, one.why) == ("release", "rita", "known customers")
    assert timedelta() <= one.at - (one.shown_at or one.at) < timedelta(minutes=1)
    told = shown(rita.get(address(request_)))
    assert "known customers" in told
    assert "3 queued" in told


def test_it_is_refused_with_a_reason_and_not_without(rita: Client, request_: Approval) -> None:
    assert "Say why" in shown(decide(rita, request_, "refuse", why="  "), 422)
    assert decide(rita, request_, "refuse", why="a bought list").status_code == 302
    asked.carried(request_)
    assert set(asked.statuses().values()) == {"refused by_reviewer"}


def test_a_part_goes_and_the_rest_waits_on(rita: Client, request_: Approval) -> None:
    first = request_.members.order_by("message_id").first().message_id
    assert "Choose at least one" in shown(decide(rita, request_, "part"), 422)
    assert decide(rita, request_, "part", messages=[str(first), "no id"]).status_code == 302
    asked.carried(request_)
    assert asked.counts() == {"queued": 1, "held": 2}
    assert "2 people in 2 messages" in shown(rita.get(address(request_)))


def test_so_many_go_and_the_rest_waits_on(rita: Client, request_: Approval) -> None:
    for wrong in ("", "0", "-1", "2.5", "many"):
        assert "how many" in shown(decide(rita, request_, "first", most=wrong), 422)
    assert decide(rita, request_, "first", most="2").status_code == 302
    asked.carried(request_)
    assert asked.counts() == {"queued": 2, "held": 1}


def test_waves_go_and_are_stopped(live_db: Any, rita: Client, ada: Agent) -> None:
    asked.held(live_db, ada, *asked.many(30))
    request = asked.request()
    assert decide(rita, request, "waves").status_code == 302
    asked.carried(request)
    assert asked.counts() == {"queued": deciding.FIRST_WAVE, "held": 10}
    told = shown(rita.get(address(request)))
    assert "Goes out in waves" in told
    assert f"{deciding.FIRST_WAVE} queued" in told
    assert decide(rita, request, "stop", why="two complained").status_code == 302
    assert "two complained" in shown(rita.get(address(request)))


def test_a_wave_that_was_due_and_did_not_go_is_not_told_as_if_it_had(
    live_db: Any, rita: Client, ada: Agent
) -> None:
    asked.held(live_db, ada, *asked.many(30))
    request = asked.request()
    decide(rita, request, "waves")
    asked.carried(request)
    fine(live_db)
    Stream.objects.update(policy_version=9)
    releasing.tend(60)
    told = shown(rita.get(address(request)))
    assert "It went no further: its policy is version 9 now" in told
    assert "<b>The next wave was due and did not go</b>" in told


def test_the_page_of_a_message_leads_to_its_request(live_db: Any, rita: Client, ada: Agent) -> None:
    [message] = asked.held(live_db, ada, {"subject": "Mine"})
    page = reverse("admin:outbox_message_change", args=[message])
    assert f'<a href="{address(asked.request())}">waits for a person</a>' in shown(rita.get(page))
    decide(rita, asked.request(), "release")
    asked.carried()
    releasing.tend(60)
    assert f'<a href="{address(asked.request())}">was decided</a>' in shown(rita.get(page))


def test_what_joined_since_stays_held(live_db: Any, rita: Client, ada: Agent, request_: Approval) -> None:
    page = shown(rita.get(address(request_)))
    asked.held(live_db, ada, {"to": "late@example.org"})
    upto = re.search(r'data-live="([^"]+)"', page)
    assert upto
    assert "1 message joined since this page was made" in shown(rita.get(upto[1]))
    assert decide(rita, request_, "release", page).status_code == 302
    asked.carried(request_)
    assert asked.statuses()["late@example.org"] == "held first_contact"


def test_a_page_tells_that_its_mail_is_stopped(rita: Client, request_: Approval) -> None:
    assert "stopped" not in shown(rita.get(address(request_)))
    killswitch.trip("agent:ada", who="omar", why="a test")
    page = shown(rita.get(address(request_)))
    assert "agent:ada</a> is stopped" in page
    assert "nothing of it can go until that is open again" in page
    assert "agent:ada: stopped" in shown(decide(rita, request_, "release", page), 409)
    assert not Decision.objects.exists()


# -- what comes too late or was changed ----------------------------------------------------------------------


def test_whoever_comes_too_late_is_told_the_newer_state_and_keeps_their_words(
    rita: Client, omar: Client, request_: Approval
) -> None:
    page = shown(rita.get(address(request_)))
    assert decide(omar, request_, "refuse", why="spam").status_code == 302
    told = shown(decide(rita, request_, "waves", page, why="looks fine to me"), 409)
    assert "Look again" in told
    assert "<b>Refused</b> by omar" in told
    assert "looks fine to me" in told
    assert [one.who for one in Decision.objects.all()] == ["omar"]


def test_words_are_kept_where_it_can_still_be_decided(rita: Client, omar: Client, request_: Approval) -> None:
    page = shown(rita.get(address(request_)))
    first = request_.members.order_by("message_id").first().message_id
    assert decide(omar, request_, "part", messages=[str(first)]).status_code == 302
    asked.carried(request_)
    told = shown(decide(rita, request_, "refuse", page, why="looks bought to me"), 409)
    assert "looks bought to me</textarea>" in told
    assert field(told) != field(page)


@pytest.mark.parametrize("shape", ["", "garbage", "{}x", "cut"])
def test_what_a_page_shows_cannot_be_made_up(rita: Client, request_: Approval, shape: str) -> None:
    real = field(shown(rita.get(address(request_))))
    given = {"cut": real[:-3], "{}x": f"{real}x"}.get(shape, shape)
    response = rita.post(f"{address(request_)}decide/", {"act": "release", "shown": given})
    assert response.status_code == 422
    assert not Decision.objects.exists()


def test_a_page_of_one_request_decides_about_no_other(
    live_db: Any, rita: Client, ada: Agent, request_: Approval
) -> None:
    asked.held(live_db, ada, {"agent": {"run_id": "r2"}}, cluster=8)
    other = Approval.objects.exclude(pk=request_.pk).get()
    page = shown(rita.get(address(other)))
    assert decide(rita, request_, "release", page).status_code == 422
    assert not Decision.objects.exists()


def test_no_such_request_or_decision(rita: Client, request_: Approval) -> None:
    nobody = ids.printed("apr", ids.new_id(0))
    for path in (f"{LIST}{nobody}/", f"{LIST}apr_x/", f"{LIST}{nobody}/now/", f"{address(request_)}x/"):
        assert rita.get(path).status_code == 404
    assert decide(rita, request_, "resume").status_code == 422


# -- what is shown -------------------------------------------------------------------------------------------


def test_hostile_words_are_escaped(live_db: Any, rita: Client, ada: Agent) -> None:
    told = {"run_id": "r1", "purpose": HOSTILE, "on_behalf_of": HOSTILE}
    part = {"filename": HOSTILE.replace("/", "_"), "content": "aGVsbG8=", "content_type": "text/plain"}
    body = {"subject": HOSTILE, "text": HOSTILE, "html": HOSTILE, "agent": told, "attachments": [part]}
    [message] = asked.held(live_db, ada, body)
    here = address(asked.request())
    for path in (LIST, f"{LIST}now/", here, f"{here}now/", f"{here}messages/{message}/"):
        raw = rita.get(path).getvalue().decode()
        assert "alert(1)" in raw, path
        assert "<script>alert" not in raw, path
        assert "<img src=x" not in raw, path


def test_a_refusal_s_words_are_escaped(rita: Client, request_: Approval) -> None:
    raw = decide(rita, request_, "refuse", why=HOSTILE, shown="x").getvalue().decode()
    assert "alert(1)" in raw
    assert "<script>alert" not in raw


def test_the_list_is_by_urgency_and_filtered(live_db: Any, rita: Client, ada: Agent) -> None:
    bob = factories.agent("bob")
    told = {"run_id": "r1", "purpose": "send 100 % of the invoices"}
    asked.held(live_db, ada, {"subject": "Mine", "agent": told}, cluster=1)
    asked.held(live_db, bob, {"subject": "His"}, code="cluster_size", cluster=2)
    told = shown(rita.get(LIST))
    assert "“Mine”" in told
    assert "“His”" in told
    for asked_for, there in (
        ("agent=bob", "His"),
        ("reason=first_contact", "Mine"),
        ("stream=agents-support&agent=ada", "Mine"),
        ("q=bO", "His"),
        ("q=INVOICES", "Mine"),
        ("q=his", "His"),
    ):
        told = shown(rita.get(f"{LIST}?{asked_for}"))
        assert re.findall(r"“(Mine|His)”", told) == [there], asked_for
    for nothing in ("state=over", "state=lapsed", "state=watching", "q=100_%25", "q=nobody"):
        assert "Nothing of that kind." in shown(rita.get(f"{LIST}?{nothing}"))
    Approval.objects.filter(agent=bob).update(state="lapsed", taking=False, ended_at=datetime.now(UTC))
    for over in ("state=over", "state=lapsed"):
        assert re.findall(r"“(Mine|His)”", shown(rita.get(f"{LIST}?{over}"))) == ["His"], over
    assert rita.get(f"{LIST}?q={name_of(Approval.objects.first())}").status_code == 302
    for nonsense in ("state=nonsense", "page=x", "page=0", "page=99999999", "agent=%00", "reason=%27"):
        assert rita.get(f"{LIST}?{nonsense}").status_code == 200


def test_what_is_over_says_what_it_was_and_who_answered(rita: Client, request_: Approval) -> None:
    decide(rita, request_, "refuse", why="wrong list")
    asked.carried(request_)
    releasing.tend(60)
    told = shown(rita.get(f"{LIST}?state=over"))
    assert "“Hello”" in told
    assert "Refused by rita." in told
    assert "0 people" not in told
    told = shown(rita.get(f"{address(request_)}now/?version=1"))
    assert "there is nothing left to decide" in told
    assert "before you decide" not in told
    assert "0 people" not in told


def test_a_page_made_while_the_last_one_goes_says_that_nothing_waits(
    rita: Client, request_: Approval, monkeypatch: Any
) -> None:
    decide(rita, request_, "release")
    asked.carried(request_)
    monkeypatch.setattr(reach, "waiting", lambda _key: 1)  # counted a moment before
    told = shown(rita.get(address(request_)))
    assert "Nothing of it waits any more." in told
    assert "would not be through" not in told


def test_the_most_urgent_comes_first_however_many_were_there_before(live_db: Any) -> None:
    for n in range(6):
        ada = factories.agent(f"ada-{n}")
        drafts = [asked.draft({"to": f"n{one}@example.org"}) for one in range(20)]
        messages = asked.accepted(ada, drafts)
        asked.hold(live_db, messages)
        for cluster, one in enumerate(zip(messages, drafts, strict=True)):
            asked.join(ada, [one], cluster=cluster)
    asked.held(live_db, factories.agent("bob"), *asked.many(30))
    assert reviewing.listed(Filters())[0].people == 30
    seen = [row.id for page in range(1, 8) for row in reviewing.listed(Filters(), page, 20)[:20]]
    assert len(seen) == len(set(seen)) == 121


def test_the_list_has_pages(live_db: Any, rita: Client, ada: Agent, monkeypatch: Any) -> None:
    monkeypatch.setattr(desk_approvals, "PAGE", 2)
    for cluster in range(5):
        asked.held(live_db, ada, {"to": f"n{cluster}@example.org"}, cluster=cluster)
    seen = []
    path = LIST
    while path:
        told = shown(rita.get(path))
        seen += re.findall(r"/approvals/(apr_\w+)/", told)
        found = re.search(r'href="([^"]+)" rel="next"', told)
        path = found[1] if found else ""
    assert len(seen) == len(set(seen)) == 5


def test_the_page_opens_whatever_cannot_be_read(rita: Client, request_: Approval, monkeypatch: Any) -> None:
    def broken(*_: Any) -> None:
        raise DatabaseError("no")

    for room, name in ((exhibits, "exhibits"), (reach, "reach"), (reach, "fates"), (reach, "glimpses")):
        monkeypatch.setattr(room, name, broken)
    told = shown(rita.get(address(request_)))
    assert told.count("Not known now.") == 4
    assert "Release in waves" in told
    assert "ada" in shown(rita.get(LIST))


def test_new_people_and_domains_are_counted(live_db: Any, rita: Client, ada: Agent) -> None:
    asked.held(live_db, ada, *asked.many(3), {"to": ["a@one.test", "b@two.test"]})
    told = shown(rita.get(address(asked.request())))
    assert "5 people in 4 messages" in told
    assert re.findall(r'<th scope="row">([^<]+)</th><td class="number">(\d+)', told) == [
        ("example.org", "3"),
        ("one.test", "1"),
        ("two.test", "1"),
    ]


def test_earlier_mail_to_the_same_people_is_shown(live_db: Any, rita: Client, ada: Agent) -> None:
    asked.accepted(ada, [asked.draft({"to": "n0@example.org", "subject": f"Before {n}"}) for n in range(5)])
    asked.held(live_db, ada, *asked.many(2))
    told = shown(rita.get(address(asked.request())))
    assert len(set(re.findall(r"Before \d", told))) == exhibits.EARLIER
    assert told.count("nothing that we remember") == 1


def test_a_stale_request_says_so(rita: Client, request_: Approval) -> None:
    Approval.objects.update(opened_at=datetime.now(UTC) - timedelta(hours=5))
    assert ">stale<" in shown(rita.get(LIST))
    assert "stale: look twice" in shown(rita.get(address(request_)))


def test_the_admin_and_the_pages_lead_there(rita: Client) -> None:
    assert 'href="/approvals/"' in shown(rita.get("/admin/"))
    assert 'href="/approvals/"' in shown(rita.get(LIST))
    assert 'href="/approvals/health/"' in shown(rita.get(LIST))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_flood_opens_within_half_a_second(live_db: Any, rita: Client, ada: Agent) -> None:
    flood(live_db, ada, 80_000)
    ask(live_db, "ANALYZE outbox_held, outbox_delivery, outbox_message")
    for path in (LIST, address(asked.request()), f"{LIST}health/"):
        took = []
        for _ in range(5):
            began = time.perf_counter()
            told = shown(rita.get(path))
            took.append(time.perf_counter() - began)
        assert "Not known now" not in told
        assert sorted(took)[2] < 0.5, (path, took)
