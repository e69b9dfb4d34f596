"""The responder's page: what goes out, who sends it, and what is known against it."""

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from outbox import ledger, outgoing, sessions
from outbox.desk_switch import SHUT_IN
from outbox.meanings import ADVICE, meaning
from outbox.models import Agent, Drill
from outbox.refusal_causes import Cause
from reputation import killswitch, windows
from reputation.models import Judgement, Watch
from reputation.windows import Event, Signal, Stretch
from tests import factories
from tests.outbox.killswitch.page import PAGE, shown, stopped, went_out
from tests.pages.desk import HOSTILE, posted

pytestmark = pytest.mark.usefixtures("live_db")


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
