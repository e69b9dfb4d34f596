"""Rules at work: what was settled and reported is judged, and what is proven is closed.

Whoever settles leaves evidence; whoever calls ``judge`` takes it all, in its order, advances the watches of the scopes
it fell on, writes what they prove, commits; and trips afterwards, since a trip is a transaction of its own. Guarantees:
evidence counts once; one process judges at a time; a strong judgement is followed by one trip, by the next call's if
this process dies in between: the trip and the mark that it was made are one commit. Refuses: to close ``all``, to close
again what is closed, to count what was sent before its scope was last resumed.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any, Final, LiteralString

import orjson
from django.db import Error, transaction

from reputation import incidents, killswitch, models, sql
from reputation.gathering import FEEDBACK, Key, Outcomes, believed, gathered, hours, learned, width
from reputation.killswitch import Switched
from reputation.rules import Numbers, Strength, Verdict
from reputation.rules import judge as judged
from reputation.switchlog import RULE
from reputation.windows import Signal, Stretch, Watch, advance, restored, stored

logger = logging.getLogger(__name__)

AT_A_TIME: Final = 1000  # rows of evidence in one transaction
ROUNDS: Final = 20  # that one caller judges on behalf of those who come meanwhile
FORGET_AFTER: Final = "7 days"  # without an outcome: what was weak then says nothing of today
CLOSES: Final = (Strength.STRONG, Strength.AT_ONCE)
NUMBERS: Final = [one.name for one in fields(Numbers)]

# A judge that was frozen would keep all others from judging: its transaction is ended for it.
LIMIT_IDLE: Final = "SET LOCAL idle_in_transaction_session_timeout = '5s'"
ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(20559, 2)"

WAITING: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM reputation_evidence) AS evidence,
       EXISTS (SELECT FROM reputation_judgement WHERE strength IN ('strong', 'at_once') AND epoch IS NULL) AS undone
"""

TAKE: Final[LiteralString] = """
WITH taken AS (
    DELETE FROM reputation_evidence WHERE id IN (SELECT id FROM reputation_evidence ORDER BY id LIMIT %s) RETURNING *
)
SELECT at, stream, scopes, provider, trials, events FROM taken ORDER BY id
"""

LEARN: Final[LiteralString] = """
INSERT INTO reputation_feedbackprovider (family, since) SELECT family, ao_now() FROM unnest(%s::text[]) AS f (family)
ON CONFLICT DO NOTHING
"""

SENDING_FEEDBACK: Final[LiteralString] = "SELECT family FROM reputation_feedbackprovider"

RESUMED: Final[LiteralString] = """
SELECT scope, max(at) AS at FROM reputation_switchevent WHERE scope = ANY (%s) AND action = 'resume' GROUP BY scope
"""

# Locked against a resume, which begins them anew.
WATCHES: Final[LiteralString] = """
SELECT scope, signal, trials, stretches, weak_since IS NOT NULL AS weak FROM reputation_watch
WHERE scope = ANY (%s) ORDER BY scope, signal FOR UPDATE
"""

SPOKEN_FOR: Final[LiteralString] = """
SELECT scope, who LIKE 'rule:%%' AS by_rule FROM reputation_openstop
UNION ALL
SELECT scope, true FROM reputation_judgement WHERE strength IN ('strong', 'at_once') AND epoch IS NULL
"""

KEEP: Final[LiteralString] = """
INSERT INTO reputation_watch AS w (scope, signal, stream, trials, stretches, weak_since, touched_at)
SELECT scope, signal, stream, trials, stretches, CASE WHEN weak THEN ao_now() END, ao_now()
FROM json_to_recordset(%s::json) AS g (scope text, signal text, stream text, trials bigint, stretches jsonb, weak bool)
ON CONFLICT (scope, signal) DO UPDATE SET stream = excluded.stream, trials = excluded.trials,
    stretches = excluded.stretches, touched_at = excluded.touched_at,
    weak_since = CASE WHEN excluded.weak_since IS NOT NULL THEN coalesce(w.weak_since, excluded.weak_since) END
"""

CONCLUDE: Final[LiteralString] = """
INSERT INTO reputation_judgement (scope, rule, strength, at, why, arithmetic)
SELECT scope, rule, strength, ao_now(), why, arithmetic FROM json_to_recordset(%s::json)
    AS g (scope text, rule text, strength text, why text, arithmetic jsonb)
"""

COUNT_HOURS: Final[LiteralString] = """
INSERT INTO reputation_providerhour AS h (provider, stream, hour, trials, unknown)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::integer[], %s::integer[])
ON CONFLICT (provider, hour, stream) DO UPDATE SET trials = h.trials + excluded.trials,
    unknown = h.unknown + excluded.unknown
"""

