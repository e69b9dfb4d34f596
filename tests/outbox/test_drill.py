"""What a drill refuses, and that it puts everything back whatever happens; the drill itself is a walk."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from outbox import drill, sessions
from outbox.drill import NotRehearsed
from outbox.models import Agent, Delivery, Drill, Run
from reputation import killswitch
from reputation.models import OpenStop
from tests import factories

pytestmark = pytest.mark.usefixtures("live_db")

TO = ["canary@mine.test"]


@pytest.fixture
def canary(live_db: Any) -> None:
    factories.stream("drill", "drill.acme.test")
    sessions.begin("test")


def rehearse(stream: str = "drill") -> Drill:
    return drill.rehearse(stream, TO, 5, "grace")


def test_only_a_stream_that_nobody_else_uses_is_a_canary(canary: None) -> None:
    with pytest.raises(NotRehearsed, match="There is no stream canaries"):
        rehearse("canaries")
    factories.stream("mail", "mail.acme.test", "transactional")
    with pytest.raises(NotRehearsed, match="would stop transactional mail"):
        rehearse("mail")
    factories.agent("ada")
    with pytest.raises(NotRehearsed, match="would stop ada"):
        rehearse("agents-support")
    assert not Agent.objects.filter(name__startswith="canary").exists()


def test_without_a_worker_there_is_nothing_to_stop(live_db: Any) -> None:
    factories.stream("drill", "drill.acme.test")
    with pytest.raises(NotRehearsed, match="No worker"):
        rehearse()
    assert not Run.objects.exists()


@pytest.mark.parametrize("scope", ["stream:drill", "agents", "all"])
def test_what_is_stopped_already_is_not_opened_by_a_drill(canary: None, scope: str) -> None:
    killswitch.trip(scope, who="grace", why="in earnest")
    with pytest.raises(NotRehearsed, match=f"{scope} is stopped already"):
        rehearse()
    assert OpenStop.objects.filter(scope=scope).exists()


def test_when_no_dots_flow_nothing_is_stopped_and_nothing_left(
    canary: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill, "FLOW_SECONDS", 0.05)
    with pytest.raises(NotRehearsed, match="in vain"):
        rehearse()
    assert set(Delivery.objects.values_list("status", "code")) == {("cancelled", "run_cancelled")}
    assert not Drill.objects.exists()


def test_what_breaks_in_the_middle_leaves_the_stream_open_and_empty(
    canary: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        assert OpenStop.objects.filter(scope="stream:drill", who="drill: grace").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(drill, "_flows", lambda _load: True)
    monkeypatch.setattr(drill, "_at_rest", breaks)
    with pytest.raises(KeyboardInterrupt):
        rehearse()
    assert not OpenStop.objects.exists()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"cancelled"}


@pytest.mark.parametrize(
    ("after", "heard", "said"), [(0, 0.1, ""), (2, 0.1, "LEAKED"), (0, None, "Not all workers")]
)
def test_the_command_fails_if_the_stop_leaked_or_was_not_heard(
    monkeypatch: pytest.MonkeyPatch, after: int, heard: float | None, said: str
) -> None:
    measured = {"trip_seconds": 0.0123, "zero_seconds": 0.25, "heard_seconds": heard}
    counts = {"messages": 9, "sent": 4, "kept": 5, "after": after, "workers": 1, "epoch": 1}
    row = Drill(at=datetime.now(UTC), who="grace", scope="stream:drill", **counts, **measured)
    monkeypatch.setattr(drill, "rehearse", lambda *_: row)
    told = io.StringIO()
    if said:
        with pytest.raises(CommandError, match=said):
            call_command("drill", stdout=told)
    else:
        call_command("drill", stdout=told)
    assert "took 12 ms from the order" in told.getvalue()
    assert f"Cleared after it: {after} (must be 0)" in told.getvalue()


def test_outside_the_simulator_somebody_has_to_name_a_mailbox(settings: Any) -> None:
    settings.AO_ALLOW_TEST_NAMES = False
    with pytest.raises(CommandError, match="--to"):
        call_command("drill")
