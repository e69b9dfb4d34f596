"""What a look-up and a print kept cost among few and many millions: one caller, no web, prints entered by SQL.

Three situations: `new`, a text that nobody has said; `joins`, a copy of what many got, to somebody new; `repeats`, a
copy to somebody who had it. Every person has ten prints, every cluster ten people. A round is what an accept adds: the
print of the draft, the look-up, the writes, and a commit. The machine may be shared: judged is what our process and its
backend had of a processor, where the system tells it.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple
from unittest import mock
from uuid import UUID

from bench.line import Line, note, percentile
from bench.processes import BenchError
from bench.stand import Stand

SMALL, USUAL, HUGE = 10_000, 1_000_000, 10_000_000
ROUNDS, WARM_UP = 300, 30
FLAT: Final = 1.5
KNOWN: Final = 50  # texts that many got
WORDS: Final = 150
TABLES: Final = ("outbox_cluster", "outbox_band", "outbox_print", "outbox_clustercount")

EMPTY: Final[LiteralString] = "TRUNCATE outbox_cluster, outbox_band, outbox_print, outbox_clustercount"
INDEXES: Final[LiteralString] = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made,
       (SELECT conname FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.contype = 'p') AS key
FROM pg_index AS i WHERE indrelid = %s::regclass
"""
# Each with its own stretch of numbers; persons are ten octets, as the hashes are.
CLUSTERS: Final[LiteralString] = """
INSERT INTO outbox_cluster (id, sketch, bands)
SELECT n, decode(repeat(md5(n::text), 16), 'hex'), ARRAY(
    SELECT hashint8extended(n, seed) FROM generate_series(1, 13) AS seed)
FROM generate_series(1, %(clusters)s::bigint) AS n
"""
BANDS: Final[LiteralString] = """
INSERT INTO outbox_band (hash, slot, cluster_id) SELECT unnest(bands), 0, id FROM outbox_cluster
"""
PRINTS: Final[LiteralString] = """
INSERT INTO outbox_print (cluster_id, person, nth, at, agent_id, delivery_id, enclosed, sketch)
SELECT n %% %(clusters)s + 1, substr(sha256(int8send((n * 7919) %% %(clusters)s)), 1, 10), n / %(clusters)s + 1,
       ao_now() - n * interval '6 days' / %(prints)s, 1, ao_uuid7(), '', decode(repeat(md5(n::text), 16), 'hex')
FROM generate_series(1, %(prints)s::bigint) AS n
"""
COUNTS: Final[LiteralString] = """
INSERT INTO outbox_clustercount (cluster_id, day, shard, people)
SELECT id, (ao_now() AT TIME ZONE 'UTC')::date - (id %% 6)::int, id %% 16, 10 FROM outbox_cluster
"""


class Took(NamedTuple):
    """One round in milliseconds, and of those what we and our backend had of a processor (Linux; elsewhere ours)."""

    wall: float
    cpu: float


def growing(stand: Stand, size: int = USUAL) -> Iterator[Line]:
    """Each situation among so many prints, against the same among 10,000."""
    small, _ = _measured(stand, SMALL)
    large, megabytes = _measured(stand, size)
    for situation, took in large.items():
        against = small[situation]
        ratio = took.cpu / against.cpu
        more = {"cpu_ms": took.cpu, "cpu_ratio": ratio, "stored_mb": megabytes, "load": os.getloadavg()[0]}
        target = f"cpu_ratio < {FLAT:g}"
        yardstick = f"among {SMALL:,}"
        measure = f"dedupe_index_{situation}_{size}"
        yield Line(measure, took.wall, "ms", ROUNDS, yardstick, against.wall, target, ratio < FLAT, more)
    with stand.installation.connect() as connection:
        connection.execute(EMPTY)


def deep(stand: Stand) -> Iterator[Line]:
    """Ten million."""
    yield from growing(stand, HUGE)