UNDONE: Final[LiteralString] = """
SELECT id, scope, rule, why FROM reputation_judgement
WHERE strength IN ('strong', 'at_once') AND epoch IS NULL ORDER BY id
"""

DONE: Final[LiteralString] = "UPDATE reputation_judgement SET epoch = %s WHERE id = %s AND epoch IS NULL"

# Agent streams that rules have closed within the hour, this one among them.
STREAMS_CLOSED: Final[LiteralString] = """
SELECT array_agg(DISTINCT e.scope) AS scopes FROM reputation_switchevent AS e
JOIN reputation_stream AS s ON 'stream:' || s.name = e.scope
WHERE e.action = 'trip' AND e.at > clock_timestamp() - interval '1 hour' AND e.who LIKE 'rule:%%' AND s.kind = 'agents'
  AND NOT EXISTS (SELECT FROM reputation_openstop WHERE scope = 'agents')
  AND NOT EXISTS (SELECT FROM reputation_judgement WHERE scope = 'agents' AND strength = 'strong' AND epoch IS NULL)
"""

# A weak scope that nobody mails from any more would never hear that it is better.
FORGET: Final[LiteralString] = """
WITH old AS (
    DELETE FROM reputation_watch WHERE touched_at < ao_now() - %(after)s::interval RETURNING scope, signal, weak_since
)
INSERT INTO reputation_judgement (scope, rule, strength, at, why, arithmetic)
SELECT scope, signal, 'cleared', ao_now(), 'Nothing was heard of it for ' || %(after)s || '.', '{}' FROM old
WHERE weak_since IS NOT NULL
"""


def judge() -> list[Switched]:
    """Judge whatever evidence there is and close what is proven; what was closed now, narrow scopes first.

    Not to be called inside a transaction.

    Raises:
        django.db.Error: the database could not be asked; what was not judged or closed yet is by the next call.
    """
    waiting = sql.one(WAITING)
    while waiting.evidence and _judge_some() == AT_A_TIME:
        pass
    return _act() if waiting.evidence or waiting.undone else []


_turn = threading.Lock()
_asked = threading.Event()


def judge_soon() -> None:
    """Judge now, or leave it to whoever in this process is at it; if it fails, beat does it again.

    For doors that have just committed a report: what they answer does not depend on it.
    """
    _asked.set()
    for _ in range(ROUNDS):
        if not _asked.is_set() or not _turn.acquire(blocking=False):
            return
        try:
            _asked.clear()
            judge()
        except Error as error:
            logger.warning("evidence was not judged yet: %s", error)
        finally:
            _turn.release()


def conclude(verdicts: Iterable[Verdict]) -> None:
    """Write judgements down; those that close are acted on by ``judge``."""
    rows = [{name: getattr(one, name) for name in Verdict.__slots__} for one in verdicts]
    if rows:
        sql.count(CONCLUDE, [orjson.dumps(rows).decode()])


def forget() -> int:
    """Let go watches of which nothing was heard for long; how many of them were weak."""
    incidents.forget()
    return sql.count(FORGET, {"after": FORGET_AFTER})


def numbers() -> tuple[dict[str, Numbers], Numbers]:
    """By which numbers streams are judged that have their own, and those of all others."""
    found = {row["stream__name"]: row for row in models.Numbers.objects.values("stream__name", *NUMBERS)}
    sets = {name: Numbers(**{one: row[one] for one in NUMBERS}) for name, row in found.items()}
    rest = sets.pop(None, Numbers())
    return sets, rest


# -- judging -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of the scopes concerned."""

    watches: Mapping[Key, Watch]
    weak: frozenset[Key]
    closed: frozenset[str]  # or about to be
    proven: set[str]  # closed by rules


def _judge_some() -> int:
    """Judge the oldest evidence in one transaction; how many rows of it."""
    with transaction.atomic(durable=True):
        sql.count(LIMIT_IDLE)
        sql.rows(ONE_AT_A_TIME)
        rows = [_outcomes(row) for row in sql.rows(TAKE, [AT_A_TIME])]
        if rows:
            _weigh(rows)
    return len(rows)


def _outcomes(row: sql.Row) -> Outcomes:
    return Outcomes(row.at, row.stream, row.scopes, row.provider, row.trials, sql.loads(row.events))


