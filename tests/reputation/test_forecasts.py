"""A forecast is the rule of the ramps, walked ahead."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reputation.forecasts import HORIZON, Warming, through, timeline
from reputation.hours import Hours, opened
from reputation.ramps import Day, Steps, judge, steps

ZONE = ZoneInfo("UTC")
OFFICE = Hours(ZONE, 9, 17, frozenset({1, 2, 3, 4, 5}))
ALL_DAY = Hours(ZONE)
MONDAY = date(2026, 11, 23)
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
MIDNIGHT = NINE - timedelta(hours=9)
LONG_AGO = NINE - timedelta(days=3)
CAREFUL = steps("careful", (), 100_000, Fraction(1), 8)
PLAN = Steps((10, 20, 40))


def warming(plan=PLAN, step=0, stepped_at=NINE, **today):
    return Warming(plan, step, stepped_at, **today)


def fixed(most, **today):
    """A ramp that has arrived."""
    return warming(Steps((most,)), **today)


@pytest.mark.parametrize(
    ("recipients", "ahead", "ramps", "now", "expected", "remark"),
    [
        (1, 0, [fixed(8)], NINE, NINE, "the first slot opens at once"),
        (2, 0, [fixed(8)], NINE, NINE + timedelta(hours=1), "the second after an eighth of the hours"),
        (1, 1, [fixed(8)], NINE, NINE + timedelta(hours=1), "one is ahead"),
        (8, 0, [fixed(8)], NINE, NINE + timedelta(hours=7), "the last one hour before the end"),
        (9, 0, [fixed(8)], NINE, NINE + timedelta(days=1), "tomorrow's first"),
        (41, 0, [fixed(8)], NINE, NINE + timedelta(days=7), "over the weekend"),
        (2, 0, [fixed(8), fixed(4)], NINE, NINE + timedelta(hours=2), "the least of them counts"),
        (5, 0, [fixed(8), fixed(4), fixed(6)], NINE, NINE + timedelta(days=1), "of three, too"),
        (500, 0, [warming(Steps(()))], NINE, NINE, "no cap"),
        (2, 0, [warming(Steps(())), fixed(8)], NINE, NINE + timedelta(hours=1), "a cap and none"),
        (5, 0, [], NINE - timedelta(hours=3), NINE, "not before the hours, with no ramp at all"),
        (1, 0, [fixed(8)], NINE + timedelta(hours=8), NINE + timedelta(days=1), "closed for today"),
        (1, 0, [fixed(8, day=MONDAY, cap=8, taken=8)], NINE, NINE + timedelta(days=1), "used up today"),
        (1, 0, [fixed(8, day=MONDAY, cap=8, taken=3)], NINE, NINE + timedelta(hours=3), "three are taken"),
        (
            1,
            0,
            [fixed(8, day=MONDAY, cap=8, taken=3, lapsed=2)],
            NINE,
            NINE + timedelta(hours=5),
            "two lapsed",
        ),
        (1, 0, [fixed(8, day=MONDAY, cap=2, taken=3)], NINE, NINE + timedelta(days=1), "today's cap was cut"),
        (1, 0, [fixed(8, day=MONDAY - timedelta(3), cap=8, taken=8)], NINE, NINE, "that was Friday's"),
        (
            2,
            0,
            [fixed(8)],
            NINE + timedelta(hours=5.5),
            NINE + timedelta(hours=5.5),
            "two hours' worth are piled up",
        ),
        (
            3,
            0,
            [fixed(8)],
            NINE + timedelta(hours=5.5),
            NINE + timedelta(hours=6),
            "no more: four have lapsed",
        ),
        (11, 0, [warming()], NINE, NINE + timedelta(days=1), "10 today, 20 tomorrow"),
        (31, 0, [warming()], NINE, NINE + timedelta(days=2), "10, 20, 40"),
        (0, 0, [fixed(8)], NINE, NINE, "nobody is through at once"),
    ],
)
def test_when_recipients_would_be_through(recipients, ahead, ramps, now, expected, remark):
    at = through(recipients, ahead, ramps, OFFICE, now)
    assert at is not None
    assert timedelta(0) <= at - expected <= timedelta(milliseconds=1), remark


def test_a_step_is_not_earned_within_24_hours():
    young = warming(stepped_at=NINE + timedelta(seconds=1))
    assert [day.cap for day in timeline(70, [young], OFFICE, NINE)] == [10, 10, 20, 40]


def test_what_was_used_today_earns_tomorrow():
    used = warming(stepped_at=LONG_AGO, day=MONDAY, cap=10, taken=10)
    assert timeline(5, [used], OFFICE, NINE) == [(MONDAY, 10, 0), (MONDAY + timedelta(1), 20, 5)]
    unused = warming(stepped_at=LONG_AGO, day=MONDAY, cap=10, taken=0, lapsed=10)
    assert timeline(5, [unused], OFFICE, NINE) == [(MONDAY, 10, 0), (MONDAY + timedelta(1), 10, 5)]


def test_a_ramp_that_others_hold_back_earns_by_what_it_uses():
    wide, narrow = (
        warming(Steps(caps), stepped_at=LONG_AGO) for caps in [(100, 150, 200), (60, 60, 60, 60, 500)]
    )
    # 60 of 100 is no full day, but three of them are 150 % within seven days: the fifth day has 150, not 100
    assert [day.cap for day in timeline(500, [wide, narrow], ALL_DAY, NINE)] == [60, 60, 60, 60, 150, 200]


def test_a_step_begins_without_the_use_of_the_one_before():
    wide = warming(Steps((100, 110, 200)), stepped_at=LONG_AGO, day=MONDAY, cap=100, taken=100)
    narrow = warming(Steps((60, 60, 500)))
    # Monday's 100 earned the step to 110 and nothing beyond it: 60 and 60 of 110 are less than 150 %
    assert [day.cap for day in timeline(230, [wide, narrow], OFFICE, NINE)] == [60, 60, 60, 110]


def test_use_counts_for_seven_days():
    wide, narrow = (warming(Steps(caps), stepped_at=LONG_AGO) for caps in [(100, 200), (*[22] * 7, 500)])
    # seven days of 22 are 154; six of them would not be 150 % of 100
    assert [day.cap for day in timeline(7 * 22 + 200, [wide, narrow], ALL_DAY, MIDNIGHT)] == [22] * 7 + [200]


def test_a_day_of_23_hours_is_no_24():
    friday = datetime(2026, 3, 27, 8, tzinfo=UTC)
    ramp = warming(Steps((10, 20, 40)), stepped_at=friday - timedelta(days=2))
    office = Hours(ZoneInfo("Europe/Berlin"), 9, 17)
    # Friday, Saturday, Sunday with its clocks put forward, Monday
    assert [day.cap for day in timeline(90, [ramp], office, friday)] == [10, 20, 20, 40]


def test_transactional_mail_goes_as_soon_as_the_day_opens():
    assert through(8, 0, [fixed(8)], OFFICE, NINE, even=False) == NINE
    late = NINE + timedelta(hours=7)
    assert through(8, 0, [fixed(8)], OFFICE, late, even=False) == late
    assert through(9, 0, [fixed(8)], OFFICE, late, even=False) == NINE + timedelta(days=1)


def test_eighty_thousand_at_careful_are_weeks():
    planned = timeline(80_000, [warming(CAREFUL, stepped_at=LONG_AGO)], ALL_DAY, MIDNIGHT)
    assert [day.cap for day in planned[:9]] == [10, 20, 40, 70, 100, 140, 200, 280, 392]
    assert sum(day.sent for day in planned) == 80_000
    assert len(planned) == 22
    assert all(day.sent == day.cap for day in planned[:-1])


def test_no_forecast_beyond_three_years():
    assert through(2_000, 0, [fixed(1)], ALL_DAY, NINE) is None
    assert through(1_090, 0, [fixed(1)], ALL_DAY, NINE) is not None
    assert through(1, 0, [fixed(1)], Hours(ZONE, sending_days=frozenset()), NINE) is None
    assert len(timeline(10**12, [fixed(1)], ALL_DAY, NINE)) == HORIZON.days + 1


def test_the_cost_is_by_days_not_by_recipients(monkeypatch):
    calls = []
    monkeypatch.setattr("reputation.forecasts.next_opening", lambda *a: calls.append(a))
    through(80_000, 0, [warming(CAREFUL)] * 3, ALL_DAY, NINE)
    assert len(calls) == 3


plans = st.lists(st.integers(1, 60), min_size=1, max_size=5).map(lambda caps: Steps(tuple(sorted(caps))))


@settings(max_examples=40, deadline=None)
@given(st.lists(plans, min_size=1, max_size=3), st.integers(1, 120), st.integers(0, 6))
def test_a_forecast_is_what_the_rule_does_with_healthy_mail(plan_list, recipients, start_on):
    """Played out by quarters of an hour: slots open, mail that waits takes them, each morning judges."""
    start = NINE + timedelta(days=start_on)
    at = through(recipients, 0, [warming(plan, stepped_at=start) for plan in plan_list], OFFICE, start)
    assert at is not None
    assert _played(plan_list, recipients, start) - at <= QUARTER
    assert at <= _played(plan_list, recipients, start)


def _played(plan_list, recipients, start):
    ramps = [(plan, 0, start, []) for plan in plan_list]
    for number in range(10_000):
        window = OFFICE.window(start.date() + timedelta(number))
        if window is None:
            continue
        opens, closes = window.opens_at, window.closes_at
        moved = []
        for plan, step, since, history in ramps:
            to = judge(history, step, since, opens, ZONE, plan).step
            moved.append((plan, to, opens if to != step else since, history))
        ramps = moved
        taken, now = 0, opens
        while now <= closes and taken < recipients:
            open_now = [opened(plan.caps[step], opens, closes, now) for plan, step, _, _ in ramps]
            taken = min(recipients, *open_now)
            now += QUARTER
        recipients -= taken
        if not recipients:
            return now - QUARTER
        for _, step, _, history in ramps:
            history.append(Day(window.day, step, taken, accepted=taken))
    raise AssertionError("never through")
