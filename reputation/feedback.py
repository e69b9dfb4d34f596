"""What became of mail after it was taken, counted where it teaches something: on the ramps its deliveries drew on, and
as evidence for the rules.

A bounce or a complaint falls on the latest day of the sending domain, its source address and its organisation
towards that provider, whichever day the mail left: what counts is that we know it today. It is counted in the
transaction that wrote the signal, so it counts as often as the signal does: once. Refuses to count what speaks of us
(a block, an authentication failure): forwarders break authentication, and a report by mail may come from anybody's MX.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, LiteralString

import orjson

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


# A late report adds no outcome: the delivery was counted as one when it was settled.
WITNESS: Final[LiteralString] = """
INSERT INTO reputation_evidence (at, stream, scopes, provider, trials, events)
VALUES (%(at)s, %(stream)s, %(scopes)s, %(provider)s, 0, %(events)s)
"""


class Evidence(StrEnum):
    """What a late report teaches."""

    BOUNCED = "bounced"  # about a recipient, not about us
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"  # says nothing of a ramp


@dataclass(frozen=True, slots=True)
class Mail:
    """The delivery that a report is about: where it left from, to which provider and domain, and when it was settled.

    Nothing of an ``exempt`` agent's is evidence for the rules.
    """

    domain_id: int
    provider: str
    stream: str
    scopes: Sequence[str]
    domain: str
    at: datetime
    exempt: bool


def note(evidence: Evidence, mail: Mail, *, code: str = "", vouched: bool = False) -> None:
    """Count one report, in the transaction of its signal; ramps that never had a day are left out.

    ``code``: from the closed list of bounces; ``vouched``: a provider's own signature stands behind it.
    """
    if evidence is not Evidence.UNSUBSCRIBED:
        told = {"evidence": str(evidence), "domain": mail.domain_id, "provider": mail.provider}
        sql.count(NOTE, told)
    if mail.exempt:
        return
    events = orjson.dumps([[0, str(evidence), mail.domain, code, vouched]]).decode()
    places = {"stream": mail.stream, "scopes": list(mail.scopes), "provider": mail.provider}
    sql.count(WITNESS, {"at": mail.at, "events": events, **places})
