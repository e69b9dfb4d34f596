"""A real PostgreSQL for every test that wants one: a throw-away cluster, migrated once a session.

``database`` is the cluster and the name of a migrated template, for tests that start processes on databases
of their own. ``live_db`` points this process's Django at a database whose transactions really commit, and
empties it afterwards: what the migrations put there stays.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import LiteralString, cast

import django_ratelimit.core
import psycopg
import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections

from config.embedded import Cluster, Urls, throwaway
from config.settings import database as django_database
from outbox import counting
from reputation import outlook
from tests.ports import free_port

TEMPLATE, LIVE = "migrated", "live"

# The migrations made groups, which is an act: a test begins with an empty chain all the same.
ALWAYS_EMPTIED = {"outbox_audit"}

TABLES: LiteralString = """
SELECT quote_ident(relname) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""

# Not TRUNCATE: it makes each table's and index's file anew, hundreds of them. The lock is for a thread that a test
# forgot: what it has begun to write is waited for. As a replica neither triggers nor foreign keys look at what goes.
EMPTYING: LiteralString = """
BEGIN;
SET LOCAL session_replication_role = replica;
LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE;
{deletes};
SELECT setval(s.seqrelid, s.seqstart, false) FROM pg_sequence AS s JOIN pg_depend AS d ON d.objid = s.seqrelid
WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjid = ANY ('{{{tables}}}'::regclass[])
  AND pg_sequence_last_value(s.seqrelid) IS NOT NULL;
UPDATE outbox_clockshift SET shift = '0';
COMMIT
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The soak's run only when markers are asked for (`make soak`); walks first: a long one last is waited for."""
    items.sort(key=lambda item: item.get_closest_marker("walk") is None)
    if not config.option.markexpr:
        soak = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in soak]


@dataclass(frozen=True, slots=True)
class Database:
    """A started cluster, and the database in it to make others from (``create_database(name, template)``)."""

    cluster: Cluster
    template: str


@dataclass(frozen=True, slots=True)
class Live:
    """The database that this process's Django uses, and the statement that empties it."""

    urls: Urls
    emptying: LiteralString


@pytest.fixture(autouse=True)
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window of a request rate ends in the middle of a test that counts up to its limit."""
    now = time.time()
    monkeypatch.setattr(django_ratelimit.core, "time", SimpleNamespace(time=lambda: now))


@pytest.fixture(scope="session")
def database(django_db_blocker: pytest.FixtureRequest) -> Iterator[Database]:
    with throwaway() as cluster, django_db_blocker.unblock():  # type: ignore[attr-defined]
        _use(cluster.create_database(TEMPLATE))
        call_command("migrate", database="owner", verbosity=0)
        call_command("grants", verbosity=0)
        connections.close_all()
        yield Database(cluster, TEMPLATE)


@pytest.fixture(scope="session")
def _live(database: Database) -> Live:
    urls = database.cluster.create_database(LIVE, database.template)
    with psycopg.connect(urls.owner) as owner:
        tables = [row[0] for row in owner.execute(TABLES).fetchall()]
        empty = [
            name
            for name in tables
            if name in ALWAYS_EMPTIED or not owner.execute(f"SELECT FROM {name} LIMIT 1").rowcount
        ]
    deletes = "; ".join(f"DELETE FROM {name}" for name in empty)
    emptying = EMPTYING.format(tables=", ".join(empty), deletes=deletes)
    return Live(urls, cast(LiteralString, emptying))


@pytest.fixture
def live_db(_live: Live, django_db_blocker: pytest.FixtureRequest) -> Iterator[Urls]:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        _use(_live.urls)
        cache.clear()
        outlook._remembered.clear()  # by keys that begin again
        yield _live.urls
        counting.write()  # what this test has counted is not the next one's
        connections.close_all()
    with psycopg.connect(_live.urls.superuser, autocommit=True) as superuser:
        superuser.execute(_live.emptying)


@pytest.fixture
def unused_port() -> int:
    return free_port()


def _use(urls: Urls) -> None:
    """Point Django's connections of every thread at these URLs; those of this thread are closed first."""
    connections.close_all()
    settings.DATABASES = {"default": django_database(urls.app), "owner": django_database(urls.owner)}
    connections.settings = connections.configure_settings(settings.DATABASES)
    for alias in ("default", "owner"):
        if hasattr(connections._connections, alias):
            delattr(connections._connections, alias)
