"""Evidence in the database: counted once, judged once, closed once; and begun anew by a resume."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import Error, connection, connections
from django.utils import timezone

from reputation import judging, killswitch, sql
from reputation.models import (
    Evidence,
    FeedbackProvider,
    Judgement,
    Numbers,
    OpenStop,
    ProviderHour,
    Stream,
    SwitchEvent,
    Watch,
)

pytestmark = pytest.mark.usefixtures("live_db")


def lane(run="r1", agent="ada", provider="gmail", stream="agents-sales", domain="sales.acme.test", root=None):
    runs = [f"run:{agent}/{name}" for name in ([root] if root else []) + [run]]
    wide = ["all", f"stream:{stream}", f"agent:{agent}", "agents", f"domain:{domain}", "route:direct"]
    return [*wide, *runs, f"provider:{provider}", f"domain_provider:{domain}/{provider}"]


def settled(trials, bad=(), *, kind="bounced", code="recipient_unknown", domains=None, ago=0, **where):
    """A settle of one lane: which of its outcomes were bad, each at a domain of its own unless they are named."""
    names = domains or [f"d{place}.example" for place in bad]
    events = [[place, kind, name, code, False] for place, name in zip(bad, names, strict=True)]
    Evidence.objects.create(
        at=timezone.now() - timedelta(seconds=ago),
        stream=where.get("stream", "agents-sales"),
        scopes=lane(**where),
        provider=where.get("provider", "gmail"),
        trials=trials,
        events=events,
    )


def reported(number, kind="complained", vouched=False, **where):
    """Late reports, each from a domain of its own."""
    for each in range(number):
        settled(0, [0], kind=kind, code="", domains=[f"{kind}{each}.example"], **where)
    if vouched:
        for row in Evidence.objects.all():
            row.events[0][4] = True
            row.save()


def closed():
    return set(OpenStop.objects.values_list("scope", flat=True))


BAD = range(1, 13)  # twelve bounces of sixty


def test_one_bad_run_closes_itself_and_a_second_one_its_agent():
    settled(60, BAD, run="r1", code="recipient_inactive")
    settled(60, run="r2")
    [tripped] = judging.judge()
    assert tripped.scope == "run:ada/r1"
    settled(60, BAD, run="r3", code="recipient_inactive")
    assert [each.scope for each in judging.judge()] == ["run:ada/r3", "agent:ada"]
    assert closed() == {"run:ada/r1", "run:ada/r3", "agent:ada"}
    assert not Evidence.objects.exists()


def test_the_trip_says_which_rule_and_why_and_the_judgement_keeps_its_arithmetic():
    settled(60, BAD, code="recipient_inactive")
    [tripped] = judging.judge()
    event = SwitchEvent.objects.get(pk=tripped.epoch)
    judgement = Judgement.objects.get(strength="strong")
    assert (event.who, event.action) == ("rule:bounces", "trip")
    assert event.why == judgement.why
    assert "Bounces: 12 of 60 is 20 %" in event.why
    assert judgement.epoch == tripped.epoch
    assert (judgement.arithmetic["events"], judgement.arithmetic["trials"]) == (12, 60)
    assert judgement.arithmetic["lower"] > judgement.arithmetic["line"] == 0.02


def test_a_clump_at_one_domain_closes_nobody():
    settled(60, BAD, domains=["clump.example"] * 12, code="recipient_inactive")
    assert judging.judge() == []


def test_the_leaf_of_a_tree_of_runs_is_closed_before_its_root():
    settled(60, BAD, run="leaf", root="root", code="recipient_inactive")
    assert [each.scope for each in judging.judge()] == ["run:ada/leaf"]
    settled(60, BAD, run="other", root="root", code="recipient_inactive")
    # the root explains both: its agent has no second one
    assert [each.scope for each in judging.judge()] == ["run:ada/other", "run:ada/root"]


def test_two_agents_at_one_provider_close_the_domain_there_and_not_the_stream():
    for agent in ("ada", "bob"):
        for run in ("r1", "r2"):
            settled(60, BAD, run=run, agent=agent, code="recipient_inactive")
    judging.judge()
    assert "domain_provider:sales.acme.test/gmail" in closed()
    assert "stream:agents-sales" not in closed()


def test_what_is_closed_already_is_not_closed_again():
    killswitch.trip("run:ada/r1", who="person", why="")
    settled(60, BAD)
    assert judging.judge() == []
    assert not Judgement.objects.filter(strength="strong").exists()


def test_two_agent_streams_within_an_hour_close_all_agents_and_never_all():
    for name in ("agents-sales", "agents-support"):
        Stream.objects.create(name=name, kind="agents")
        judging.conclude([judging.Verdict(f"stream:{name}", "bounces", judging.Strength.STRONG, "bad")])
    assert [each.scope for each in judging.judge()] == [
        "stream:agents-sales",
        "stream:agents-support",
        "agents",
    ]
    assert Judgement.objects.get(scope="agents").epoch is not None
    assert judging.judge() == []


def test_a_judge_that_dies_after_the_second_stream_leaves_the_conclusion(monkeypatch):
    for name in ("agents-sales", "agents-support"):
        Stream.objects.create(name=name, kind="agents")
        judging.conclude([judging.Verdict(f"stream:{name}", "bounces", judging.Strength.STRONG, "a test")])
    trips = iter([True, True, False])

    def dies_then(row):
        if not next(trips):
            raise SystemExit
        return trip(row)

    trip = judging._trip
    monkeypatch.setattr(judging, "_trip", dies_then)
    with pytest.raises(SystemExit):
        judging.judge()
    monkeypatch.setattr(judging, "_trip", trip)
    assert [each.scope for each in judging.judge()] == ["agents"]


def test_a_transactional_stream_is_no_second_agent_stream():
    Stream.objects.create(name="agents-sales", kind="agents")
    Stream.objects.create(name="receipts", kind="transactional")
    for name in ("agents-sales", "receipts"):
        judging.conclude([judging.Verdict(f"stream:{name}", "bounces", judging.Strength.STRONG, "bad")])
    judging.judge()
    assert closed() == {"stream:agents-sales", "stream:receipts"}


def test_who_died_between_judgement_and_trip_is_made_up_for_by_the_next_call(monkeypatch):
    settled(60, BAD)
    with monkeypatch.context() as dying:
        dying.setattr(judging, "_act", lambda: [])
        judging.judge()
    assert closed() == set()
    settled(10)  # what comes meanwhile concludes nothing twice
    assert [each.scope for each in judging.judge()] == ["run:ada/r1"]
    assert judging.judge() == []
    assert SwitchEvent.objects.count() == Judgement.objects.filter(strength="strong").count() == 1


def test_a_resume_settles_what_nobody_had_acted_on(monkeypatch):
    settled(60, BAD)
    with monkeypatch.context() as dying:
        dying.setattr(judging, "_act", lambda: [])
        judging.judge()
    killswitch.trip("run:ada/r1", who="person", why="")
    killswitch.resume("run:ada/r1", who="person", why="looked")
    assert judging.judge() == []
    assert closed() == set()


def test_windows_begin_anew_at_a_resume_and_old_mail_counts_no_more():
    settled(60, BAD)
    judging.judge()
    killswitch.resume("run:ada/r1", who="person", why="looked")
    assert not Watch.objects.filter(scope="run:ada/r1").exists()
    for each in range(6):  # reports of mail that had left before
        settled(0, [0], ago=60, domains=[f"late{each}.example"])
    assert judging.judge() == []
    settled(60, BAD)
    assert "run:ada/r1" in {each.scope for each in judging.judge()}


def test_weak_evidence_is_told_once_and_cleared_when_it_has_passed():
    settled(90, [1, 2, 3, 4], code="recipient_inactive")
    assert judging.judge() == []
    assert Watch.objects.get(scope="run:ada/r1", signal="bounces").weak_since is not None
    settled(1, [1], domains=["five.example"], code="recipient_inactive")
    judging.judge()
    assert list(Judgement.objects.values_list("scope", "strength")) == [("run:ada/r1", "weak")]
    settled(400)
    judging.judge()
    assert Watch.objects.get(scope="run:ada/r1", signal="bounces").weak_since is None
    assert Judgement.objects.last().strength == "cleared"


def test_a_weak_scope_nobody_hears_of_is_forgotten():
    settled(90, [1, 2, 3, 4], code="recipient_inactive")
    judging.judge()
    assert judging.forget() == 0
    Watch.objects.update(touched_at=timezone.now() - timedelta(days=8))
    assert judging.forget() == 1
    assert not Watch.objects.exists()
    assert Judgement.objects.last().strength == "cleared"


def complaints(of: str) -> dict[str, int]:
    """Outcomes by signal of complaints."""
    watches = Watch.objects.filter(scope=of, signal__startswith="complaints")
    return dict(watches.values_list("signal", "trials"))


@pytest.mark.parametrize(
    ("provider", "signal"),
    [("yahoo", "complaints"), ("gmail", "complaints_elsewhere"), ("other", "complaints_elsewhere")],
)
def test_complaints_are_judged_over_what_was_sent_to_providers_that_send_them(provider, signal):
    settled(300, provider=provider)
    judging.judge()
    assert complaints("agent:ada") == {signal: 300}


@pytest.mark.parametrize(
    ("provider", "vouched", "signal"),
    [
        ("web.de", True, "complaints"),
        ("google-workspace", False, "complaints_elsewhere"),  # anybody who got a message can have written it
        ("other", True, "complaints_elsewhere"),  # no provider in particular
    ],
)
def test_a_provider_that_is_vouched_for_having_complained_sends_complaints(provider, vouched, signal):
    reported(1, provider=provider, vouched=vouched)
    settled(300, provider=provider)
    judging.judge()
    assert complaints("agent:ada") == {signal: 300}
    assert list(FeedbackProvider.objects.values_list("family", flat=True)) == [provider] * (
        signal == "complaints"
    )


@pytest.mark.parametrize(("sent", "trips"), [(700, True), (9_000, False)])
def test_a_few_complaints_of_nobody_in_particular_are_few_among_all_that_was_sent_there(sent, trips):
    settled(sent, provider="other")
    for each in range(4):
        settled(0, [0], kind="complained", code="", domains=[f"d{each}.example"], provider="other")
    settled(9_000, provider="yahoo")  # which hides nothing
    judging.judge()
    assert closed() == ({"run:ada/r1"} if trips else set())


@pytest.mark.parametrize(
    ("domains", "vouched", "trips"),
    [
        ([f"d{each}.example" for each in range(5)], False, True),
        (["a.evil.example", "b.evil.example", "c.evil.example", "d.evil.example"], False, False),  # one owner
        (["evil.example"] * 4, False, False),
        (["yahoo.com"] * 4, True, True),  # the provider signed it
    ],
)
def test_complaints_are_believed_from_several_owners_or_by_a_providers_word(domains, vouched, trips):
    settled(50, provider="yahoo")
    for domain in domains:
        settled(0, [0], kind="complained", code="", domains=[domain], provider="yahoo")
    for row in Evidence.objects.filter(trials=0):
        row.events[0][4] = vouched
        row.save()
    judging.judge()
    assert ("run:ada/r1" in closed()) is trips


def test_unsubscribes_hold_a_run_and_a_stream_and_close_nothing():
    for agent in ("ada", "bob"):
        settled(50, agent=agent, provider="gmail")
        settled(50, agent=agent, provider="yahoo")
        for provider in ("gmail", "yahoo"):
            reported(5, kind="unsubscribed", agent=agent, provider=provider)
    assert judging.judge() == []
    weak = set(Watch.objects.filter(weak_since__isnull=False).values_list("scope", flat=True))
    assert weak == {"run:ada/r1", "run:bob/r1", "stream:agents-sales"}


def test_a_streams_own_numbers_are_used_and_named():
    stream = Stream.objects.create(name="agents-sales", kind="agents")
    Numbers.objects.create(
        stream=stream, bounce_line=0.2, bounce_bad=0.5, unknown_of_first=20, running_sum=100, version=7
    )
    settled(60, BAD)
    assert judging.judge() == []
    Numbers.objects.update(bounce_line=0.02, bounce_bad=0.08)
    settled(1, [1])
    assert judging.judge()
    assert Judgement.objects.filter(strength="strong").first().arithmetic["numbers"] == 7


def test_refusals_about_us_are_no_bounces():
    settled(60, BAD, kind="refused", code="reputation_refused")
    assert judging.judge() == []
    assert not Watch.objects.filter(weak_since__isnull=False).exists()


def test_hours_of_a_provider_are_counted():
    settled(60, BAD)
    settled(40, [1], code="recipient_inactive")
    settled(40, provider="other")
    judging.judge()
    assert list(ProviderHour.objects.values_list("provider", "trials", "unknown")) == [("gmail", 100, 12)]


def test_many_judges_at_once_count_each_outcome_once_and_trip_once():
    for each in range(40):
        settled(50, [1], run=f"r{each}", domains=[f"x{each}.example"])
    settled(60, BAD, run="bad")

    with ThreadPoolExecutor(6) as pool:
        tripped = [each for found in pool.map(closing, [judging.judge] * 6) for each in found]
    assert [each.scope for each in tripped] == ["run:ada/bad"]
    assert Watch.objects.get(scope="agent:ada", signal="bounces").trials == 40 * 50 + 60
    assert SwitchEvent.objects.count() == 1


class Stuck:
    """A judge in a thread of its own that stands still in the middle of its transaction until it may go on."""

    def __init__(self, monkeypatch):
        self.go, entered, weigh = threading.Event(), threading.Event(), judging._weigh

        def weighing(rows):
            if not entered.is_set():
                entered.set()
                self.go.wait(30)
            weigh(rows)

        monkeypatch.setattr(judging, "_weigh", weighing)
        self.pool = ThreadPoolExecutor(2)
        self.judge = self.pool.submit(closing, judging.judge)
        assert entered.wait(30)


def closing(act):
    try:
        return act()
    finally:
        connections.close_all()


def test_a_frozen_judge_does_not_keep_the_others_waiting(monkeypatch):
    """The lock of one that stands still in its transaction is taken from it, and its evidence is judged by another."""
    monkeypatch.setattr(judging, "LIMIT_IDLE", "SET LOCAL idle_in_transaction_session_timeout = '300ms'")
    settled(60, BAD)
    frozen = Stuck(monkeypatch)
    assert [each.scope for each in judging.judge()] == ["run:ada/r1"]
    frozen.go.set()
    with pytest.raises(Error):
        frozen.judge.result(30)
    assert judging.judge() == []


WAITS = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND NOT granted"


def test_a_judge_waits_for_the_one_before_it_and_loses_none_of_its_counts(monkeypatch):
    settled(60, run="r1")
    first = Stuck(monkeypatch)
    settled(40, run="r1")
    second = first.pool.submit(closing, judging.judge)
    deadline = time.monotonic() + 20
    while not (second.done() or sql.one(WAITS).n) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.go.set()
    assert first.judge.result(30) == second.result(30) == []
    assert Watch.objects.get(scope="agent:ada", signal="bounces").trials == 100


def test_it_will_not_be_part_of_somebody_elses_transaction():
    settled(60, BAD)
    from django.db import transaction

    with transaction.atomic(), pytest.raises(RuntimeError):
        judging.judge()
    assert connection.in_atomic_block is False
    assert sql.one(judging.WAITING).evidence
