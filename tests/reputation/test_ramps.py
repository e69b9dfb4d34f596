"""Steps are earned by use and health; every sentence of the rule is a row here."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reputation.providers import DEFAULT_SUFFIXES
from reputation.ramps import (
    CAREFUL,
    NEW_DOMAIN,
    SHARES,
    STANDARD,
    Day,
    Steps,
    Turn,
    earned,
    health,
    judge,
    share,
    steps,
)

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
WHOLE = Fraction(1)
PLAN = Steps((10, 20, 40, 70, 100))
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def ago(days, step=2, used=0, **counts):
    """A day so many days ago; its recipients were accepted unless told otherwise."""
    counts.setdefault("accepted", used - sum(counts.get(k, 0) for k in ("bounced", "refused")))
    return Day(TODAY - timedelta(days), step, used, **counts)


def judged(*history, step=2, stepped=2, plan=PLAN):
    """The judgement of now, of a ramp that stepped so many days ago."""
    return judge(history, step, NOW - timedelta(days=stepped), NOW, UTC_ZONE, plan)


# Steps


@pytest.mark.parametrize(
    ("preset", "own", "target", "part", "hours", "caps"),
    [
        ("careful", (), 600, WHOLE, 24, (10, 20, 40, 70, 100, 140, 200, 280, 392, 548, 600)),
        (
            "careful",
            (),
            600,
            Fraction(1, 100),
            1,
            (10, 20, 40, 70, 100, 140, 200, 280, 392, 548, 600),
        ),  # not split
        ("careful", (), 100, WHOLE, 24, (10, 20, 40, 70, 100)),  # a step that is the target is the last
        ("careful", (), 5, WHOLE, 24, (5,)),
        ("careful", (), 0, WHOLE, 24, (1,)),  # never zero
        ("standard", (), 400, WHOLE, 10, (200, 280, 390, 400)),  # an hour's number times the sending hours
        ("standard", (), 100, Fraction(35, 100), 8, (56, 78, 100)),  # Gmail's share: 160 and 224 a day
        ("new-domain", (), 900, WHOLE, 24, (150, 250, 400, 700, 900)),
        ("new-domain", (), 900, Fraction(1, 2), 24, (75, 125, 200, 350, 500, 750, 900)),
        (
            "new-domain",
            (),
            5,
            Fraction(1, 1000),
            24,
            (1, 1, 1, 1, 1, 1, 2, 2, 3, 5),
        ),  # never zero, never falling
        ("own", (5, 50, 500), 100, Fraction(1, 100), 8, (5, 50, 500)),  # as given, ending at their last
        ("own", (5, 50, 50, 20, 60), 100, WHOLE, 8, (5, 50, 60)),
        ("own", (0, 7), 100, WHOLE, 8, (1, 7)),
        ("own", (0,), 100, WHOLE, 8, (1,)),  # and never no cap by mistake
        ("none", (3, 4), 100, WHOLE, 8, ()),
    ],
)
def test_presets_and_own_steps(preset, own, target, part, hours, caps):
    assert steps(preset, own, target, part, hours).caps == caps


def test_published_tables_are_followed_to_their_end_and_then_grow_by_two_fifths():
    for preset, table in (("careful", CAREFUL), ("standard", STANDARD), ("new-domain", NEW_DOMAIN)):
        caps = steps(preset, (), 100_000, WHOLE, 1).caps
        assert caps[: len(table)] == table
        assert caps[-1] == 100_000
        assert all(one * 14 // 10 == two for one, two in pairwise(caps[len(table) - 1 : -1]))


def test_standard_is_twenty_an_hour_at_first():
    assert STANDARD[:3] == (20, 28, 39)
    assert STANDARD[-3:] == (1000, 1587, 2222)
    assert steps("standard", (), 100_000, WHOLE, 24).cap(0) == 480


def test_no_preset_of_that_name():
    with pytest.raises(ValueError, match="brisk"):
        steps("brisk", (), 100, WHOLE, 8)


def test_own_steps_that_are_missing_are_not_taken_for_no_cap():
    with pytest.raises(ValueError, match="missing"):
        steps("own", (), 100, WHOLE, 8)


@given(
    st.sampled_from(["careful", "standard", "new-domain"]),
    st.integers(1, 2_000_000),
    st.fractions(Fraction(1, 1000), 1),
    st.integers(1, 24),
)
def test_steps_never_fall_are_never_zero_and_end_at_the_target(preset, target, part, hours):
    caps = steps(preset, (), target, part, hours).caps
    assert caps[0] >= 1
    assert list(caps) == sorted(caps)
    assert caps[-1] == target
    assert all(cap < target for cap in caps[:-1])


def test_what_is_split_over_the_named_families_stays_within_what_was_published():
    parts = [share(provider) for provider in SHARES]
    assert Fraction(9, 10) <= sum(parts) <= 1
    first_day = sum(steps("new-domain", (), 100_000, part, 24).caps[0] for part in parts)
    assert first_day <= NEW_DOMAIN[0]
    assert set(SHARES) <= {family for _, family in DEFAULT_SUFFIXES} | {"other"}
    assert share("fastmail") == Fraction(1, 100)


def test_beyond_the_top_is_the_top_and_no_steps_are_no_cap():
    assert (PLAN.top, PLAN.cap(0), PLAN.cap(4), PLAN.cap(99)) == (4, 10, 100, 100)
    assert (Steps(()).top, Steps(()).cap(0)) == (0, None)


# Earned


@pytest.mark.parametrize(
    ("used", "cap", "expected"),
    [
        ([], 10, False),  # unused time earns nothing
        ([0, 0, 0], 10, False),
        ([6], 10, False),
        ([7], 10, True),  # 70 % of one day's cap
        ([6, 6], 10, False),
        ([6, 6, 3], 10, True),  # 150 % together
        ([5, 5, 4], 10, False),
        ([1], 1, True),
        ([13], 20, False),
        ([14], 20, True),
    ],
)
def test_use_earns(used, cap, expected):
    assert earned(used, cap) is expected


@pytest.mark.parametrize(
    ("history", "stepped", "turn", "remark"),
    [
        ([ago(1, used=28)], 1, Turn.ADVANCE, "24 h and 70 % of 40"),
        ([ago(1, used=27)], 1, Turn.STAY, "one short"),
        ([ago(1, used=40)], 23 / 24, Turn.STAY, "23 h"),
        ([ago(1, used=20), ago(2, used=20), ago(3, used=20)], 3, Turn.ADVANCE, "150 % in 3 days"),
        ([ago(1, used=20), ago(7, used=20), ago(6, used=20)], 8, Turn.ADVANCE, "150 % within 7 days"),
        ([ago(1, used=20), ago(8, used=20), ago(6, used=20)], 8, Turn.STAY, "the 8th day back is too old"),
        ([ago(8, used=40)], 8, Turn.STAY, "a full day, but too old"),
        ([ago(1, step=1, used=40)], 1, Turn.STAY, "a full day of another step"),
        ([ago(5, used=40)], 3, Turn.STAY, "a full day of the same step, before it was lost and won again"),
        ([], 20, Turn.STAY, "unused time earns nothing"),
        ([ago(0, used=30)], 1, Turn.ADVANCE, "today counts"),
    ],
)
def test_a_step_is_earned(history, stepped, turn, remark):
    move = judged(*history, stepped=stepped)
    assert (move.turn, move.step) == (turn, 3 if turn is Turn.ADVANCE else 2), remark


def test_at_the_top_it_stays():
    assert judged(ago(1, step=4, used=100), step=4).turn is Turn.STAY
    assert judged(ago(1, step=4, used=100), step=9).step == 4  # the plan has become shorter


def test_what_has_no_cap_is_not_judged():
    assert judged(ago(1, used=10, bounced=10), plan=Steps(())) == judged(plan=Steps(()))
    assert judged(plan=Steps(())).turn is Turn.STAY


def test_days_are_the_senders():
    # stepped at 23:30 UTC on the 20th is the 21st in Berlin, whose use counts; the 20th's does not
    stepped, now = datetime(2026, 11, 20, 23, 30, tzinfo=UTC), datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert judge([ago(3, used=40)], 2, stepped, now, BERLIN, PLAN).turn is Turn.STAY
    assert judge([ago(3, used=40)], 2, stepped, now, UTC_ZONE, PLAN).turn is Turn.ADVANCE
    assert judge([ago(2, used=40)], 2, stepped, now, BERLIN, PLAN).turn is Turn.ADVANCE


# Health


@pytest.mark.parametrize(
    ("yesterday", "turn", "remark"),
    [
        ({"used": 40, "bounced": 1}, Turn.ADVANCE, "2.5 % of 40, yet no evidence"),
        ({"used": 40, "bounced": 3}, Turn.HOLD, "at least 3.0 %"),
        ({"used": 40, "bounced": 4}, Turn.STEP_DOWN, "at least 4.57 %, above twice the line"),
        ({"used": 400, "complained": 1}, Turn.ADVANCE, "0.25 %, yet no evidence"),
        ({"used": 480, "complained": 2}, Turn.HOLD, "at least 0.14 %"),
        ({"used": 700, "complained": 2}, Turn.HOLD, "at least 0.09 %"),
        (
            {"used": 40, "bounced": 3, "complained": 1},
            Turn.STEP_DOWN,
            "the worst against its own line decides",
        ),
        ({"used": 400, "complained": 3}, Turn.STEP_DOWN, "three of 400"),
        ({"used": 100, "slowed": 8}, Turn.ADVANCE, "8 of 108 slowed"),
        ({"used": 100, "slowed": 11}, Turn.HOLD, "11 of 111"),
        ({"used": 100, "slowed": 25}, Turn.STEP_DOWN, "25 of 125"),
        ({"used": 40, "refused": 10}, Turn.ADVANCE, "refusals for reputation are the switch's business"),
        ({"used": 40, "accepted": 0}, Turn.ADVANCE, "used, but no outcome is known yet"),
    ],
)
def test_evidence_holds_or_steps_down(yesterday, turn, remark):
    move = judged(ago(1, **yesterday))
    assert (move.turn, move.step) == (turn, 2 + {Turn.ADVANCE: 1, Turn.STEP_DOWN: -1}.get(turn, 0)), remark


def test_the_last_500_outcomes_are_judged_by_whole_days():
    bad = ago(3, used=100, bounced=50)
    assert judged(ago(1, used=499), bad).turn is Turn.STEP_DOWN
    assert judged(ago(1, used=500), bad).turn is Turn.ADVANCE
    assert judged(ago(1, used=250), ago(2, used=250), bad).turn is Turn.ADVANCE
    assert judged(bad, ago(2, used=250), ago(1, used=250)).turn is Turn.ADVANCE  # in any order


def test_deferrals_for_rate_are_outcomes_too():
    today = ago(1, used=100, bounced=10, slowed=400)
    bounces, complaints, deferrals = health([today, ago(2, used=100, bounced=50)], TODAY)
    assert (bounces.events, bounces.trials) == (10, 100)
    assert (complaints.events, complaints.trials) == (0, 90)
    assert (deferrals.events, deferrals.trials) == (400, 500)


def test_seven_days_back_are_judged_and_no_more():
    assert judged(ago(1, used=40), ago(7, used=100, bounced=50), stepped=9).turn is Turn.STEP_DOWN
    assert judged(ago(1, used=40), ago(8, used=100, bounced=50), stepped=9).turn is Turn.ADVANCE


def test_a_step_down_is_one_step_and_the_first_step_only_holds():
    ruin = {"used": 100, "bounced": 100}
    assert judged(ago(1, step=4, **ruin), step=4).step == 3
    floor = judged(ago(1, step=0, **ruin), step=0)
    assert (floor.turn, floor.step) == (Turn.HOLD, 0)


def test_the_same_evidence_never_steps_down_twice():
    bad = ago(1, used=100, bounced=20)
    assert judged(bad).turn is Turn.STEP_DOWN
    assert judged(bad, step=1, stepped=0).turn is Turn.HOLD  # an hour later
    assert judged(bad, step=1, stepped=1).turn is Turn.HOLD  # over a day off
    assert (
        judged(ago(2, used=100, bounced=20), ago(1, step=1, used=20), step=1, stepped=1).turn
        is Turn.STEP_DOWN
    )
    assert judged(bad, ago(0, step=1, used=1), step=1, stepped=0).turn is Turn.HOLD  # once a day


def test_stepping_down_starts_the_24_hours_anew():
    bad, calm = ago(8, used=100, bounced=20), ago(7, step=1, used=20)
    assert judged(bad, ago(0, step=1, used=20), step=1, stepped=0.5).turn is Turn.STAY
    assert judged(replace(bad, day=date(2026, 11, 1)), calm, step=1, stepped=7).turn is Turn.ADVANCE


def test_evidence_holds_at_the_top_too():
    assert judged(ago(1, step=4, used=100, bounced=6), step=4).turn is Turn.HOLD


# Idle


@pytest.mark.parametrize(
    ("last", "stepped", "step", "turn", "to", "remark"),
    [
        (30, 60, 4, Turn.STAY, 4, "30 days are not more than 30"),
        (31, 60, 4, Turn.IDLE, 2, "half of 100: 40 is the largest within 50"),
        (31, 60, 3, Turn.IDLE, 1, "half of 70: 20"),
        (31, 60, 1, Turn.IDLE, 0, "half of 20: 10"),
        (31, 60, 0, Turn.STAY, 0, "nowhere to go"),
        (60, 20, 4, Turn.STAY, 4, "halved 20 days ago: 30 more to the next"),
        (None, 31, 4, Turn.IDLE, 2, "never used on this step"),
    ],
)
def test_long_idleness_halves(last, stepped, step, turn, to, remark):
    history = [] if last is None else [ago(last, step=step, used=5)]
    move = judged(*history, ago(1, step=step, used=0), step=step, stepped=stepped)
    assert (move.turn, move.step) == (turn, to), remark


# Forty days

CAREFUL_TO_1000 = steps("careful", (), 1000, WHOLE, 8)

FORTY_DAYS = (
    # Monday to Friday's steps, the rule written out by hand
    (0, 1, 2, 3, 4),  # every full day earns the next
    (5, 6, 7, 8, 9),  # Friday's step was earned on Saturday; a weekend earns nothing
    (10, 9, 8, 7, 6),  # 10 % bounces: a step down each day
    (
        5,
        4,
        3,
        3,
        3,
    ),  # clean again: Saturday's step down; Monday's and Tuesday's mail still has last week's evidence
    # beside it (48 of 620, 48 of 720), on Wednesday and Thursday it is weaker (20 of 510, 20 of 580)
    (4, 5, 5, 5, 6),  # no DNS on Tuesday and Wednesday: nothing used, nothing earned, nothing lost
    (7, 8, 9, 10, 11),
)
BAD_WEEK = range(14, 21)
OUTAGE = (29, 30)


def test_forty_days_with_weekends_off_a_bad_week_and_an_outage_follow_the_rule():
    start = datetime(2026, 11, 2, 9, tzinfo=BERLIN)
    step, stepped_at, history, path = 0, start, [], []
    for number in range(40):
        now = start + timedelta(number)
        move = judge(history, step, stepped_at, now, BERLIN, CAREFUL_TO_1000)
        step, stepped_at = move.step, now if move.step != step else stepped_at
        if now.isoweekday() <= 5:
            used = 0 if number in OUTAGE else CAREFUL_TO_1000.caps[step]
            bounced = used // 10 if number in BAD_WEEK else 0
            history.append(Day(now.date(), step, used, accepted=used - bounced, bounced=bounced))
            path.append(step)
    assert path == [step for week in FORTY_DAYS for step in week]


# What is told


@pytest.mark.parametrize(
    ("move", "why"),
    [
        (judged(ago(1, used=30)), "Earned: 30 of 40 used on one day, 30 in 7 days, and healthy."),
        (
            judged(ago(1, used=20)),
            "Not earned: 20 of 40 used on one day, 20 in 7 days; it takes 28 on one day or 60 in 7.",
        ),
        (
            judged(ago(0, used=30), stepped=0.25),
            "Earned (30 of 40 used on one day, 30 in 7 days), but 6.0 h old; it takes 24 h.",
        ),
        (
            judged(ago(1, used=40, bounced=4)),
            "Above twice the line: bounces: 4 of 40 is 10 %, at least 4.57 % with 95 % confidence; the line is 2 %.",
        ),
        (judged(stepped=40), "Unused for 40 days: from 40 a day to 20, half of it at most."),
        (judged(step=4), "At the top: 100 a day."),
    ],
)
def test_why_is_told_in_words(move, why):
    assert move.why == why


def test_the_arithmetic_is_kept():
    facts = judged(ago(1, used=30), ago(2, used=11)).evidence
    assert (facts["cap"], facts["best_day"], facts["seven_days"]) == (40, 30, 41)
    assert [rate["name"] for rate in facts["rates"]] == ["bounces", "complaints", "rate deferrals"]
