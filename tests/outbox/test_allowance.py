"""Allowance on a real database: reserved by the claim, used or given back by what becomes of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from config.embedded import Urls
from outbox import intake, ledger, sessions
from outbox.keys import Caller, authenticate
from outbox.ledger import Claimed, Settlement
from outbox.models import Agent, Lane
from outbox.payloads import parse_draft
from reputation import allowance, killswitch, sql
from reputation.models import Allowance, OrganisationalDomain, Ramp, Route, SendingDomain, Stream
from tests import factories
from tests.walks.harness.waiting import until

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def caller(live_db: Any) -> Caller:
    return authenticate(f"Bearer {factories.key(factories.agent())}")


@pytest.fixture
def session(live_db: Any) -> int:
    return sessions.begin("test")


@pytest.fixture
def noon(live_db: Any) -> Iterator[None]:
    """The rules' time is just before 12:00 UTC: of sending hours from 10 to 12, everything has opened."""
    with at(live_db, datetime.now(UTC).replace(hour=11, minute=59, second=50, microsecond=0)):
        yield


class at:
    """The rules' time, as only the owner may set it."""

    def __init__(self, live_db: Any, time: datetime) -> None:
        self.live_db, self.time = live_db, time

    def __enter__(self) -> None:
        self._shift("%s - statement_timestamp()", self.time)

    def __exit__(self, *_: object) -> None:
        self._shift("%s::interval", "0")

    def _shift(self, to: str, value: Any) -> None:
        with psycopg.connect(self.live_db.owner, autocommit=True) as owner:
            owner.execute(f"UPDATE outbox_clockshift SET shift = {to}", [value])  # type: ignore[arg-type]


def capped(*steps: int, kind: str = "agents", hours: tuple[int, int] = (0, 24)) -> None:
    """The sending domain has own steps; the other two have no cap."""
    SendingDomain.objects.update(preset="own", own_steps=list(steps))
    Stream.objects.update(opens_hour=hours[0], closes_hour=hours[1], kind=kind)


def post(caller: Caller, count: int = 1, **more: Any) -> None:
    bodies = [{"to": f"grace{i}@example.org", "subject": "Hi", "text": "Hi", **more} for i in range(count)]
    drafts = [parse_draft(body, now=datetime.now(UTC), idempotency_key=None) for body in bodies]
    answers = intake.accept(drafts, caller, request_id="r", base_url="https://ao.test")
    assert {answer.status for answer in answers} == {202}


def claim(session: int, limit: int = 100, **more: Any) -> list[Claimed]:
    return ledger.claim(session, tier=1, limit=limit, **more)


def settle(session: int, one: Claimed, status: str, code: str = "", **more: Any) -> None:
    assert ledger.settle(session, [Settlement(one.id, one.attempt, status, code, **more)])


def counts(kind: str = "domain") -> tuple[int, int]:
    row = Allowance.objects.get(ramp__kind=kind)
    return row.taken, row.used


def clear(session: int, claimed: list[Claimed]) -> set[UUID]:
    return ledger.clear(session, [(one.id, one.attempt) for one in claimed])


# -- the cap


def test_no_more_than_the_cap_is_claimed_however_often_one_asks(
    noon: None, caller: Caller, session: int
) -> None:
    capped(5, hours=(10, 12))
    post(caller, 9)
    assert [len(claim(session)) for _ in range(3)] == [5, 0, 0]
    assert counts() == (5, 0)
    assert Lane.objects.get().state == "shut"


