"""Who received it: everybody whom mail of a scope reached, or may have reached, before its stop, as CSV.

Read page by page along the attempts, so that a list of a million costs the memory of a page and holds no transaction.
Guarantees: whoever a server took mail for within the window is on it, with that server's own words; no cell is a
formula. Also what relays took and have not reported on since: beyond our reach, but not beyond theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from outbox import ids
from outbox.proof import FOREVER
from reputation import sql
from reputation.suppression_lists import line

HOURS: Final = (1, 6, 24, 72, 168)
PAGE: Final = 2000
LOOKED: Final = 10_000
FIRST: Final = UUID(int=0)
RELAYED_WITHIN: Final = timedelta(hours=24)

COLUMNS: Final = (
    *("recipient", "status", "code", "outcome", "at", "provider", "host", "reply"),
    *("agent", "run", "on_behalf_of", "subject", "message_id", "delivery"),
)

# A page of conversations that ended well or in doubt; ``within`` says whether the scope covers them.
REACHED: Final[LiteralString] = """
SELECT a.id, a.outcome, a.ended_at AS at, a.host, concat_ws(' ', a.reply_code, a.reply) AS reply, d.id AS delivery,
       d.recipient, d.status, d.code, l.provider, g.name AS agent, u.name AS run, u.on_behalf_of, m.subject,
       m.header_id AS message_id,
       %(scope)s = ANY (ao_scopes(l.scopes, d.recipient)) AS within
FROM (
    SELECT * FROM outbox_attempt
    WHERE id >= ao_uuid_floor(%(since)s) AND id < ao_uuid_floor(%(until)s) AND id > %(after)s
      AND outcome IN ('delivered', 'relayed', 'uncertain') ORDER BY id LIMIT %(page)s
) AS a
JOIN outbox_delivery AS d ON d.id = a.delivery_id JOIN outbox_lane AS l ON l.id = d.lane_id
JOIN outbox_agent AS g ON g.id = l.agent_id JOIN outbox_run AS u ON u.id = l.run_id
LEFT JOIN outbox_message AS m ON m.id = d.message_id
ORDER BY a.id
"""

# What relays took of a scope and have said nothing about since, among the newest conversations before its end.
RELAYED: Final[LiteralString] = """
WITH recent AS MATERIALIZED (
    SELECT id, delivery_id, host, ended_at, outcome FROM outbox_attempt
    WHERE id >= ao_uuid_floor(%(since)s) AND id < ao_uuid_floor(%(until)s) ORDER BY id DESC LIMIT %(looked)s
)
SELECT r.host, t.name AS route, s.name AS domain, count(*) AS deliveries, min(r.ended_at) AS first,
       max(r.ended_at) AS last, (SELECT count(*) FROM recent) >= %(looked)s AS cut
FROM recent AS r JOIN outbox_delivery AS d ON d.id = r.delivery_id JOIN outbox_lane AS l ON l.id = d.lane_id
JOIN reputation_sendingdomain AS s ON s.id = l.domain_id LEFT JOIN reputation_route AS t ON t.id = s.route_id
WHERE r.outcome = 'relayed' AND d.status = 'relayed'
  AND %(scope)s = ANY (ao_scopes(l.scopes, d.recipient))
GROUP BY 1, 2, 3 ORDER BY deliveries DESC LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Window:
    """What was sent of a scope from ``since`` on, until its stop ended (or until now)."""

    scope: str
    since: datetime
    until: datetime | None

    def params(self) -> dict[str, Any]:
        """For the statements."""
        return {"scope": self.scope, "since": self.since, "until": self.until or FOREVER}


@dataclass(frozen=True, slots=True)
class Relayed:
    """What one relay took of one sending domain and has not reported on; ``cut``: not all of it was looked at."""

    host: str
    route: str | None
    domain: str
    deliveries: int
    first: datetime
    last: datetime
    cut: bool


def written(window: Window) -> Iterator[str]:
    """The list, a page at a time, with its header."""
    yield line(COLUMNS)
    after = FIRST
    while rows := sql.rows(REACHED, {**window.params(), "after": after, "page": PAGE}):
        yield "".join(line(_cells(row)) for row in rows if row.within)
        after = rows[-1].id


def relayed(scope: str, at: datetime, until: datetime | None) -> list[Relayed]:
    """What relays hold of a scope since the day before its stop, by relay and sending domain, most first."""
    window = Window(scope, at - RELAYED_WITHIN, until)
    return [Relayed(*row) for row in sql.rows(RELAYED, {**window.params(), "looked": LOOKED})]


def _cells(row: sql.Row) -> Iterator[str]:
    for name in COLUMNS:
        value = getattr(row, name)
        if isinstance(value, datetime):
            yield value.isoformat()
        elif isinstance(value, UUID):
            yield ids.printed("dlv", value)
        else:
            yield value or ""
