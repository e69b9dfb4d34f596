"""A rate is judged by what its counts allow, never by the raw ratio."""

import random
from itertools import repeat
from math import comb
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reputation.rates import BOUNCES, COMPLAINTS, STRONG, WEAK, evidence, lower, strong, upper, weak

counts = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("events", "trials", "confidence", "least", "most"),
    [
        (0, 0, WEAK, 0.0, 1.0),  # nothing is known
        (0, 10, WEAK, 0.0, 0.2129),  # z²/(n + z²)
        (1, 20, WEAK, 0.0112, 0.1960),
        (50, 100, WEAK, 0.4188, 0.5812),  # symmetric about a half
        (50, 100, STRONG, 0.3257, 0.6743),
        (10, 10, WEAK, 0.7871, 1.0),
    ],
)
def test_the_bounds_are_wilsons(events, trials, confidence, least, most):
    assert lower(events, trials, confidence) == pytest.approx(least, abs=1e-4)
    assert upper(events, trials, confidence) == pytest.approx(most, abs=1e-4)


@given(counts.filter(lambda c: 0 < c[0] < c[1]), st.sampled_from([WEAK, STRONG]))
def test_a_bound_is_the_rate_whose_own_deviation_just_reaches_the_counts(count, confidence):
    events, trials = count
    z = NormalDist().inv_cdf(confidence)
    for bound in (lower(events, trials, confidence), upper(events, trials, confidence)):
        assert abs(events / trials - bound) == pytest.approx(
            z * (bound * (1 - bound) / trials) ** 0.5, rel=1e-6
        )


@given(counts.filter(lambda c: c[1] > 0))
def test_bounds_enclose_the_ratio_and_widen_with_confidence(count):
    ratio = count[0] / count[1]
    bounds = [lower(*count, STRONG), lower(*count), ratio, upper(*count), upper(*count, STRONG)]
    assert bounds == pytest.approx(sorted(bounds), abs=1e-12)
    assert 0 <= bounds[0] <= bounds[-1] <= 1


@pytest.mark.parametrize(("events", "trials"), [(-1, 5), (6, 5), (1, 0), (0, -1)])
def test_counts_that_cannot_be_are_refused(events, trials):
    with pytest.raises(ValueError, match="among"):
        lower(events, trials)


@pytest.mark.parametrize(
    ("events", "trials", "line", "is_weak", "is_strong"),
    [
        (1, 20, 0.02, False, False),  # REFERENCES 2: at a cap of 20 one bounce is 5 %, and no evidence
        (2, 20, 0.02, True, False),
        (10, 500, 0.02, False, False),  # on the line is not above it
        (16, 500, 0.02, True, False),
        (15, 500, 0.02, False, False),
        (40, 500, 0.02, True, True),  # a steady 8 %
        (1, 500, 0.0008, False, False),  # one complaint among 500 is no evidence
        (2, 500, 0.0008, True, False),
        (0, 0, 0.02, False, False),
    ],
)
def test_weak_and_strong_evidence(events, trials, line, is_weak, is_strong):
    assert weak(events, trials, line) is is_weak
    assert strong(events, trials, line) is is_strong


def test_a_healthy_rate_is_weak_evidence_about_once_in_twenty_at_most():
    # exact: the chance that a true rate on the line looks above it, over all counts of 500
    line = 0.02
    chance = sum(comb(500, k) * line**k * (1 - line) ** (500 - k) for k in range(501) if weak(k, 500, line))
    assert 0.01 < chance < 0.06


def test_evidence_shows_its_arithmetic_in_words():
    judged = evidence("bounces", 16, 500, 0.02)
    assert (
        judged.words == "bounces: 16 of 500 is 3.2 %, at least 2.14 % with 95 % confidence; the line is 2 %"
    )
    assert judged.above
    assert not judged.far_above
    assert evidence("bounces", 30, 500, 0.02).far_above  # at least 4.5 %
    assert not evidence("bounces", 25, 500, 0.02).far_above  # at least 3.6 %
    assert judged.as_dict() == {
        "name": "bounces",
        "events": 16,
        "trials": 500,
        "lower": judged.lower,
        "line": 0.02,
        "confidence": 0.95,
        "above": True,
        "far_above": False,
        "words": judged.words,
    }


def test_no_trials_are_told_as_nothing_to_judge():
    assert evidence("bounces", 0, 0, 0.02).words == "bounces: nothing to judge yet; the line is 2 %"


def test_complaints_about_older_mail_count_as_trials():
    late = evidence("complaints", 3, 1, 0.0008)
    assert (late.events, late.trials) == (3, 3)
    assert late.above


@pytest.mark.parametrize(
    ("test", "needed"),
    [
        (BOUNCES, 6),  # 8 / ln(8 % / 2 %) = 5.8
        (COMPLAINTS, 5),  # 8 / ln(0.5 % / 0.1 %) = 5.0, just below
    ],
)
def test_events_in_a_row_trip_a_cusum_after_the_likelihood_says_so(test, needed):
    assert not test.trips(test.run(0.0, repeat(True, needed - 1)))
    assert test.trips(test.run(0.0, repeat(True, needed)))


def test_a_good_past_buys_no_bad_future():
    assert BOUNCES.run(0.0, repeat(False, 20_000)) == 0.0
    assert BOUNCES.trips(BOUNCES.run(BOUNCES.run(0.0, repeat(False, 20_000)), repeat(True, 6)))


def test_good_outcomes_take_the_score_down():
    high = BOUNCES.run(0.0, repeat(True, 3))
    assert BOUNCES.add(high, event=False) == pytest.approx(high - 0.0632, abs=1e-4)  # ln(0.98 / 0.92)


def test_a_score_stays_where_it_reached_the_limit():
    assert BOUNCES.trips(BOUNCES.run(0.0, [True] * 6 + [False] * 10_000))


def test_a_steady_8_percent_trips_and_a_healthy_1_percent_does_not():
    dice = random.Random(7)
    bad = [sum(1 for _ in _until_trip(dice, 0.08)) for _ in range(200)]
    assert 80 < sum(bad) / len(bad) < 200  # bounces alone; REFERENCES 3 has 82 with the Wilson rule beside it
    assert not BOUNCES.trips(BOUNCES.run(0.0, (dice.random() < 0.01 for _ in range(100_000))))


def _until_trip(dice, rate):
    score = 0.0
    while not BOUNCES.trips(score):
        score = BOUNCES.add(score, dice.random() < rate)
        yield score
