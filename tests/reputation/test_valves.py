"""Valves on a real database: strikes of many at once count once, and each change leaves one event."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from reputation import sql, valves
from reputation.allowance import ramp_of
from reputation.models import Allowance, Ramp, RampEvent
from reputation.shaping import Place, Reaction, Strike
from reputation.shaping_rows import Act, Scope
from tests.clocks import shifted

pytestmark = pytest.mark.usefixtures("live_db")

DOMAIN = Place("domain", "agents.acme.test", "gmail")
SOURCE = Place("source", "192.0.2.7", "gmail")
REPLY = "421 4.7.28 Gmail has detected\n  an unusual rate"


def strike(act: Act = Act.SLOW, place: Place = DOMAIN, reply: str = REPLY) -> Strike:
    return Strike(place, Reaction(act, Scope(place.kind), "look at your SPF"), reply)


def ramp(place: Place = DOMAIN) -> Ramp:
    return Ramp.objects.get(kind=place.kind, key=place.key, provider=place.provider)


def moving(per_minute: int, place: Place = DOMAIN) -> None:
    """A day in which so many went through a minute, for an hour now."""
    since = datetime.now(UTC) - timedelta(hours=1)
    Allowance.objects.create(
        ramp_id=ramp_of(place.key, place.provider, place.kind),
        day=since.date(),
        opens_at=since,
        closes_at=since,
        cap=10_000,
        taken=per_minute * 60,
    )


def kinds() -> list[str]:
    return list(RampEvent.objects.order_by("id").values_list("kind", flat=True))


def test_a_strike_slows_the_ramp_it_names_and_tells_why() -> None:
    moving(100)
    [turn] = valves.apply([strike()])
    found = ramp()
    assert (turn.ramp_id, turn.place) == (found.pk, DOMAIN)
    assert (found.valve, found.strikes) == ("slow", 1)
    assert found.per_minute is not None
    assert 49 <= found.per_minute <= 50  # the hour is a little longer by now
    [event] = RampEvent.objects.all()
    assert (event.ramp_id, event.kind, event.cap) == (found.pk, "slowed", 10_000)
    assert event.why == found.valve_why == "421 4.7.28 Gmail has detected an unusual rate"
    assert event.evidence["before"]["state"] == "open"
    assert event.evidence["after"]["per_minute"] == found.per_minute
    assert (event.evidence["act"], event.evidence["alarm"]) == ("slow", "look at your SPF")


def test_a_ramp_that_was_never_seen_is_made_and_closes() -> None:
    valves.apply([strike(Act.BACK_OFF, SOURCE)])
    found = ramp(SOURCE)
    assert found.valve == "closed"
    assert found.valve_until is not None
    assert timedelta(minutes=9) < found.valve_until - datetime.now(UTC) <= timedelta(minutes=10)


def test_of_several_strikes_in_one_call_the_worst_counts_for_each_ramp() -> None:
    moving(100)
    moving(100, SOURCE)
    turns = valves.apply(
        [strike(), strike(Act.CLOSE, reply="550 worst"), strike(Act.BACK_OFF), strike(place=SOURCE)]
    )
    assert len(turns) == 2
    assert (ramp().valve, ramp().strikes, ramp().valve_why) == ("closed", 1, "550 worst")
    assert (ramp(SOURCE).valve, ramp(SOURCE).strikes) == ("slow", 1)


def test_a_long_reply_is_shortened() -> None:
    valves.apply([strike(reply="x" * 100_000)])
    assert len(ramp().valve_why) == valves.WHY_LENGTH


def test_no_strikes_are_no_work() -> None:
    assert valves.apply([]) == valves.note_success([]) == valves.tend() == []


@pytest.mark.parametrize("act", [Act.SLOW, Act.BACK_OFF])
def test_many_refusals_at_once_are_one_strike(act: Act) -> None:
    moving(1_000)
    barrier = threading.Barrier(8)

    def strike_together() -> int:
        try:
            barrier.wait(10)
            return sum(len(valves.apply([strike(act)])) for _ in range(6))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        turned = [pool.submit(strike_together) for _ in range(8)]
    assert sum(one.result() for one in turned) == 1
    assert (ramp().strikes, len(kinds())) == (1, 1)


def test_two_that_strike_while_a_third_holds_the_row_count_once(live_db: Any) -> None:
    moving(1_000)
    with psycopg.connect(live_db.app) as claim, ThreadPoolExecutor(2) as pool:
        claim.execute("SELECT FROM reputation_ramp WHERE id = %s FOR NO KEY UPDATE", [ramp().pk])
        both = [pool.submit(apply_and_close) for _ in range(2)]  # each saw the valve open, and waits
        with psycopg.connect(live_db.app, autocommit=True) as watcher:
            until_waiting(watcher, 2)
        claim.commit()
        assert sorted(len(one.result()) for one in both) == [0, 1]
    assert ramp().strikes == 1


def apply_and_close() -> list[valves.Turn]:
    try:
        return valves.apply([strike()])
    finally:
        connection.close()


def until_waiting(watcher: psycopg.Connection[Any], count: int) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while watcher.execute(waiting).fetchone()[0] < count:  # type: ignore[index]
        pass


def test_a_reply_that_changes_nothing_waits_for_nobody(live_db: Any) -> None:
    valves.apply([strike(Act.BACK_OFF)])
    with psycopg.connect(live_db.app) as claim:
        claim.execute("SELECT FROM reputation_ramp WHERE id = %s FOR NO KEY UPDATE", [ramp().pk])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        assert valves.apply([strike(Act.BACK_OFF)]) == []


def test_a_strike_inside_somebodys_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        valves.apply([strike()])


def test_a_valve_goes_the_whole_way_and_comes_back(live_db: Any) -> None:
    moving(8)
    valves.apply([strike(Act.BACK_OFF)])
    key = ramp().pk
    assert valves.unsettled() == {DOMAIN: key}
    assert valves.note_success([key]) == []  # what was under way when it closed proves nothing
    assert valves.tend() == []
    with shifted(live_db, timedelta(minutes=11)):
        [turn] = valves.tend()
        assert (turn.ramp_id, ramp().valve, ramp().valve_until) == (key, "trial", None)
        assert valves.tend() == []
        valves.note_success([key])
        assert (ramp().valve, ramp().per_minute) == ("slow", 4)
        assert valves.note_success([key]) == []
    with shifted(live_db, timedelta(minutes=22)):
        valves.tend()
    found = ramp()
    assert (found.valve, found.valve_until, found.per_minute, found.strikes, found.valve_why) == (
        "open",
        None,
        None,
        0,
        "",
    )
    assert kinds() == ["closed", "opened", "opened", "opened"]
    assert valves.unsettled() == {}


def test_a_trial_that_fails_closes_for_longer(live_db: Any) -> None:
    valves.apply([strike(Act.BACK_OFF)])
    with shifted(live_db, timedelta(minutes=11)):
        valves.tend()
        valves.apply([strike()])
        now = sql.one("SELECT ao_now() AS now").now
        found = ramp()
    assert (found.valve, found.strikes) == ("closed", 2)
    assert found.valve_until is not None
    assert timedelta(minutes=19) < found.valve_until - now <= timedelta(minutes=20)


def test_only_the_ramp_that_was_named_changes() -> None:
    for place in (DOMAIN, SOURCE):
        moving(100, place)
    valves.apply([strike()])
    assert ramp(SOURCE).valve == "open"
    assert ramp_of(DOMAIN.key, "yahoo") != ramp().pk
    assert Ramp.objects.get(provider="yahoo").valve == "open"
