"""Hand-written SQL on Django's connection: what happens when the connection is lost."""

from typing import Any

import psycopg
import pytest
from django.db import Error, connection, transaction

from reputation import sql

pytestmark = pytest.mark.usefixtures("live_db")


def end_our_connection(live_db: Any) -> None:
    pid = sql.one("SELECT pg_backend_pid() AS pid").pid
    with psycopg.connect(live_db.superuser, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.parametrize(
    "ask", [lambda: sql.one("SELECT 1 AS n"), lambda: sql.together(("SELECT 1 AS n", []))]
)
def test_a_lost_connection_fails_once_and_is_replaced(live_db: Any, ask: Any) -> None:
    end_our_connection(live_db)
    with pytest.raises(Error):
        ask()
    assert ask()
    assert connection.is_usable()


def test_a_transaction_that_lost_its_connection_is_over_and_the_next_one_works(live_db: Any) -> None:
    with pytest.raises(Error):
        lose_it_in_a_transaction(live_db)
    with transaction.atomic():
        assert sql.one("SELECT 1 AS n").n == 1


@transaction.atomic
def lose_it_in_a_transaction(live_db: Any) -> None:
    end_our_connection(live_db)
    sql.one("SELECT 1 AS n")


def test_statements_together_are_one_transaction(live_db: Any) -> None:
    insert = (
        "INSERT INTO outbox_session (name, started_at, lease_until, epoch_seen) VALUES ('x', now(), now(), 0)"
    )
    with pytest.raises(Error):
        sql.together((insert, []), ("SELECT 1 / 0 AS n", []))
    assert sql.one("SELECT count(*) AS n FROM outbox_session").n == 0


def test_statements_together_see_what_those_before_them_wrote(live_db: Any) -> None:
    insert = (
        "INSERT INTO outbox_session (name, started_at, lease_until, epoch_seen) VALUES ('x', now(), now(), 0)"
    )
    _, [counted] = sql.together((insert, []), ("SELECT count(*) AS n FROM outbox_session", []))
    assert counted.n == 1


def test_a_local_setting_ends_with_the_statements_it_came_with(live_db: Any) -> None:
    sql.together(("SELECT set_config('enable_sort', 'off', true) AS was", []), ("SELECT 1 AS n", []))
    assert sql.one("SHOW enable_sort").enable_sort == "on"
