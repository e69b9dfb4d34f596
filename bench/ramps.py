"""What a claim costs under a cap: a million waiting in one lane, ten thousand lanes, against a thousand in one lane.

All three ramps that the mail draws on have caps. What waits is claimed from in four situations: its lanes `awake`;
`shut` behind a ramp that has just opened; `exhausting`, where the lanes visited are allowed nothing and are shut; and
`exhausted`, when all of them are. What was claimed is given back, so that every round finds as much waiting. No SMTP,
no worker and no content: deliveries alone, entered by SQL.

The machine may be shared: the yardstick is measured anew beside every shape, and judged is what the backend had of a
processor, where the system tells it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple

from bench.backlog import ASLEEP
from bench.line import Line, note, percentile
from bench.processes import BenchError
from bench.stand import Stand

ROUNDS, WARM_UP = 60, 5
GROUP: Final = 64  # as many as a claim visits lanes: one lane and many give as much
TWICE: Final = 2.0
CAP: Final = 2_000_000_000
PLACES: Final[dict[str, dict[str, object]]] = {
    "awake": {"state": "awake", "later": None},
    "shut": {"state": "shut", "later": 0},
    "exhausting": {"state": "awake", "later": None},
    "exhausted": {"state": "shut", "later": 1},
}
SPENT: Final = ("exhausting", "exhausted")
# A claim that shuts as many lanes as it visits is held against one that gets as much from one lane.
AGAINST: Final = {"exhausting": "awake"}
OURS: Final = 1_000_000_000  # agents, runs and lanes from this key on


@dataclass(frozen=True, slots=True)
class Shape:
    """So many agents with so many lanes each, and so many deliveries waiting in each lane."""

    name: str
    agents: int
    lanes: int
    waiting: int


class Took(NamedTuple):
    """One claim in milliseconds, and of those what its backend had of a processor (Linux; elsewhere 0)."""

    wall: float
    cpu: float


YARDSTICK: Final = Shape("1000_in_one_lane", 1, 1, 1_000)
USUAL: Final = (
    Shape("100000_in_one_lane", 1, 1, 100_000),
    Shape("10000_lanes_of_one_agent", 1, 10_000, 1),
    Shape("1000_agents_of_10_lanes", 1_000, 10, 1),
)
HUGE: Final = Shape("1000000_in_one_lane", 1, 1, 1_000_000)

EMPTY: Final[LiteralString] = "TRUNCATE outbox_delivery, outbox_attempt, outbox_event"
REMOVE: Final[tuple[LiteralString, ...]] = (
    "DELETE FROM outbox_lane WHERE id > %(ours)s",
    "DELETE FROM outbox_run WHERE id > %(ours)s",
    "DELETE FROM outbox_agent WHERE id > %(ours)s",
    ASLEEP,
)

# Copies of the model, by record, so that columns this file has never heard of are copied too.
AGENTS: Final[LiteralString] = """
INSERT INTO outbox_agent SELECT copy.* FROM generate_series(1, %(agents)s) AS n,
(SELECT * FROM outbox_agent ORDER BY id LIMIT 1) AS model,
jsonb_populate_record(NULL::outbox_agent, to_jsonb(model) || jsonb_build_object(
    'id', %(ours)s + n, 'name', 'bench-' || n)) AS copy
"""
RUNS: Final[LiteralString] = """
INSERT INTO outbox_run SELECT copy.* FROM generate_series(1, %(agents)s) AS a, generate_series(1, %(lanes)s) AS n,
(SELECT * FROM outbox_run ORDER BY id LIMIT 1) AS model,
jsonb_populate_record(NULL::outbox_run, to_jsonb(model) || jsonb_build_object(
    'id', %(ours)s + (a - 1) * %(lanes)s + n, 'agent_id', %(ours)s + a, 'name', 'run-' || n)) AS copy
"""
LANES: Final[LiteralString] = """
INSERT INTO outbox_lane SELECT copy.* FROM outbox_run AS r,
(SELECT l.* FROM outbox_lane AS l JOIN bench_delivery AS d ON d.lane_id = l.id WHERE d.domain = 'gmail.test') AS model,
jsonb_populate_record(NULL::outbox_lane, to_jsonb(model) || jsonb_build_object(
    'id', r.id, 'run_id', r.id, 'agent_id', r.agent_id, 'wake_at', ao_now())) AS copy
WHERE r.id > %(ours)s
"""
DELIVERIES: Final[LiteralString] = """
WITH made AS MATERIALIZED (
    SELECT l.id AS lane_id, ao_uuid7() AS key
    FROM outbox_lane AS l, generate_series(1, %(waiting)s) WHERE l.id > %(ours)s
)
INSERT INTO outbox_delivery SELECT copy.*
FROM made, (SELECT * FROM bench_delivery WHERE domain = 'gmail.test') AS model,
jsonb_populate_record(NULL::outbox_delivery, to_jsonb(model) || jsonb_build_object('id', made.key,
    'lane_id', made.lane_id, 'next_attempt_at', ao_now(), 'expires_at', ao_now() + interval '5 days')) AS copy