@pytest.mark.parametrize("hour", [0, 3, 12, 23])
def test_the_largest_cap_there_can_be_is_a_cap_at_any_hour(
    live_db: Any, caller: Caller, session: int, hour: int
) -> None:
    most = 2**31 - 1
    for table in (SendingDomain, OrganisationalDomain, Route):
        table.objects.update(preset="own", own_steps=[most])
    Route.objects.update(source_address="192.0.2.1")
    Stream.objects.update(opens_hour=0, closes_hour=24)
    with at(live_db, datetime.now(UTC).replace(hour=hour, minute=59)):
        post(caller, 2)
        assert len(claim(session, 1)) == 1
        # much has lapsed, or is kept for others; and all the rest is taken
        Allowance.objects.filter(ramp__kind="domain").update(taken=most, lapsed=most // 2)
        Allowance.objects.exclude(ramp__kind="domain").update(taken=most, kept=most // 2)
        assert claim(session, 1) == []


def test_the_next_day_has_the_next_days_allowance(live_db: Any, caller: Caller, session: int) -> None:
    capped(5, hours=(10, 12))
    day = datetime.now(UTC).replace(hour=11, minute=59, second=50)
    with at(live_db, day - timedelta(minutes=1)):
        post(caller, 12)
    for later, allowed in ((0, 5), (1, 5), (2, 2)):
        with at(live_db, day + timedelta(days=later)):
            claimed = claim(session)
            assert len(claimed) == allowed
            assert claim(session) == []
            clear(session, claimed)
            for one in claimed:
                settle(session, one, "delivered", "accepted_by_server", evidence="accepted")
    days = Allowance.objects.filter(ramp__kind="domain").order_by("day")
    assert list(days.values_list("used", flat=True)) == [5, 5, 2]


@pytest.mark.parametrize(
    ("least", "allowed"), [("domain", 3), ("source", 3), ("organisation", 3), ("none", 20)]
)
def test_the_least_of_the_three_counts(
    noon: None, caller: Caller, session: int, least: str, allowed: int
) -> None:
    Stream.objects.update(opens_hour=10, closes_hour=12)
    Route.objects.update(source_address="192.0.2.1")
    rows = {"domain": SendingDomain, "source": Route, "organisation": OrganisationalDomain}
    if least in rows:
        rows[least].objects.update(preset="own", own_steps=[3])
    post(caller, 20)
    assert len(claim(session)) == allowed
    assert all(counts(kind) == (allowed, 0) for kind in rows)


def test_domains_of_one_organisation_share_what_it_has(noon: None, caller: Caller, session: int) -> None:
    OrganisationalDomain.objects.update(preset="own", own_steps=[4])
    bob = factories.agent("bob", stream=factories.stream("agents-sales", "sales.acme.test"))
    Stream.objects.update(opens_hour=10, closes_hour=12)
    post(caller, 3)
    post(authenticate(f"Bearer {factories.key(bob)}"), 3)
    claimed = claim(session)
    claimed += claim(session)
    assert len(claimed) == 4
    assert counts("organisation") == (4, 0)


def test_thirty_two_at_once_do_not_pass_the_cap(noon: None, caller: Caller, session: int) -> None:
    capped(50, hours=(10, 12))
    for run in range(8):
        post(caller, 20, agent={"run_id": f"r{run}"})

    def claims(_: int) -> int:
        try:
            return len(claim(session, 7))
        finally:
            connection.close()

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(claims, range(64))) == 50
    assert counts() == (50, 0)


def test_thirty_two_at_once_from_four_domains_do_not_pass_what_their_organisation_has(
    noon: None, caller: Caller, session: int
) -> None:
    OrganisationalDomain.objects.update(preset="own", own_steps=[50])
    names = [f"more-{n}" for n in range(3)]
    streams = [factories.stream(name, f"{name}.acme.test") for name in names]
    keys = [factories.key(factories.agent(f"of-{stream.name}", stream=stream)) for stream in streams]
    Stream.objects.update(opens_hour=10, closes_hour=12)
    for each in [caller, *(authenticate(f"Bearer {key}") for key in keys)]:
        for run in range(4):
            post(each, 10, agent={"run_id": f"r{run}"})

    def claims(number: int) -> int:
        try:
            return len(claim(session, 3, lanes=1, last_agent=number % 4))
        finally:
            connection.close()

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(claims, range(128))) == 50
    assert counts("organisation") == (50, 0)


