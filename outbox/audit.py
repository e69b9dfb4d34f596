"""What people and rules did, in one chain: written here where no trigger sees it, and verified away from the database.

Most acts are copied into the chain by triggers (migration ``0006_audit``), whatever way they were done. Each row's
digest covers the row before it, so whoever changes, removes, swaps or slips in a row breaks the chain there, unless
they write all rows after it anew: then the last link, kept elsewhere, tells. Reading is all that anybody may do with
it: the application's role can neither change nor remove a row, nor add one but by ``ao_audit``.

Not audited: what machines do to suppressions and ramps (they have their own stories), and accepting, claiming and
settling mail, which must never wait for the chain.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

import orjson
from django.db import Error, transaction

from reputation import sql

PAGE: Final = 1000
STEP: Final = 5000  # rows that one look verifies, twice: new ones, and old ones once more

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

WRITE: Final[LiteralString] = "SELECT ao_audit(%s, %s, %s, %s::jsonb)"
NAME: Final[LiteralString] = "SELECT set_config('ao.who', %s, false)"
ROWS: Final[LiteralString] = """
SELECT id, at, who, act, subject, detail::text AS detail, previous, digest FROM outbox_audit
WHERE id > %s ORDER BY id LIMIT %s
"""
TIE: Final[LiteralString] = "SELECT digest FROM outbox_audit WHERE id = %s"

# Only one looks at a time; whoever comes meanwhile has nothing to do.
SEEN: Final[LiteralString] = "SELECT * FROM outbox_auditlook WHERE id = 1 FOR UPDATE SKIP LOCKED"
BEGIN: Final[LiteralString] = "INSERT INTO outbox_auditlook (id) VALUES (1) ON CONFLICT DO NOTHING"
NOTE: Final[LiteralString] = """
UPDATE outbox_auditlook SET at = clock_timestamp(), upto = %(upto)s, digest = %(digest)s, again = %(again)s,
    again_digest = %(again_digest)s, broken = %(broken)s, words = %(words)s,
    whole_at = CASE WHEN %(whole)s THEN clock_timestamp() ELSE whole_at END WHERE id = 1
"""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: a row's number and digest. Number 0 is before the first."""

    place: int = 0
    digest: bytes = b""

    def __str__(self) -> str:
        return f"{self.place}:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class Break:
    """The first row that is not what it was, and why, in words."""

    place: int
    words: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the chain holds, how many rows that took, and where it breaks, if it does."""

    upto: Link
    rows: int
    broken: Break | None = None


def write(who: str, act: str, subject: str, **detail: Any) -> None:
    """Add an act that no trigger sees. ``subject`` is a kind and a name, as in ``user:ada``; ``detail`` is JSON."""
    sql.rows(WRITE, [who, act, subject, orjson.dumps(detail).decode()])


@contextlib.contextmanager
def by(who: str) -> Iterator[None]:
    """Everything done meanwhile on this thread's connection is this person's doing.

    Where the database cannot be told, it is done all the same: it may be a stop, which says itself whose it is.
    """
    with contextlib.suppress(Error):
        sql.rows(NAME, [who[:200]])
    try:
        yield
    finally:
        with contextlib.suppress(Error):  # a connection that is lost has forgotten the name too
            sql.rows(NAME, [""])


def link(text: str) -> Link:
    """The link in ``<number>:<digest>``; raises ValueError if it is none."""
    place, _, digest = text.strip().partition(":")
    return Link(int(place), bytes.fromhex(digest))


def holds(tie: Link) -> Break | None:
    """Whether the row with this link is still there as it was."""
    if not tie.place:
        return None
    row = sql.one(TIE, [tie.place])
    if row is None:
        return Break(tie.place, "the row was there once, and is gone with all after it")
    same = bytes(row.digest) == tie.digest
    return (
        None if same else Break(tie.place, "the row is another one than it was: the chain was written anew")
    )


def verify(after: Link | None = None, most: int | None = None) -> Verified:
    """Follow the chain from a link that is known to hold, or from the first row, as far as it goes or ``most`` rows."""
    known, rows = after or Link(), 0
    if broken := holds(known):
        return Verified(known, 0, broken)
    while most is None or rows < most:
        page = sql.rows(ROWS, [known.place, PAGE if most is None else min(PAGE, most - rows)])
        for row in page:
            if broken := _broken(known, row):
                return Verified(known, rows, broken)
            known, rows = Link(row.id, bytes(row.digest)), rows + 1
        if len(page) < PAGE:
            break
    return Verified(known, rows)


def look() -> Verified | None:
    """Verify what is new and go on through what is old, a bounded step each, and write down how far it holds.

    None if somebody else is at it.
    """
    sql.count(BEGIN)
    with transaction.atomic():
        seen = sql.one(SEEN)
        if seen is None:
            return None
        fresh = verify(Link(seen.upto, bytes(seen.digest)), STEP)
        old = verify(Link(seen.again, bytes(seen.again_digest)), STEP)
        whole = fresh.rows < STEP and old.upto.place >= fresh.upto.place
        again = Link() if whole else old.upto
        broken = fresh.broken or old.broken
        told = {
            "upto": fresh.upto.place,
            "digest": fresh.upto.digest,
            "again": again.place,
            "again_digest": again.digest,
            "broken": broken.place if broken else None,
            "words": broken.words if broken else "",
            "whole": whole and not broken,
        }
        sql.count(NOTE, told)
    return Verified(fresh.upto, fresh.rows + old.rows, broken)


def digest(previous: bytes, row: Any) -> bytes:
    """What ties a row to the one before it; the twin of ``ao_digest``."""
    parts = b"".join(
        b"%d:%s" % (len(part), part) for part in (row.who.encode(), row.act.encode(), row.subject.encode())
    )
    head = f"{row.id} {(row.at - _EPOCH) // _MICROSECOND} ".encode()
    return hashlib.sha256(previous + head + parts + row.detail.encode()).digest()


def _broken(known: Link, row: Any) -> Break | None:
    if row.id != known.place + 1:
        return Break(known.place + 1, "the row is gone")
    if bytes(row.previous) != known.digest:
        return Break(row.id, "the row does not follow the one before it")
    if bytes(row.digest) != digest(known.digest, row):
        return Break(row.id, "the row is not what was written")
    return None
