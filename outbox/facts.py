"""What the intake and the rules need to know, read in one statement.

Facts are a frozen picture: the place the mail leaves from, the runs it belongs to, the lanes its recipients
fall into, and who of them may not be mailed (asked the same way, in the same time, whatever the answer). What is
missing (a run seen for the first time, a lane) is for ``runs`` to make.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, LiteralString

from outbox import policy_numbers
from outbox.policy_numbers import DEFAULT, Policy
from reputation import sql, suppression

# Counted of a tree: its newest runs. One that is renamed again and again is among them; no tree is too large to ask.
NEWEST_RUNS: Final = 200

# In the order of the trees, so that two batches never wait for each other in a ring.
TURN: Final[LiteralString] = """
SELECT pg_advisory_xact_lock(hashtextextended('tree:' || %(agent)s || ':' || root, 20559))
FROM (SELECT root FROM unnest(%(roots)s::text[]) AS r (root) ORDER BY root) AS r
"""
RECENT: Final[LiteralString] = """
SELECT r.root, coalesce((
    SELECT sum(cardinality(m.addresses)) FROM (
        SELECT m.addresses FROM (
            SELECT t.id FROM outbox_run AS t WHERE t.agent_id = %(agent)s AND t.lineage[1] = r.root
            ORDER BY t.created_at DESC LIMIT %(newest)s
        ) AS t CROSS JOIN LATERAL (
            SELECT m.addresses FROM outbox_message AS m WHERE m.run_id = t.id
              AND m.id >= ao_uuid_floor(ao_now() - %(minutes)s * interval '1 minute') LIMIT %(most)s
        ) AS m LIMIT %(most)s
    ) AS m), 0) AS recipients
FROM unnest(%(roots)s::text[]) AS r (root)
"""

# What was opened through the glass is closed to new posts until another person confirms it.
# The place, and the runs of these names (and of the implicit run of the UTC day) with their lanes there. Of an agent
# that rules do not hold only that is asked: ``judged`` is false, and what history there is stays unread. Nothing is
# counted further than the policy asks.
READ: Final[LiteralString] = """
SELECT ao_now() AS now, s.kind AS stream_kind, s.policy_version, d.id AS domain_id, d.name AS domain,
       d.default_sender, r.name AS route, host(r.source_address) AS source, d.state = 'degraded' AS degraded,
       coalesce((d.preset, r.preset, o.preset) <> ('none', 'none', 'none'), false) AS warming,
       EXISTS (SELECT FROM reputation_signingkey AS k
               WHERE k.domain_id = d.id AND k.state = 'active' AND k.algorithm = 'rsa-sha256') AS signed,
       ARRAY(SELECT scope FROM reputation_openstop ORDER BY epoch)
       || ARRAY(SELECT scope FROM reputation_reopening WHERE state = 'open' AND glass) AS stops,
       ARRAY(SELECT w.scope FROM reputation_watch AS w WHERE w.weak_since IS NOT NULL AND (
                 w.scope IN ('stream:' || s.name, 'agent:' || a.name)
                 OR starts_with(w.scope, 'run:' || a.name || '/')
                 OR starts_with(w.scope, 'domain_provider:' || d.name || '/'))) AS weak,
       ARRAY(SELECT mark FROM ao_suppressed(%(marks)s::bytea[], s.name, s.kind)) AS suppressed,
       (SELECT jsonb_agg(jsonb_build_array(u.id, u.name, u.lineage, u.cancelled_at IS NOT NULL, coalesce(
                    (SELECT jsonb_object_agg(l.provider, l.id) FROM outbox_lane AS l
                     WHERE l.run_id = u.id AND l.agent_id = u.agent_id AND l.domain_id = d.id AND l.stream_id = s.id),
                    '{}')))
        FROM outbox_run AS u
        WHERE u.agent_id = %(agent)s
          AND u.name = ANY(%(names)s::text[] || to_char(ao_now() AT TIME ZONE 'UTC', '"day-"YYYY-MM-DD'))) AS runs,
       p.numbers,
       CASE WHEN %(judged)s THEN ARRAY(SELECT mark FROM outbox_contact WHERE mark = ANY(%(people)s::bytea[])) END
           AS contacts,
       CASE WHEN %(judged)s THEN (
           SELECT count(*) FROM (SELECT FROM outbox_message AS m WHERE m.agent_id = a.id LIMIT bounds.new_agent) AS n
       ) END AS accepted_before,
       CASE WHEN %(judged)s THEN ARRAY(
           SELECT name::text FROM reputation_organisationaldomain UNION SELECT name FROM reputation_sendingdomain
       ) END AS own_domains,
       CASE WHEN %(judged)s THEN (
           SELECT jsonb_object_agg(tree.root, tree.recipients) FROM (
               SELECT root, (
                   SELECT sum(cardinality(m.addresses)) FROM (
                       SELECT m.addresses FROM (
                           SELECT t.id FROM outbox_run AS t WHERE t.agent_id = a.id AND t.lineage[1] = root
                           ORDER BY t.created_at DESC LIMIT %(newest)s
                       ) AS t CROSS JOIN LATERAL (
                           SELECT m.addresses FROM outbox_message AS m WHERE m.run_id = t.id
                             AND m.id >= ao_uuid_floor(ao_now() - bounds.minutes * interval '1 minute')
                           LIMIT bounds.recipients
                       ) AS m LIMIT bounds.recipients
                   ) AS m
               ) AS recipients
               FROM (SELECT DISTINCT u.lineage[1] AS root FROM outbox_run AS u
                     WHERE u.agent_id = a.id AND u.name = ANY(
                         %(names)s::text[] || to_char(ao_now() AT TIME ZONE 'UTC', '"day-"YYYY-MM-DD'))) AS roots
           ) AS tree
       ) END AS recent
