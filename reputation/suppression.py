"""Do not mail this person again: who asked, who complained, whose mailbox is gone.

Guarantees: an address is looked up by a keyed hash of its normal forms, in one indexed statement for a whole batch
whose cost does not grow with the list; the table shows no address without the master key, and after ``erase`` not with
it either, while the hash goes on protecting the person. To suppress twice is to suppress once. What is over (lifted,
expired) stays as history and suppresses nobody.

Refuses: to lift without a reason; to suppress anybody for what a server thinks of *us* (there is no reason for it).
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, LiteralString

import orjson
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from reputation import fullness, sql
from reputation.models import Suppression
from reputation.normal_forms import forms, mailbox_form, person_form
from reputation.vault import vault

# 80 bits: a stranger's address meets one of ten million hashes once in 10**17 look-ups; it is the key that keeps
# lists of guessed addresses from being tried.
MARK_BYTES: Final = 10
MIN_KEY: Final = 16
_PURPOSE: Final = b"agent-outbox suppression\0"

ALL: Final = "all"
AGENTS: Final = "agents"

# In the order of their marks, so that two batches never wait for each other. A person whose address was erased once is
# written without it from then on. ``xmax`` is 0 in a row that was inserted.
SUPPRESS: Final[LiteralString] = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(marks)s::bytea[], %(persons)s::bytea[], %(sealed)s::bytea[], %(scopes)s::text[],
        %(reasons)s::text[], %(sources)s::text[], %(whys)s::text[], %(ends)s::timestamptz[])
        AS g (mark, person, sealed, scope, reason, source, why, expires_at)
), erased AS (
    SELECT DISTINCT person FROM reputation_suppression
    WHERE person = ANY (%(persons)s::bytea[]) AND erased_at IS NOT NULL
), written AS (
    INSERT INTO reputation_suppression AS s (mark, person, address_sealed, scope, reason, source, why,
        created_at, expires_at, erased_at)
    SELECT mark, person, CASE WHEN e.person IS NULL THEN sealed ELSE '' END, scope, reason, source, why,
        ao_now(), expires_at, CASE WHEN e.person IS NOT NULL THEN ao_now() END
    FROM given LEFT JOIN erased AS e USING (person) ORDER BY mark, scope, reason
    ON CONFLICT (mark, scope, reason) WHERE lifted_at IS NULL DO UPDATE SET
        source = CASE WHEN s.expires_at <= ao_now() THEN excluded.source ELSE s.source END,
        why = CASE WHEN s.expires_at <= ao_now() THEN excluded.why ELSE s.why END,
        created_at = CASE WHEN s.expires_at <= ao_now() THEN excluded.created_at ELSE s.created_at END,
        expires_at = CASE WHEN s.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
                          ELSE greatest(s.expires_at, excluded.expires_at) END
    RETURNING xmax = 0 OR created_at = ao_now() AS fresh
)
SELECT count(*) FILTER (WHERE fresh) AS n FROM written
"""

LOOK_UP: Final[LiteralString] = """
SELECT g.stream, s.mark, s.reason FROM json_to_recordset(%s::json) AS g (stream text, kind text, marks bytea[])
CROSS JOIN LATERAL ao_suppressed(g.marks, g.stream, g.kind) AS s
"""

# The upsert locks the row, so that two messages at once are counted one after the other.
REMEMBERED: Final[LiteralString] = """
INSERT INTO reputation_fullmailbox AS f (mark, times) VALUES (%s, '{}')
ON CONFLICT (mark) DO UPDATE SET times = f.times RETURNING times, terms, ao_now() AS now
"""
REMEMBER: Final[LiteralString] = "UPDATE reputation_fullmailbox SET times = %s, terms = %s WHERE mark = %s"

LIFT: Final[LiteralString] = """
UPDATE reputation_suppression SET lifted_at = ao_now(), lifted_by = %s, lifted_why = %s
WHERE id = %s AND lifted_at IS NULL
"""

ERASE: Final[LiteralString] = """
UPDATE reputation_suppression SET address_sealed = '', erased_at = ao_now()
WHERE person = %s AND erased_at IS NULL
"""


