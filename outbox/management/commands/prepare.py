"""``manage.py prepare``: bring a database to the state this version wants. Runs as the owner, safe to repeat.

Migrations, the application role's rights, the groups of people, and for a `pgmq://` broker the tables of PGMQ (SQL,
no extension). What is already as it should be is not touched: a repeat costs a few reads.
"""

import io
import logging
from typing import Any, Final, LiteralString

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from pgmq.install import install_pgmq_from_sql
from psycopg import sql

from outbox.people import make_groups
from reputation.sql import OWNER

# The broker's transport makes its queues itself, as the application: in this schema that role may create.
PGMQ_RIGHTS: Final[tuple[LiteralString, ...]] = (
    "GRANT USAGE, CREATE ON SCHEMA pgmq TO {}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgmq TO {}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA pgmq TO {}",
)

# A table that the application cannot read, though it may read all.
UNREADABLE: Final[LiteralString] = """
SELECT EXISTS (
    SELECT FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND NOT has_table_privilege(%s, c.oid, 'SELECT'))
"""


class Command(BaseCommand):
    help = "Migrate, give the application's role its rights, and make the tables of a pgmq:// broker."

    def handle(self, *_args: Any, **options: Any) -> None:
        if OWNER not in settings.DATABASES:
            raise CommandError("Set DATABASE_OWNER_URL to the role that owns the tables.")
        behind = self._is_behind()
        if behind:
            said = {"interactive": False, "verbosity": options["verbosity"], "skip_checks": False}
            call_command("migrate", database=OWNER, **said)
        # one may have been stopped between the two
        if behind or not self._has_rights(settings.DATABASES["default"]["USER"]):
            call_command("grants", stdout=io.StringIO())
        make_groups(OWNER)
        if settings.CELERY_BROKER_URL.startswith("pgmq://") and not self._has_pgmq():
            self._install_pgmq(settings.DATABASES["default"]["USER"])

    def _is_behind(self) -> bool:
        executor = MigrationExecutor(connections[OWNER])
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))

    def _has_rights(self, application: str) -> bool:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(UNREADABLE, [application])
            return not cursor.fetchone()[0]

    def _has_pgmq(self) -> bool:
        with connections[OWNER].cursor() as cursor:
            cursor.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL")
            return bool(cursor.fetchone()[0])

    def _install_pgmq(self, application: str) -> None:
        """Tables and rights in one transaction, on a connection of its own: PGMQ wants no autocommit."""
        logging.getLogger("pgmq").setLevel(logging.WARNING)
        connection = connections.create_connection(OWNER)
        connection.set_autocommit(False)
        try:
            install_pgmq_from_sql(conn=connection.connection)
            for right in PGMQ_RIGHTS:
                connection.connection.execute(sql.SQL(right).format(sql.Identifier(application)))
            connection.commit()
        finally:
            connection.close()
