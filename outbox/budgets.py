"""How much may be accepted: recipients by run tree, and by agent and hour and day, in fixed UTC windows.

Counted as accepted, in PostgreSQL, by guarded statements: whoever comes second finds it spent. The judgement reads what
is left without a lock; ``spend`` charges it as the last thing of the accepting transaction, so that counters are held
for a moment only, in the order of their keys. What is cancelled or lapses goes back to the window it was charged to
(``ao_refund``, in the ledger's moves). New keys of an agent, and new names below a run, share what there is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Final, LiteralString

from outbox.limits import Budget, Kind
from reputation import sql

ROOTS_A_DAY: Final = 20

# A run's budget has no end: its window opened before all others.
READ: Final[LiteralString] = """
WITH clock AS (SELECT ao_now() AT TIME ZONE 'UTC' AS now)
SELECT b.kind, b.key, b.opens_at, b.bound, coalesce(s.used, 0) AS used
FROM clock, outbox_agent AS a CROSS JOIN LATERAL (
    VALUES ('agent_hour', a.id::text, date_trunc('hour', clock.now), a.recipients_per_hour),
           ('agent_day', a.id::text, date_trunc('day', clock.now), a.recipients_per_day),
           ('root_runs', a.id::text, date_trunc('day', clock.now), %(roots_a_day)s)
    UNION ALL
    SELECT 'run', a.id || '/' || w.name, timestamp '1970-01-01',
           least(r.recipients_limit, CASE WHEN w.root THEN a.recipients_per_run END)
    FROM unnest(%(runs)s::text[], %(roots)s::boolean[]) AS w (name, root)
    LEFT JOIN outbox_run AS r ON r.agent_id = a.id AND r.name = w.name
) AS b (kind, key, opens_at, bound)
LEFT JOIN outbox_budget AS s
    ON s.kind = b.kind AND s.key = b.key AND s.opens_at = b.opens_at AT TIME ZONE 'UTC'
WHERE a.id = %(agent)s AND b.bound IS NOT NULL
"""

SPEND: Final[LiteralString] = """
SELECT ao_spend(%s::text[], %s::text[], %s::timestamptz[], %s::int[], %s::int[]) AS paid
"""

# A run below another has no budget of its own until its agent wishes one: what it had until then counts.
LOWER: Final[LiteralString] = """
WITH lowered AS (
    UPDATE outbox_run SET recipients_limit = %(recipients)s WHERE id = %(run)s
    RETURNING agent_id || '/' || name AS key
)
INSERT INTO outbox_budget (kind, key, opens_at, used)
SELECT 'run', key, timestamptz '1970-01-01 00:00+00', %(used)s FROM lowered
ON CONFLICT (kind, key, opens_at) DO NOTHING
"""

FORGET: Final[LiteralString] = """
DELETE FROM outbox_budget WHERE opens_at > '1970-01-02' AND opens_at < ao_now() - interval '40 days'
"""


class Spent(Exception):
    """Somebody else was quicker: judge again."""


class Purchase:
    """The budgets that one call draws on, and what it has drawn so far. Empty for an agent without limits."""

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        self._budgets = {(budget.kind, budget.key): budget for budget in budgets}
        self._drawn: dict[tuple[Kind, str], int] = {}

    def of(self, agent_id: int, lineage: Sequence[str], *, new_root: bool = False) -> tuple[Budget, ...]:
        """The budgets that bound a run with these names from its root down, less what was drawn."""
        kinds = [Kind.AGENT_HOUR, Kind.AGENT_DAY, *([Kind.ROOT_RUNS] if new_root else [])]
        runs = [(Kind.RUN, f"{agent_id}/{name}") for name in lineage]
        places = [*runs, *((kind, str(agent_id)) for kind in kinds)]
        return tuple(self._now(self._budgets[place]) for place in places if place in self._budgets)

    def draw(self, budgets: Iterable[Budget], recipients: int) -> None:
        """Draw so many recipients on each of these, and one tree of runs."""
        for budget in budgets:
            place = (budget.kind, budget.key)
            amount = 1 if budget.kind is Kind.ROOT_RUNS else recipients
            self._drawn[place] = self._drawn.get(place, 0) + amount

    def spend(self) -> None:
        """Charge all that was drawn. The last statement of the accepting transaction.

        Raises:
            Spent: it is not there any more; the transaction must not be committed.
        """
        charges = [(self._budgets[place], amount) for place, amount in self._drawn.items() if amount]
        if charges and not _paid(charges):
            raise Spent

    def _now(self, budget: Budget) -> Budget:
        return replace(budget, used=budget.used + self._drawn.get((budget.kind, budget.key), 0))


def read(agent_id: int, lineages: Iterable[Sequence[str]] = ()) -> Purchase:
    """What an agent's limits leave for runs with these names from their roots down."""
    names = {name: not place for lineage in lineages for place, name in enumerate(lineage)}
    fields = {
        "agent": agent_id,
        "runs": list(names),
        "roots": list(names.values()),
        "roots_a_day": ROOTS_A_DAY,
    }
    return Purchase(
        Budget(Kind(row.kind), row.key, row.opens_at.replace(tzinfo=UTC), row.bound, row.used)
        for row in sql.rows(READ, fields)
    )


def lower(run_id: int, recipients: int, used: int) -> None:
    """Let a run and all below it have so many recipients in all, ``used`` of which it had already."""
    sql.count(LOWER, {"run": run_id, "recipients": recipients, "used": used})


def forget() -> int:
    """Drop the counters of windows long closed; how many."""
    return sql.count(FORGET)


def _paid(charges: Sequence[tuple[Budget, int]]) -> bool:
    rows = [
        (str(budget.kind), budget.key, budget.opens_at, amount, budget.limit) for budget, amount in charges
    ]
    paid: bool = sql.one(SPEND, [list(column) for column in zip(*rows, strict=True)]).paid
    return paid
