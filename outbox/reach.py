"""How far a request reaches: whom its messages would go to, and what became of those that were let go.

Read only and bounded: of a flood the first ``COUNTED`` messages are counted and the rest is scaled, which is said.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from reputation import sql
from reputation.outlook import outlooks

COUNTED: Final = 5_000
RANKED: Final = 200_000  # messages up to which samples are chosen by their place
GLIMPSED: Final = 100  # messages of each request in the list
FOLLOWED: Final = 2_000  # messages of a decision whose outcomes are counted
DOMAINS: Final = 12
SAMPLES: Final = 24
MOST: Final = 1_000_000

# Index only: a row of it for each message that is not decided yet.
WAITING: Final[LiteralString] = """
SELECT count(*) AS n FROM (
    SELECT FROM outbox_held WHERE approval_id = %(id)s AND decision_id IS NULL LIMIT %(most)s) AS w
"""

# A message's deliveries are one range of the primary key. OFFSET 0 keeps it a look-up for each message: with fresh
# statistics a plain join compares every message with every delivery that is held.
TOWARDS: Final[LiteralString] = """
WITH waits AS MATERIALIZED (
    SELECT message_id AS id FROM outbox_held WHERE approval_id = %(id)s AND decision_id IS NULL
    ORDER BY message_id LIMIT %(most)s
)
SELECT split_part(d.recipient, '@', 2) AS domain, l.provider, l.domain_id, count(*) AS people
FROM waits AS w CROSS JOIN LATERAL (
    SELECT lane_id, recipient, status FROM outbox_delivery
    WHERE id > w.id AND id <= (left(w.id::text, 33) || 'fff')::uuid OFFSET 0) AS d
JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE d.status = 'held' GROUP BY 1, 2, 3
"""

# So many apart, the last one among them.
EACH: Final[LiteralString] = """
SELECT id FROM (
    SELECT message_id AS id, row_number() OVER (ORDER BY message_id) AS place FROM outbox_held
    WHERE approval_id = %(id)s AND decision_id IS NULL ORDER BY message_id LIMIT %(most)s
) AS w WHERE (%(of)s - place) %% %(step)s = 0
"""

ENDS: Final[LiteralString] = """
SELECT (SELECT message_id FROM outbox_held WHERE approval_id = %(id)s AND decision_id IS NULL
        ORDER BY message_id LIMIT 1) AS first,
       (SELECT message_id FROM outbox_held WHERE approval_id = %(id)s AND decision_id IS NULL
        ORDER BY message_id DESC LIMIT 1) AS last
"""

# Of very many, spread in time between the first and the last: one step down the index for each point.
SPREAD: Final[LiteralString] = """
SELECT DISTINCT h.message_id AS id FROM unnest(%(points)s::uuid[]) AS p (id)
CROSS JOIN LATERAL (
    SELECT message_id FROM outbox_held WHERE approval_id = %(id)s AND decision_id IS NULL AND message_id >= p.id
    ORDER BY message_id LIMIT 1
) AS h
"""

# Of the first messages of each request: how many domains, and how many people were never written to before.
GLIMPSES: Final[LiteralString] = """
SELECT r.id, count(*) AS people, count(DISTINCT split_part(d.recipient, '@', 2)) AS domains,
       count(*) FILTER (WHERE m.decision @> '{"reasons": [{"code": "first_contact"}]}') AS new
