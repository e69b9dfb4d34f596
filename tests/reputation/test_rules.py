"""What outcomes prove: against values worked out by hand, and against mixes whose truth is known."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reputation import rules
from reputation.rules import Numbers, Strength, judge
from reputation.windows import Event, Signal, Stretch, Watch, advance, restored, stored

NUMBERS = Numbers()
RUN, AGENT, STREAM = "run:ada/r1", "agent:ada", "stream:agents-sales"


def some(trials, *places, parts=(), domains=None, vouched=False, unknown=False):
    """Outcomes in a row, the bad ones at these places, each at a domain of its own unless domains are named."""
    names = domains or [f"d{place}.example" for place in places]
    events = (Event(at, name, vouched, unknown) for at, name in zip(places, names, strict=True))
    return Stretch(parts, trials, tuple(events))


def watch(scope, *stretches, signal=Signal.BOUNCES, numbers=NUMBERS):
    return advance(Watch(scope, signal), stretches, numbers.window(signal))


def said(verdict):
    return (str(verdict.strength), verdict.rule) if verdict else None


# Wilson's lower bound with z = 3.719 (99.99 %) and z = 1.6449 (95 %), by hand
@pytest.mark.parametrize(
    ("events", "trials", "expected"),
    [
        (4, 38, ("strong", "bounces")),  # 0.02026
        (4, 39, ("weak", "bounces")),  # 0.01973
        (3, 3, ("weak", "bounces")),  # whatever the rate: fewer than four close nothing
        (8, 117, ("strong", "bounces")),  # 0.02011
        (8, 118, ("weak", "bounces")),  # 0.01994
        (3, 60, ("weak", "bounces")),  # 0.02016 with 95 %
        (3, 61, None),  # 0.01982
        (2, 2, None),  # too few to trouble a person
        (0, 500, None),
        (0, 0, None),
    ],
)
def test_bounces_are_judged_by_the_lower_end_of_what_the_counts_allow(events, trials, expected):
    numbers = Numbers(running_sum=1000)  # the lower bound alone
    assert said(judge(watch(AGENT, some(trials, *range(1, events + 1))), numbers)) == expected


@pytest.mark.parametrize(
    ("events", "trials", "domains", "vouched", "expected"),
    [
        (4, 759, 4, False, ("strong", "complaints")),  # 0.0010006
        (4, 760, 4, False, ("weak", "complaints")),
        (4, 100, 3, False, ("strong", "complaints")),
        (9, 100, 2, False, None),  # two domains' mailboxes close nobody, and hold nobody
        (9, 100, 1, True, ("strong", "complaints")),  # unless the provider itself signed
        (3, 100, 3, False, ("weak", "complaints")),
        (3, 2000, 3, False, None),
    ],
)
def test_complaints_need_several_domains_or_a_providers_word(events, trials, domains, vouched, expected):
    places = [trials - events + 1 + each for each in range(events)]
    names = [f"d{each % domains}.example" for each in range(events)]
    outcomes = some(trials, *places, domains=names, vouched=vouched)
    numbers = Numbers(running_sum=1000)  # the lower bound alone
    assert said(judge(watch(STREAM, outcomes, signal=Signal.COMPLAINTS), numbers)) == expected


def test_a_rate_that_rises_after_a_good_past_is_found_by_the_running_sum():
    # seven bounces, each after four good ones: 1.3863 + 6 x (1.3863 - 4 x 0.06318) = 8.188; 7 of 431 is 1.6 %
    places = [401 + 5 * each for each in range(7)]
    verdict = judge(watch(AGENT, some(431, *places)), NUMBERS)
    assert said(verdict) == ("strong", "bounces_running_sum")
    assert verdict.arithmetic["running_sum"]["score"] == pytest.approx(8.188, abs=1e-3)
    assert verdict.arithmetic["running_sum"]["reached_at"] == 431
    assert said(judge(watch(AGENT, some(431, *places[:6])), NUMBERS)) is None
    assert "running sum from 2.00% to 8.00% reached 8.2 with outcome 431 of 431, 7 bad ones" in verdict.why


def test_only_three_bounces_of_one_domain_count_in_a_window():
    clump = some(80, *range(1, 31), domains=["clump.example"] * 30)
    assert judge(watch(AGENT, clump), NUMBERS) is None
    apart = some(80, *range(1, 31), domains=["clump.example"] * 29 + ["other.example"])
    verdict = judge(watch(AGENT, apart), NUMBERS)
    assert said(verdict) == ("weak", "bounces")  # three and one of eighty
    assert (verdict.arithmetic["events"], verdict.arithmetic["left_out"]) == (4, 26)
    assert "26 more at domains that count no more than 3 times" in verdict.why


@pytest.mark.parametrize(
    ("unknown", "first_at", "expected"),
    [
        (6, 1, ("strong", "first_messages")),
        (5, 1, None),
        (6, 15, ("strong", "first_messages")),  # the sixth is the twentieth
        (6, 16, None),  # the sixth is the twenty-first
    ],
)
def test_a_run_whose_first_messages_find_nobody_is_closed_also_within_one_domain(unknown, first_at, expected):
    places = range(first_at, first_at + unknown)
    outcomes = some(500, *places, domains=["list.example"] * unknown, unknown=True)
    assert said(judge(watch(RUN, outcomes), NUMBERS)) == expected
    assert said(judge(watch(AGENT, outcomes), NUMBERS)) is None  # an agent has no first messages


def test_the_first_messages_are_no_longer_the_first_when_the_window_has_moved_on():
    later = some(30, 1, 2, 3, 4, 5, 6, domains=["list.example"] * 6, unknown=True)
    assert judge(watch(RUN, some(500), later), NUMBERS) is None


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        # one bad run explains it all
        ([some(60, *range(1, 13), parts=("run:ada/r1",)), some(60, parts=("run:ada/r2",))], None),
        # two bad runs, each enough by itself
        (
            [
                some(60, *range(1, 13), parts=("run:ada/r1",)),
                some(60, *range(21, 33), parts=("run:ada/r2",)),
            ],
            "strong",
        ),
        # a bad run beside a doubtful one: what is left is weak
        (
            [some(60, *range(1, 13), parts=("run:ada/r1",)), some(60, 21, 31, 41, parts=("run:ada/r2",))],
            "weak",
        ),
        # many runs of one message each: no single one explains it
        ([some(1, *([1] * (each % 4 == 0)), domains=[f"x{each}.example"] * (each % 4 == 0),
               parts=(f"run:ada/{each}",)) for each in range(60)], "strong"),
        # what the scope did itself is nobody else's
        ([some(60, *range(1, 13), parts=("agent:ada",))], "strong"),
    ],
)  # fmt: skip
def test_a_wider_scope_is_blamed_only_for_what_no_single_part_explains(stretches, expected):
    verdict = judge(watch(AGENT, *stretches), NUMBERS)
    assert (verdict and str(verdict.strength)) == expected


@pytest.mark.parametrize(
    ("proven", "expected"),
    [
        (["run:ada/r1"], None),
        (["run:ada/r1", "run:ada/r2"], "strong"),
        (["run:ada/r1", "agent:bob"], None),  # another kind of part
        (["run:ada/r1", "run:ada/r9"], None),  # nothing of that one is in the window
    ],
)
def test_two_closed_parts_prove_it_though_much_good_mail_was_under_way(proven, expected):
    # the second was closed at 5 of 20, and 80 good ones came after it: 5 of 100 alone would be weak
    stretches = [
        some(60, *range(1, 13), parts=("run:ada/r1",)),
        some(100, *range(21, 26), parts=("run:ada/r2",)),
    ]
    verdict = judge(watch(AGENT, *stretches), NUMBERS, frozenset(proven))
    assert str(verdict.strength) == (expected or "weak")


def test_a_stream_is_closed_neither_for_one_agent_nor_for_one_provider():
    def bad(agent, provider):
        domains = [f"{agent}{place}.{provider}.example" for place in range(12)]
        parts = (f"agent:{agent}", f"domain_provider:d/{provider}")
        return some(60, *range(1, 13), parts=parts, domains=domains)

    alone = watch(STREAM, bad("ada", "gmail"), bad("ada", "yahoo"))
    at_one = watch(STREAM, bad("ada", "gmail"), bad("bob", "gmail"))
    assert judge(alone, NUMBERS) is judge(at_one, NUMBERS) is None
    verdict = judge(watch(STREAM, bad("ada", "gmail"), bad("bob", "yahoo")), NUMBERS)
    assert said(verdict) == ("strong", "bounces")
    assert verdict.arithmetic["without"]["trials"] == 60


def test_unsubscribes_hold_and_never_close():
    # 5 of 244 is at least 1 % with 95 % confidence, 5 of 245 is not
    places = range(1, 6)
    for trials, expected in ((244, ("weak", "unsubscribes")), (245, None), (5, ("weak", "unsubscribes"))):
        seen = watch(STREAM, some(trials, *places), signal=Signal.UNSUBSCRIBES)
        assert said(judge(seen, NUMBERS)) == expected


def test_what_lies_before_the_window_is_forgotten():
    seen = watch(AGENT, some(100, *range(61, 101)), some(480))
    assert sum(stretch.trials for stretch in seen.stretches) == 500
    assert [event.place for stretch in seen.stretches for event in stretch.events] == list(range(1, 21))
    assert judge(watch(AGENT, some(100, *range(61, 101)), some(500)), NUMBERS) is None


def test_a_late_report_turns_an_outcome_that_was_counted_and_adds_none():
    late = [some(0, 0, domains=[f"late{each}.example"]) for each in range(4)]
    verdict = judge(watch(AGENT, some(38), *late), NUMBERS)
    assert said(verdict) == ("strong", "bounces")
    assert (verdict.arithmetic["events"], verdict.arithmetic["trials"]) == (4, 38)
    # and more reports than outcomes, after a window began anew, are no more than those outcomes
    assert judge(watch(AGENT, *late), NUMBERS).arithmetic["trials"] == 4


outcomes = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 9), st.booleans()), max_size=120
)


@settings(max_examples=60, deadline=None)
@given(outcomes, st.integers(1, 60))
def test_how_outcomes_are_bundled_changes_nothing(given_outcomes, window):
    single = [
        Stretch((part,), 1, (Event(1, f"{domain}.example"),) if bad else ())
        for part, domain, bad in given_outcomes
    ]
    one_by_one = Watch(AGENT, Signal.BOUNCES)
    for each in single:
        one_by_one = advance(one_by_one, [each], window)
    at_once = advance(Watch(AGENT, Signal.BOUNCES), single, window)
    assert one_by_one == at_once
    assert at_once == restored(AGENT, "bounces", at_once.trials, stored(at_once))
    kept = [event for stretch in at_once.stretches for event in stretch.events]
    assert len(kept) == sum(bad for _, _, bad in given_outcomes[-window:])


def mix(bounces, complaints, seed, most):
    """How many messages of such a mix go out before its run is closed; None if it is not."""
    chance = random.Random(seed)
    watches = {
        signal: Watch(RUN, signal)
        for signal, rate in ((Signal.BOUNCES, bounces), (Signal.COMPLAINTS, complaints))
    }
    waiting = dict.fromkeys(watches, 0)
    for sent in range(1, most + 1):
        for signal, rate in ((Signal.BOUNCES, bounces), (Signal.COMPLAINTS, complaints)):
            waiting[signal] += 1
            if chance.random() < rate:
                event = Event(waiting[signal], f"d{chance.randrange(10**6)}.example", unknown=True)
                stretch = Stretch((), waiting[signal], (event,))
                watches[signal] = advance(watches[signal], [stretch], NUMBERS.window(signal))
                waiting[signal] = 0
                verdict = judge(watches[signal], NUMBERS)
                if verdict and verdict.strength is Strength.STRONG:
                    return sent
    return None


@pytest.mark.parametrize(
    ("bounces", "complaints", "predicted"),
    [(0.08, 0.005, 82), (0.30, 0.0, 13)],  # REFERENCES 3
)
def test_bad_mixes_are_closed_when_they_are_expected_to_be(bounces, complaints, predicted):
    counts = [mix(bounces, complaints, seed, 5000) for seed in range(200)]
    assert predicted / 2 < sum(counts) / len(counts) < 2 * predicted


def test_healthy_mixes_of_twenty_thousand_are_not_closed():
    # 0.9 % false trips per 100,000 are expected: of ten such mixes, in one run of fifty one is
    assert [mix(0.01, 0.0005, seed, 20_000) for seed in range(10)] == [None] * 10


def test_a_run_for_each_message_costs_what_its_worst_ones_cost(monkeypatch):
    """Whoever judges has seconds, then the next one tries; thousands of runs were too many to leave out in turn."""
    tried, counts = [], rules._counts
    monkeypatch.setattr(rules, "_counts", lambda *given: tried.append(given) or counts(*given))
    runs = [some(0, 0, parts=(f"run:ada/{each}",), domains=[f"d{each}.example"]) for each in range(900)]
    assert said(judge(watch(AGENT, *runs), NUMBERS)) == ("strong", "bounces")
    assert len(tried) <= rules.PARTS_TRIED + 1
