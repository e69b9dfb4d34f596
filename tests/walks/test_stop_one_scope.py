"""A trip of one scope stops what is in it and nothing else, whatever way it was accepted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.walks.harness.inside import NotAccepted
from tests.walks.harness.installation import Accepted, Installation, Template

# who, which run, to whom
TRAFFIC = {
    "sales, first run": ("ada", "walk-1", "ok.first@gmail.test"),
    "sales, second run": ("ada", "walk-2", "ok.second@corp.test"),
    "sales, other agent": ("bob", "walk-1", "ok.bob@corp.test"),
    "support": ("carol", "walk-3", "ok.carol@corp.test"),
    "password reset": ("robot", "walk-4", "ok.robot@corp.test"),
}
SALES = {"sales, first run", "sales, second run", "sales, other agent"}

# scope -> what it stops
SCOPES = {
    "run:ada/walk-1": {"sales, first run"},
    "agent:ada": {"sales, first run", "sales, second run"},
    "stream:agents-sales": SALES,
    "domain:sales.acme.test": SALES,
    "provider:gmail": {"sales, first run"},
    "domain_provider:support.acme.test/other": {"support"},
    "agents": SALES | {"support"},
}


@pytest.fixture(scope="module")
def here(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One for all scopes: each is resumed at the end."""
    with Installation.of(template, tmp_path_factory.mktemp("scopes")) as here:
        here.beat()
        here.worker()
        yield here


@pytest.mark.parametrize("scope", SCOPES)
def test_only_what_is_in_the_scope_waits(here: Installation, scope: str) -> None:
    sent = {name: soon(here, *who) for name, who in TRAFFIC.items()}
    here.trip(scope)
    stopped = [sent.pop(name) for name in SCOPES[scope]]
    here.until_status(list(sent.values()), "delivered")
    assert here.statuses(stopped) == {"queued": len(stopped)}
    here.resume(scope)
    here.until_status(stopped, "delivered")
    here.check_invariants()


def test_a_stopped_recipient_domain_waits_though_its_lane_is_open(template: Template, tmp_path) -> None:
    with Installation.of(template, tmp_path) as here:
        here.worker()
        first, second = here.post("ok@corp.test"), here.post("ok@other.test")
        here.until_status([*first, *second], "delivered")
        here.trip("recipient_domain:corp.test")
        (stopped,), (sent,) = here.post("ok@corp.test"), here.post("ok@other.test")
        here.until_status([sent], "delivered")
        here.until_status([stopped], "queued")
        assert len(here.oracle()) == 3
        here.resume("recipient_domain:corp.test")
        here.shift_clock(120)
        here.until_status([stopped], "delivered")
        here.check_invariants()


def test_the_command_line_stops_and_resumes_and_the_door_is_closed_meanwhile(here: Installation) -> None:
    said = here.manage("trip", "agent", "ada", "--why", "a walk").said()
    assert "Stopped agent:ada" in said
    with pytest.raises(NotAccepted, match="stopped"):
        here.post("ok.refused@corp.test")
    assert "cleared after it: 0" in here.manage("status").said()
    assert "Resumed agent:ada" in here.manage("resume", "agent", "ada", "--why", "a walk").said()
    here.until_status(here.post("ok.again@corp.test"), "delivered")


def soon(here: Installation, agent: str, run: str, to: str) -> Accepted:
    """Accepted now, due when the stop has committed: so it is the worker that is stopped, not the door."""
    due = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    draft = {"to": to, "subject": "Soon", "text": "Soon.", "scheduled_at": due, "agent": {"run_id": run}}
    (delivery,) = here.post_many([draft], agent)
    return delivery
