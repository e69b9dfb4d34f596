"""What people are told that numbers would do is what the rules then do."""

import random

import pytest

from reputation import simulating
from reputation.rules import Numbers, Strength, judge
from reputation.simulating import consequences
from reputation.windows import Event, Signal, Stretch, Watch, advance

NUMBERS = Numbers()


@pytest.mark.parametrize(("signal", "which"), [(Signal.BOUNCES, 0), (Signal.COMPLAINTS, 1)])
@pytest.mark.parametrize("rate", [0.01, 0.03, 0.08, 0.3])
def test_what_is_simulated_is_what_the_rules_conclude(signal, which, rate):
    test = simulating._tests(NUMBERS)[which]
    for seed in range(20):
        places = list(simulating._places(rate, 3000, random.Random(seed)))
        watch, last, closed = Watch("agent:ada", signal), 0, 0
        for place in places:
            event = Event(place - last, f"d{place}.example")
            watch = advance(watch, [Stretch((), place - last, (event,))], NUMBERS.window(signal))
            verdict, last = judge(watch, NUMBERS), place
            if verdict and verdict.strength is Strength.STRONG:
                closed = place
                break
        assert simulating._closed(test, rate, 3000, random.Random(seed)) == closed


def test_the_defaults_do_what_they_were_chosen_for():
    told = consequences(NUMBERS)
    assert told == consequences(Numbers())
    assert told.false_trips <= 0.03  # 0.9 % are expected
    assert 41 < told.bad_mean < 164
    assert 6.5 < told.list_mean < 26
    assert told.missed == 0


@pytest.mark.parametrize(
    ("edited", "worse"),
    [
        (Numbers(bounce_line=0.005, bounce_bad=0.02), "false_trips"),  # below what is healthy
        (Numbers(running_sum=3.0), "false_trips"),
        (Numbers(bounce_line=0.06, bounce_bad=0.2), "bad_mean"),
        (Numbers(events=12), "list_mean"),
    ],
)
def test_edited_numbers_show_what_they_cost(edited, worse, monkeypatch):
    monkeypatch.setattr(simulating, "LIVES", 10)
    assert getattr(consequences(edited), worse) > 1.5 * getattr(consequences(NUMBERS), worse)
