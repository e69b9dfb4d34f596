"""The ledger on a real database: every guard tried from both sides."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import Error, connection, transaction
from django.db.models.functions import Now

from outbox import dispatch, intake, ledger, sessions
from outbox.keys import Caller, authenticate
from outbox.ledger import Claimed, Settlement
from outbox.lifecycle import CODES, FINAL, Status
from outbox.models import Attempt, Delivery, Event, Lane
from outbox.payloads import parse_draft
from outbox.press import Job, Late, Unwanted
from reputation import killswitch, sql
from reputation.models import SendingDomain, Stream
from tests import factories
from tests.clocks import shifted

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def caller(live_db: Any) -> Caller:
    return authenticate(f"Bearer {factories.key(factories.agent())}")


@pytest.fixture
def session(live_db: Any) -> int:
    return sessions.begin("test")


def post(caller: Caller, count: int = 1, **more: Any) -> list[UUID]:
    """Accept so many messages to one recipient each; their deliveries' keys in order."""
    bodies = [{"to": f"grace{i}@example.org", "subject": "Hi", "text": "Hi", **more} for i in range(count)]
    drafts = [parse_draft(body, now=datetime.now(UTC), idempotency_key=None) for body in bodies]
    answers = intake.accept(drafts, caller, request_id="r", base_url="https://ao.test")
    assert {answer.status for answer in answers} == {202}
    return list(Delivery.objects.order_by("-id").values_list("id", flat=True)[:count])[::-1]


def claim(session: int, limit: int = 100) -> list[Claimed]:
    return ledger.claim(session, tier=1, limit=limit)


def clear(session: int, claimed: list[Claimed]) -> set[UUID]:
    return ledger.clear(session, [(one.id, one.attempt) for one in claimed])


def settle(
    session: int, one: Claimed, status: str = "delivered", code: str = "accepted_by_server", **more: Any
) -> bool:
    return one.id in ledger.settle(session, [Settlement(one.id, one.attempt, status, code, **more)])


def statuses() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("status", flat=True))


def let_lease_lapse(session: int) -> None:
    sql.count(
        "UPDATE outbox_session SET lease_until = clock_timestamp() - interval '1 second' WHERE id = %s",
        [session],
    )


