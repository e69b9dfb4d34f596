"""The valves of ramps, kept in their rows: strikes close them, time and success open them again.

What the claim reads of a ramp, for each of the three that a delivery draws on:

- ``open``: nothing of the valve counts; ``per_minute`` and ``valve_until`` are empty.
- ``slow``: at most ``per_minute`` recipients a minute, by the virtual clock ``paced_until``, which only claims move. At
  ``valve_until`` the pace doubles, or the valve opens.
- ``closed``: nothing before ``valve_until``; from then on it is ``trial``, whether or not ``tend`` has been here.
- ``trial``: at most ``shaping.ON_TRIAL`` under way at once, at no more than ``per_minute``; ``valve_until`` is empty.

``strikes`` counts what is to be taken back, ``valve_why`` holds the reply that struck last. A fixed pace of all sending
domains towards one family is `ProviderLimit.per_minute`; the lower of the two counts.

Each change is a guarded read and write under the ramps' row locks, taken in the order of their ids and before those of
allowances, as claims take them; and one event. Most replies change nothing, which is seen without a lock. Refuses: to
be called inside a transaction, whose locks it would hold on to.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, LiteralString

import orjson
from django.db import transaction

from reputation import sql
from reputation.allowance import ramp_of
from reputation.shaping import Place, State, Strike, Valve, after_success, next_valve, tended, worse

WHY_LENGTH: Final = 300

# Pace: today's recipients over the minutes of today so far. Asked again after LOCK, it sees what others just wrote.
READ: Final[LiteralString] = """
SELECT r.id, r.kind, r.key, r.provider, r.step, r.valve, r.valve_until, r.per_minute, r.strikes, r.valve_why, a.cap,
       coalesce(ceil(a.taken / greatest(extract(epoch FROM ao_now() - a.opens_at) / 60, 1)), 0)::int AS pace,
       ao_now() AS now
FROM reputation_ramp AS r LEFT JOIN LATERAL (
    SELECT taken, opens_at, cap FROM reputation_allowance WHERE ramp_id = r.id ORDER BY day DESC LIMIT 1
) AS a ON true
WHERE r.id = ANY(%s) ORDER BY r.id
"""

LOCK: Final[LiteralString] = """
SELECT id FROM reputation_ramp WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""

TURN: Final[LiteralString] = """
WITH given AS (
    SELECT * FROM json_to_recordset(%(changes)s::json) AS g (id bigint, state text, until timestamptz,
        per_minute integer, strikes smallint, why text, kind text, said text, step smallint, cap integer,
        evidence jsonb)
), turned AS (
    UPDATE reputation_ramp AS r SET valve = g.state, valve_until = g.until, per_minute = g.per_minute,
        strikes = g.strikes, valve_why = g.why
    FROM given AS g WHERE r.id = g.id
)
INSERT INTO reputation_rampevent (ramp_id, at, kind, step, cap, why, evidence)
SELECT id, ao_now(), kind, step, cap, said, evidence FROM given
"""

UNSETTLED: Final[LiteralString] = "SELECT id, kind, key, provider FROM reputation_ramp WHERE valve <> 'open'"

DUE: Final[LiteralString] = """
SELECT id FROM reputation_ramp WHERE valve <> 'open' AND valve_until <= ao_now() ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A valve that was changed: whose, from what, to what."""

    ramp_id: int
    place: Place
    before: Valve
    after: Valve


Rule = Callable[[Valve, sql.Row], Valve]
Grounds = Mapping[int, Mapping[str, Any]]  # by ramp: the reaction that struck it, for the event's evidence
_NONE: Final[Grounds] = {}


def apply(strikes: Iterable[Strike]) -> list[Turn]:
    """Let replies act on the valves of their ramps: of several about one ramp the worst counts, once.

    Raises:
        django.db.Error: the database could not be asked; nothing was changed, and the next reply will say it again.
    """
    said = {ramp_of(place.key, place.provider, place.kind): one for place, one in _worst(strikes).items()}

    def struck(valve: Valve, row: sql.Row) -> Valve:
        strike = said[row.id]
        return next_valve(valve, strike.reaction, row.now, row.pace, _shortened(strike.reply))

    return _turn(said, struck, {ramp: asdict(strike.reaction) for ramp, strike in said.items()})


def note_success(ramp_ids: Collection[int]) -> list[Turn]:
    """Deliveries of these ramps were taken: those on trial go on slowly. Call it only for ``unsettled`` ramps."""
    return _turn(ramp_ids, lambda valve, row: after_success(valve, row.now))


def tend() -> list[Turn]:
    """Let time act: closed valves whose time has come go on trial, slow ones that were quiet go faster."""
    due = [row.id for row in sql.rows(DUE)]
    return _turn(due, lambda valve, row: tended(valve, row.now))


def unsettled() -> dict[Place, int]:
    """Every ramp whose valve is not open, with its id."""
    return {Place(row.kind, row.key, row.provider): row.id for row in sql.rows(UNSETTLED)}


def _worst(strikes: Iterable[Strike]) -> Mapping[Place, Strike]:
    found: dict[Place, Strike] = {}
    for strike in strikes:
        known = found.get(strike.place, strike)
        found[strike.place] = worse(known, strike)
    return found


def _turn(ramp_ids: Iterable[int], rule: Rule, grounds: Grounds = _NONE) -> list[Turn]:
    """Apply a rule to some ramps' valves: once without a lock, and again under it to those that would change."""
    wanted = [turn.ramp_id for turn, _ in _changes(list(ramp_ids), rule)]
    if not wanted:
        return []
    with transaction.atomic(durable=True):
        sql.rows(LOCK, [wanted])
        changes = _changes(wanted, rule)
        sql.count(TURN, {"changes": _json(changes, grounds)})
    return [turn for turn, _ in changes]


def _changes(ramp_ids: list[int], rule: Rule) -> list[tuple[Turn, sql.Row]]:
    changes = []
    for row in sql.rows(READ, [ramp_ids]) if ramp_ids else []:
        before = Valve(State(row.valve), row.valve_until, row.per_minute, row.strikes, row.valve_why)
        after = rule(before, row)
        if after != before:
            changes.append((Turn(row.id, Place(row.kind, row.key, row.provider), before, after), row))
    return changes


def _json(changes: Iterable[tuple[Turn, sql.Row]], grounds: Grounds) -> str:
    return orjson.dumps([_written(turn, row, grounds.get(row.id, {})) for turn, row in changes]).decode()


def _written(turn: Turn, row: sql.Row, grounds: Mapping[str, Any]) -> dict[str, Any]:
    """One change as TURN takes it: the valve, and the event that tells of it."""
    return {
        "id": turn.ramp_id,
        **asdict(turn.after),
        "kind": _kind(turn.before, turn.after),
        "said": turn.after.why or turn.before.why,
        "step": row.step,
        "cap": row.cap,
        "evidence": {"before": _plain(turn.before), "after": _plain(turn.after), "pace": row.pace, **grounds},
    }


def _kind(before: Valve, after: Valve) -> str:
    if after.state is State.CLOSED:
        return "closed"
    return "slowed" if after.strikes > before.strikes else "opened"


def _plain(valve: Valve) -> dict[str, str | int | datetime | None]:
    return asdict(replace(valve, why=""))


def _shortened(reply: str) -> str:
    return " ".join(reply.split())[:WHY_LENGTH]
