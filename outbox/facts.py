"""What the intake and the rules need to know, read in few statements inside the intake's transaction.

Facts are a frozen picture: the place the mail leaves from, the runs it belongs to, the lanes its recipients
fall into. What is missing (a run seen for the first time, a lane) is for ``runs`` to make.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, LiteralString

from reputation import sql

PLACE: Final[LiteralString] = """
SELECT ao_now() AS now, s.kind AS stream_kind, s.policy_version, d.id AS domain_id, d.name AS domain,
       d.default_sender, r.name AS route, host(r.source_address) AS source,
       EXISTS (SELECT FROM reputation_signingkey AS k
               WHERE k.domain_id = d.id AND k.state = 'active' AND k.algorithm = 'rsa-sha256') AS signed,
       ARRAY(SELECT scope FROM reputation_openstop ORDER BY epoch) AS stops
FROM reputation_stream AS s
LEFT JOIN reputation_sendingdomain AS d ON d.stream_id = s.id AND d.enabled
LEFT JOIN reputation_route AS r ON r.id = d.route_id
WHERE s.id = %s
"""

RUNS: Final[LiteralString] = """
SELECT r.id, r.name, r.lineage, r.cancelled_at IS NOT NULL AS cancelled,
       coalesce((SELECT jsonb_object_agg(l.provider, l.id) FROM outbox_lane AS l
                 WHERE l.run_id = r.id AND l.agent_id = r.agent_id AND l.domain_id = %(domain)s
                   AND l.stream_id = %(stream)s), '{}') AS lanes
FROM outbox_run AS r WHERE r.agent_id = %(agent)s AND r.name = ANY(%(names)s)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream's mail leaves from, at the database's time ``now``, and every scope that is closed."""

    now: datetime
    stream_kind: str
    policy_version: int
    domain_id: int | None
    domain: str | None
    default_sender: str | None
    route: str | None
    source: str | None
    signed: bool
    stops: Sequence[str]


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


def place(stream_id: int) -> Place:
    """Where this stream's mail leaves from.

    Raises:
        LookupError: there is no such stream any more.
    """
    row = sql.one(PLACE, [stream_id])
    if row is None:
        raise LookupError(f"stream {stream_id} is gone")
    return Place(*row)


def runs(agent_id: int, stream_id: int, domain_id: int | None, names: Iterable[str]) -> dict[str, KnownRun]:
    """Those of an agent's runs that exist already, by name."""
    fields = {"agent": agent_id, "stream": stream_id, "domain": domain_id, "names": sorted(names)}
    return {
        row.name: KnownRun(row.id, row.name, tuple(row.lineage), row.cancelled, sql.loads(row.lanes))
        for row in sql.rows(RUNS, fields)
    }
