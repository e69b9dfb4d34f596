"""The lease thread: it opens a session, hears of trips, and ends what it opened."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from outbox import alarm
from outbox.models import Session
from outbox.sessions import HEARTBEAT_SECONDS, Lease
from reputation import killswitch, sql


@pytest.fixture
def lease(live_db: Any) -> Iterator[Lease]:
    lease = Lease("test")
    lease.start()
    until(lambda: lease.session is not None)
    yield lease
    lease.stop()


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


def test_a_trip_is_heard_and_acknowledged(lease: Lease) -> None:
    switched = killswitch.trip("agents", who="rita", why="")
    until(lambda: lease.stops == {"agents"})
    until(lambda: Session.objects.get(pk=lease.session).epoch_seen == switched.epoch)
    killswitch.resume("agents", who="rita", why="tried")
    until(lambda: lease.stops == frozenset())


def test_a_session_that_was_ended_is_replaced_by_a_new_one(lease: Lease) -> None:
    lost = lease.session
    sql.count("UPDATE outbox_session SET ended_at = clock_timestamp()")
    until(lambda: lease.session != lost, HEARTBEAT_SECONDS * 3)
    assert Session.objects.filter(ended_at=None).count() == 1


def test_a_kick_is_heard_without_any_broker(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called, gone, kicked = threading.Event(), threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        called.set()
        gone.wait()

    monkeypatch.setattr(alarm.current_app, "send_task", hang)
    lease = Lease("test", {alarm.CHANNEL: lambda _lot: kicked.set()})
    lease.start()
    until(lambda: lease.session is not None)
    for _ in range(2):
        kicked.clear()
        alarm.ring()
        assert kicked.wait(10)
    assert called.wait(10)
    gone.set()
    lease.stop()


def test_a_kick_is_for_one_of_the_living_sessions(live_db: Any) -> None:
    told: list[tuple[str, str]] = []
    leases = [
        Lease(name, {alarm.CHANNEL: lambda lot, name=name: told.append((name, lot))})  # type: ignore[misc]
        for name in "abc"
    ]
    for lease in leases:
        lease.start()
    until(lambda: all(lease.session is not None for lease in leases))
    killswitch.trip("agents", who="rita", why="")  # what makes them look around before their next heartbeat
    until(lambda: all(lease.stops for lease in leases))
    alarm.ring()
    until(lambda: len(told) == len(leases))
    assert {name for name, _ in told} == {"a", "b", "c"}
    for lot in {*(lot for _, lot in told), *map(str, range(6))}:
        assert [lease.drawn(lot) for lease in leases].count(True) == 1
    assert all(lease.drawn("") for lease in leases)  # a kick without a lot is everybody's
    for lease in leases:
        lease.stop()


def test_the_session_ends_with_its_lease(live_db: Any) -> None:
    lease = Lease("test")
    lease.start()
    until(lambda: lease.session is not None)
    lease.stop()
    assert Session.objects.get(pk=lease.session).ended_at is not None


def test_a_lost_connection_is_replaced_and_the_session_kept(live_db: Any, lease: Lease) -> None:
    session = lease.session
    before = Session.objects.get(pk=session).lease_until
    mine = sql.one("SELECT pg_backend_pid() AS pid").pid
    with psycopg.connect(live_db.superuser, autocommit=True) as killer:
        others = "usename = 'outbox_app' AND datname = current_database() AND pid <> %s"
        ended = killer.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}", [mine]
        )
        assert ended.rowcount
    until(lambda: Session.objects.get(pk=session).lease_until > before, HEARTBEAT_SECONDS * 3)
    assert lease.session == session
