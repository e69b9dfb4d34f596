"""For machines that watch: is the process there, can it do its work. No login, no secrets, no rate.

``/livez`` asks nobody. ``/readyz`` asks for what an accept needs: the database, all migrations applied, and
the tables that say what may be sent.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from reputation import sql, standing

logger = logging.getLogger(__name__)

_migrated = False


def livez(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(_request: HttpRequest) -> HttpResponse:
    """200 if everything an accept needs answers, else 503; each check by name."""
    found = {name: _passes(check) for name, check in CHECKS.items()}
    ready = all(found.values())
    checks = {name: "ok" if passed else "failed" for name, passed in found.items()}
    return JsonResponse(
        {"status": "ok" if ready else "failed", "checks": checks}, status=200 if ready else 503
    )


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Error as error:
        logger.warning("not ready: %s", error)
        return False


def _database() -> bool:
    """It answers, and takes what is written: a standby that was not promoted answers, too."""
    return bool(sql.one("SELECT current_setting('transaction_read_only') = 'off' AS writable").writable)


def _migrations() -> bool:
    """Reading the plan is slow and migrations are not taken back, so the first yes is kept."""
    global _migrated  # noqa: PLW0603 - one fact per process
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def _standing() -> bool:
    standing.standings([])
    return bool(sql.rows("SELECT count(*) AS stops FROM reputation_openstop"))


CHECKS: Final[Mapping[str, Callable[[], bool]]] = {
    "database": _database,
    "migrations": _migrations,
    "standing": _standing,
}