def test_the_walk_through_the_ledger_leaves_one_event_for_each_move(caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    assert clear(session, [one]) == {one.id}
    assert settle(session, one, spoke=True, reply="ok", reply_code=250)
    assert statuses() == ["delivered"]
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == [
        "accepted",
        "claimed",
        "delivered",
    ]
    assert Attempt.objects.get().reply_code == 250


def test_no_delivery_is_claimed_twice(caller: Caller, session: int) -> None:
    post(caller, 5)
    other = sessions.begin("other")
    first, second = claim(session, 3), claim(other)
    assert len(first) == 3
    assert len(second) == 2
    assert {one.id for one in first}.isdisjoint(one.id for one in second)


def test_the_agents_own_priority_orders_its_mail(caller: Caller, session: int) -> None:
    low, high = post(caller, priority="low"), post(caller, priority="high")
    assert [one.id for one in claim(session, 1)] == high
    assert [one.id for one in claim(session, 1)] == low


def test_a_claim_is_fair_over_lanes(caller: Caller, session: int) -> None:
    post(caller, 50, agent={"run_id": "flood"})
    [single] = post(caller, agent={"run_id": "single"})
    assert single in {one.id for one in claim(session, 10)}


def test_an_ended_session_claims_nothing(caller: Caller, session: int) -> None:
    post(caller)
    sessions.end(session)
    assert claim(session) == []
    assert statuses() == ["queued"]


def test_scheduled_mail_is_claimed_when_its_time_has_come(live_db: Any, caller: Caller, session: int) -> None:
    post(caller, scheduled_at=(datetime.now(UTC) + timedelta(hours=2)).isoformat())
    assert claim(session) == []
    with shifted(live_db, timedelta(hours=3)):
        assert len(claim(session)) == 1


def test_a_lane_that_fell_asleep_is_woken_by_the_next_accept(caller: Caller, session: int) -> None:
    post(caller)
    claim(session)  # takes all there is, and puts the lane to sleep
    assert (Lane.objects.get().state, Lane.objects.get().wake_at.year) == ("asleep", 9999)
    [new] = post(caller)
    assert [one.id for one in claim(session)] == [new]


def test_work_in_a_sleeping_lane_is_found_by_the_poll(caller: Caller, session: int) -> None:
    post(caller)
    Lane.objects.update(state="asleep", wake_at=ledger.NEVER)
    assert claim(session) == []
    assert ledger.rouse() == 1
    assert len(claim(session)) == 1


# -- clearance


@pytest.mark.parametrize("wrong", ["attempt", "session"])
def test_clearance_is_fenced(caller: Caller, session: int, wrong: str) -> None:
    post(caller)
    [one] = claim(session)
    stranger = sessions.begin("stranger") if wrong == "session" else session
    attempt = one.attempt + (wrong == "attempt")
    assert ledger.clear(stranger, [(one.id, attempt)]) == set()


def test_nobody_is_cleared_twice(caller: Caller, session: int) -> None:
    post(caller)
    claimed = claim(session)
    assert len(clear(session, claimed)) == 1
    assert clear(session, claimed) == set()


def test_a_lapsed_lease_clears_nothing_even_before_its_rescue(caller: Caller, session: int) -> None:
    post(caller)
    claimed = claim(session)
    let_lease_lapse(session)
    assert clear(session, claimed) == set()


@pytest.mark.parametrize(
    "scope",
    [
        "all",
        "agents",
        "stream:agents-support",
        "domain:agents.acme.test",
        "provider:other",
        "domain_provider:agents.acme.test/other",
        "agent:ada",
        "run:ada/child",
        "run:ada/root",  # a stop of the root covers its descendants
        "route:direct",
        "recipient_domain:example.org",
    ],
)
def test_a_trip_refuses_the_very_next_clearance(caller: Caller, session: int, scope: str) -> None:
    post(caller, agent={"run_id": "root"})
    post(caller, agent={"run_id": "child", "parent_run_id": "root"})
    child = next(one for one in claim(session) if "run:ada/child" in one.scopes)
    killswitch.trip(scope, who="test", why="")
    assert clear(session, [child]) == set()


@pytest.mark.parametrize(
    "scope", ["agent:bob", "run:ada/other", "stream:transactional", "recipient_domain:example.com"]
)
def test_a_trip_beside_the_scope_stops_nobody_else(caller: Caller, session: int, scope: str) -> None:
    post(caller, agent={"run_id": "root"})
    claimed = claim(session)
    killswitch.trip(scope, who="test", why="")
    assert len(clear(session, claimed)) == 1


def test_a_stopped_lane_is_parked_and_visited_again_after_the_resume(caller: Caller, session: int) -> None:
    post(caller)
    killswitch.trip("all", who="test", why="")
    assert claim(session) == []
    assert Lane.objects.get().state == "parked"
    killswitch.resume("all", who="test", why="tried")
    assert ledger.unpark("all") == 1
    assert len(claim(session)) == 1


def test_a_lane_in_two_stops_stays_parked_when_one_is_resumed(caller: Caller, session: int) -> None:
    post(caller)
    for scope in ("all", "agent:ada"):
        killswitch.trip(scope, who="test", why="")
    claim(session)
    killswitch.resume("all", who="test", why="tried")
    assert ledger.unpark("all") == 0
    assert claim(session) == []


# -- settling


def test_a_settle_must_name_the_attempt_and_the_session(caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    wrong = Settlement(one.id, one.attempt + 1, "delivered", "accepted_by_server")
    assert ledger.settle(session, [wrong]) == set()
    assert not settle(sessions.begin("stranger"), one)
    assert statuses() == ["sending"]


def test_a_deferral_waits_and_counts(live_db: Any, caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    assert settle(session, one, "deferred", "greylisted", wait=300)
    assert claim(session) == []
    with shifted(live_db, timedelta(minutes=6)):
        [again] = claim(session)
    assert (again.attempt, again.tries) == (2, 1)


def test_what_is_given_back_is_due_again_and_no_try(caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    clear(session, [one])
    assert settle(session, one, "queued", "", wait=0)  # attested: no byte of its dot was written
    [again] = claim(session)
    assert (again.attempt, again.tries) == (2, 0)
    assert Delivery.objects.get().cleared_at is None


def test_a_code_outside_the_closed_list_cannot_be_written(caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    with pytest.raises(Error, match="delivery_lawful"):
        settle(session, one, "bounced", "because")


def test_the_database_knows_the_same_machine() -> None:
    codes = sorted({"", "because", *(code for codes in CODES.values() for code in codes)})
    known = sql.rows(
        "SELECT s AS status, c AS code, h AS held, e AS ended, ao_lawful(s, c, h, e) AS lawful"
        " FROM unnest(%s::text[]) AS s, unnest(%s::text[]) AS c,"
        " unnest(ARRAY[7, NULL]::bigint[]) AS h, unnest(ARRAY[now(), NULL]) AS e",
        [[*map(str, Status), "read"], codes],
    )
    for row in known:
        assert row.lawful is (
            row.status in set(Status)
            and row.code in CODES.get(row.status, codes)
            and (row.ended is not None) == (row.status in FINAL)
            and (row.held is not None or row.status != Status.SENDING)
        ), row


# -- rescue


def test_rescue_queues_the_undotted_and_doubts_the_cleared(caller: Caller, session: int) -> None:
    post(caller, 2)
    cleared, undotted = claim(session)
    clear(session, [cleared])
    let_lease_lapse(session)
    assert len(ledger.rescue()) == 2
    found = {row.id: (row.status, row.code) for row in Delivery.objects.all()}
    assert found == {cleared.id: ("uncertain", "session_lost_after_clearance"), undotted.id: ("queued", "")}


def test_rescue_leaves_the_living_alone(caller: Caller, session: int) -> None:
    post(caller)
    claim(session)
    assert ledger.rescue() == []


def test_what_a_session_left_behind_when_it_ended_is_rescued(caller: Caller, session: int) -> None:
    post(caller)
    claim(session)
    sessions.end(session)
    ledger.rescue()
    assert statuses() == ["queued"]


def test_a_late_settle_by_the_cleared_attempt_ends_the_doubt(caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    clear(session, [one])
    let_lease_lapse(session)
    ledger.rescue()
    assert settle(session, one, reply="2.0.0 ok")
    assert statuses() == ["delivered"]
    assert "settled late" in Event.objects.order_by("-id")[0].note


def test_a_late_settle_changes_nothing_that_was_claimed_again(caller: Caller, session: int) -> None:
    post(caller)
    [one] = claim(session)
    let_lease_lapse(session)
    ledger.rescue()
    other = sessions.begin("other")
    [again] = claim(other)
    assert not settle(session, one)
    assert not ledger.clear(session, [(one.id, again.attempt)])
    assert statuses() == ["sending"]


def test_a_renewal_of_an_ended_session_fails(caller: Caller, session: int) -> None:
    let_lease_lapse(session)
    ledger.rescue()
    assert not sessions.renew(session, 0)


def test_what_keeps_killing_workers_is_held_for_a_person(live_db: Any, caller: Caller) -> None:
    post(caller)
    for hours in range(ledger.POISON_AFTER):
        with shifted(live_db, timedelta(hours=hours)):
            dying = sessions.begin("dying")
            assert len(claim(dying)) == 1
            let_lease_lapse(dying)
            ledger.rescue()
    assert list(Delivery.objects.values_list("status", "code")) == [("held", "poison")]


@pytest.mark.parametrize(("wanted", "again"), [(True, 1), (False, 0)])
def test_an_uncertain_delivery_is_resent_once_and_only_if_its_stream_says_so(
    live_db: Any, caller: Caller, session: int, wanted: bool, again: int
) -> None:
    Stream.objects.update(resend_uncertain=wanted)
    post(caller)
    for _ in range(2):
        for one in claim(session):
            clear(session, [one])
            settle(session, one, "uncertain", "no_reply_after_dot")
        with shifted(live_db, timedelta(minutes=3)):
            resent = ledger.resend_uncertain()
        Delivery.objects.filter(status="queued").update(next_attempt_at=datetime.now(UTC))
        Lane.objects.update(wake_at=datetime.now(UTC))
        assert resent == again
        again = 0
    assert statuses() == ["uncertain"]


# -- ending


def test_what_waits_past_its_life_expires(live_db: Any, caller: Caller, session: int) -> None:
    post(caller)
    assert ledger.expire() == 0
    with shifted(live_db, timedelta(days=6)):
        assert ledger.expire() == 1
    assert list(Delivery.objects.values_list("status", "code")) == [("expired", "expires_at_passed")]


def test_cancel_takes_back_whatever_is_not_cleared(caller: Caller, session: int) -> None:
    [waiting], [sending], [cleared] = (post(caller) for _ in range(3))
    claimed = {one.id: one for one in claim(session)}
    settle(session, claimed[waiting], "queued", "", wait=60)
    clear(session, [claimed[cleared]])
    done = [
        ledger.cancel_message(row.message_id, "by_agent", "agent:ada")
        for row in Delivery.objects.order_by("id")
    ]
    assert done == [1, 1, 0]
    assert statuses() == ["cancelled", "cancelled", "sending"]
    assert clear(session, [claimed[sending]]) == set()


def test_accepted_is_final_plus_open_by_count(caller: Caller, session: int) -> None:
    post(caller, 6)
    outcomes = [
        ("delivered", "accepted_by_server"),
        ("bounced", "recipient_unknown"),
        ("uncertain", "no_reply_after_dot"),
    ]
    for one, (status, code) in zip(claim(session, 3), outcomes, strict=True):
        settle(session, one, status, code)
    counted = {status: statuses().count(status) for status in Status}
    assert sum(counted.values()) == 6
    assert (counted["delivered"], counted["bounced"], counted["uncertain"], counted["queued"]) == (1, 1, 1, 3)


# -- the application's role


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox_event SET kind = 'nothing'",
        "DELETE FROM outbox_event",
        "UPDATE outbox_attempt SET reply = ''",
        "UPDATE outbox_message SET subject = ''",
        "DELETE FROM reputation_switchevent",
        "TRUNCATE outbox_event",
        "UPDATE outbox_clockshift SET shift = interval '1 day'",
        "CREATE TABLE mine (id int)",
    ],
)
def test_the_application_cannot_rewrite_the_story(statement: str) -> None:
    with pytest.raises(Error, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_application_can_ask_for_partitions() -> None:
    assert sql.one("SELECT ao_make_partitions() AS made").made == 0


def test_a_partition_cannot_be_rewritten_behind_its_parent(caller: Caller) -> None:
    post(caller)
    child = sql.one("SELECT tableoid::regclass::text AS name FROM outbox_event LIMIT 1").name
    with pytest.raises(Error, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {child}")


def test_a_clearance_that_meets_a_trip_waits_for_its_commit_and_then_sees_it(
    live_db: Any, caller: Caller, session: int
) -> None:
    post(caller)
    [one] = claim(session)
    with psycopg.connect(live_db.app) as tripping, ThreadPoolExecutor(1) as worker:
        tripping.execute("SELECT pg_advisory_xact_lock(20559, 1)")
        tripping.execute("INSERT INTO reputation_openstop VALUES ('all', 1, now(), 'rita', '')")
        cleared = worker.submit(_clear_elsewhere, session, one)
        with psycopg.connect(live_db.app, autocommit=True) as watcher:
            while not (waits(watcher) or cleared.done()):
                pass
        assert not cleared.done()
        tripping.commit()
        assert cleared.result(10) == set()


def waits(watcher: psycopg.Connection[Any]) -> bool:
    """Whether anybody waits for an advisory lock."""
    found = watcher.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted LIMIT 1")
    return found.rowcount > 0


def _clear_elsewhere(session: int, one: Claimed) -> set[UUID]:
    try:
        return clear(session, [one])
    finally:
        connection.close()


def test_a_lane_is_not_put_to_sleep_beside_an_accept_that_is_not_committed_yet(
    caller: Caller, session: int
) -> None:
    post(caller)
    claim(session)
    Lane.objects.update(state="awake", wake_at=datetime.now(UTC))
    with transaction.atomic(), ThreadPoolExecutor(1) as elsewhere:
        post(caller)
        assert elsewhere.submit(_claim_elsewhere, session).result() == []
    assert Lane.objects.get().state == "awake"
    assert len(claim(session)) == 1


def _claim_elsewhere(session: int) -> list[Claimed]:
    try:
        return claim(session)
    finally:
        connection.close()


def test_a_living_session_gives_back_what_it_claimed_without_knowing(caller: Caller, session: int) -> None:
    post(caller, 3)
    known, cleared, lost = claim(session)
    clear(session, [cleared])
    assert ledger.disown(session, [known.id]) == 1
    found = dict(Delivery.objects.values_list("id", "status"))
    assert found == {known.id: "sending", cleared.id: "sending", lost.id: "queued"}
    assert [one.id for one in claim(session)] == [lost.id]


def test_what_waited_for_its_domains_records_goes_on_when_they_are_right(
    caller: Caller, session: int
) -> None:
    SendingDomain.objects.update(state="degraded")
    post(caller, 2)
    assert statuses() == ["held", "held"]
    assert ledger.release_rechecked() == 0
    SendingDomain.objects.update(state="verified")
    assert ledger.release_rechecked() == 2
    assert len(claim(session)) == 2
    assert list(Event.objects.filter(kind="released").values_list("actor", flat=True)) == ["verification"] * 2


def test_what_nobody_swept_away_expires_when_it_is_claimed(caller: Caller, session: int) -> None:
    post(caller)
    Delivery.objects.update(expires_at=Now())
    [one] = claim(session)
    settlement = dispatch._unpressed(Job(one, session, None, None, None), Late())
    assert ledger.settle(session, [settlement]) == {one.id}
    row = Delivery.objects.get()
    assert (row.status, row.code, row.purse_id) == ("expired", "expires_at_passed", None)


def test_a_claimed_delivery_whose_recipient_left_ends_suppressed_with_the_reason(
    caller: Caller, session: int
) -> None:
    post(caller)
    [one] = claim(session)
    settlement = dispatch._unpressed(
        Job(one, session, None, None, None, unwanted="unsubscribed"), Unwanted("unsubscribed")
    )
    assert ledger.settle(session, [settlement]) == {one.id}
    row = Delivery.objects.get()
    assert (row.status, row.code, row.purse_id) == ("suppressed", "unsubscribed", None)
    assert list(Event.objects.filter(kind="suppressed").values_list("code", flat=True)) == ["unsubscribed"]
