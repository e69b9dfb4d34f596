"""Which mailbox provider a recipient's domain belongs to, answered without asking DNS.

Well-known domains are in a table of the code; others are learned from the MX name that took their mail. Until
then a domain belongs to ``other``. A process remembers answers for a minute.
"""

import time
from collections.abc import Iterable
from typing import Final, LiteralString

from reputation import sql
from reputation.providers import DEFAULT_SUFFIXES, DOMAIN_FAMILIES, family

KEEP_SECONDS: Final = 60.0
KEEP_NAMES: Final = 100_000

KNOWN: Final[LiteralString] = "SELECT domain, family FROM reputation_knowndomain WHERE domain = ANY(%s)"

LEARN: Final[LiteralString] = """
INSERT INTO reputation_knowndomain (domain, family, learned_at) VALUES (%(domain)s, %(family)s, clock_timestamp())
ON CONFLICT (domain) DO UPDATE SET family = excluded.family, learned_at = excluded.learned_at
WHERE reputation_knowndomain.family <> excluded.family
"""

SUFFIXES: Final[LiteralString] = "SELECT suffix, family FROM reputation_providersuffix"

_remembered: dict[str, tuple[str, float]] = {}


def families(domains: Iterable[str]) -> dict[str, str]:
    """The provider family of each of these domains."""
    now = time.monotonic()
    found, unknown = {}, []
    for domain in domains:
        family_name, until = _remembered.get(domain, ("", 0.0))
        if name := DOMAIN_FAMILIES.get(domain) or (family_name if until > now else ""):
            found[domain] = name
        else:
            unknown.append(domain)
    if unknown:
        known = {row.domain: row.family for row in sql.rows(KNOWN, [unknown])}
        found |= {domain: known.get(domain, "other") for domain in unknown}
        _remember({domain: found[domain] for domain in unknown}, now + KEEP_SECONDS)
    return found


def learn(domain: str, mx_host: str) -> None:
    """Remember which provider took a domain's mail, by the name of its MX host; a person's suffix wins over ours."""
    table = dict(DEFAULT_SUFFIXES) | {row.suffix: row.family for row in sql.rows(SUFFIXES)}
    found = family(mx_host, tuple(table.items()))
    sql.count(LEARN, {"domain": domain, "family": found})
    _remember({domain: found}, time.monotonic() + KEEP_SECONDS)


def _remember(names: dict[str, str], until: float) -> None:
    if len(_remembered) > KEEP_NAMES:
        _remembered.clear()
    _remembered.update({domain: (name, until) for domain, name in names.items()})
