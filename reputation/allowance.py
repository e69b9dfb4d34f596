"""Reserve and give back: today's allowance of a sending domain, its source address and its organisation."""

from typing import Final, LiteralString

from reputation import sql

FIND_RAMP: Final[LiteralString] = """
SELECT id FROM reputation_ramp WHERE kind = %(kind)s AND key = %(key)s AND provider = %(provider)s
"""

# Two first sights at once: one makes it, the other finds it.
BEGIN_RAMP: Final[LiteralString] = """
INSERT INTO reputation_ramp (kind, key, provider) VALUES (%(kind)s, %(key)s, %(provider)s) ON CONFLICT DO NOTHING
"""


def ramp_of(key: str, provider: str, kind: str = "domain") -> int:
    """The ramp of a sending domain (or of another kind of thing that warms up) towards a provider."""
    place = {"kind": kind, "key": key, "provider": provider}
    row = sql.one(FIND_RAMP, place)
    if row is None:
        sql.count(BEGIN_RAMP, place)
        row = sql.one(FIND_RAMP, place)
    found: int = row.id
    return found
