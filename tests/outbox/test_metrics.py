"""The metrics as a scraper reads them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from outbox import ledger, metrics, sessions
from outbox.models import Alarm, Delivery, Drill, Lane, RefusedPosts, ReturnCount
from reputation import killswitch
from reputation.models import Judgement, Watch
from tests import factories
from tests.outbox.test_api import Caller

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def ada(live_db: Any) -> Caller:
    return Caller(factories.key(factories.agent()))


def read() -> dict[tuple[str, ...], float]:
    response = Client().get("/metrics")
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_what_is_open_is_counted_by_status(ada: Caller) -> None:
    for number in range(4):
        ada.post(to=f"p{number}@example.org")
    session = sessions.begin("test")
    [one, *_] = ledger.claim(session, tier=1, limit=2)
    ledger.clear(session, [(one.id, one.attempt)])
    ledger.settle(session, [ledger.Settlement(one.id, one.attempt, "uncertain", "no_reply_after_dot")])
    waiting = Delivery.objects.filter(status="queued").first()
    Delivery.objects.filter(pk=waiting.pk).update(status="held", code="recheck")
    found = read()
    counts = {
        status: found["ao_deliveries_open", status] for status in ("waiting", "sending", "uncertain", "held")
    }
    assert counts == {"waiting": 1, "sending": 1, "uncertain": 1, "held": 1}
    assert found["ao_allowance_taken", "agents.acme.test", "other"] == 2


def test_lateness_counts_what_may_go_and_not_what_waits_for_its_turn(ada: Caller) -> None:
    ada.post()
    Delivery.objects.update(next_attempt_at=datetime.now(UTC) - timedelta(minutes=5))
    assert read()["ao_oldest_due_seconds", "agents"] == pytest.approx(300, abs=30)
    Lane.objects.update(state="shut")
    assert read()["ao_oldest_due_seconds", "agents"] == 0
    assert read()["ao_oldest_due_seconds", "transactional"] == 0


def test_a_stop_shows_and_so_does_a_worker_that_has_not_heard(ada: Caller) -> None:
    sessions.begin("test")
    killswitch.trip("all", who="test", why="")
    found = read()
    assert (found["ao_stops_open",], found["ao_workers",], found["ao_workers_behind",]) == (1, 1, 1)
    assert found["ao_cleared_after_stop",] == 0


def test_a_reading_that_fails_is_named_and_the_others_are_there(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "OPEN", "SELECT 1 / 0 AS status, 0 AS n")
    found = read()
    assert found["ao_metrics_failed", "open"] == 1
    assert found["ao_metrics_failed", "switch"] == 0
    assert ("ao_stops_open",) in found


def test_nobody_is_named(ada: Caller) -> None:
    ada.post()
    text = Client().get("/metrics").content.decode()
    assert "ada" not in text.replace("ao_", "")
    assert "example.org" not in text


def test_signals_stops_alarms_and_drills_are_counted_without_names(ada: Caller) -> None:
    now = datetime.now(UTC)
    killswitch.trip("agent:ada", who="grace", why="")
    killswitch.trip("agent:ada", who="rule: bounces", why="8 of 100")
    Judgement.objects.create(scope="agent:ada", rule="bounces", strength="strong", at=now, why="8 of 100")
    Watch.objects.create(scope="run:ada/x", signal="bounces", stream="s", weak_since=now, touched_at=now)
    RefusedPosts.objects.create(minute=now, agent_id=1, code="stopped", posts=7)
    ReturnCount.objects.create(day=now.date(), source="smtp", end="counted", messages=5)
    Alarm.objects.create(kind="trip", key="1", raised_at=now, words="", tries=1)
    measured = {"trip_seconds": 0.01, "zero_seconds": 0.2, "heard_seconds": None}
    counts = {"messages": 9, "sent": 4, "kept": 5, "after": 0, "workers": 1, "epoch": 1}
    Drill.objects.create(who="grace", scope="stream:drill", **counts, **measured)
    found = read()
    expected = {
        ("ao_stops_total", "person"): 1,
        ("ao_stops_total", "rule"): 1,
        ("ao_stops_total", "drill"): 0,
        ("ao_judgements_total", "strong"): 1,
        ("ao_judgements_total", "weak"): 0,
        ("ao_scopes_weak",): 1,
        ("ao_posts_refused", "stopped"): 7,
        ("ao_returns_total", "counted", "smtp"): 5,
        ("ao_alarms_open", "trip"): 1,
        ("ao_alarms_open", "uncertain"): 0,
        ("ao_alarms_untold",): 1,
        ("ao_drill_seconds", "zero"): 0.2,
        ("ao_drill_cleared_after",): 0,
        ("ao_webhooks_waiting",): 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert ("ao_last_dot_seconds",) not in found  # there was none
    assert "grace" not in Client().get("/metrics").content.decode()
