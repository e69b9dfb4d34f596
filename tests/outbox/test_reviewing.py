"""What the desk is told of requests."""

from dataclasses import replace
from typing import Any

import pytest

from outbox import deciding, reviewing
from outbox.models import Agent
from outbox.reviewing import Filters
from reputation.models import Stream
from tests import factories
from tests.clocks import later
from tests.outbox.asked import carried, held, many, request, reviewer, shown, to
from tests.outbox.reopened import ask

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


def names(filters: Filters | None = None) -> list[str]:
    return [f"{one.run}/{one.cluster}" for one in reviewing.listed(filters or Filters())]


def test_a_request_in_the_list(ada: Agent, live_db: Any) -> None:
    Stream.objects.update(second_person_above=3)
    held(
        live_db,
        ada,
        {"to": ["a@x.test", "b@y.test"], "subject": "First", "agent": {"run_id": "r1", "purpose": "try"}},
    )
    held(live_db, ada, *many(2))
    [one] = reviewing.listed(Filters())
    assert (one.state, one.agent, one.stream, one.run, one.cluster) == (
        "open",
        "ada",
        "agents-support",
        "r1",
        7,
    )
    assert (one.messages, one.people, one.subject, one.purpose) == (3, 4, "First", "try")
    assert (one.reasons, one.stale, one.second_person) == (("first_contact",), False, True)
    assert one.printed.startswith("apr_")
    again = reviewing.found(one.id)
    assert again
    assert replace(again, urgency=one.urgency) == one
    later(live_db, "5 hours")
    assert reviewing.listed(Filters())[0].stale


def test_what_was_decided_or_is_gone_is_not_counted(ada: Agent, live_db: Any) -> None:
    messages = sorted(held(live_db, ada, *many(4)))
    deciding.release_part(shown(), reviewer(), messages[:1], "one")
    carried()
    ask(live_db, "UPDATE outbox_delivery SET status = 'cancelled', code = 'by_agent', finished_at = now() "
        "WHERE message_id = %s", messages[1])  # fmt: skip
    [one] = reviewing.listed(Filters())
    assert (one.messages, one.people) == (2, 2)
    assert [member.message_id for member in reviewing.members(one.id)] == messages[2:]
    [said] = reviewing.decisions(one.id)
    assert (said.kind, said.who, said.messages, said.why) == ("part", "rita", 1, "one")


def test_counts_are_bounded(ada: Agent, live_db: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(reviewing, "MANY", 3)
    held(live_db, ada, *many(6))
    [one] = reviewing.listed(Filters())
    assert (one.messages, one.people) == (4, 4)


def test_the_more_people_the_more_urgent_and_nothing_starves(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, *many(2), cluster=1)
    later(live_db, "1 hour")
    held(live_db, ada, *many(40), cluster=2)
    assert names() == ["r1/2", "r1/1"]
    ask(live_db, "UPDATE outbox_approval SET opened_at = opened_at - interval '9 hours' WHERE cluster = 1")
    assert names() == ["r1/1", "r1/2"]


def test_what_would_lapse_soon_comes_first(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, *many(40), cluster=1)
    held(live_db, ada, {}, cluster=2)
    ask(live_db, "UPDATE outbox_approval SET expires_at = now() + interval '1 hour' WHERE cluster = 2")
    assert names() == ["r1/2", "r1/1"]


def test_filters_and_pages(ada: Agent, live_db: Any) -> None:
    held(live_db, ada, {}, cluster=1)
    held(live_db, ada, {}, cluster=2, code="cluster_size")
    held(live_db, factories.agent("bob"), {}, cluster=3)
    assert names(Filters(agent="bob")) == ["r1/3"]
    assert names(Filters(reason="cluster_size")) == ["r1/2"]
    assert names(Filters(stream="other")) == []
    assert names(Filters(closed=True)) == []
    assert len(reviewing.listed(Filters(), 1, 2)) == 3
    assert len(reviewing.listed(Filters(), 2, 2)) == 1


def test_members_and_domains(ada: Agent, live_db: Any) -> None:
    messages = held(live_db, ada, *to("a", "b"), {"to": "c@other.test", "html": "<p>Hi</p>"})
    key = request().pk
    assert reviewing.domains(key) == [("example.org", 2), ("other.test", 1)]
    first = reviewing.members(key, limit=1)
    rest = reviewing.members(key, first[0].message_id)
    assert [one.message_id for one in (*first, *rest)] == sorted(messages)
    assert {one.recipients for one in (*first, *rest)} == {
        ("a@example.org",),
        ("b@example.org",),
        ("c@other.test",),
    }
