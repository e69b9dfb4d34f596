"""What people read when a page is not for them, or came too late: who they are and what to do next."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from outbox.people import make_groups
from reputation import killswitch
from tests import factories
from tests.outbox.killswitch.page import one_of, shown

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def groups(live_db: Any) -> None:
    make_groups()


def test_whoever_may_not_is_told_who_they_are_and_whom_to_ask() -> None:
    told = shown(one_of("auditors", "otto").post("/killswitch/stop/", {"scope": "agents"}), 403)
    assert "You may not do that" in told
    assert "logged in as <b>otto</b>" in told
    assert killswitch.open_stops() == []


def test_a_button_of_a_page_from_before_another_log_in_did_nothing_and_says_so() -> None:
    one_of("responders", "rita")
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="rita"))
    told = shown(client.post("/killswitch/stop/", {"scope": "agents"}), 403)
    assert "Nothing was done" in told
    assert "manage.py trip agents" in told
    assert killswitch.open_stops() == []


@pytest.mark.parametrize(
    ("group", "offered"), [("auditors", False), ("reviewers", False), ("responders", True)]
)
def test_a_key_is_offered_for_revoking_to_whoever_may(group: str, offered: bool) -> None:
    agent = factories.agent("ada")
    factories.key(agent)
    told = shown(one_of(group).get(f"/admin/outbox/agent/{agent.pk}/change/"))
    assert ("/revoke/" in told) == offered
