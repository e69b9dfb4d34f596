"""What became of mail after it was taken, counted where it teaches something: on the ramps its deliveries drew on.

A bounce or a complaint falls on the latest day of the sending domain, its source address and its organisation
towards that provider, whichever day the mail left: what counts is that we know it today. It is counted in the
transaction that wrote the signal, so it counts as often as the signal does: once. Refuses to count what speaks of us
(a block, an authentication failure): forwarders break authentication, and a report by mail may come from anybody's MX.
"""

from enum import StrEnum
from typing import Final, LiteralString

from reputation import sql

# Allowances are locked in the order of their keys, as claims lock them.
NOTE: Final[LiteralString] = """
WITH latest AS (
    SELECT (SELECT a.id FROM reputation_allowance AS a WHERE a.ramp_id = r.id ORDER BY a.day DESC LIMIT 1) AS id
    FROM reputation_sendingdomain AS d JOIN reputation_route AS t ON t.id = d.route_id
    JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
    CROSS JOIN LATERAL (VALUES ('domain', d.name), ('source', host(t.source_address)), ('organisation', o.name))
        AS place (kind, key)
    JOIN reputation_ramp AS r ON r.kind = place.kind AND r.key = place.key AND r.provider = %(provider)s
    WHERE d.id = %(domain)s
), locked AS MATERIALIZED (
    SELECT a.id FROM reputation_allowance AS a WHERE a.id IN (SELECT id FROM latest) ORDER BY a.id FOR NO KEY UPDATE
)
UPDATE reputation_allowance AS a SET bounced = a.bounced + (%(evidence)s = 'bounced')::int,
    complained = a.complained + (%(evidence)s = 'complained')::int
FROM locked WHERE a.id = locked.id
"""


class Evidence(StrEnum):
    """What a late report teaches of the health of a ramp."""

    BOUNCED = "bounced"  # about a recipient, not about us
    COMPLAINED = "complained"


def note(evidence: Evidence, domain_id: int, provider: str) -> int:
    """Count one report about mail of this sending domain to this provider; how many ramps it fell on.

    In the transaction of the signal. Ramps that never had a day (nothing was sent) are left out.
    """
    return sql.count(NOTE, {"evidence": str(evidence), "domain": domain_id, "provider": provider})