FROM reputation_stream AS s JOIN outbox_agent AS a ON a.id = %(agent)s
LEFT JOIN outbox_policy AS p ON p.stream_id = s.id AND p.version = s.policy_version
CROSS JOIN LATERAL (
    SELECT 1 + coalesce((p.numbers->>'new_agent')::int, %(new_agent)s) AS new_agent,
           1 + coalesce((p.numbers->>'run_recipients')::int, %(run_recipients)s) AS recipients,
           coalesce((p.numbers->>'run_minutes')::int, %(run_minutes)s) AS minutes
) AS bounds
LEFT JOIN reputation_sendingdomain AS d ON d.stream_id = s.id AND d.state IN ('verified', 'degraded')
LEFT JOIN reputation_route AS r ON r.id = d.route_id
LEFT JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
WHERE s.id = %(stream)s
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream's mail leaves from, at the database's time ``now``, and every scope that is closed.

    ``weak``: those scopes of the agent's mail whose evidence is weak.
    """

    now: datetime
    stream_kind: str
    policy_version: int
    domain_id: int | None
    domain: str | None
    default_sender: str | None
    route: str | None
    source: str | None
    degraded: bool
    warming: bool
    signed: bool
    stops: Sequence[str]
    weak: Sequence[str] = ()


PLACE: Final = len(fields(Place))
BOUNDS: Final = {
    "newest": NEWEST_RUNS,
    **{name: getattr(DEFAULT, name) for name in ("new_agent", "run_recipients", "run_minutes")},
}


@dataclass(frozen=True, slots=True)
class History:
    """What a draft is compared with: whom mail was let go to (keyed hashes), and what the agent did lately.

    ``recent`` are recipients by the root of their tree of runs. Empty for an agent that rules do not hold.
    """

    contacts: frozenset[bytes] = frozenset()
    accepted_before: int = 0
    own_domains: frozenset[str] = frozenset()
    recent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run as it stands: its names from the root down, and its lanes by provider."""

    id: int
    name: str
    lineage: tuple[str, ...]
    cancelled: bool
    lanes: dict[str, int] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        """The name of the run above, or None for a root."""
        return self.lineage[-2] if len(self.lineage) > 1 else None


@dataclass(frozen=True, slots=True)
class Picture:
    """What one statement saw: the place, those of the agent's runs that exist, by name, and who may not be mailed.

    ``strangers``: addresses that nothing of the organisation was ever let go to.
    """

    place: Place
    known: dict[str, KnownRun]
    suppressed: frozenset[str]
    policy: Policy = DEFAULT
    history: History = History()
    strangers: frozenset[str] = frozenset()


def read(
    agent_id: int,
    stream_id: int,
    names: Iterable[str],
    addresses: Collection[str] = (),
    *,
    judged: bool = False,
) -> Picture:
    """The picture for mail of an agent's runs of these names, to these addresses; if ``judged``, with its history.

    Raises:
        LookupError: there is no such stream any more.
        ValueError: the stream's policy cannot be read.
    """
    marks = {address: suppression.marks(address) for address in addresses}
    asked = {"agent": agent_id, "stream": stream_id, "names": sorted(names), "judged": judged, **BOUNDS}
    people = {address: each[-1] for address, each in marks.items()} if judged else {}
    asked["marks"] = [mark for each in marks.values() for mark in each]
    row = sql.one(READ, asked | {"people": list(people.values())})
    if row is None:
        raise LookupError(f"stream {stream_id} is gone")
    known = (
        KnownRun(key, name, tuple(lineage), *rest)
        for key, name, lineage, *rest in sql.loads(row.runs or "[]")
    )
    found = frozenset(map(bytes, row.suppressed))
    history = _history(row)
    return Picture(
        Place(*row[:PLACE]),
        {run.name: run for run in known},
        frozenset(address for address, each in marks.items() if not found.isdisjoint(each)),
        policy_numbers.read(row.numbers, row.stream_kind),
        history,
        frozenset(address for address, mark in people.items() if mark not in history.contacts),
    )


def recent_in_turn(agent_id: int, roots: Collection[str], policy: Policy) -> dict[str, int]:
    """The same count of these trees of runs, by root, once whoever is accepting mail of theirs has committed.

    Holds others of these trees up until the transaction ends: of several at once each counts those before it.
    """
    asked = {
        "agent": agent_id,
        "roots": list(roots),
        "newest": NEWEST_RUNS,
        "minutes": policy.run_minutes,
        "most": policy.run_recipients + 1,
    }
    # a statement of its own: its snapshot must be younger than the lock
    _, found = sql.together((TURN, asked), (RECENT, asked))
    return {row.root: int(row.recipients) for row in found}


def _history(row: sql.Row) -> History:
    return History(
        frozenset(map(bytes, row.contacts or ())),
        row.accepted_before or 0,
        frozenset(row.own_domains or ()),
        {root: recipients or 0 for root, recipients in sql.loads(row.recent or "{}").items()},
    )
