"""How much may be accepted, by run tree, agent, principal, stream and organisation, in fixed UTC windows.

Counted as accepted, in PostgreSQL, by guarded statements: whoever comes second finds it spent. The judgement reads what
is left without a lock; ``spend`` charges it as the last thing of the accepting transaction, so that counters are held
for a moment only, in the order of their kinds and keys, those that all agents share at the very end; a limit that is
not set has no counter, and one that is set begins its counter with what the window has seen (``begin``).
What is refused by a reviewer, cancelled or lapses goes back to the windows that its message was charged to
(``ao_refund``, in the ledger's moves), but for the domains of a run: a run that could swap those it has seen would
try them all. New keys of an agent, and new names below a run, share what there is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

from django.db import transaction

from outbox.limits import Budget, Kind, Load
from reputation import sql

ROOTS_A_DAY: Final = 20

# What goes back with each recipient. A run's recipients do too, by its lineage: a budget that was lowered later counts.
GIVEN_BACK: Final = frozenset(Kind) - {Kind.RUN, Kind.RUN_DOMAINS, Kind.ROOT_RUNS}
OCTETS: Final = frozenset({Kind.RUN_BYTES, Kind.AGENT_DAY_BYTES})

# A run's budget has no end: its window opened before all others. A run below another has a limit of its own only if its
# agent lowered it. Transactional mail is not held up by what others have used of a limit that they share.
READ: Final[LiteralString] = """
WITH clock AS (SELECT ao_now() AT TIME ZONE 'UTC' AS now),
run AS (
    SELECT w.name, w.root, r.recipients_limit, coalesce(r.on_behalf_of, '') AS principal
    FROM unnest(%(runs)s::text[], %(roots)s::boolean[]) AS w (name, root)
    LEFT JOIN outbox_run AS r ON r.agent_id = %(agent)s AND r.name = w.name
)
SELECT b.kind, b.name, b.key, b.opens_at, b.bound, coalesce(c.used, 0) AS used, b.principal,
       CASE b.kind WHEN 'run_domains' THEN ARRAY(
           SELECT domain FROM outbox_rundomain WHERE tree = b.key AND domain = ANY (%(domains)s::text[])) END AS seen
FROM clock, outbox_agent AS a JOIN reputation_stream AS s ON s.id = a.stream_id CROSS JOIN LATERAL (
    SELECT 'run' AS kind, name, a.id || '/' || name AS key, timestamp '1970-01-01' AS opens_at,
           least(recipients_limit, CASE WHEN root THEN a.recipients_per_run END)::bigint AS bound, principal
    FROM run
    UNION ALL SELECT 'run_domains', name, a.id || '/' || name, timestamp '1970-01-01', a.domains_per_run, ''
    FROM run WHERE root
    UNION ALL SELECT 'run_bytes', name, a.id || '/' || name, timestamp '1970-01-01',
        a.attachment_mib_per_run::bigint * 1048576, '' FROM run WHERE root
    UNION ALL SELECT 'principal_day', p.name, s.id || '/' || p.name, date_trunc('day', clock.now),
        CASE WHEN s.kind <> 'transactional' THEN s.recipients_per_principal END, ''
    FROM (SELECT unnest(%(principals)s::text[]) UNION SELECT principal FROM run) AS p (name) WHERE p.name <> ''
    UNION ALL VALUES
        ('agent_hour', '', a.id::text, date_trunc('hour', clock.now), a.recipients_per_hour::bigint, ''),
        ('agent_day', '', a.id::text, date_trunc('day', clock.now), a.recipients_per_day, ''),
        ('agent_day_bytes', '', a.id::text, date_trunc('day', clock.now),
         a.attachment_mib_per_day::bigint * 1048576, ''),
        ('root_runs', '', a.id::text, date_trunc('day', clock.now), %(roots_a_day)s::bigint, ''),
        ('stream_day', '', s.id::text, date_trunc('day', clock.now), s.recipients_per_day, ''),
        ('organisation_day', '', '', date_trunc('day', clock.now), (
            SELECT recipients_per_day FROM outbox_organisation WHERE s.kind <> 'transactional'), '')
) AS b (kind, name, key, opens_at, bound, principal)
LEFT JOIN outbox_budget AS c ON c.kind = b.kind AND c.key = b.key AND c.opens_at = b.opens_at AT TIME ZONE 'UTC'
WHERE a.id = %(agent)s AND (b.bound IS NOT NULL OR b.kind = 'run')
"""

SPEND: Final[LiteralString] = """
SELECT ao_spend(%s::text[], %s::smallint[], %s::text[], %s::timestamptz[], %s::bigint[], %s::bigint[],
                %s::text[], %s::text[]) AS paid
