"""The one question outbox asks of reputation: how may this stream's mail leave now?

Answered from tables alone, with the sealed keys for the worker that signs. A domain without a usable RSA
key is closed: nothing leaves unsigned. If this cannot be answered nothing is accepted and nothing is sent.
"""

from dataclasses import dataclass, field
from typing import Final, LiteralString

from reputation import sql

READ: Final[LiteralString] = """
SELECT d.id AS domain_id, d.name AS domain, d.ed25519, d.state, d.require_tls,
       (d.preset, r.preset, o.preset) <> ('none', 'none', 'none') AS warming, d.default_sender, s.name AS stream,
       s.id AS stream_id, s.postal_address, s.kind AS stream_kind, s.resend_uncertain, r.name AS route, r.means, r.ehlo,
       r.host, r.port, r.security, r.ca_file, r.username, r.password_sealed, host(r.source_address) AS source_address,
       r.signs_itself, r.service,
       (SELECT jsonb_agg(jsonb_build_array(k.algorithm, k.selector, encode(k.private_sealed, 'hex'))
                         ORDER BY k.algorithm DESC)
        FROM reputation_signingkey AS k WHERE k.domain_id = d.id AND k.state = 'active') AS keys
FROM reputation_sendingdomain AS d
JOIN reputation_stream AS s ON s.id = d.stream_id
JOIN reputation_route AS r ON r.id = d.route_id
JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
WHERE d.id = ANY(%s)
"""

# What a domain that broke has already accepted may leave as long as it is signed; new mail is held at the door.
SENDS: Final = frozenset({"verified", "degraded"})


@dataclass(frozen=True, slots=True)
class Standing:
    """How one sending domain's mail leaves now, and with which keys (algorithm, selector, sealed private half)."""

    domain_id: int
    domain: str
    stream: str
    stream_id: int
    stream_kind: str
    postal_address: str
    resend_uncertain: bool
    default_sender: str
    route: str
    means: str
    ehlo: str
    host: str
    port: int
    security: str
    ca_file: str
    username: str
    password_sealed: bytes
    source_address: str
    signs_itself: bool
    service: str
    require_tls: bool
    warming: bool
    keys: tuple[tuple[str, str, bytes], ...] = field(repr=False)

    @property
    def open(self) -> bool:
        """Whether there is a key to sign with; mail never leaves unsigned."""
        return any(algorithm == "rsa-sha256" for algorithm, _, _ in self.keys)


def standings(domain_ids: list[int]) -> dict[int, Standing]:
    """The standing of each of these sending domains; one that does not send is missing."""
    found = sql.rows(READ, [domain_ids])
    return {row.domain_id: _standing(row) for row in found if row.state in SENDS}


def _standing(row: sql.Row) -> Standing:
    keys = tuple(
        (algorithm, selector, bytes.fromhex(sealed))
        for algorithm, selector, sealed in sql.loads(row.keys or "[]")
        if algorithm == "rsa-sha256" or row.ed25519
    )
    return Standing(
        domain_id=row.domain_id,
        domain=row.domain,
        stream=row.stream,
        stream_id=row.stream_id,
        postal_address=row.postal_address,
        stream_kind=row.stream_kind,
        resend_uncertain=row.resend_uncertain,
        default_sender=row.default_sender,
        route=row.route,
        means=row.means,
        ehlo=row.ehlo,
        host=row.host,
        port=row.port,
        security=row.security,
        ca_file=row.ca_file,
        username=row.username,
        password_sealed=bytes(row.password_sealed),
        source_address=row.source_address or "",
        signs_itself=row.signs_itself,
        service=row.service,
        require_tls=row.require_tls,
        warming=row.warming,
        keys=keys,
    )