def test_a_day_that_opens_while_a_claim_waits_for_it_is_drawn_on_under_its_locks(
    noon: None, live_db: Urls, caller: Caller, session: int
) -> None:
    OrganisationalDomain.objects.update(preset="own", own_steps=[4])
    bob = factories.agent("bob", stream=factories.stream("agents-sales", "sales.acme.test"))
    Stream.objects.update(opens_hour=10, closes_hour=12)
    post(caller, 3)
    assert len(claim(session)) == 3
    post(authenticate(f"Bearer {factories.key(bob)}"), 3)
    ramp = Ramp.objects.get(kind="domain", key="sales.acme.test")
    allowance.open_days([ramp.pk])
    opened = Ramp.objects.get(pk=ramp.pk)
    Ramp.objects.filter(pk=ramp.pk).update(purse=None, purse_until=None)
    with psycopg.connect(live_db.owner) as opener, psycopg.connect(live_db.owner) as other:
        opener.execute(
            "UPDATE reputation_ramp SET purse_id = %s, purse_until = %s WHERE id = %s",
            [opened.purse_id, opened.purse_until, ramp.pk],
        )
        other.execute(
            "UPDATE reputation_allowance AS a SET taken = 4 FROM reputation_ramp AS r "
            "WHERE r.id = a.ramp_id AND r.kind = 'organisation'"
        )
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(claim_alone, session, after=caller.agent_id)
            for holder in (opener, other):  # the day, then what it draws on
                until(lambda holder=holder: blocks(holder), 10, "the claim waits")
                holder.commit()
            assert waiting.result() == 0
    assert counts("organisation")[0] == 4


def claim_alone(session: int, after: int) -> int:
    """How many are claimed from the lanes of the agent after this one alone."""
    try:
        return len(claim(session, lanes=1, last_agent=after))
    finally:
        connection.close()


def blocks(holder: "psycopg.Connection[Any]") -> bool:
    """Whether somebody waits for a lock of this connection."""
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid))) AS waits"
    )
    return bool(sql.one(waiting, [holder.info.backend_pid]).waits)


# -- opening


@pytest.mark.parametrize(
    ("hour", "minute", "allowed"),
    [
        (8, 59, 0),  # before the sending hours
        (9, 1, 1),  # a slot opens at once
        (9, 59, 10),  # an eighth of the hours
        (10, 59, 20),
        (15, 0, 20),  # at most two hours' worth piles up
        (17, 0, 0),  # after them
    ],
)
def test_the_allowance_opens_evenly_within_the_sending_hours(
    live_db: Any, caller: Caller, session: int, hour: int, minute: int, allowed: int
) -> None:
    capped(80, hours=(9, 17))
    with at(live_db, datetime.now(UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)):
        post(caller, 100)
        assert len(claim(session)) == allowed
        assert claim(session) == []


def test_a_lane_behind_its_ramp_is_visited_when_the_next_slot_opens(
    live_db: Any, caller: Caller, session: int
) -> None:
    capped(24)
    day = datetime.now(UTC).replace(hour=1, minute=0, second=1, microsecond=0)
    with at(live_db, day):
        post(caller, 5)
        assert len(claim(session)) == 2
        wait = ledger.waits()[1]
        assert 3590 < wait <= 3600
    with at(live_db, day + timedelta(seconds=wait + 5)):
        assert len(claim(session)) == 1


def test_what_waits_is_told_by_tier(live_db: Any, caller: Caller, session: int) -> None:
    assert ledger.waits() == {}
    post(caller)
    assert ledger.waits()[1] <= 0
    assert 0 not in ledger.waits()
    claim(session)
    assert ledger.waits().get(1, 1) > 0  # what is under way is no reason to claim again


def test_transactional_mail_opens_at_once(live_db: Any, caller: Caller, session: int) -> None:
    capped(80, kind="transactional", hours=(9, 10))
    Stream.objects.update(kind="transactional")
    with at(live_db, datetime.now(UTC).replace(hour=0, minute=1)):
        post(caller, 90)
        assert len(ledger.claim(session, tier=0, limit=100)) == 80


def test_a_day_without_sending_allows_nothing(live_db: Any, caller: Caller, session: int) -> None:
    capped(80)
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0)
    Stream.objects.update(sending_days=[(today + timedelta(days=1)).isoweekday()])
    with at(live_db, today):
        post(caller, 3)
        assert claim(session) == []
        assert ledger.waits()[1] == pytest.approx(12 * 3600, abs=5)
    with at(live_db, today + timedelta(days=1)):
        assert len(claim(session)) == 3


# -- used or given back


