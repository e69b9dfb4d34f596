"""A provider that suddenly knows nobody is confused: nothing of it counts, and it is told from the week before."""

from datetime import timedelta

import pytest
from django.utils import timezone

from reputation import incidents, judging
from reputation.gathering import Outcomes, believed
from reputation.models import Incident, OpenStop, ProviderHour, Watch
from tests.reputation.test_judging import settled

pytestmark = pytest.mark.usefixtures("live_db")


def week(trials=1000, unknown=5, provider="gmail"):
    """What the provider said of some stream yesterday."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    ProviderHour.objects.create(provider=provider, stream="s", hour=hour, trials=trials, unknown=unknown)


def bounced(stream, number=12, trials=60, provider="gmail"):
    settled(trials, range(1, number + 1), stream=stream, provider=provider, agent=f"of-{stream}")


def test_two_streams_that_lose_everybody_at_once_are_an_incident_and_close_nothing():
    week()
    bounced("agents-sales")
    bounced("agents-support")
    assert judging.judge() == []
    incident = Incident.objects.get()
    assert incident.provider == "gmail"
    assert "12 of 60 on agents-sales" in incident.why
    assert incidents.going_on() == {"gmail"}
    # what goes on is not told twice, and its good outcomes count
    bounced("agents-sales")
    judging.judge()
    assert Incident.objects.count() == 1
    assert Watch.objects.get(scope="stream:agents-sales", signal="bounces").trials == 2 * 48
    assert not OpenStop.objects.exists()


@pytest.mark.parametrize(
    ("streams", "base", "provider"),
    [
        (["agents-sales"], {}, "gmail"),  # one stream alone: its list is bad
        (["agents-sales", "agents-support"], {"trials": 100}, "gmail"),  # no week to compare with
        (["agents-sales", "agents-support"], {"unknown": 100}, "gmail"),  # it was 10 % all week
        (["agents-sales", "agents-support"], {"provider": "yahoo"}, "gmail"),
        (["agents-sales", "agents-support"], {"provider": "other"}, "other"),  # no provider at all
    ],
)
def test_anything_else_is_none(streams, base, provider):
    week(**base)
    for stream in streams:
        bounced(stream, provider=provider)
    assert judging.judge()
    assert not Incident.objects.exists()


def test_it_ends_by_itself():
    week()
    bounced("agents-sales")
    bounced("agents-support")
    judging.judge()
    Incident.objects.update(until=timezone.now())
    assert incidents.going_on() == frozenset()


def test_what_is_not_believed_is_neither_an_event_nor_an_outcome():
    events = [[2, "bounced", "a.example", "recipient_unknown", False],
              [5, "bounced", "b.example", "recipient_moved", False],
              [0, "bounced", "c.example", "recipient_unknown", False]]  # fmt: skip
    rows = [Outcomes(timezone.now(), "s", [], "gmail", 6, events)]
    [kept] = believed(rows, {"gmail"})
    assert (kept.trials, kept.events) == (5, [[4, "bounced", "b.example", "recipient_moved", False]])
    assert believed(rows, {"yahoo"}) == rows
