"""A stop must name something that is there."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from outbox import scopes
from outbox.models import Run
from reputation import killswitch
from tests import factories

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def ada(live_db: Any) -> Any:
    return factories.agent()


def run_of(agent: Any, name: str) -> None:
    Run.objects.create(agent=agent, name=name, lineage=[name])


@pytest.mark.parametrize(
    ("kind", "key", "scope"),
    [
        ("all", "", "all"),
        ("stream", "agents-support", "stream:agents-support"),
        ("agent", "ada", "agent:ada"),
        ("domain", "agents.acme.test", "domain:agents.acme.test"),
        ("route", "direct", "route:direct"),
        (
            "recipient_domain",
            "anything.example",
            "recipient_domain:anything.example",
        ),  # nobody can list these
    ],
)
def test_what_is_there_can_be_named(kind: str, key: str, scope: str) -> None:
    assert scopes.named(kind, key) == scope


@pytest.mark.parametrize("kind", ["stream", "agent", "domain", "route", "provider", "run"])
def test_what_is_not_there_is_refused_with_what_there_is(kind: str) -> None:
    with pytest.raises(scopes.NoSuchScope, match="There is no"):
        scopes.named(kind, "nosuch")


def test_a_run_may_be_named_without_its_agent_if_only_one_has_it(ada: Any) -> None:
    run_of(ada, "r-1")
    assert scopes.named("run", "r-1") == scopes.named("run", "ada/r-1") == "run:ada/r-1"
    run_of(factories.agent("bob"), "r-1")
    with pytest.raises(scopes.NoSuchScope, match="ada/r-1, bob/r-1"):
        scopes.named("run", "r-1")


def test_the_commands_stop_and_resume_what_they_are_told() -> None:
    said = StringIO()
    call_command("trip", "agent", "ada", "--why", "loops", stdout=said)
    assert [stop.scope for stop in killswitch.open_stops()] == ["agent:ada"]
    call_command("trip", "agent", "ada", stdout=said)
    assert "was stopped already" in said.getvalue()
    call_command("status", stdout=said)
    assert "STOPPED agent:ada" in said.getvalue()
    call_command("resume", "agent", "ada", "--why", "fixed", stdout=said)
    assert killswitch.open_stops() == []


def test_a_mistyped_trip_stops_nothing_and_says_so() -> None:
    with pytest.raises(CommandError, match="Nothing was stopped"):
        call_command("trip", "stream", "agent-support")
    assert killswitch.open_stops() == []
    call_command("trip", "stream", "to-come", "--anyway", stdout=StringIO())
    assert [stop.scope for stop in killswitch.open_stops()] == ["stream:to-come"]