@pytest.mark.parametrize(
    ("cleared", "settlement", "after"),
    [
        (True, ("delivered", "accepted_by_server", {"evidence": "accepted"}), (1, 1)),
        (True, ("uncertain", "no_reply_after_dot", {}), (1, 1)),
        (True, ("deferred", "greylisted", {"wait": 60.0, "phase": "replied", "reply_code": 451}), (1, 1)),
        (False, ("bounced", "recipient_unknown", {"phase": "rcpt", "reply_code": 550}), (1, 1)),
        (False, ("bounced", "dns_failed", {"phase": "resolve"}), (0, 0)),
        (False, ("deferred", "greylisted", {"wait": 60.0, "phase": "rcpt", "reply_code": 451}), (0, 0)),
        (False, ("queued", "", {"wait": 1.0, "fault": "not_cleared"}), (0, 0)),
    ],
)
def test_a_slot_is_used_by_a_clearance_or_a_refused_recipient_and_else_given_back(
    noon: None, caller: Caller, session: int, cleared: bool, settlement: Any, after: tuple[int, int]
) -> None:
    capped(10, hours=(10, 12))
    Route.objects.update(source_address="192.0.2.1")
    post(caller)
    [one] = claim(session)
    if cleared:
        clear(session, [one])
    status, code, more = settlement
    settle(session, one, status, code, **more)
    assert [counts(kind) for kind in ("domain", "source", "organisation")] == [after] * 3


def test_what_is_given_back_lets_the_next_one_go(noon: None, caller: Caller, session: int) -> None:
    capped(1, hours=(10, 12))
    post(caller, 2)
    [one] = claim(session)
    assert claim(session) == []
    settle(session, one, "bounced", "dns_failed", phase="resolve")
    assert len(claim(session)) == 1


@pytest.mark.parametrize("cleared", [True, False])
def test_the_rescue_of_a_dead_session_gives_back_what_was_not_cleared(
    noon: None, caller: Caller, session: int, cleared: bool
) -> None:
    capped(10, hours=(10, 12))
    post(caller, 4)
    claimed = claim(session)
    if cleared:
        clear(session, claimed)
    sql.count("UPDATE outbox_session SET lease_until = clock_timestamp() - interval '1 second'")
    assert len(ledger.rescue()) == 4
    assert counts() == ((4, 4) if cleared else (0, 0))


def test_a_cancelled_claim_gives_its_slot_back(noon: None, caller: Caller, session: int) -> None:
    capped(10, hours=(10, 12))
    post(caller, 2)
    [first, _] = claim(session)
    assert ledger.cancel_message(first.message_id, "by_agent", "test") == 1
    assert counts() == (1, 0)


def test_what_a_session_claimed_without_knowing_goes_back(noon: None, caller: Caller, session: int) -> None:
    capped(10, hours=(10, 12))
    post(caller, 2)
    claim(session)
    assert ledger.disown(session, []) == 2
    assert counts() == (0, 0)


def test_what_is_reserved_before_midnight_goes_back_to_the_day_it_came_from(
    live_db: Any, caller: Caller, session: int
) -> None:
    capped(10)
    post(caller, 3)
    night = datetime.now(UTC).replace(hour=23, minute=59)
    with at(live_db, night):
        [one, *_] = claim(session, 1)
    with at(live_db, night + timedelta(hours=8)):
        claim(session, 1)
        settle(session, one, "queued", "", wait=1.0)
    first, second = Allowance.objects.filter(ramp__kind="domain").order_by("day")
    assert (first.taken, second.taken) == (0, 1)


def test_a_domain_whose_records_broke_claims_nothing(noon: None, caller: Caller, session: int) -> None:
    post(caller)
    SendingDomain.objects.update(state="degraded")
    assert claim(session) == []
    SendingDomain.objects.update(state="verified")
    Ramp.objects.filter(kind="domain").update(opens_at=datetime.now(UTC) - timedelta(days=2))
    assert len(claim(session)) == 1


def test_a_day_is_opened_also_while_there_is_other_work(noon: None, caller: Caller, session: int) -> None:
    post(caller, 10)
    assert len(claim(session, 2)) == 2
    body = {"to": "grace@gmail.com", "subject": "Hi", "text": "Hi"}
    draft = parse_draft(body, now=datetime.now(UTC), idempotency_key=None)
    intake.accept([draft], caller, request_id="r", base_url="https://ao.test")
    assert "gmail" in {one.provider for _ in range(3) for one in claim(session, 2)}


def test_a_ramp_that_lanes_wait_behind_and_nobody_opens_is_found_by_the_poll(
    noon: None, caller: Caller, session: int
) -> None:
    capped(1, hours=(10, 12))
    post(caller, 2)
    claim(session)
    Ramp.objects.update(opens_at=None)
    Allowance.objects.filter(ramp__kind="domain").update(cap=2)
    assert claim(session) == []
    assert ledger.rouse() == 1
    assert len(claim(session)) == 1