def _weigh(rows: Sequence[Outcomes]) -> None:
    _count_hours(rows)
    rows = believed(rows, incidents.detect({row.provider for row in rows if row.trials}))
    scopes = sorted({scope for row in rows for scope in row.scopes})
    stretches = gathered(rows, _feedback(rows), _since_resumed(scopes))
    streams = {scope: row.stream for row in rows for scope in row.scopes}
    known, (own, rest) = _known(scopes), numbers()
    kept: list[dict[str, Any]] = []
    verdicts: list[Verdict] = []
    for key in sorted(stretches, key=lambda each: width(each[0])):
        scope, signal = key
        by = own.get(streams[scope], rest)
        watch = advance(known.watches.get(key, Watch(scope, signal)), stretches[key], by.window(signal))
        verdict = judged(watch, by, known.proven) if _may_change(key, stretches[key], known) else None
        if verdict and verdict.strength in CLOSES:
            known.proven.add(scope)
        verdicts += _concluded(key, verdict, known, streams[scope], by)
        kept.append(_row(watch, streams[scope], weak=verdict is not None))
    sql.count(KEEP, [orjson.dumps(kept).decode()])
    conclude(verdicts)


def _feedback(rows: Sequence[Outcomes]) -> frozenset[str]:
    if new := learned(rows) - FEEDBACK:
        sql.count(LEARN, [sorted(new)])
    return FEEDBACK | {row.family for row in sql.rows(SENDING_FEEDBACK)}


def _since_resumed(scopes: list[str]) -> Any:
    resumed = {row.scope: row.at for row in sql.rows(RESUMED, [scopes])}

    def counts(scope: str, at: datetime) -> bool:
        return scope not in resumed or at > resumed[scope]

    return counts


def _known(scopes: list[str]) -> _Known:
    rows = sql.rows(WATCHES, [scopes])
    watches = {
        (row.scope, Signal(row.signal)): restored(row.scope, row.signal, row.trials, sql.loads(row.stretches))
        for row in rows
    }
    weak = frozenset((row.scope, Signal(row.signal)) for row in rows if row.weak)
    stops = sql.rows(SPOKEN_FOR)
    proven = {row.scope for row in stops if row.by_rule}
    return _Known(watches, weak, frozenset(row.scope for row in stops), proven)


def _may_change(key: Key, stretches: Sequence[Stretch], known: _Known) -> bool:
    """Good outcomes alone prove nothing new; they may only clear what is weak."""
    return key in known.weak or any(stretch.events for stretch in stretches)


def _concluded(
    key: Key, verdict: Verdict | None, known: _Known, stream: str, by: Numbers
) -> Iterable[Verdict]:
    """What is new in a verdict: what is closed is not closed again, what is weak already is not told again."""
    scope, signal = key
    told = {"stream": stream, "numbers": by.version}
    if verdict is None:
        if key in known.weak:
            yield Verdict(scope, str(signal), Strength.CLEARED, "The evidence is weak no more.", told)
    elif scope not in known.closed and (verdict.strength in CLOSES or key not in known.weak):
        yield Verdict(scope, verdict.rule, verdict.strength, verdict.why, {**verdict.arithmetic, **told})


def _row(watch: Watch, stream: str, *, weak: bool) -> dict[str, Any]:
    return {
        "scope": watch.scope,
        "signal": watch.signal,
        "stream": stream,
        "trials": watch.trials,
        "stretches": stored(watch),
        "weak": weak,
    }


def _count_hours(rows: Sequence[Outcomes]) -> None:
    counts = [(*key, *found) for key, found in sorted(hours(rows).items())]
    if counts:
        sql.count(COUNT_HOURS, [list(column) for column in zip(*counts, strict=True)])


# -- closing -------------------------------------------------------------------------------------------------


class _Done(Exception):
    """Somebody else has acted on it meanwhile."""


def _act() -> list[Switched]:
    """Trip what was proven and is not closed for it yet."""
    tripped = []
    while undone := sql.rows(UNDONE):
        for row in undone:
            with contextlib.suppress(_Done):
                tripped.append(_trip(row))
    return tripped


def _trip(row: sql.Row) -> Switched:
    return killswitch.trip(row.scope, who=f"{RULE}{row.rule}", why=row.why, also=partial(_acted_on, row))


def _acted_on(row: sql.Row, switched: Switched) -> None:
    """In the trip's own transaction: what follows from it is written down with it."""
    if not sql.count(DONE, [switched.epoch, row.id]):
        raise _Done
    if row.scope.startswith("stream:"):
        _two_streams()


def _two_streams() -> None:
    """Two agent streams within an hour have something in common that no rule sees: all agents' streams are closed."""
    closed = sql.one(STREAMS_CLOSED).scopes or []
    if len(closed) < 2:
        return
    why = f"Rules have closed {len(closed)} agent streams within an hour: {', '.join(sorted(closed))}."
    conclude([Verdict("agents", "two_streams", Strength.STRONG, why, {"streams": sorted(closed)})])
