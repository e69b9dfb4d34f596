"""What waits behind a stop: looked at again, let go in steps, whatever dies or is tripped meanwhile."""

from io import StringIO
from typing import Any, LiteralString

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from outbox import ledger, recheck, sessions
from outbox.ledger import Settlement
from outbox.models import Agent, Delivery, Event
from reputation import killswitch, reopening, rewarming, suppression
from reputation.models import OpenStop, Ramp, RampEvent, Reopening, SendingDomain
from reputation.vault import new_master_key
from tests import factories
from tests.clocks import later
from tests.outbox.killswitch.page import one_of
from tests.outbox.reopened import (
    ask,
    backlog,
    begun,
    due_at_once,
    killed_in,
    put_off,
    reopened,
    stopped,
)
from tests.pages.desk import posted

pytestmark = pytest.mark.usefixtures("live_db")

STREAM = "stream:agents-support"


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


@pytest.fixture
def robot(live_db: Any) -> Agent:
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    return factories.agent("robot", stream=receipts)


# -- what becomes of each ------------------------------------------------------------------------------------

# remark: what happened meanwhile, as the owner; and what follows
FATES = {
    "its life is over": (
        "UPDATE outbox_delivery SET expires_at = now() - interval '1 s'",
        ("expired", "expires_at_passed"),
    ),
    "its run was cancelled": (
        "UPDATE outbox_run SET cancelled_at = now()",
        ("cancelled", "run_cancelled"),
    ),
    "its domain's records broke": (
        "UPDATE reputation_sendingdomain SET state = 'degraded'",
        ("held", "recheck"),
    ),
    "its domain was retired": ("UPDATE reputation_sendingdomain SET state = 'retired'", ("held", "recheck")),
    "its agent was switched off": ("UPDATE outbox_agent SET enabled = false", ("held", "policy")),
    "nothing": ("SELECT 1", ("queued", "")),
}


@pytest.mark.parametrize("meanwhile", FATES)
def test_what_may_not_go_any_more_does_not(ada: Agent, live_db: Any, meanwhile: str) -> None:
    happened, (status, code) = FATES[meanwhile]
    posted(ada, {})
    stopped(STREAM)
    ask(live_db, happened)  # type: ignore[arg-type]
    row = reopened(STREAM)
    found = Delivery.objects.get()
    assert (found.status, found.code, found.finished_at is None) == (
        status,
        code,
        status in {"held", "queued"},
    )
    assert (row.looked, row.of, row.fates) == (1, 1, {} if status == "queued" else {status: 1})
    if status != "queued":
        told = Event.objects.latest("id")
        assert (told.kind, told.status, told.code, told.actor) == (status, status, code, "omar")


def test_who_left_or_bounced_meanwhile_is_not_mailed_and_others_are(
    ada: Agent, robot: Agent, settings: Any
) -> None:
    settings.AO_MASTER_KEYS = [new_master_key()]
    backlog(ada, gmail=3)
    posted(robot, {"to": "n0@gmail.test"})
    stopped("all")
    suppression.suppress(
        [suppression.complaint("n0@gmail.test", "arf"), suppression.hard_bounce("n1@gmail.test", "dsn")]
    )
    assert reopened("all").fates == {"suppressed": 2}
    gone = Delivery.objects.filter(status="suppressed").order_by("recipient").values_list("code", flat=True)
    assert list(gone) == ["complaint", "hard_bounce"], "a password reset to who complained still goes"


def test_a_cancelled_run_gives_its_budget_back(live_db: Any) -> None:
    bob = factories.agent("bob", exempt=False)
    backlog(bob, gmail=2)
    stopped("agent:bob")
    ask(live_db, "UPDATE outbox_run SET cancelled_at = now()")
    assert reopened("agent:bob").fates == {"cancelled": 2}
    assert {used for (used,) in ask(live_db, "SELECT used FROM outbox_budget WHERE kind = 'agent_day'")} == {
        0
    }