def test_a_domain_whose_day_cannot_begin_holds_nobody_up(noon: None, caller: Caller, session: int) -> None:
    bob = factories.agent("bob", stream=factories.stream("agents-sales", "sales.acme.test"))
    Stream.objects.filter(name="agents-sales").update(time_zone="Mars/Olympus")
    post(authenticate(f"Bearer {factories.key(bob)}"))
    post(caller)
    assert [one.agent for one in claim(session)] == ["ada"]
    assert claim(session) == []


# -- fairness


def test_an_agents_thousand_runs_do_not_go_before_anothers_single_message(
    noon: None, caller: Caller, session: int
) -> None:
    for run in range(100):
        post(caller, 2, agent={"run_id": f"r{run}"})
    bob = authenticate(f"Bearer {factories.key(factories.agent('bob'))}")
    post(bob)
    assert bob.agent in {one.agent for one in claim(session, 20)}


def test_behind_a_ramp_too_every_agent_has_its_turn(noon: None, caller: Caller, session: int) -> None:
    capped(10, hours=(10, 12))
    for run in range(20):
        post(caller, 2, agent={"run_id": f"r{run}"})
    assert len(claim(session)) == 10
    bob = authenticate(f"Bearer {factories.key(factories.agent('bob'))}")
    post(bob)
    assert claim(session) == []
    SendingDomain.objects.update(own_steps=[12])
    Allowance.objects.filter(ramp__kind="domain").update(cap=12)
    Ramp.objects.filter(kind="domain").update(opens_at=datetime.now(UTC) - timedelta(days=2))
    assert {one.agent for one in claim(session)} == {"ada", "bob"}


def test_more_agents_than_a_claim_visits_come_in_turn(noon: None, caller: Caller, session: int) -> None:
    others = [factories.agent(f"agent-{n}") for n in range(6)]
    for one in others:
        post(authenticate(f"Bearer {factories.key(one)}"), 4)
    served, last = set(), 0
    for _ in range(3):
        claimed = claim(session, 2, lanes=2, last_agent=last)
        served |= {one.agent for one in claimed}
        last = claimed[-1].agent_id
    assert served == {one.name for one in others}


def test_a_stop_parks_a_lane_that_waits_behind_its_ramp(noon: None, caller: Caller, session: int) -> None:
    capped(1, hours=(10, 12))
    post(caller, 2)
    claim(session)
    killswitch.trip("all", who="test", why="")
    Allowance.objects.update(cap=5)
    Ramp.objects.filter(kind="domain").update(opens_at=datetime.now(UTC) - timedelta(days=2))
    assert claim(session) == []
    assert Lane.objects.get().state == "parked"
    assert Agent.objects.count() == 1


# -- whose ramp


def test_a_delivery_that_is_another_providers_moves_to_its_lane_and_its_ramp(
    noon: None, caller: Caller, session: int
) -> None:
    capped(2, hours=(10, 12))
    post(caller, 3)
    [first, second] = claim(session)
    assert ledger.relane(session, first, "mimecast", "agents.acme.test")
    assert ledger.relane(session, second, "mimecast", "agents.acme.test")
    assert [one.provider for one in [*claim(session), *claim(session)]] == ["other", "mimecast", "mimecast"]
    taken = dict(Allowance.objects.filter(ramp__kind="domain").values_list("ramp__provider", "taken"))
    assert taken == {"mimecast": 2, "other": 1}
    lane = Lane.objects.get(provider="mimecast")
    assert {"provider:mimecast", "domain_provider:agents.acme.test/mimecast"} <= set(lane.scopes)
    assert "provider:other" not in lane.scopes


@pytest.mark.parametrize("guard", ["cleared", "attempt", "session"])
def test_what_is_not_ours_or_may_have_been_dotted_stays_where_it_is(
    noon: None, caller: Caller, session: int, guard: str
) -> None:
    post(caller)
    [one] = claim(session)
    if guard == "cleared":
        clear(session, [one])
    stranger = sessions.begin("stranger") if guard == "session" else session
    late = replace(one, attempt=one.attempt + 1) if guard == "attempt" else one
    assert not ledger.relane(stranger, late, "mimecast", "agents.acme.test")
    assert not Lane.objects.filter(provider="mimecast").exists()
