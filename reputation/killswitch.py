"""The kill switch: trip closes a scope, resume opens it again, and both leave who and why for ever.

A trip is one row and touches no delivery. It is a transaction of its own that takes, first thing, the lock
which every clearance holds shared: so each clearance falls wholly before or wholly after the trip's commit,
and after it no dot in the scope can be cleared. Refuses: to run inside anybody's transaction, to wait for a
clearance that hangs (its connection is ended instead), to open anything by itself.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import OperationalError, connection, transaction

from reputation import sql

# kind -> what its key looks like
KINDS: Final = {
    "run": "<agent>/<run_id>, with everything below it",
    "agent": "<agent>",
    "cluster": "<cluster>",
    "stream": "<stream>",
    "domain": "<sending domain>",
    "provider": "<provider>",
    "domain_provider": "<sending domain>/<provider>",
    "recipient_domain": "<domain>",
    "route": "<route>",
    "source": "<address>",
}
WIDE: Final = ("agents", "all")
CHANNEL: Final = "ao_switch"

# A clearance holds the lock for about a millisecond; one that still has it after a second hangs.
PATIENCE: Final = "1s"
ROUNDS: Final = 3

LIMIT_WAIT: Final = f"SET LOCAL lock_timeout = '{PATIENCE}'"

# At its commit a trip may wait for the audit's chain, holding the clearance lock: not as long as the next trip waits
# until it ends whoever has that.
HURRY: Final = "SET LOCAL lock_timeout = '200ms'"

EXCLUDE_CLEARANCE: Final = "SELECT pg_advisory_xact_lock(20559, 1)"

# Not of another role (the switch's own): there a transaction that hangs is ended by its own time limit.
END_HOLDERS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity AS a USING (pid)
WHERE locktype = 'advisory' AND classid = 20559 AND objid = 1 AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
  AND pg_has_role(a.usesysid, 'USAGE')
"""

RECORD: Final = """
INSERT INTO reputation_switchevent (scope, action, at, who, why)
VALUES (%(scope)s, %(action)s, clock_timestamp(), %(who)s, %(why)s) RETURNING epoch, at
"""

CLOSE: Final = """
INSERT INTO reputation_openstop (scope, epoch, tripped_at, who, why)
VALUES (%(scope)s, %(epoch)s, %(at)s, %(who)s, %(why)s) ON CONFLICT (scope) DO NOTHING
"""

OPEN: Final = "DELETE FROM reputation_openstop WHERE scope = %(scope)s AND epoch = coalesce(%(epoch)s, epoch)"

# What was outcome and conclusion before a resume counts no more: windows begin anew.
BEGIN_ANEW: Final = """
WITH gone AS (DELETE FROM reputation_watch WHERE scope = %(scope)s),
    unsaid AS (DELETE FROM reputation_witness WHERE scope = %(scope)s)
UPDATE reputation_judgement SET epoch = %(epoch)s
WHERE scope = %(scope)s AND strength IN ('strong', 'at_once') AND epoch IS NULL
"""

TELL: Final = f"SELECT pg_notify('{CHANNEL}', %(epoch)s::text)"

CLOSED_NOW: Final = "SELECT scope, epoch, tripped_at, who, why FROM reputation_openstop ORDER BY epoch"

OVERLAPPING: Final = "SELECT scope FROM reputation_openstop WHERE scope = ANY(%s) ORDER BY epoch LIMIT 1"


class UnknownScope(ValueError):
    """The words do not name a scope; the message lists the kinds there are."""


class NotTripped(LookupError):
    """There is nothing to resume: the scope is open."""


@dataclass(frozen=True, slots=True)
class Switched:
    """A committed trip or resume: its epoch (they only grow) and the database's time of it."""

    scope: str
    epoch: int
    at: datetime


Also = Callable[[Switched], None]


@dataclass(frozen=True, slots=True)
class Stop:
    """A scope that is closed now."""

    scope: str
    epoch: int
    tripped_at: datetime
    who: str
    why: str


def scope_of(kind: str, key: str = "") -> str:
    """The opaque name of a scope: ``stream:agents-sales``, or ``all``.

    Raises:
        UnknownScope: no such kind, or a key missing or superfluous.
    """
    if kind in WIDE and not key:
        return kind
    if kind not in KINDS or not key:
        forms = [*WIDE, *(f"{name} {form}" for name, form in KINDS.items())]
        raise UnknownScope(f"Name a scope: {'; '.join(forms)}.")
    return f"{kind}:{key.lower() if kind in {'recipient_domain', 'domain'} else key}"


def trip(scope: str, *, who: str, why: str, also: Also | None = None) -> Switched:
    """Close a scope. Once this returns, no dot in it can be cleared.

    Tripping a closed scope again is recorded and changes nothing else: the first trip's time stands. ``also`` is done
    in the same transaction; what it raises undoes the trip. No reason is a reason not to stop: what the database
    cannot keep of ``why`` is left out.

    Raises:
        django.db.OperationalError: the lock could not be had in three rounds, or the database not be asked.
    """
    why = why.encode("utf-8", "replace").decode().replace("\0", "")
    with _clearance_excluded():
        switched = _record(scope, "trip", who, why)
        fields = {"scope": scope, "epoch": switched.epoch, "at": switched.at, "who": who, "why": why}
        sql.count(CLOSE, fields)
        if also:
            also(switched)
        sql.count(HURRY)
    return switched


def resume(scope: str, *, who: str, why: str, epoch: int | None = None, also: Also | None = None) -> Switched:
    """Open a closed scope again, at once and whole: people do it in steps (``reopening``). A reason is owed.

    ``epoch``: only that stop, not one that has come since. ``also`` is done in the same transaction; what it raises
    undoes the resume.

    Raises:
        NotTripped: the scope is not closed, or by another stop.
        ValueError: no reason was given.
    """
    if not why.strip():
        raise ValueError("Say why it is safe to resume.")
    with _clearance_excluded():
        if not sql.count(OPEN, {"scope": scope, "epoch": epoch}):
            raise NotTripped(f"{scope} is not stopped.")
        switched = _record(scope, "resume", who, why)
        sql.count(BEGIN_ANEW, {"scope": scope, "epoch": switched.epoch})
        if also:
            also(switched)
    return switched


def open_stops() -> list[Stop]:
    """Every scope that is closed now, oldest first."""
    return [Stop(*row) for row in sql.rows(CLOSED_NOW)]


def first_stop(scopes: Sequence[str]) -> str | None:
    """The oldest closed scope among these, or None if all are open."""
    row = sql.one(OVERLAPPING, [list(scopes)])
    return row.scope if row else None


def _record(scope: str, action: str, who: str, why: str) -> Switched:
    row = sql.one(RECORD, {"scope": scope, "action": action, "who": who, "why": why})
    sql.rows(TELL, {"epoch": row.epoch})
    return Switched(scope, row.epoch, row.at)


@contextlib.contextmanager
def _clearance_excluded() -> Iterator[None]:
    if connection.in_atomic_block:
        raise RuntimeError("A trip is a transaction of its own: its commit is the stop.")
    with transaction.atomic(durable=True):
        _take_lock(ROUNDS)
        yield


def _take_lock(rounds: int) -> None:
    """Take the clearance lock exclusively; end whoever sits on it for longer than is possible in health."""
    for _ in range(rounds):
        try:
            with transaction.atomic():
                sql.count(LIMIT_WAIT)
                sql.rows(EXCLUDE_CLEARANCE)
            return
        except OperationalError:
            sql.rows(END_HOLDERS)
    raise OperationalError("The clearance lock could not be had; is PostgreSQL healthy?")