# -- steps ---------------------------------------------------------------------------------------------------


def test_a_tenth_goes_first_by_provider_at_least_five(ada: Agent) -> None:
    backlog(ada, gmail=61, yahoo=30, outlook=4)
    stopped(STREAM)
    row = reopened(STREAM)
    assert due_at_once() == {"gmail": 7, "yahoo": 5, "microsoft-consumer": 4}
    waits = put_off()
    assert len(waits) == row.fates["later"] == 61 + 30 - 12
    assert waits[0] > 29
    assert waits[-1] < 61
    first = Delivery.objects.filter(recipient__endswith="@gmail.test").order_by("id")[:7]
    assert {one.next_attempt_at <= row.opened_at for one in first} == {True}, "the oldest ones go first"  # type: ignore[operator]


def test_the_tenth_is_of_those_that_may_still_go(ada: Agent, live_db: Any) -> None:
    backlog(ada, gmail=100)
    stopped(STREAM)
    ask(live_db, "UPDATE outbox_delivery SET expires_at = now() WHERE recipient > 'n4'")
    left = Delivery.objects.filter(recipient__lte="n4").count()
    row = reopened(STREAM)
    assert row.fates["expired"] == 100 - left
    assert due_at_once() == {"gmail": max(5, -(-left // 10))}


def test_transactional_mail_goes_whole(ada: Agent, robot: Agent) -> None:
    backlog(ada, gmail=9)
    backlog(robot, gmail=30)
    stopped("all")
    reopened("all")
    assert due_at_once() == {"gmail": 35}
    assert len(put_off()) == 4


def test_a_retry_and_a_scheduled_message_keep_their_own_later_time(ada: Agent, live_db: Any) -> None:
    backlog(ada, gmail=20)
    ask(
        live_db, "UPDATE outbox_delivery SET next_attempt_at = now() + interval '3 h' WHERE recipient < 'n13'"
    )
    own = Delivery.objects.filter(recipient__lt="n13").count()
    stopped(STREAM)
    reopened(STREAM)
    assert due_at_once() == {"gmail": 5}
    assert sum(minutes > 170 for minutes in put_off()) == own


def test_a_recipients_domain_opens_in_steps_too(ada: Agent) -> None:
    backlog(ada, gmail=12, corp=12)
    stopped("recipient_domain:corp.test")
    assert reopened("recipient_domain:corp.test").looked == 12
    assert due_at_once() == {"gmail": 12, "other": 5}


def test_a_persons_own_stop_withdrawn_at_once_opens_whole(ada: Agent, live_db: Any) -> None:
    backlog(ada, gmail=30)
    stop = stopped(STREAM, "omar")
    reopened(STREAM)
    assert due_at_once() == {"gmail": 30}
    stop = stopped(STREAM, "omar")
    ask(live_db, "UPDATE reputation_switchevent SET at = at - interval '5 min' WHERE epoch = %s", stop.epoch)
    reopened(STREAM)
    assert due_at_once() == {"gmail": 5}


def test_a_stop_that_others_have_joined_is_not_withdrawn_by_one() -> None:
    stop = stopped(STREAM, "omar")
    killswitch.trip(STREAM, who="rita", why="me too")
    assert not reopening.withdrawn(stop, "omar")


# -- whatever happens meanwhile ------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: Any) -> None:
    monkeypatch.setattr(recheck, "BATCH", 3)
    monkeypatch.setattr(recheck, "PAGE", 7)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dies_in", ["look_again", "stage"])
def test_somebody_else_goes_on_where_one_died(
    ada: Agent, live_db: Any, monkeypatch: Any, dies_in: str
) -> None:
    backlog(ada, gmail=20)
    stopped(STREAM)
    ask(live_db, "UPDATE outbox_delivery SET expires_at = now() WHERE recipient < 'n12'")
    row = begun(STREAM)
    with killed_in(monkeypatch, dies_in, at=3):
        recheck.advance(row.pk, 60)
    assert OpenStop.objects.exists()
    row = recheck.advance(row.pk, 60)
    old = Delivery.objects.filter(status="expired").count()
    assert (row.state, row.looked, row.of) == ("open", 20, 20)
    assert row.fates == {"expired": old, "later": 20 - old - 5}
    assert Event.objects.filter(kind__in=["expired", "staged"]).count() == 20 - 5, "each once"


@pytest.mark.usefixtures("small")
def test_whoever_looked_at_a_page_that_others_have_done_does_nothing_twice(ada: Agent) -> None:
    backlog(ada, gmail=20)
    stopped(STREAM)
    begun(STREAM)
    recheck.tend(0)
    stale = Reopening.objects.get()
    recheck._counted(stale)
    page = recheck._page(stale)
    assert recheck._walk(stale, page, recheck._looked)
    assert not recheck._walk(stale, page, recheck._looked)
    assert Reopening.objects.get().looked == len(page) == 7


@pytest.mark.usefixtures("small")
def test_a_trip_while_it_is_looked_at_keeps_the_scope_closed(ada: Agent) -> None:
    backlog(ada, gmail=20)
    stopped(STREAM)
    row = recheck.advance(begun(STREAM).pk, 0)
    assert row.state == "checking"
    killswitch.trip(STREAM, who="rule:bounces", why="still")
    recheck.tend(60)
    row.refresh_from_db()
    assert row.state == "abandoned"
    assert OpenStop.objects.filter(pk=STREAM).exists()


def test_a_trip_at_the_last_instant_keeps_it_closed_too(ada: Agent, monkeypatch: Any) -> None:
    stopped(STREAM)
    row = begun(STREAM)
    lower = rewarming.step_down

    def tripped(*args: Any) -> int:
        killswitch.trip(STREAM, who="rule:bounces", why="still")
        return lower(*args)

    monkeypatch.setattr(rewarming, "step_down", tripped)
    assert recheck.advance(row.pk, 60).state == "abandoned"
    assert OpenStop.objects.filter(pk=STREAM).exists()


def test_one_reopening_at_a_time(ada: Agent) -> None:
    stop = stopped(STREAM)
    begun(STREAM)
    with pytest.raises(reopening.UnderWay):
        reopening.ask(stop, who="rita", why="me too")


def test_what_a_worker_still_holds_is_waited_for(ada: Agent, live_db: Any) -> None:
    backlog(ada, gmail=12)
    session = sessions.begin("w")
    [held] = ledger.claim(session, tier=1, limit=1)
    stopped(STREAM)
    row = recheck.advance(begun(STREAM).pk, 60)
    assert (row.state, row.of) == ("checking", None)
    ledger.settle(session, [Settlement(held.id, held.attempt, "queued", "stopped", wait=0.0)])
    row = recheck.advance(row.pk, 60)
    assert (row.state, row.looked) == ("open", 12)
    assert due_at_once() == {"gmail": 5}


def test_a_worker_that_hangs_is_not_waited_for_for_ever(ada: Agent, live_db: Any) -> None:
    backlog(ada, gmail=2)
    ledger.claim(sessions.begin("w"), tier=1, limit=1)
    stopped(STREAM)
    row = begun(STREAM)
    ask(live_db, "UPDATE reputation_reopening SET at = at - interval '31 s'")
    assert recheck.advance(row.pk, 60).state == "open"


# -- ramps ---------------------------------------------------------------------------------------------------


@pytest.fixture
def warming(ada: Agent, robot: Agent, live_db: Any) -> Ramp:
    """A domain on the step of 200 a day, with some of today taken; a transactional one beside it."""
    SendingDomain.objects.update(preset="own", own_steps=[10, 20, 40, 100, 200])
    backlog(ada, gmail=3)
    backlog(robot, gmail=1)
    ledger.claim(sessions.begin("w"), tier=0, limit=10)
    ask(live_db, "UPDATE reputation_ramp SET step = 4")
    ledger.claim(sessions.begin("w"), tier=1, limit=10)
    ask(live_db, "UPDATE outbox_delivery SET status = 'queued', session_id = NULL WHERE status = 'sending'")
    return Ramp.objects.get(kind="domain", key="agents.acme.test")


def caps() -> dict[str, tuple[int, int | None]]:
    """Of ramps towards gmail: the step, and what is allowed today."""
    rows = Ramp.objects.filter(kind="domain", provider="gmail").prefetch_related("allowances")
    return {row.key: (row.step, next((each.cap for each in row.allowances.all()), None)) for row in rows}


def test_ramps_of_the_scope_step_down_and_today_with_them(warming: Ramp) -> None:
    before = caps()
    assert before["agents.acme.test"] == (4, 200)
    stopped("agents")
    row = reopened("agents")
    assert caps() == before | {"agents.acme.test": (1, 20)}
    told = RampEvent.objects.get(kind="stepped_down")
    assert (told.step, told.cap, told.evidence["from"]) == (1, 20, 4)
    assert rewarming.step_down("agents", row.pk) == 0, "once for one reopening"


def test_todays_cap_never_falls_below_what_is_taken(warming: Ramp, live_db: Any) -> None:
    ask(live_db, "UPDATE reputation_allowance SET taken = 57, used = 50 WHERE ramp_id = %s", warming.pk)
    assert rewarming.step_down("stream:agents-support", 1) == 1
    assert caps()["agents.acme.test"] == (1, 57)


@pytest.mark.parametrize(
    ("scope", "steps_down"),
    [
        ("agents", True),
        ("all", True),
        ("stream:agents-support", True),
        ("domain:agents.acme.test", True),
        ("provider:gmail", True),
        ("domain_provider:agents.acme.test/gmail", True),
        ("route:direct", True),
        ("agent:ada", False),
        ("run:ada/r-1", False),
        ("cluster:c", False),
        ("recipient_domain:gmail.test", False),
        ("stream:receipts", False),
        ("provider:yahoo", False),
    ],
)
def test_scopes_that_cover_a_whole_ramp_lower_it(warming: Ramp, scope: str, steps_down: bool) -> None:
    assert rewarming.step_down(scope, 7) == int(steps_down)


# -- the glass -----------------------------------------------------------------------------------------------


WENT: LiteralString = """
UPDATE outbox_delivery SET status = 'delivered', code = 'accepted_by_server', finished_at = now()
WHERE next_attempt_at <= now()
"""
DUE: LiteralString = (
    "SELECT count(*) FROM outbox_delivery WHERE status = 'queued' AND next_attempt_at <= ao_now()"
)


def broken(scope: str = STREAM) -> Reopening:
    """A rule's stop that one person has opened alone."""
    stop = stopped(scope, "rule:complaints")
    return recheck.advance(reopening.break_glass(stop, who="rita", why="payroll").pk, 60)


def test_through_the_glass_twenty_go_and_transactional_mail_whole(ada: Agent, robot: Agent) -> None:
    backlog(ada, gmail=30, yahoo=30)
    backlog(robot, gmail=25)
    row = broken("all")
    assert (row.state, row.glass) == ("open", True)
    assert due_at_once().total() == 20 + 25
    assert put_off()[0] > 64, "the rest is due after it has closed again"
    assert len(put_off()) == 40


def test_what_is_half_open_is_told_wherever_stops_are(ada: Agent) -> None:
    backlog(ada, gmail=1)
    row = broken()
    told = StringIO()
    call_command("status", stdout=told)
    assert f"HALF OPEN {STREAM}: rita broke the glass" in told.getvalue()
    answer = Client().get("/v1/whoami", headers={"Authorization": f"Bearer {factories.key(ada)}"}).json()
    assert [(stop["scope"], answer["open"]) for stop in answer["stops"]] == [(STREAM, False)]
    page = one_of("responders", "nina").get("/killswitch/")
    assert "is half open" in b"".join(page).decode()
    reopening.confirm_glass(row, who="omar", why="seen")
    assert reopening.half_open() == []


def test_it_closes_by_itself_after_an_hour_and_wants_two_people_again(ada: Agent, live_db: Any) -> None:
    row = broken()
    later(live_db, "59 minutes")
    recheck.tend()
    assert not OpenStop.objects.exists()
    later(live_db, "1 minute")
    recheck.tend()
    stop = OpenStop.objects.get(pk=STREAM)
    row.refresh_from_db()
    assert (stop.who, row.state) == ("rule:unconfirmed", "closed")
    assert reopening.needs_two(stop)
    recheck.tend()
    assert killswitch.open_stops()[0].epoch == stop.epoch


def test_posts_stay_refused_until_a_second_person_confirms(ada: Agent, client: Any) -> None:
    row = broken()
    headers = {"Authorization": f"Bearer {factories.key(ada)}"}

    def post() -> Any:
        body = {"to": "x@gmail.test", "subject": "s", "text": "t"}
        return client.post("/v1/messages", body, content_type="application/json", headers=headers)

    refusal = post()
    assert (refusal.status_code, refusal.json()["code"]) == (403, "stopped")
    with pytest.raises(reopening.SecondPersonNeeded):
        reopening.confirm_glass(row, who="rita", why="still me")
    reopening.confirm_glass(row, who="omar", why="seen")
    assert post().status_code == 202


def test_what_was_put_off_follows_in_steps_once_confirmed(ada: Agent, live_db: Any) -> None:
    backlog(ada, gmail=100)
    row = broken()
    ask(live_db, WENT)
    assert Delivery.objects.filter(status="delivered").count() == 20
    later(live_db, "50 minutes")
    after = recheck.advance(reopening.confirm_glass(row, who="omar", why="seen").pk, 60)
    row.refresh_from_db()
    assert (row.state, row.confirmed_by, after.state) == ("confirmed", "omar", "open")
    later(live_db, "10 seconds")
    assert ask(live_db, DUE) == [(8,)]
    assert put_off()[8] > 50 + 29, "the others, half an hour from then"
    later(live_db, "20 minutes")
    recheck.tend()
    assert not OpenStop.objects.exists(), "it stays open"


def test_a_glass_that_has_closed_cannot_be_confirmed(ada: Agent, live_db: Any) -> None:
    row = broken()
    later(live_db, "60 minutes")
    with pytest.raises(killswitch.NotTripped):
        reopening.confirm_glass(row, who="omar", why="seen")


def test_a_false_alarm_puts_ramps_and_mail_back(warming: Ramp, ada: Agent) -> None:
    backlog(ada, yahoo=40)
    row = broken()
    assert caps()["agents.acme.test"] == (1, 20)
    after = recheck.advance(reopening.confirm_glass(row, who="omar", why="false", whole=True).pk, 60)
    assert after.state == "open"
    assert caps()["agents.acme.test"][0] == 4
    assert put_off() == []
    assert RampEvent.objects.filter(kind="restored").count() >= 1


def test_only_a_rules_stop_has_a_glass(ada: Agent) -> None:
    with pytest.raises(ValueError, match="one person may resume"):
        reopening.break_glass(stopped(STREAM), who="rita", why="payroll")


def test_lanes_are_visited_again(ada: Agent) -> None:
    """What goes first is claimed as soon as the scope is open."""
    backlog(ada, gmail=12)
    session = sessions.begin("w")
    stopped(STREAM)
    assert ledger.claim(session, tier=1, limit=100) == []
    reopened(STREAM)
    assert len(ledger.claim(session, tier=1, limit=100)) == 5
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox_lane WHERE state = 'parked'")
        assert cursor.fetchone() == (0,)
