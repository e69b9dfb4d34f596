"""A run with everything below it: how it stands, and its end.

A run's tree is found by its parents' keys, its mail by its messages; both are its agent's own. A cancelled run, and
every run below it, sends nothing more: what is not yet cleared is cancelled, page by page, each page one transaction.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from django.db import transaction

from outbox import budgets, ledger
from reputation import sql

# The run and all below it, the nearest first; counted by what became of the deliveries of each one's own messages.
TREE: Final[LiteralString] = """
WITH RECURSIVE tree AS (
    SELECT r.* FROM outbox_run AS r WHERE r.agent_id = %(agent)s AND r.name = %(name)s
    UNION ALL
    SELECT r.* FROM outbox_run AS r JOIN tree ON r.parent_id = tree.id
)
SELECT t.id, t.name, t.lineage, t.on_behalf_of, t.purpose, t.created_at, t.cancelled_at, (
    SELECT jsonb_object_agg(c.status, c.n) FROM (
        SELECT d.status, count(*) AS n FROM outbox_message AS m
        JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
        WHERE m.run_id = t.id GROUP BY d.status
    ) AS c
) AS counts
FROM tree AS t ORDER BY array_length(t.lineage, 1), t.id
"""

# The run and all that is below it by now.
END: Final[LiteralString] = """
WITH RECURSIVE tree AS (
    SELECT id FROM outbox_run WHERE id = %(run)s
    UNION ALL
    SELECT r.id FROM outbox_run AS r JOIN tree ON r.parent_id = tree.id
), ended AS (
    UPDATE outbox_run SET cancelled_at = ao_now() WHERE id IN (SELECT id FROM tree) AND cancelled_at IS NULL
)
SELECT id FROM tree
"""

PAGE: Final = 1000  # messages cancelled in one transaction


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a tree, with how many of its own deliveries are in which status."""

    id: int
    name: str
    lineage: tuple[str, ...]
    on_behalf_of: str
    purpose: str
    created_at: datetime
    cancelled_at: datetime | None
    counts: Counter[str]


def tree(agent_id: int, name: str) -> list[Member]:
    """The run of this name and all below it, itself first; empty if the agent has none."""
    rows = sql.rows(TREE, {"agent": agent_id, "name": name})
    return [
        Member(
            row.id,
            row.name,
            tuple(row.lineage),
            row.on_behalf_of,
            row.purpose,
            row.created_at,
            row.cancelled_at,
            Counter(sql.loads(row.counts or "{}")),
        )
        for row in rows
    ]


def cancel(members: Sequence[Member], actor: str) -> int:
    """End these runs and cancel whatever of them is not yet cleared; how many deliveries that were.

    The runs end first, so that nothing new comes in behind the page that is being cancelled: what is being accepted in
    the tree at that moment is waited for, and what is charged after it is judged again.
    """
    if not members:
        return 0
    with transaction.atomic():
        budgets.lock_tree(members[0].id)
        # a statement of its own, whose snapshot sees what the lock has waited for
        runs = [row.id for row in sql.rows(END, {"run": members[0].id})]
    cancelled, after = 0, None
    while page := ledger.cancel_runs(runs, after, PAGE, actor):
        cancelled += page.cancelled
        after = page.last
    return cancelled