def _measured(stand: Stand, prints: int) -> tuple[dict[str, Took], float]:
    from django.db import connection as callers

    with stand.installation.connect() as connection:
        began = time.monotonic()
        _fill(connection, prints)
        size = connection.execute(
            "SELECT sum(pg_total_relation_size(t::regclass)) / 1048576.0 FROM unnest(%s::text[]) AS t",
            [list(TABLES)],
        ).fetchone()
        note(f"  {prints:,} prints entered in {time.monotonic() - began:.0f} s")
    with mock.patch("reputation.suppression.person_mark", _mark):
        found = _rounds(prints // 10)
    callers.close()
    told = ", ".join(f"{name} {took.wall:.2f} ({took.cpu:.2f})" for name, took in found.items())
    note(f"  among {prints:,}: {told} ms (of a processor)")
    return found, float(str(size[0])) if size else 0.0


def _fill(connection: Any, prints: int) -> None:
    """Indexes are made after their tables are full: as rows come, each would be read from the disk again and again."""
    fields = {"clusters": prints // 10, "prints": prints}
    connection.execute(EMPTY)
    connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
    for table, statement in zip(TABLES, (CLUSTERS, BANDS, PRINTS, COUNTS), strict=True):
        indexes = connection.execute(INDEXES, [table]).fetchall()
        for name, _, key in indexes:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {key}" if key else f"DROP INDEX {name}")
        connection.execute(statement, fields)
        for name, made, key in indexes:
            connection.execute(made)
            if key:
                connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {key} PRIMARY KEY USING INDEX {name}")
    connection.execute(f"VACUUM (ANALYZE) {', '.join(TABLES)}")


def _mark(address: str) -> bytes:
    """Stored persons, by their number, stand for the keyed hashes of real addresses."""
    from hashlib import sha256

    return sha256(int(address.partition("@")[0].strip("p")).to_bytes(8)).digest()[:10]


def _rounds(persons: int) -> dict[str, Took]:
    rng = random.Random(persons)
    texts = [_text(rng) for _ in range(KNOWN)]
    for number, text in enumerate(texts):
        for person in range(3):
            _round(_draft(10 * persons + 3 * number + person, text))
    found: dict[str, Took] = {}
    strangers = iter(
        rng.sample(range(persons), 3 * (WARM_UP + ROUNDS))
    )  # each is written to in one round only
    for situation in ("new", "joins", "repeats"):
        rounds = []
        for number in range(WARM_UP + ROUNDS):
            person = next(strangers)
            text = _text(rng) if situation == "new" else texts[number % KNOWN]
            if situation == "repeats":
                _round(_draft(person, text))
            rounds.append(_timed(_draft(person, text), earlier=situation == "repeats"))
        # the quicker quarter: what the step takes, not what others on the machine took from it
        wall, cpu = ([took[part] for took in rounds[WARM_UP:]] for part in (0, 1))
        found[situation] = Took(percentile(wall, 1 / 8), percentile(cpu, 1 / 8))
    return found


def _timed(draft: Any, *, earlier: bool) -> Took:
    cpu, began = _processor(), time.perf_counter()
    found = _round(draft)
    took = Took(1000 * (time.perf_counter() - began), _processor() - cpu)
    if bool(found.earlier) != earlier:
        raise BenchError(f"somebody's earlier message: {found.earlier}")
    return took


def _round(draft: Any) -> Any:
    """What an accept adds."""
    from django.db import transaction

    from outbox import duplicates, ids
    from outbox.keys import Caller

    caller = Caller(1, "agent", frozenset(), 1, "bench", 1, "s", True, False, 1, 1)
    with transaction.atomic():
        likenesses = duplicates.read([draft], caller)
        found = likenesses.of(draft)
        likenesses.add(draft, ids.new_id(time.time_ns() // 1_000_000))
        likenesses.keep()
    return found


def _draft(person: int, text: str) -> Any:
    from outbox.addresses import parse_mailbox
    from outbox.payloads import Estimate

    to = parse_mailbox(f"p{person}@example.org")
    return replace(
        Estimate(1, None).draft, to=(to,), subject="A note", text=text, digest=UUID(int=person).bytes
    )


def _text(rng: random.Random) -> str:
    return " ".join(f"word{rng.randrange(5000)}" for _ in range(WORDS))


def _processor() -> float:
    """Milliseconds of a processor that we and our backend have had so far."""
    from reputation import sql

    ours = time.process_time() * 1000
    pid = sql.one("SELECT pg_backend_pid() AS pid").pid
    with contextlib.suppress(OSError):
        return ours + int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    return ours