FROM unnest(%(ids)s::uuid[]) AS r (id)
CROSS JOIN LATERAL (
    SELECT message_id AS id FROM outbox_held WHERE approval_id = r.id AND decision_id IS NULL
    ORDER BY message_id LIMIT %(most)s
) AS h
JOIN outbox_message AS m ON m.id = h.id
JOIN outbox_delivery AS d ON d.id > h.id AND d.id <= (left(h.id::text, 33) || 'fff')::uuid
GROUP BY r.id
"""

JOINED: Final[LiteralString] = """
SELECT count(*) AS n FROM (
    SELECT FROM outbox_held WHERE approval_id = %(id)s AND decision_id IS NULL AND message_id > %(upto)s LIMIT %(most)s
) AS w
"""

# What became of what was decided, by decision.
FATES: Final[LiteralString] = """
SELECT s.id, d.status, count(*) AS n
FROM outbox_decision AS s
CROSS JOIN LATERAL (
    SELECT message_id AS id FROM outbox_held WHERE decision_id = s.id LIMIT %(most)s
) AS h
JOIN outbox_delivery AS d ON d.id > h.id AND d.id <= (left(h.id::text, 33) || 'fff')::uuid
WHERE s.approval_id = %(id)s GROUP BY s.id, d.status ORDER BY s.id DESC, n DESC
"""

DECIDED: Final[LiteralString] = """
SELECT message_id AS id FROM outbox_held WHERE approval_id = %(id)s ORDER BY message_id LIMIT %(samples)s
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """People by domain, most first; ``cut``: only a part was counted. ``through_at`` None: not within three years."""

    people: int
    domains: tuple[tuple[str, int], ...]
    more_domains: int
    providers: tuple[tuple[str, int], ...]
    cut: bool
    through_at: datetime | None


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Of a request's first messages: so many people in so many domains, so many of them never written to before."""

    people: int
    domains: int
    new: int


def glimpses(requests: Sequence[UUID]) -> Mapping[UUID, Glimpse]:
    """A look at each of these requests that has something waiting."""
    rows = sql.rows(GLIMPSES, {"ids": list(requests), "most": GLIMPSED})
    return {row.id: Glimpse(row.people, row.domains, row.new) for row in rows}


def joined_since(request: UUID, upto: UUID) -> int:
    """How many messages have joined it since this one, and wait."""
    return int(sql.one(JOINED, {"id": request, "upto": upto, "most": COUNTED}).n)


def fates(request: UUID) -> Mapping[int, Sequence[tuple[str, int]]]:
    """What became of the deliveries of each decision, by its key, most first; of its first ``FOLLOWED`` messages."""
    found = defaultdict[int, list[tuple[str, int]]](list)
    for row in sql.rows(FATES, {"id": request, "most": FOLLOWED}):
        found[row.id].append((row.status, row.n))
    return found


def waiting(request: UUID) -> int:
    """How many of its messages wait, up to ``MOST``."""
    return int(sql.one(WAITING, {"id": request, "most": MOST}).n)


def reach(request: UUID, messages: int) -> Reach:
    """Whom its ``messages`` that wait would go to."""
    rows = sql.rows(TOWARDS, {"id": request, "most": COUNTED})
    cut = messages > COUNTED
    scale = messages / COUNTED if cut else 1.0
    domains, providers, lanes = Counter[str](), Counter[str](), Counter[tuple[int, str]]()
    for row in rows:
        people = round(row.people * scale)
        domains[row.domain] += people
        providers[row.provider] += people
        lanes[row.domain_id, row.provider] += people
    common = domains.most_common()
    return Reach(
        domains.total(),
        tuple(common[:DOMAINS]),
        max(len(common) - DOMAINS, 0),
        tuple(providers.most_common()),
        cut,
        _through(lanes),
    )


def spread(request: UUID, messages: int) -> list[UUID]:
    """Some of its ``messages`` that wait, evenly spread, the last one too; of one that is over, its first."""
    if not messages:
        return [row.id for row in sql.rows(DECIDED, {"id": request, "samples": SAMPLES})]
    if messages <= RANKED:
        asked = {"id": request, "most": RANKED, "of": messages, "step": -(-messages // SAMPLES)}
        return [row.id for row in sql.rows(EACH, asked)]
    ends = sql.one(ENDS, {"id": request})
    low, high = ends.first.int, ends.last.int
    points = [UUID(int=low + (high - low) * step // (SAMPLES - 1)) for step in range(SAMPLES)]
    return [row.id for row in sql.rows(SPREAD, {"id": request, "points": points})]


def _through(lanes: Counter[tuple[int, str]]) -> datetime | None:
    ends = [outlooks(domain, [provider])[provider].at(people) for (domain, provider), people in lanes.items()]
    return max((end for end in ends if end), default=None) if all(ends) else None
