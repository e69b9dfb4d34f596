"""A day's cap opens evenly over the sender's hours, on the sender's calendar."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reputation.hours import Hours, day_of, next_opening, opened, pile

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY_TO_FRIDAY = frozenset({1, 2, 3, 4, 5})
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
FIVE = NINE + timedelta(hours=8)
INSTANT = timedelta(microseconds=1)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "opens", "closes", "day", "expected"),
    [
        ("UTC", 9, 17, date(2026, 11, 23), (utc(2026, 11, 23, 9), utc(2026, 11, 23, 17))),
        ("UTC", 0, 24, date(2026, 11, 23), (utc(2026, 11, 23), utc(2026, 11, 24))),
        ("Europe/Berlin", 9, 17, date(2026, 11, 23), (utc(2026, 11, 23, 8), utc(2026, 11, 23, 16))),
        ("Europe/Berlin", 9, 17, date(2026, 7, 1), (utc(2026, 7, 1, 7), utc(2026, 7, 1, 15))),
        ("Europe/Berlin", 0, 24, date(2026, 3, 29), (utc(2026, 3, 28, 23), utc(2026, 3, 29, 22))),  # 23 hours
        ("Europe/Berlin", 0, 24, date(2026, 10, 25), (utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))),  # 25
        (
            "Europe/Berlin",
            2,
            4,
            date(2026, 3, 29),
            (utc(2026, 3, 29, 1), utc(2026, 3, 29, 2)),
        ),  # 2 is skipped
        ("Europe/Berlin", 2, 3, date(2026, 3, 29), None),  # the only hour is the one that is skipped
        ("Europe/Berlin", 2, 3, date(2026, 10, 25), (utc(2026, 10, 25, 0), utc(2026, 10, 25, 2))),  # twice
        ("Pacific/Apia", 9, 17, date(2011, 12, 30), None),  # Samoa had no such day
        ("Asia/Kolkata", 9, 17, date(2026, 11, 23), (utc(2026, 11, 23, 3, 30), utc(2026, 11, 23, 11, 30))),
    ],
)
def test_sending_hours_are_the_senders(zone, opens, closes, day, expected):
    window = Hours(ZoneInfo(zone), opens, closes).window(day)
    assert (window and (window.opens_at, window.closes_at)) == expected
    assert window is None or (window.day, window.opens_at.tzinfo) == (day, UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (utc(2026, 11, 23, 7, 59), date(2026, 11, 23)),  # before the hours
        (utc(2026, 11, 23, 8), date(2026, 11, 23)),  # in them
        (utc(2026, 11, 23, 15, 59), date(2026, 11, 23)),
        (utc(2026, 11, 23, 16), date(2026, 11, 24)),  # just closed
        (utc(2026, 11, 27, 16), date(2026, 11, 30)),  # over a weekend
        (utc(2026, 11, 28, 12), date(2026, 11, 30)),
        (utc(2026, 11, 22, 23, 30), date(2026, 11, 23)),  # already Monday in Berlin
    ],
)
def test_the_next_sending_hours_are_those_now_or_after(now, expected):
    assert Hours(BERLIN, 9, 17, MONDAY_TO_FRIDAY).next_window(now).day == expected


def test_a_day_off_has_no_sending_hours():
    hours = Hours(BERLIN, 9, 17, MONDAY_TO_FRIDAY)
    assert [hours.window(date(2026, 11, day)) is None for day in range(23, 30)] == [False] * 5 + [True] * 2


def test_a_week_of_days_off_is_refused_and_not_searched_for_ever():
    with pytest.raises(ValueError, match="no day"):
        Hours(BERLIN, sending_days=frozenset()).next_window(NINE)


def test_a_date_is_the_senders():
    assert day_of(utc(2026, 11, 22, 23), BERLIN) == date(2026, 11, 23)
    assert day_of(utc(2026, 11, 22, 22, 59), BERLIN) == date(2026, 11, 22)


zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])


@given(
    zones,
    st.integers(0, 23).flatmap(lambda o: st.tuples(st.just(o), st.integers(o + 1, 24))),
    st.datetimes(datetime(2011, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
)
def test_windows_follow_each_other_in_order_and_never_overlap(zone, hours, now):
    following = Hours(ZoneInfo(zone), *hours).windows(now)
    first, second = next(following), next(following)
    assert now < first.closes_at <= second.opens_at < second.closes_at
    assert first.opens_at < first.closes_at
    assert day_of(first.opens_at, ZoneInfo(zone)) == first.day


@pytest.mark.parametrize(
    ("cap", "now", "expected"),
    [
        (1, NINE - INSTANT, 0),
        (1, NINE, 1),  # a cap of 1 opens at once
        (10, NINE, 1),
        (10, NINE + timedelta(minutes=48), 1),  # a tenth of the hours
        (10, NINE + timedelta(minutes=48, milliseconds=1), 2),
        (10, NINE + timedelta(hours=4), 5),  # half of them
        (10, FIVE - timedelta(milliseconds=1), 10),
        (10, FIVE, 10),
        (10, FIVE + timedelta(days=3), 10),
        (0, NINE, 0),
        (2_147_483_647, NINE + timedelta(hours=4), 1_073_741_824),
    ],
)
def test_the_cap_opens_evenly(cap, now, expected):
    assert opened(cap, NINE, FIVE, now) == expected


def test_without_even_opening_everything_opens_at_once():
    assert [opened(70, NINE, NINE, now) for now in (NINE - INSTANT, NINE, FIVE)] == [0, 70, 70]
    assert next_opening(70, 70, NINE, NINE) == NINE
    assert pile(70, NINE, NINE) == 70


@pytest.mark.parametrize(
    ("cap", "hours", "expected"),
    [
        (200, 8, 50),
        (201, 8, 51),  # rounded up
        (1, 24, 1),  # at least one
        (10, 24, 1),
        (10, 2, 10),  # two hours are all there are
        (10, 1, 10),
        (0, 8, 0),
    ],
)
def test_at_most_two_hours_worth_piles_up(cap, hours, expected):
    assert pile(cap, NINE, NINE + timedelta(hours=hours)) == expected


def test_more_than_the_cap_never_opens():
    assert next_opening(10, 11, NINE, FIVE) is None


lengths = st.timedeltas(timedelta(seconds=1), timedelta(hours=25))


@given(st.integers(1, 2_147_483_647), lengths, st.data())
def test_a_slot_opens_at_the_instant_forecast_and_not_before(cap, length, data):
    wanted = data.draw(st.one_of(st.integers(1, min(cap, 50)), st.integers(1, cap), st.just(cap)))
    at = next_opening(cap, wanted, NINE, NINE + length)
    assert NINE <= at <= NINE + length
    assert opened(cap, NINE, NINE + length, at) >= wanted
    assert opened(cap, NINE, NINE + length, at - INSTANT) < wanted


@given(st.integers(0, 10_000), lengths, st.lists(st.timedeltas(-timedelta(hours=1), timedelta(hours=26))))
def test_what_has_opened_never_closes_and_never_passes_the_cap(cap, length, moments):
    counts = [opened(cap, NINE, NINE + length, NINE + moment) for moment in sorted(moments)]
    assert counts == sorted(counts)
    assert all(0 <= count <= cap for count in counts)


@given(st.integers(1, 10_000), lengths, st.fractions(0, 1))
def test_the_pile_is_what_opens_in_two_hours(cap, length, share):
    closes = NINE + length
    start = NINE + length * float(share)
    grown = opened(cap, NINE, closes, start + timedelta(hours=2)) - opened(cap, NINE, closes, start)
    assert 1 <= pile(cap, NINE, closes) <= cap
    assert grown <= pile(cap, NINE, closes) + 1
