"""The responder's page: it opens whatever fails, who may do what on it, what a stop proves and how it ends."""

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import Client

from outbox import keys, ledger, outgoing, panels, proof, proving, sessions
from outbox.desk_switch import SHUT_IN
from outbox.meanings import ADVICE, meaning
from outbox.models import Agent, ApiKey, Drill
from outbox.people import make_groups
from outbox.refusal_causes import Cause
from reputation import killswitch, sql, windows
from reputation.models import Judgement, ResumeProposal, SwitchEvent, SwitchNote, Watch
from reputation.windows import Event, Signal, Stretch
from tests import factories
from tests.pages.desk import HOSTILE, posted

pytestmark = pytest.mark.usefixtures("live_db")

PAGE = "/killswitch/"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def groups(live_db: Any) -> None:
    make_groups()


def one_of(group: str, name: str = "", **session: Any) -> Client:
    """Somebody of a group, logged in long ago."""
    user = User.objects.create_user(name or f"one-of-{group}", password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rita(live_db: Any, groups: None) -> Client:
    return one_of("responders", "rita")


@pytest.fixture
def omar(live_db: Any, groups: None) -> Client:
    return one_of("responders", "omar")


@pytest.fixture
def ada(live_db: Any) -> Agent:
    owner = User.objects.create_user("grace", email="grace@acme.test", first_name="Grace", last_name="H.")
    return factories.agent("ada", owner=owner)


def shown(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response
    return unescape(response.getvalue().decode())


def stopped(client: Client, scope: str, **more: str) -> int:
    """Stop a scope on the page; the epoch of the page that it leads to."""
    response = client.post("/killswitch/stop/", {"scope": scope, **more})
    assert response.status_code == 302, shown(response, response.status_code)
    return int(re.fullmatch(r"/killswitch/(\d+)/", response["Location"])[1])  # type: ignore[index]


def resumed(client: Client, epoch: int, why: str = "fixed", password: str = PASSWORD) -> Any:
    return client.post(f"/killswitch/{epoch}/resume/", {"why": why, "password": password})


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


# -- what goes out -------------------------------------------------------------------------------------------


def cleared(count: int = 1000) -> tuple[int, list[Any]]:
    """A worker that has claimed and cleared what was due."""
    session = sessions.begin("cleared")
    claimed = ledger.claim(session, tier=1, limit=count)
    assert ledger.clear(session, [(one.id, one.attempt) for one in claimed])
    return session, claimed


def went_out(status: str, code: str, **reply: Any) -> None:
    """What was due was cleared, dotted and answered."""
    session, claimed = cleared()
    said = {"spoke": True, "phase": "replied", "host": "mx.gmail.test", **reply}
    done = [ledger.Settlement(one.id, one.attempt, status, code, **said) for one in claimed]
    assert ledger.settle(session, done)


def test_it_shows_who_sends_what_to_whom_and_what_was_said(rita: Client, ada: Agent) -> None:
    posted(ada, {"to": ["a@gmail.test"], "subject": "Final offer", "text": "Buy now", "html": "<p>Buy</p>"})
    went_out("delivered", "accepted_by_server", reply_code=250, reply="2.0.0 OK q-17")
    posted(ada, {"to": ["b@gmail.test"], "subject": "Final offer 2"})
    went_out("bounced", "reputation_refused", reply_code=550, reply="5.7.1 blocked for spam <b>")
    told = shown(rita.get(PAGE))
    for words in (
        "agents-support",
        "Grace H.",
        "mailto:grace@acme.test",
        "Final offer",
        "Buy now",
        "2.0.0 OK q-17",
    ):
        assert words in told, words
    assert "550 5.7.1 blocked for spam <b>" in told
    assert "For good:" in told
    assert "About us." in told
    assert re.search(r"<b>2</b>\s+dots in the last 5 minutes", told)


def test_what_others_wrote_stays_text_and_html_is_shut_in(rita: Client, ada: Agent) -> None:
    [key] = posted(ada, {"subject": HOSTILE, "text": HOSTILE, "html": HOSTILE})
    went_out("bounced", "reputation_refused", reply_code=550, reply=HOSTILE)
    alone = f"/killswitch/sample/{key}/"
    assert alone in shown(rita.get(PAGE))
    for path in (PAGE, alone):
        raw = rita.get(path).getvalue().decode()
        assert "<script>" not in raw
        assert "<img src=x" not in raw
    frame = re.search(r'<iframe sandbox title="[^"]*" srcdoc="([^"]*)"', raw)
    assert frame
    assert unescape(frame[1]) == SHUT_IN + HOSTILE
    assert rita.get(f"/killswitch/sample/{uuid4()}/").status_code == 404


def test_the_predicted_effect_counts_what_waits_is_held_leased_and_cleared(ada: Agent) -> None:
    posted(ada, *({"to": [f"n{n}@gmail.test"]} for n in range(5)))
    session = sessions.begin("a worker")
    claimed = ledger.claim(session, tier=1, limit=2)
    ledger.clear(session, [(claimed[0].id, claimed[0].attempt)])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_delivery SET status = 'held', code = 'poison' WHERE id IN"
            " (SELECT id FROM outbox_delivery WHERE status = 'queued' LIMIT 1)"
        )
    found = outgoing.effects(
        ["agent:ada", "stream:agents-support", "all", "agent:bob", "recipient_domain:x.org"]
    )
    for scope in ("agent:ada", "stream:agents-support", "all"):
        effect = found[scope]
        assert (effect.queued, effect.held, effect.leased, effect.cleared) == (2, 1, 1, 1), scope
    assert found["agent:bob"].queued == 0
    assert "recipient_domain:x.org" not in found


def test_no_count_reads_the_backlog(rita: Client, ada: Agent, monkeypatch: Any) -> None:
    """Counts end where nobody would read on, and say so."""
    monkeypatch.setattr(outgoing, "COUNTED", 2)
    posted(ada, *({"to": [f"n{n}@gmail.test"]} for n in range(5)))
    assert outgoing.effects(["agent:ada"])["agent:ada"].queued == 3
    assert "more than 2 queued" in shown(rita.get(PAGE))
    monkeypatch.setattr(outgoing, "LOOKED", 3)
    went_out("delivered", "accepted_by_server", reply_code=250)
    seen = outgoing.flow()
    assert (seen.dots, seen.cut) == (3, True)


def test_a_sender_is_told_with_its_keys_its_runs_for_whom_and_like_subjects(rita: Client, ada: Agent) -> None:
    context = {"run_id": "nightly", "on_behalf_of": "sales@acme.test", "purpose": "win back leavers"}
    offers = (
        {"to": [f"n{n}@gmail.test"], "subject": f"Offer {n} for you", "agent": context} for n in range(4)
    )
    posted(ada, *offers, {"to": ["b@gmail.test"], "subject": "Hello", "agent": {"run_id": "other"}})
    factories.key(ada, name="laptop")
    went_out("delivered", "accepted_by_server", reply_code=250)
    told = " ".join(shown(rita.get(PAGE)).split())
    assert "For sales@acme.test: win back leavers." in told
    assert 'value="run:ada/nightly"' in told
    assert re.search(r"among its newest 5: 4 × “Offer \d for you”, 1 × “Hello”", told)
    assert "laptop" in told
    stopped(rita, "run:ada/nightly")
    assert 'value="run:ada/nightly"' not in shown(rita.get(PAGE)), "what is stopped has no button but a link"


def remembered(scope: str, bad: int, trials: int, weak: bool) -> None:
    events = tuple(Event(place, f"d{place}.test") for place in range(1, bad + 1))
    kept = windows.stored(windows.Watch(scope, Signal.BOUNCES, trials, (Stretch((), trials, events),)))
    at = datetime.now(UTC)
    Watch.objects.create(
        scope=scope, signal="bounces", stream="agents-support", trials=trials, stretches=kept, touched_at=at,
        weak_since=at if weak else None,
    )  # fmt: skip


def test_evidence_stands_against_its_limits_worst_first(rita: Client, ada: Agent) -> None:
    remembered("stream:agents-support", 1, 400, weak=False)
    remembered("run:ada/old", 20, 100, weak=True)
    remembered("agent:nobody", 20, 100, weak=False)
    told = " ".join(shown(rita.get(PAGE)).split())
    rows = re.findall(r"<li>(\S+), bounces: (\S+) % of (\d+)", told)
    assert rows == [("run:ada/old", "20", "100"), ("stream:agents-support", "0.25", "400")]
    assert "bounces of run:ada/old. New mail of it waits for a person." in told
    assert 'class="ao-picture"' in told


def test_a_stop_by_a_rule_shows_the_judgement_it_followed_from(rita: Client, ada: Agent) -> None:
    done = killswitch.trip("agent:ada", who="rule:bounces", why="31 of 480")
    figures = {"line": 0.02, "running_sum": {"score": 9.123456789}}
    made = {
        "scope": "agent:ada",
        "rule": "bounces",
        "strength": "strong",
        "at": done.at,
        "arithmetic": figures,
    }
    Judgement.objects.create(why="31 of 480 is too much", epoch=done.epoch, **made)
    Judgement.objects.create(why="another story", epoch=None, **made)
    told = shown(rita.get(f"/killswitch/{done.epoch}/"))
    for words in ("31 of 480 is too much", "<dt>running sum: score</dt><dd>9.12346</dd>", "<dd>0.02</dd>"):
        assert words in told, words
    assert "another story" not in told
    assert "another story" in shown(rita.get(PAGE))
    by_hand = killswitch.trip("agents", who="rita", why="")
    assert "The judgement behind it" not in shown(rita.get(f"/killswitch/{by_hand.epoch}/"))


def test_the_last_drill_is_shown(rita: Client) -> None:
    assert "No drill was ever held" in shown(rita.get(PAGE))
    done = killswitch.trip("stream:canary", who="omar", why="a drill")
    figures = {
        "messages": 500,
        "sent": 41,
        "kept": 459,
        "after": 0,
        "trip_seconds": 0.002,
        "zero_seconds": 0.148,
    }
    Drill.objects.create(who="omar", scope="stream:canary", workers=2, epoch=done.epoch, **figures)
    told = " ".join(shown(rita.get(PAGE)).split())
    assert "459 of 500 were kept back, 41 had been cleared before" in told


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (550, "5.1.1 no such user", ("For good: there is no such recipient", "About them", "bad list")),
        (
            550,
            "5.7.26 unauthenticated mail",
            ("For good: several authentication", "About us", "Stop the stream now"),
        ),
        (421, "4.7.28 unusual rate", ("For now: an unusual rate", "About us", "Too much too fast")),
        (451, "4.7.1 greylisted, try again later", ("For now: greylisted", "tried again by itself")),
        (250, "2.0.0 OK", ()),
        (None, "", ()),
    ],
)
def test_a_reply_is_told_with_what_it_means_and_what_to_do(
    code: int | None, text: str, words: tuple[str, ...]
) -> None:
    told = meaning(code, text)
    assert bool(told) is bool(words)
    for each in words:
        assert each in told