class Reason(StrEnum):
    """Why somebody is not mailed."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    BY_PERSON = "by_person"
    MAILBOX_FULL = "mailbox_full"


# A bounce speaks of one mailbox; all else of the person, whatever tag they were written to under.
_OF_MAILBOX: Final = frozenset({Reason.HARD_BOUNCE, Reason.MAILBOX_FULL})


@dataclass(frozen=True, slots=True)
class Entry:
    """One suppression to be made.

    ``scope`` is ``all`` (every stream), ``agents`` (all agent and marketing streams) or ``stream:<name>``; ``source``
    says how we know, never an address: ``dsn``, ``arf``, ``reply``, ``link``, ``mailto``, ``person:<name>`` ...
    ``why`` is a person's word for it. An ``expires_at`` of None means until lifted.
    """

    address: str
    reason: Reason
    scope: str
    source: str
    expires_at: datetime | None = None
    why: str = ""


def of_stream(stream: str) -> str:
    """The scope of one stream."""
    return f"stream:{stream}"


def hard_bounce(address: str, source: str) -> Entry:
    """The mailbox does not exist or is closed: no stream writes to it."""
    return Entry(address, Reason.HARD_BOUNCE, ALL, source)


def complaint(address: str, source: str) -> Entry:
    """They called it spam: no agent writes to them; password resets they ask for still come."""
    return Entry(address, Reason.COMPLAINT, AGENTS, source)


def unsubscribed(address: str, stream: str, source: str) -> Entry:
    """They unsubscribed from one stream."""
    return Entry(address, Reason.UNSUBSCRIBED, of_stream(stream), source)


def suppress(entries: Iterable[Entry]) -> int:
    """Suppress them all in one statement; how many of them were not suppressed so already.

    One that is already suppressed for the same scope and reason is extended, never shortened. An address that was
    erased stays erased: only its hash is written.

    Raises:
        django.db.Error: nothing was written.
    """
    return _write([_row(entry) for entry in entries])


def suppress_mark(mark: bytes, scope: str, reason: Reason, source: str) -> bool:
    """Suppress a person of whom only the mark is left (``person_mark``); whether they were not already."""
    return _write([_Row(mark, mark, b"", scope, reason, source, None, "")]) == 1


Letter = tuple[str, str, str]
"""A stream that would write, its ``Kind``, and to whom."""


def look_up(addresses: Iterable[str], stream: str, kind: str) -> dict[str, str]:
    """Those of these addresses that a stream of this name and kind may not write to, with the reason."""
    found = look_up_all((stream, kind, address) for address in addresses)
    return {address: reason for (_, _, address), reason in found.items()}


def look_up_all(letters: Iterable[Letter]) -> dict[Letter, str]:
    """Those of these that may not be written, with the reason.

    One statement, however many streams; addresses are compared in all their normal forms.
    """
    wanted = {letter: marks(letter[2]) for letter in set(letters)}
    streams: dict[tuple[str, str], list[str]] = {}
    for (stream, kind, _), each in wanted.items():
        streams.setdefault((stream, kind), []).extend(f"\\x{mark.hex()}" for mark in each)
    given = [{"stream": stream, "kind": kind, "marks": each} for (stream, kind), each in streams.items()]
    rows = sql.rows(LOOK_UP, [orjson.dumps(given).decode()])
    found = {(row.stream, bytes(row.mark)): row.reason for row in rows}
    reasons = {
        letter: [found[letter[0], mark] for mark in each if (letter[0], mark) in found]
        for letter, each in wanted.items()
    }
    return {letter: each[0] for letter, each in reasons.items() if each}


def mailbox_full(address: str, source: str) -> bool:
    """A message ended because the mailbox was full; whether it is left alone from now on (``fullness``)."""
    mark = _mark(mailbox_form(address))
    with transaction.atomic():
        row = sql.one(REMEMBERED, [mark])
        full, rest = fullness.after(row.times, row.terms, row.now)
        sql.count(REMEMBER, [list(full.times), full.terms, mark])
        if rest:
            suppress([Entry(address, Reason.MAILBOX_FULL, ALL, source, rest.until)])
    return rest is not None


def lift(suppression_id: int, who: str, why: str) -> bool:
    """Let somebody be mailed again; whether that was not so already. Raises ValueError without a reason."""
    if not why.strip():
        raise ValueError("lifting a suppression needs a reason")
    return sql.count(LIFT, [who, why.strip(), suppression_id]) == 1


def erase(address: str) -> int:
    """Drop an address wherever it stands, and its tagged spellings; how many entries. Their hashes go on working."""
    return erase_person(person_mark(address))


def erase_person(mark: bytes) -> int:
    """The same by the person's mark."""
    return sql.count(ERASE, [mark])


def address_in(row: Suppression) -> str:
    """The address of an entry, or nothing if it was erased; for those who may see it.

    Raises:
        Unsealable: no master key opens it.
    """
    return vault().unseal(bytes(row.address_sealed)).decode() if row.address_sealed else ""


def marks(address: str) -> tuple[bytes, ...]:
    """The keyed hashes an address is looked up by."""
    return tuple(map(_mark, forms(address)))


def person_mark(address: str) -> bytes:
    """The keyed hash of the person: the same for all spellings of their address."""
    return _mark(person_form(address))


@dataclass(frozen=True, slots=True)
class _Row:
    mark: bytes
    person: bytes
    sealed: bytes
    scope: str
    reason: str
    source: str
    expires_at: datetime | None
    why: str


def _row(entry: Entry) -> _Row:
    person = person_mark(entry.address)
    mark = _mark(mailbox_form(entry.address)) if entry.reason in _OF_MAILBOX else person
    sealed = vault().seal(entry.address.encode())
    return _Row(mark, person, sealed, entry.scope, entry.reason, entry.source, entry.expires_at, entry.why)


def _write(rows: Sequence[_Row]) -> int:
    once = {(row.mark, row.scope, row.reason): row for row in rows}.values()
    columns = {
        "marks": [row.mark for row in once],
        "persons": [row.person for row in once],
        "sealed": [row.sealed for row in once],
        "scopes": [row.scope for row in once],
        "reasons": [str(row.reason) for row in once],
        "sources": [row.source for row in once],
        "whys": [row.why for row in once],
        "ends": [row.expires_at for row in once],
    }
    return int(sql.one(SUPPRESS, columns).n) if once else 0


def _mark(form: str) -> bytes:
    return hmac.digest(key(), _PURPOSE + form.encode("utf-8", "replace"), "sha256")[:MARK_BYTES]


def key() -> bytes:
    """The key of this room's hashes and of unsubscribe links; raises ImproperlyConfigured if there is none."""
    if len(settings.AO_SUPPRESSION_KEY) < MIN_KEY:
        raise ImproperlyConfigured(
            "Set AO_SUPPRESSION_KEY: 32 bytes in base64 that never change; see README."
        )
    return str(settings.AO_SUPPRESSION_KEY).encode()