"""

# Whoever spends or gives back in a tree takes its root's counter first.
LOCK_TREE: Final[LiteralString] = """
INSERT INTO outbox_budget AS b (kind, key, opens_at, used)
SELECT 'run', agent_id || '/' || lineage[1], timestamptz '1970-01-01 00:00+00', 0 FROM outbox_run WHERE id = %(run)s
ON CONFLICT (kind, key, opens_at) DO UPDATE SET used = b.used
"""

# Only ever fewer. A run below another has no budget of its own until its agent wishes one: what it had until then, and
# was not given back, counts.
LOWER: Final[LiteralString] = """
WITH RECURSIVE tree AS (
    SELECT id FROM outbox_run WHERE id = %(run)s
    UNION ALL
    SELECT r.id FROM outbox_run AS r JOIN tree ON r.parent_id = tree.id
), lowered AS (
    UPDATE outbox_run SET recipients_limit = least(recipients_limit, %(recipients)s) WHERE id = %(run)s
    RETURNING agent_id || '/' || name AS key
)
INSERT INTO outbox_budget (kind, key, opens_at, used)
SELECT 'run', key, timestamptz '1970-01-01 00:00+00', (
    SELECT count(*) FROM tree JOIN outbox_message AS m ON m.run_id = tree.id
    JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
    WHERE d.status NOT IN ('cancelled', 'refused') AND d.code <> 'approval_lapsed')
FROM lowered ON CONFLICT (kind, key, opens_at) DO NOTHING
"""

# An exempt agent's mail has no charges. Of a limit that was there before, the same day, the counter may know more than
# what is left of its messages, or less than was accepted meanwhile.
BEGIN: Final[LiteralString] = """
INSERT INTO outbox_budget AS b (kind, key, opens_at, used)
SELECT %(kind)s, %(key)s, day.opens_at, (
    SELECT count(*) FROM outbox_message AS m JOIN reputation_stream AS s ON s.id = m.stream_id
    JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
    WHERE m.id >= ao_uuid_floor(day.opens_at) AND m.charged IS NOT NULL
      AND CASE WHEN %(stream)s::bigint IS NULL THEN s.kind <> 'transactional' ELSE s.id = %(stream)s END
      AND d.status NOT IN ('cancelled', 'refused') AND d.code <> 'approval_lapsed')