def test_every_reason_for_a_refusal_has_its_advice() -> None:
    assert {cause.value[3] for cause in Cause} == ADVICE.keys()


def test_the_oldest_transactional_message_is_shown(rita: Client) -> None:
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    posted(factories.agent("robot", stream=receipts), {"to": ["grace@gmail.test"]})
    told = shown(rita.get(PAGE))
    assert re.search(r"receipts to \w+", told)


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


def test_stopping_again_leads_to_the_first_stop(rita: Client, omar: Client) -> None:
    first, second = stopped(rita, "agents"), stopped(omar, "agents")
    told = shown(omar.get(f"/killswitch/{second}/"))
    assert "stopped already" in told
    assert f'href="/killswitch/{first}/"' in told


# -- the proof -----------------------------------------------------------------------------------------------


def test_the_proof_names_what_was_cleared_before_and_what_became_of_it(rita: Client, ada: Agent) -> None:
    posted(ada, *({"to": [f"n{n}@gmail.test"]} for n in range(3)))
    session, claimed = cleared(2)
    epoch = stopped(rita, "agent:ada")
    [one, other] = claimed
    ledger.settle(session, [ledger.Settlement(one.id, one.attempt, "delivered", "accepted_by_server", spoke=True,
                                              phase="replied", reply_code=250)])  # fmt: skip
    before = proof.clearances("agent:ada", killswitch.open_stops()[0].tripped_at)
    assert {fate.id: fate.status for fate in before.before} == {one.id: "delivered", other.id: "sending"}
    assert (before.after, before.dots_after, before.looked, before.all_of_them) == (0, 0, 1, True)
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    for words in ("1 delivered", "1 sending", "Cleared before it: 2", "Cleared after it: 0", one.recipient):
        assert words in told, words