"""

# A new day for every ramp, as the domains' presets now say.
FORGET: Final[LiteralString] = """
UPDATE reputation_ramp SET step = 0, purse_id = NULL, purse_until = NULL, opens_at = NULL, served = 0;
DELETE FROM reputation_purse;
DELETE FROM reputation_allowance;
"""
SPEND: Final[LiteralString] = "UPDATE reputation_allowance SET taken = cap, used = 0, lapsed = 0"
SPARE: Final[LiteralString] = "UPDATE reputation_allowance SET taken = 0, used = 0, lapsed = 0"
PLACE: Final[LiteralString] = """
WITH placed AS (UPDATE outbox_lane SET state = %(state)s WHERE id > %(ours)s AND state <> %(state)s)
UPDATE reputation_ramp SET opens_at = ao_now() + %(later)s * interval '1 hour' WHERE kind = 'domain'
"""


def growing(stand: Stand, shapes: Sequence[Shape] = USUAL) -> Iterator[Line]:
    """Each shape in each situation, against a thousand in one lane."""
    _cap("own", [CAP], "127.0.0.1")
    try:
        with stand.installation.connect() as connection:
            for shape in shapes:
                small = _measured(connection, YARDSTICK)
                for situation, took in _measured(connection, shape).items():
                    against = AGAINST.get(situation, situation)
                    yield _within(f"claim_{shape.name}_{situation}", took, against, small[against])
    finally:
        _cap("none", [], None)
        with stand.installation.connect() as connection:
            _empty(connection)


def deep(stand: Stand) -> Iterator[Line]:
    """The million."""
    yield from growing(stand, (HUGE,))


def _measured(connection: Any, shape: Shape) -> dict[str, Took]:
    from django.db import connection as callers

    from outbox import sessions

    _enter(connection, shape)
    session = sessions.begin("bench")
    found = {situation: _claims(connection, session, situation) for situation in PLACES}
    sessions.end(session)
    callers.close()
    told = ", ".join(f"{situation} {took.wall:.1f} ({took.cpu:.1f})" for situation, took in found.items())
    note(f"  {shape.name}: {told} ms (of a processor)")
    return found


def _enter(connection: Any, shape: Shape) -> None:
    fields = {"agents": shape.agents, "lanes": shape.lanes, "waiting": shape.waiting, "ours": OURS}
    _empty(connection)
    for statement in (AGENTS, RUNS, LANES, DELIVERIES):
        connection.execute(statement, fields)
    connection.execute("VACUUM (ANALYZE) outbox_delivery, outbox_lane, outbox_run, outbox_agent")


def _empty(connection: Any) -> None:
    connection.execute(EMPTY)
    for statement in REMOVE:
        connection.execute(statement, {"ours": OURS})
    connection.execute(FORGET)


def _claims(connection: Any, session: int, situation: str) -> Took:
    """What one claim takes in this situation: the median of the quicker quarter."""
    last, rounds = 0, []
    for _ in range(WARM_UP + ROUNDS):
        connection.execute(SPEND if situation in SPENT else SPARE)
        connection.execute(PLACE, {"ours": OURS, **PLACES[situation]})
        took, last = _claim(session, situation, last)
        rounds.append(took)
    # the quicker quarter: what the step takes, not what others on the machine took from it
    wall, cpu = ([took[part] for took in rounds[WARM_UP:]] for part in (0, 1))
    return Took(percentile(wall, 1 / 8), percentile(cpu, 1 / 8))


def _claim(session: int, situation: str, last: int) -> tuple[Took, int]:
    """One claim, given back; and the agent whose turn is next."""
    from outbox import ledger, sessions

    sessions.renew(session, 0)
    cpu, began = _processor(), time.perf_counter()
    claimed = ledger.claim(session, tier=1, limit=GROUP, last_agent=last)
    took = Took(1000 * (time.perf_counter() - began), _processor() - cpu)
    if len(claimed) != (expected := 0 if situation in SPENT else GROUP):
        raise BenchError(f"{len(claimed)} were claimed of {expected}")
    if claimed:
        ledger.settle(session, [ledger.Settlement(one.id, one.attempt, "queued", "", 0.0) for one in claimed])
    return took, claimed[-1].agent_id if claimed else 0


def _processor() -> float:
    """Milliseconds of a processor that our backend has had so far."""
    from reputation import sql

    pid = sql.one("SELECT pg_backend_pid() AS pid").pid
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    return 0.0


def _cap(preset: str, steps: list[int], source: str | None) -> None:
    """Give the sending domain, its organisation and its source address these steps."""
    from reputation.models import OrganisationalDomain, Route, SendingDomain

    for table in (SendingDomain, OrganisationalDomain, Route):
        table.objects.update(preset=preset, own_steps=steps)
    Route.objects.update(source_address=source)


def _within(measure: str, took: Took, against: str, small: Took) -> Line:
    ratio = took.cpu / small.cpu if small.cpu else took.wall / small.wall
    load = os.getloadavg()[0]
    more = {"rows": GROUP, "cpu_ms": took.cpu, "cpu_ratio": ratio, "load": load, "cores": os.cpu_count()}
    yardstick, target = f"{YARDSTICK.name}, {against}", f"cpu_ratio <= {TWICE:g}"
    return Line(measure, took.wall, "ms", ROUNDS, yardstick, small.wall, target, ratio <= TWICE, more)
