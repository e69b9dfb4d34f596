"""The switch: what a trip leaves behind, what it waits for, and whom it does not wait for."""

import threading
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from reputation import killswitch
from reputation.models import SwitchEvent

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.mark.parametrize(
    ("kind", "key", "scope"),
    [
        ("all", "", "all"),
        ("agents", "", "agents"),
        ("stream", "agents-sales", "stream:agents-sales"),
        ("run", "ada/r-1", "run:ada/r-1"),
        ("recipient_domain", "Example.ORG", "recipient_domain:example.org"),
        ("cluster", "c-1", "cluster:c-1"),
        ("source", "192.0.2.1", "source:192.0.2.1"),
    ],
)
def test_scopes_have_one_spelling(kind: str, key: str, scope: str) -> None:
    assert killswitch.scope_of(kind, key) == scope


@pytest.mark.parametrize(("kind", "key"), [("all", "x"), ("stream", ""), ("everything", ""), ("", "")])
def test_what_names_no_scope_is_told_the_kinds(kind: str, key: str) -> None:
    with pytest.raises(killswitch.UnknownScope, match="recipient_domain"):
        killswitch.scope_of(kind, key)


def test_trip_and_resume_leave_who_and_why_and_a_growing_epoch() -> None:
    first = killswitch.trip("stream:a", who="rita", why="complaints")
    second = killswitch.trip("stream:a", who="omar", why="me too")
    third = killswitch.resume("stream:a", who="rita", why="list was cleaned")
    assert first.epoch < second.epoch < third.epoch
    told = list(SwitchEvent.objects.order_by("epoch").values_list("action", "who", "why"))
    assert told == [
        ("trip", "rita", "complaints"),
        ("trip", "omar", "me too"),
        ("resume", "rita", "list was cleaned"),
    ]


def test_a_second_trip_changes_nothing_of_the_first() -> None:
    first = killswitch.trip("all", who="rita", why="")
    killswitch.trip("all", who="omar", why="")
    [stop] = killswitch.open_stops()
    assert (stop.epoch, stop.who, stop.tripped_at) == (first.epoch, "rita", first.at)


def test_a_resume_needs_a_stop_and_a_reason() -> None:
    with pytest.raises(killswitch.NotTripped):
        killswitch.resume("all", who="rita", why="fine")
    killswitch.trip("all", who="rita", why="")
    with pytest.raises(ValueError, match="why"):
        killswitch.resume("all", who="rita", why="  ")
    assert [stop.scope for stop in killswitch.open_stops()] == ["all"]


def test_a_trip_inside_somebodys_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="transaction of its own"), transaction.atomic():
        killswitch.trip("all", who="rita", why="")


def test_a_trip_waits_for_a_clearance_that_is_under_way(live_db: Any) -> None:
    with psycopg.connect(live_db.app) as clearing:
        clearing.execute("SELECT pg_advisory_xact_lock_shared(20559, 1)")
        done = threading.Event()
        tripping = threading.Thread(target=_trip, args=[done])
        tripping.start()
        with psycopg.connect(live_db.app, autocommit=True) as watcher:
            _until_somebody_waits(watcher)
            assert not done.is_set()
        clearing.commit()
        assert done.wait(5)
        tripping.join()


def test_a_clearance_that_hangs_is_ended_and_the_trip_commits(live_db: Any) -> None:
    with psycopg.connect(live_db.app) as hanging:
        hanging.execute("SELECT pg_advisory_xact_lock_shared(20559, 1)")
        killswitch.trip("all", who="rita", why="")
        assert [stop.scope for stop in killswitch.open_stops()] == ["all"]
        with pytest.raises(psycopg.OperationalError):
            hanging.execute("SELECT 1")


def _trip(done: threading.Event) -> None:
    killswitch.trip("all", who="rita", why="")
    connection.close()
    done.set()


def _until_somebody_waits(watcher: psycopg.Connection[Any]) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not watcher.execute(waiting).fetchone()[0]:  # type: ignore[index]
        pass


@pytest.mark.parametrize("why", ["gone\0 mad", "gone\udc80 mad"])
def test_no_reason_is_a_reason_not_to_stop(why: str) -> None:
    killswitch.trip("agents", who="ada", why=why)
    assert "gone" in killswitch.open_stops()[0].why