def test_a_clearance_or_dot_after_the_stop_would_be_seen(ada: Agent) -> None:
    """What must never happen is written behind the ledger's back, to see that the counter is not always 0."""
    posted(ada, {"to": ["a@gmail.test"]}, {"to": ["b@gmail.test"]})
    done = killswitch.trip("agent:bob", who="rita", why="")
    went_out("delivered", "accepted_by_server", reply_code=250)
    found = proof.clearances("agent:ada", done.at)
    assert (found.before, found.after, found.dots_after) == ((), 2, 2)
    assert proof.clearances("agent:bob", done.at).after == 0
    later = killswitch.resume("agent:bob", who="rita", why="fine")
    posted(ada, {"to": ["c@gmail.test"]})
    went_out("delivered", "accepted_by_server", reply_code=250)
    assert proof.clearances("agent:ada", done.at, later.at).after == 2, (
        "what went after a resume is no breach"
    )


def test_what_ended_before_the_stop_is_not_in_its_proof(ada: Agent) -> None:
    posted(ada, {"to": ["a@gmail.test"]})
    went_out("delivered", "accepted_by_server", reply_code=250)
    done = killswitch.trip("agent:ada", who="rita", why="")
    assert proof.clearances("agent:ada", done.at).before == ()


def test_a_worker_that_has_not_acknowledged_is_named_and_looked_for_again(rita: Client) -> None:
    session = sessions.begin("worker-1")
    epoch = stopped(rita, "agents")
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "worker-1: not yet" in told
    assert '<noscript><meta http-equiv="refresh"' in told
    sessions.renew(session, epoch)
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "worker-1: <b>yes</b>" in told
    assert "http-equiv" not in told
    assert "Acknowledged by 1 of 1 workers." in told


