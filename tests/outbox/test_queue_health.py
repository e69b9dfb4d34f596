"""The queue measures itself: waits, depth, lapses, and reviewers who do not read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outbox import alarms, queue_health
from outbox.models import Agent, Alarm, Approval
from tests import factories
from tests.outbox.reviewed import asked, said
from tests.outbox.test_metrics import read

pytestmark = pytest.mark.usefixtures("live_db")

LONG = {"text": "word " * 500}  # two minutes to read


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def test_an_empty_queue_is_told_too() -> None:
    found = queue_health.measured()
    assert (found.depth, found.oldest, found.waits, found.lapse_share) == (0, None, None, None)
    assert len(found.hours) == queue_health.HOURS
    assert found.reviewers == []


def test_waits_are_until_the_first_word_of_a_person(ada: Agent) -> None:
    for hours in (1, 2, 3):
        request = asked(ada, ago=timedelta(hours=10))
        said(request, "rita", at=ago(hours=10 - hours))
        said(request, "omar", "confirm", at=ago(hours=1))
    assert queue_health.measured().waits == pytest.approx((7200, 10_080, 10_728), abs=5)


def test_depth_and_age_follow_what_waited(ada: Agent) -> None:
    asked(ada, ago=timedelta(hours=5, minutes=30))
    answered = asked(ada, ago=timedelta(hours=3, minutes=30))
    said(answered, "rita", at=ago(hours=1, minutes=30))
    found = queue_health.measured()
    assert [hour.depth for hour in found.hours][-7:] == [0, 1, 1, 2, 2, 1, 1]
    assert found.hours[-1].oldest == pytest.approx(5.5 * 3600, abs=60)
    assert sum(hour.arrived for hour in found.hours) == 2
    assert sum(hour.answered for hour in found.hours) == 1
    assert (found.depth, found.oldest) == (1, pytest.approx(5.5 * 3600, abs=60))


def test_what_nobody_answered_in_time_is_a_share(ada: Agent) -> None:
    lapsed = {"state": "lapsed", "taking": False, "ended_at": ago(hours=1)}
    asked(ada, ago=timedelta(days=2), **lapsed)
    for _ in range(3):
        said(asked(ada, ago=timedelta(hours=2)), "rita", "refuse")
    assert queue_health.measured().lapse_share == 0.25


def decide(agent: Agent, count: int, looked: float, refuse: int = 0) -> None:
    request = asked(agent, LONG)
    for number in range(count):
        said(request, "rita", "refuse" if number < refuse else "release", looked)


@pytest.mark.parametrize(
    ("count", "looked", "refused", "stamps"),
    [
        (20, 5, 0, True),
        (19, 5, 0, False),  # too few to tell
        (20, 13, 0, False),  # a tenth of two minutes, and a little
        (20, 5, 1, False),  # somebody who says no reads
        (60, 5, 1, True),
    ],
)
def test_unread_approval_of_nearly_everything_is_a_rubber_stamp(
    ada: Agent, count: int, looked: float, refused: int, stamps: bool
) -> None:
    decide(ada, count, looked, refused)
    [rita] = queue_health.reviewers()
    assert (rita.decisions, rita.stamps) == (count, stamps)
    assert rita.reading == pytest.approx(120, abs=1)
    assert rita.dwell == pytest.approx(looked)
    assert [case["key"] for case in queue_health.stamping()] == (["rita"] if stamps else [])


def test_a_rubber_stamp_is_an_alarm_in_words(ada: Agent) -> None:
    decide(ada, 20, 5)
    alarms.judge()
    [alarm] = Alarm.objects.filter(kind="rubber_stamp")
    assert alarm.words.startswith(
        "rita approved 100 % of 20 requests within a day and looked at each for 5 s"
    )


def test_the_decisions_of_yesterday_are_over(ada: Agent) -> None:
    request = asked(ada, LONG)
    for _ in range(30):
        said(request, "rita", looked=1, at=ago(hours=25))
    assert queue_health.reviewers() == []


def test_machines_are_told_what_waits_and_for_how_long(ada: Agent) -> None:
    asked(ada, ago=timedelta(hours=2))
    said(asked(ada, ago=timedelta(hours=1)), "rita")
    ended = {"state": Approval.State.ENDED, "taking": False, "ended_at": ago(hours=1)}
    asked(ada, ago=timedelta(hours=9), **ended)
    found = read()
    assert found["ao_approvals_open",] == 2
    assert found["ao_approvals_oldest_seconds",] == pytest.approx(7200, abs=60)
    assert found["ao_approval_wait_seconds", "0.9"] == pytest.approx(3600, abs=60)
