"""What is done by the hour for years: partitions ahead, and nothing that stands in the way of the rest."""

import logging
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from django.db import Error, OperationalError

from config.embedded import Urls
from outbox import answers, house
from reputation import sql
from tests import factories

FARTHEST = "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '2 months', '_YYYY_MM')"
IN_IT = "SELECT ao_uuid_floor(date_trunc('month', now(), 'UTC') + interval '2 months 1 day')"


@pytest.fixture
def no_partition_yet(live_db: Urls) -> Iterator[psycopg.Connection]:
    """The partitions of the month after next are owed; a superuser's connection."""
    with psycopg.connect(live_db.superuser, autocommit=True) as superuser:
        for parent in ("message", "attachment", "attempt", "event"):
            superuser.execute(f"DROP TABLE outbox_{parent}{superuser.execute(FARTHEST).fetchone()[0]}")
        yield superuser
        superuser.execute("ROLLBACK")
        superuser.execute("DELETE FROM outbox_event")
        superuser.execute("SELECT ao_make_partitions()")


def test_a_dump_that_reads_for_hours_is_not_waited_for_while_all_others_queue(
    no_partition_yet: psycopg.Connection,
) -> None:
    no_partition_yet.execute("BEGIN")
    no_partition_yet.execute("SELECT FROM outbox_event LIMIT 1")
    sql.count("SET statement_timeout = '5s'")
    try:
        with pytest.raises(OperationalError, match="lock timeout"):
            house.make_partitions()
    finally:
        sql.count("RESET statement_timeout")
    no_partition_yet.execute("COMMIT")
    assert house.make_partitions() == 4, "the next time makes up for it"


def test_a_month_that_a_wrong_clock_wrote_into_does_not_keep_the_others_from_being_made(
    no_partition_yet: psycopg.Connection,
) -> None:
    key = no_partition_yet.execute(IN_IT).fetchone()[0]
    no_partition_yet.execute(
        "INSERT INTO outbox_event (id, at, message_id, kind, status) VALUES (%s, now(), %s, 'accepted', 'queued')",
        [key, key],
    )
    assert house.make_partitions() == 3


def test_a_chore_that_fails_does_not_keep_the_others_from_being_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = []

    def stuck() -> None:
        raise Error("the lock is taken")

    with caplog.at_level(logging.ERROR):
        house.do_each(lambda: done.append(1), stuck, lambda: done.append(2))
    assert done == [1, 2]
    assert "stuck" in caplog.text
    assert "the lock is taken" in caplog.text


def test_old_answers_are_all_forgotten_however_many_there_are(
    live_db: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = factories.agent()
    monkeypatch.setattr(answers, "PAGE", 10)
    sql.count(
        "INSERT INTO outbox_answer (agent_id, key, digest, status, body, message_id, created_at)"
        " SELECT %s, n::text, '', 202, '{}', %s, ao_now() - interval '73 hours' FROM generate_series(1, 25) AS n",
        [agent.pk, UUID(int=1)],
    )
    assert answers.forget() == 25


def test_every_column_of_what_is_watched_is_watched_or_passes(live_db: Urls) -> None:
    """A column that a later migration added would be changed without a word, alone in an UPDATE."""
    unseen = sql.rows("""
        SELECT t.tgrelid::regclass::text AS watched, a.attname AS name FROM pg_trigger AS t
        JOIN pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE t.tgname = 'audited_change' AND a.attnum <> ALL (t.tgattr::int2[])
          AND a.attname <> ALL ((string_to_array(encode(t.tgargs, 'escape'), '\\000'))[4]::text[])
    """)
    assert unseen == []