def test_the_proof_opens_when_its_figures_fail(rita: Client, monkeypatch: Any) -> None:
    epoch = stopped(rita, "agents")
    for room, name in ((proof, "workers"), (proof, "clearances"), (keys, "of_scope")):
        monkeypatch.setattr(room, name, lambda *_: (_ for _ in ()).throw(DatabaseError("no")))
    assert shown(rita.get(f"/killswitch/{epoch}/")).count("Not known now.") == 5


def test_a_reason_is_filled_in_later_and_never_overwritten(rita: Client, omar: Client) -> None:
    epoch = stopped(rita, "agents")
    assert "No reason given yet" in shown(rita.get(f"/killswitch/{epoch}/"))
    rita.post(f"/killswitch/{epoch}/note/", {"text": "follow-ups to everybody"})
    omar.post(f"/killswitch/{epoch}/note/", {"text": "owner called"})
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "by rita: follow-ups to everybody." in told
    assert "owner called" in told
    assert list(SwitchNote.objects.values_list("who", flat=True)) == ["rita", "omar"]
    assert rita.post(f"/killswitch/{epoch}/note/", {"text": " "}).status_code == 422


@pytest.mark.parametrize(
    "table", ["reputation_switchnote", "reputation_resumeproposal", "reputation_switchevent"]
)
def test_the_application_cannot_rewrite_the_book(live_db: Any, table: str) -> None:
    for verb in (f"DELETE FROM {table}", f"UPDATE {table} SET who = 'nobody'"):
        with pytest.raises(DatabaseError, match="permission denied"):
            sql.count(verb)  # type: ignore[arg-type]


def test_keys_are_revoked_beside_the_stop(rita: Client, ada: Agent) -> None:
    text = factories.key(ada, name="laptop")
    epoch = stopped(rita, "agent:ada")
    keys.authenticate(f"Bearer {text}")
    told = shown(rita.get(f"/killswitch/{epoch}/"))
    assert "laptop" in told
    assert "1 of them was used since the stop" in told
    assert text not in told
    key = ApiKey.objects.get()
    assert rita.post(f"/killswitch/{epoch}/revoke/{key.pk}/")["Location"] == f"/killswitch/{epoch}/#keys"
    with pytest.raises(Exception, match="no valid key"):
        keys.authenticate(f"Bearer {text}")
    assert LogEntry.objects.get().user.username == "rita"


def test_a_wide_stop_lists_the_keys_that_were_used_last(rita: Client, ada: Agent) -> None:
    keys.authenticate(f"Bearer {factories.key(ada, name='loud')}")
    factories.key(ada, name="silent")
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    factories.key(factories.agent("robot", stream=receipts), name="robots")
    told = shown(rita.get(f"/killswitch/{stopped(rita, 'agents')}/"))
    assert told.index("loud") < told.index("silent")
    assert "robots" not in told
    assert "robots" in shown(rita.get(f"/killswitch/{stopped(rita, 'all', sure='all')}/"))


def test_there_is_no_page_of_what_never_happened(rita: Client) -> None:
    for path in ("/killswitch/99/", "/killswitch/99/now/", f"/killswitch/{10**30}/"):
        assert rita.get(path).status_code == 404


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


# -- the resume ----------------------------------------------------------------------------------------------


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
    epoch = stopped(rita, "stream:a")
    killswitch.trip("stream:a", who="rule:complaints", why="weak evidence")
    assert resumed(rita, epoch).status_code == 302
    killswitch.trip("stream:a", who="rule:complaints", why="still")
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
    stopped(rita, "stream:a")


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
