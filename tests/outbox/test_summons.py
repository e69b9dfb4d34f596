"""Reviewers are written to: when something is new, once in a quarter of an hour, without a word of an agent's."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User

from outbox import summons
from outbox.models import Agent, Approval, Delivery, Message
from outbox.people import make_groups
from reputation import sql
from tests import factories
from tests.outbox.reviewed import asked
from tests.pages.desk import HOSTILE

pytestmark = pytest.mark.usefixtures("live_db")

LATER = "UPDATE outbox_clockshift SET shift = make_interval(mins => %s)"


@pytest.fixture(autouse=True)
def stream(live_db: Any, settings: Any) -> None:
    make_groups()
    factories.stream("desk", "desk.acme.test", kind="transactional")
    settings.AO_REVIEWERS_STREAM = "desk"
    settings.PUBLIC_URL = "https://outbox.acme.test"


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


def person(name: str, group: str = "reviewers", **fields: Any) -> User:
    user = User.objects.create_user(name, f"{name}@acme.test", is_staff=True, **fields)
    user.groups.add(Group.objects.get(name=group))
    return user


def later(minutes: int) -> None:
    sql.count(LATER, [minutes], using="owner")


def written() -> list[Message]:
    return list(Message.objects.filter(stream__name="desk").order_by("pk"))


def test_whoever_may_decide_is_told_how_much_waits_and_where_to_log_in(ada: Agent) -> None:
    person("rita")
    person("omar", "responders")  # may not decide
    person("gone", is_active=False)
    asked(ada, {"subject": HOSTILE, "text": HOSTILE}, run="evil", ago=timedelta(hours=1))
    asked(ada, ago=timedelta(hours=4))
    assert summons.summon() == 1
    [message] = written()
    assert message.addresses == ["rita@acme.test"]
    assert message.subject == "Approvals: 2 new, 2 waiting"
    assert (
        message.text.split()
        == (
            "2 new requests wait for a reviewer; 2 in all. The first lapses in 20 h: what it holds is then never sent. "
            "Log in to look at them: https://outbox.acme.test/approvals/"
        ).split()
    )
    assert Delivery.objects.get(message=message).status == "queued"


def test_nothing_new_is_not_told_again_and_what_is_new_not_before_its_time(ada: Agent) -> None:
    person("rita")
    asked(ada)
    assert [summons.summon() for _ in range(3)] == [1, 0, 0]
    later(20)
    assert summons.summon() == 0  # nothing is new
    asked(ada, ago=timedelta(minutes=-10))
    assert summons.summon() == 1
    asked(ada, ago=timedelta(minutes=-21))
    later(25)
    assert summons.summon() == 0  # too soon
    later(40)
    assert summons.summon() == 1
    assert [message.subject[:16] for message in written()] == ["Approvals: 1 new"] * 3


def test_what_was_decided_is_not_told(ada: Agent) -> None:
    person("rita")
    request = asked(ada)
    Approval.objects.update(state="ended", taking=False, ended_at=request.opened_at)
    assert summons.summon() == 0


def test_only_one_process_writes_at_a_time(ada: Agent, live_db: Any) -> None:
    person("rita")
    asked(ada)
    with psycopg.connect(live_db.app) as other:
        other.execute(summons.MY_TURN)
        assert summons.summon() == 0
    assert summons.summon() == 1


@pytest.mark.parametrize("name", ["", "no-such-stream", "agents-support"])
def test_without_a_transactional_stream_nobody_is_written_to(ada: Agent, settings: Any, name: str) -> None:
    settings.AO_REVIEWERS_STREAM = name
    person("rita")
    asked(ada)
    assert summons.summon() == 0
    assert written() == []
