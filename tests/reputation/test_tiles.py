"""A ramp on a page: its path is the rule's, its figures are the rows', its next step is the judgement's."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reputation import ramps, tiles
from reputation.hours import Hours
from reputation.models import Allowance, OrganisationalDomain, Ramp, Route, SendingDomain, Stream
from reputation.pictures import When
from reputation.tiles import Plan, Tile
from tests import factories

CAREFUL = ramps.steps("careful", [], 1000, ramps.share("gmail"), 24)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def ramp(live_db: Any) -> Ramp:
    since = NOON - timedelta(days=1)
    return Ramp.objects.create(
        kind="domain", key="agents.acme.test", provider="gmail", step=3, stepped_at=since
    )


def day(ramp: Ramp, ago: int, used: int, reserved: int = 0, **more: Any) -> Allowance:
    at = NOON.date() - timedelta(days=ago)
    begin = datetime.combine(at, time(0), UTC)
    fields = {
        "cap": 70,
        "step": 3,
        "accepted": used,
        "opens_at": begin,
        "closes_at": begin + timedelta(days=1),
    }
    return Allowance.objects.create(ramp=ramp, day=at, used=used, taken=used + reserved, **(fields | more))


def tile(ramp: Ramp, plan: Plan | None = None, at: datetime = NOON) -> Tile:
    [made] = tiles.tiles([ramp], at, plan or Plan("careful", [], 1000))
    return made


def figures(shown: Tile) -> dict[str, tuple[int | None, int, int]]:
    return {f"{one.bar.day:%d}": (one.bar.cap, one.bar.used, one.bar.reserved) for one in shown.figures}


def test_every_day_there_was_is_a_figure_and_the_days_to_come_are_forecast(ramp: Ramp) -> None:
    day(ramp, 2, 65)
    day(ramp, 0, 20, 4)
    shown = tile(ramp)
    told = figures(shown)
    assert told["16"] == (70, 65, 0)
    assert told["18"] == (70, 20, 4)
    assert "17" not in told
    assert [one.bar.when for one in shown.figures].count(When.FORECAST) == tiles.FUTURE_DAYS
    assert shown.today == "Today 20 of 70 used, 4 reserved."


def test_the_forecast_climbs_by_the_rules_own_steps_and_leaves_days_off_out(ramp: Ramp) -> None:
    day(ramp, 0, 60)
    weekdays = Hours(ZoneInfo("UTC"), 0, 24, frozenset(range(1, 6)))
    told = figures(tile(ramp, Plan("careful", [], 1000, weekdays)))
    caps = [told[f"{number}"][0] for number in (19, 20, 23)]
    assert caps == [CAREFUL.cap(step) for step in (4, 5, 6)]
    assert not {"21", "22"} & set(told)  # Saturday and Sunday


@pytest.mark.parametrize(
    ("used", "bounced", "says"),
    [
        (60, 0, "Earns step 4 with its next day: 100 a day."),
        (10, 0, "Stays on step 3 so far."),
        (60, 8, "Steps down to step 2 with its next day: 40 a day."),
        (60, 4, "Held on step 3."),
    ],
)
def test_the_next_step_is_what_the_rule_says_now(ramp: Ramp, used: int, bounced: int, says: str) -> None:
    day(ramp, 1, used, accepted=used - bounced, bounced=bounced)
    day(ramp, 0, 0)
    shown = tile(ramp)
    assert shown.next == says
    assert shown.why


def test_a_warm_domain_has_no_caps_no_forecast_and_nothing_to_earn(ramp: Ramp) -> None:
    day(ramp, 0, 5000, cap=None)
    shown = tile(ramp, Plan("none", [], 1000))
    assert shown.today == "Today 5,000 used."
    assert shown.next == ""
    assert figures(shown) == {"18": (None, 5000, 0)}


def test_the_day_is_the_senders_not_utcs(ramp: Ramp) -> None:
    day(ramp, 0, 20)
    late = datetime(2026, 11, 18, 23, 30, tzinfo=UTC)
    plan = Plan("careful", [], 1000, Hours(ZoneInfo("Europe/Berlin")))
    assert tile(ramp, plan, late).today == "Nothing sent today."
    assert tile(ramp, Plan("careful", [], 1000), late).today == "Today 20 of 70 used."


def test_what_moved_it_is_marked_on_its_day(ramp: Ramp) -> None:
    day(ramp, 1, 65)
    ramp.events.create(at=NOON - timedelta(days=1), kind="stepped_down", step=2)
    assert 'class="mark stepped-down"' in tile(ramp).picture


def test_many_ramps_cost_as_much_as_one(ramp: Ramp) -> None:
    more = [Ramp.objects.create(kind="domain", key="agents.acme.test", provider=f"p{n}") for n in range(20)]
    for each in more:
        day(each, 0, 5)
    costs = []
    for some in ([ramp], [ramp, *more]):
        with CaptureQueriesContext(connection) as captured:
            tiles.tiles(some, NOON, Plan("careful", [], 1000))
        costs.append(len(captured))
    assert costs == [2, 2]


def test_each_kind_of_ramp_has_the_plan_of_what_it_warms(live_db: Any) -> None:
    stream = factories.stream()
    Stream.objects.update(time_zone="Europe/Berlin", opens_hour=9, closes_hour=17, sending_days=[1, 2])
    SendingDomain.objects.update(preset="careful", target=900)
    Route.objects.update(source_address="192.0.2.7", preset="standard")
    OrganisationalDomain.objects.update(preset="new-domain")
    found = {
        kind: tiles.plan_for(Ramp(kind=kind, key=key, provider="gmail"))
        for kind, key in [
            ("domain", "agents.acme.test"),
            ("source", "192.0.2.7"),
            ("organisation", "acme.test"),
        ]
    }
    domain, source, organisation = found["domain"], found["source"], found["organisation"]
    assert (domain.preset, source.preset, organisation.preset) == ("careful", "standard", "new-domain")
    assert (domain.hours.opens_hour, domain.hours.sending_days) == (9, frozenset({1, 2}))
    assert tiles.plan_for(Ramp(kind="domain", key="gone.test", provider="gmail")) is None
    Stream.objects.filter(pk=stream.pk).update(kind="transactional")
    whole = tiles.plan_for(Ramp(kind="domain", key="agents.acme.test", provider="gmail"))
    assert whole
    assert (whole.hours.length, whole.even) == (24, False)


def test_a_ramp_of_something_gone_is_still_shown(ramp: Ramp) -> None:
    day(ramp, 0, 20)
    [shown] = tiles.tiles([ramp], NOON, None)
    assert (shown.next, shown.today) == ("", "Today 20 of 70 used.")


def test_what_a_domain_shares_with_others_is_told_by_provider(live_db: Any) -> None:
    factories.stream()
    Route.objects.update(source_address="192.0.2.7")
    for kind, key, provider in [
        ("organisation", "acme.test", "gmail"),
        ("source", "192.0.2.7", "gmail"),
        ("organisation", "other.test", "gmail"),
        ("source", "192.0.2.8", "yahoo"),
    ]:
        day(Ramp.objects.create(kind=kind, key=key, provider=provider), 0, 20, 4)
    domain = SendingDomain.objects.get()
    words = "20 of 70 used, 4 reserved"
    assert tiles.shared(domain, NOON) == {"gmail": [f"acme.test: {words}", f"192.0.2.7: {words}"]}
    assert tiles.shared(domain, NOON + timedelta(days=1)) == {}