FROM (SELECT date_trunc('day', ao_now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS opens_at) AS day
ON CONFLICT (kind, key, opens_at) DO UPDATE SET used = greatest(b.used, excluded.used)
"""

FORGET: Final[LiteralString] = """
DELETE FROM outbox_budget WHERE opens_at > '1970-01-02' AND opens_at < ao_now() - interval '40 days'
"""

Charge = tuple[str, str, datetime, int]  # kind, key, when its window opened, how much each recipient
_NOTHING: Final = Load()


class Spent(Exception):
    """Somebody else was quicker: judge again."""


class Purchase:
    """The budgets that one call draws on, and what it has drawn so far. Empty for an agent without limits."""

    def __init__(self, found: Iterable[sql.Row] = ()) -> None:
        self._budgets: dict[tuple[Kind, str], Budget] = {}
        self._unbounded: dict[
            str, Budget
        ] = {}  # runs below others, as far as we know without limits of their own
        self._principals: dict[str, str] = {}
        self._seen: dict[str, set[str]] = {}
        self._drawn: dict[tuple[Kind, str], int] = {}
        self._depths: dict[str, int] = {}
        self._sights: set[tuple[str, str]] = set()
        for row in found:
            self._know(row)

    def _know(self, row: sql.Row) -> None:
        kind = Kind(row.kind)
        budget = Budget(kind, row.key, row.opens_at.replace(tzinfo=UTC), row.bound or 0, row.used)
        if row.bound is None:
            self._unbounded[row.name] = budget
        else:
            self._budgets[kind, row.name] = budget
        if row.principal:
            self._principals[row.name] = row.principal
        if row.seen is not None:
            self._seen[row.name] = set(row.seen)

    def of(self, load: Load = _NOTHING) -> tuple[Budget, ...]:
        """The budgets that bound a message, less what was drawn, each with what the message wants of it."""
        if not self._budgets:
            return ()
        return tuple(
            replace(budget, used=budget.used + self._drawn.get(place, 0), wanted=self._wanted(place, load))
            for place in self._places(load)
            if (budget := self._budgets.get(place))
        )

    def draw(self, load: Load) -> list[Charge] | None:
        """Draw what a message wants; what goes back with each of its recipients. None for an agent without limits."""
        if not self._budgets:
            return None
        bounds = self.of(load)
        for place in self._places(load):
            self._drawn[place] = self._drawn.get(place, 0) + self._wanted(place, load)
        self._depths |= {name: depth for depth, name in enumerate(load.lineage)}
        for root in load.lineage[:1]:
            self._sights |= {
                (self._budgets[Kind.RUN, root].key, each) for each in load.domains - self._seen[root]
            }
            self._seen[root] |= load.domains
        return [
            (str(budget.kind), budget.key, budget.opens_at, load.octets if budget.kind in OCTETS else 1)
            for budget in bounds
            if budget.kind in GIVEN_BACK and budget.wanted
        ]

    def open(self, run: str, principal: str) -> None:
        """A run comes to be: what those behind it send there is on behalf of its principal, unless they say another."""
        if principal:
            self._principals[run] = principal

    def spend(self) -> None:
        """Charge all that was drawn. The last statement of the accepting transaction.

        Raises:
            Spent: it is not there any more, or a run was lowered meanwhile; the transaction must not be committed.
        """
        charges: list[tuple[Any, ...]] = [
            (
                str(kind),
                self._depths[name] if kind is Kind.RUN else 0,
                budget.key,
                budget.opens_at,
                amount,
                budget.limit,
            )
            for (kind, name), amount in self._drawn.items()
            if amount and (budget := self._budgets.get((kind, name)))
        ]
        charges += [
            (str(Kind.RUN), depth, budget.key, budget.opens_at, 0, None)
            for name, depth in self._depths.items()
            if (budget := self._unbounded.get(name))
        ]
        if charges and not _paid(charges, sorted(self._sights)):
            raise Spent

    def _places(self, load: Load) -> Iterator[tuple[Kind, str]]:
        for kind in Kind:
            for name in self._names(kind, load):
                yield kind, name

    def _names(self, kind: Kind, load: Load) -> Sequence[str]:
        """What a message's budgets of a kind are named after; an agent, a stream and the organisation need no name."""
        if kind is Kind.RUN:
            # one that was read as a root, and was then opened below another in the same call, has no limit of its own
            below = (name for name in load.lineage[1:] if (Kind.RUN_DOMAINS, name) not in self._budgets)
            return [*load.lineage[:1], *below]
        if kind in (Kind.RUN_DOMAINS, Kind.RUN_BYTES):
            return load.lineage[:1]
        if kind is Kind.PRINCIPAL_DAY:
            above = (self._principals[name] for name in reversed(load.lineage) if name in self._principals)
            return [load.principal or next(above, "")]
        return [""] if kind is not Kind.ROOT_RUNS or load.new_root else []

    def _wanted(self, place: tuple[Kind, str], load: Load) -> int:
        kind, name = place
        if kind is Kind.ROOT_RUNS:
            return 1
        if kind is Kind.RUN_DOMAINS:
            return len(load.domains - self._seen.get(name, set()))
        return load.recipients * (load.octets if kind in OCTETS else 1)


def read(agent_id: int, loads: Iterable[Load] = ()) -> Purchase:
    """What the limits of an agent leave for messages like these."""
    loads = list(loads)
    roots = {name for load in loads for name in load.lineage[:1]}
    names = {name: name in roots for load in loads for name in load.lineage}
    fields = {
        "agent": agent_id,
        "runs": list(names),
        "roots": list(names.values()),
        "roots_a_day": ROOTS_A_DAY,
        "principals": list({load.principal for load in loads}),
        "domains": list({domain for load in loads for domain in load.domains}),
    }
    return Purchase(sql.rows(READ, fields))


def lower(run_id: int, recipients: int) -> None:
    """Let a run and all below it have so many recipients in all; more than it has already changes nothing."""
    with transaction.atomic():
        lock_tree(run_id)
        # a statement of its own, whose snapshot sees what the lock has waited for
        sql.count(LOWER, {"run": run_id, "recipients": recipients})


def lock_tree(run_id: int) -> None:
    """For the rest of the transaction nothing is accepted in the tree of a run, or given back there."""
    sql.count(LOCK_TREE, {"run": run_id})


def begin(stream_id: int | None) -> None:
    """Count what was accepted today, of a stream or (None) of all but transactional ones, where no limit was.

    In the transaction that saves the limit. What is being accepted at that moment, judged without a limit, is above it.
    """
    kind, key = (Kind.ORGANISATION_DAY, "") if stream_id is None else (Kind.STREAM_DAY, str(stream_id))
    sql.count(BEGIN, {"kind": str(kind), "key": key, "stream": stream_id})


def forget() -> int:
    """Drop the counters of windows long closed; how many."""
    return sql.count(FORGET)


def _paid(charges: Sequence[tuple[Any, ...]], sights: Sequence[tuple[str, str]]) -> bool:
    columns = [list(column) for column in zip(*charges, strict=True)]
    trees, domains = [tree for tree, _ in sights], [domain for _, domain in sights]
    paid: bool = sql.one(SPEND, [*columns, trees, domains]).paid
    return paid
