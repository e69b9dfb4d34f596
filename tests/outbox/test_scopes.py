"""A stop must name something that is there."""

from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from outbox import scopes
from outbox.models import Lane, Run
from reputation import killswitch, sql
from reputation.models import Route
from tests import factories
from tests.pages.desk import posted

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


@pytest.mark.parametrize(
    "kind", ["stream", "agent", "domain", "route", "provider", "run", "source", "cluster"]
)
def test_what_is_not_there_is_refused_with_what_there_is(kind: str) -> None:
    with pytest.raises(scopes.NoSuchScope, match="There is no"):
        scopes.named(kind, "nosuch")


def test_a_source_is_an_address_that_a_route_or_a_lane_has(ada: Any) -> None:
    Route.objects.update(source_address="2001:db8::7")
    assert scopes.named("source", "2001:DB8:0::7") == "source:2001:db8::7", "as lanes spell it"
    with pytest.raises(scopes.NoSuchScope, match=r"there are: 2001:db8::7\.$"):
        scopes.named("source", "192.0.2.99")
    posted(ada, {"to": "grace@example.org"})
    Route.objects.update(source_address=None)
    assert scopes.named("source", "2001:db8::7") == "source:2001:db8::7", "mail still leaves from it"


def test_a_cluster_is_there_if_a_lane_is_in_it(ada: Any) -> None:
    posted(ada, {"to": "grace@example.org"})
    Lane.objects.update(scopes=["all", "cluster:c-1"])
    assert scopes.named("cluster", "c-1") == "cluster:c-1"
    with pytest.raises(scopes.NoSuchScope, match="no mail in a cluster 'c-2'"):
        scopes.named("cluster", "c-2")


def test_many_names_are_not_all_shown_and_a_provider_is_shown_once(ada: Any) -> None:
    for number in range(12):
        factories.agent(f"robot-{number:02}")
    with pytest.raises(scopes.NoSuchScope, match=r"there are: ada, robot-00, .*robot-08, \.\.\.\.$"):
        scopes.named("agent", "nosuch")
    posted(ada, *({"to": f"p{number}@example.org", "agent": {"run_id": f"r{number}"}} for number in range(3)))
    with pytest.raises(scopes.NoSuchScope, match=r"there are: other\.$"):
        scopes.named("provider", "nosuch")


def test_what_a_page_offers_is_there_even_under_an_old_name(ada: Any) -> None:
    posted(ada, {"to": "grace@example.org"})
    type(ada).objects.update(name="lovelace")
    assert scopes.offered("agent:ada") == "agent:ada", "its lanes were opened under it"
    assert scopes.offered("agent:lovelace") == "agent:lovelace"
    assert [scopes.offered(wide) for wide in ("agents", "all")] == ["agents", "all"]
    with pytest.raises(scopes.NoSuchScope):
        scopes.offered("agent:nosuch")
    with pytest.raises(killswitch.UnknownScope):
        scopes.offered("nosuch:ada")


def test_a_look_that_hangs_holds_up_no_stop(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "PATIENCE", "SET LOCAL statement_timeout = '50ms'")
    with psycopg.connect(live_db.owner) as other:
        other.execute("LOCK TABLE outbox_agent IN ACCESS EXCLUSIVE MODE")
        assert scopes.offered("agent:nosuch") == "agent:nosuch"
    assert killswitch.trip("agent:nosuch", who="rita", why="").scope == "agent:nosuch"


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
    with pytest.raises(CommandError, match="Nothing was stopped"):
        call_command("trip", "source", "127.0.0.99")
    assert killswitch.open_stops() == []
    call_command("trip", "stream", "to-come", "--anyway", stdout=StringIO())
    call_command("trip", "cluster", "to-come", "--anyway", stdout=StringIO())
    assert [stop.scope for stop in killswitch.open_stops()] == ["stream:to-come", "cluster:to-come"]


def test_a_delivery_is_in_its_lanes_scopes_and_its_recipients_domains() -> None:
    said = sql.one(
        "SELECT ao_scopes(ARRAY['all', 'agent:ada']::varchar[], 'grace@corp.test') AS scopes"
    ).scopes
    assert said == ["all", "agent:ada", "recipient_domain:corp.test"]
