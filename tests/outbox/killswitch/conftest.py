"""Who is there: two responders, and an agent with an owner to call."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from outbox.models import Agent
from outbox.people import make_groups
from tests import factories
from tests.outbox.killswitch.page import one_of


@pytest.fixture(autouse=True)
def groups(live_db: Any) -> None:
    make_groups()


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
