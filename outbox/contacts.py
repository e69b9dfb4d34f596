"""Who has been written to before: people to whom mail of the organisation was let go, by keyed hash.

Guarantees: whoever is known costs no write; the table shows no address without the key of the suppression list, whose
hashes these are. Refuses to know anybody for mail that is still held, or for an agent that is for trying.
"""

from collections.abc import Collection, Iterable
from typing import Final, LiteralString

from reputation import sql, suppression

# In the order of the marks: two batches to the same people must not wait for each other in a circle.
KEEP: Final[LiteralString] = """
INSERT INTO outbox_contact (mark, at)
SELECT mark, ao_now() FROM unnest(%s::bytea[]) AS g (mark) ORDER BY mark ON CONFLICT (mark) DO NOTHING
"""


def marks(addresses: Iterable[str]) -> list[bytes]:
    """The keyed hashes of the people behind these addresses."""
    return list({suppression.person_mark(address) for address in addresses})


def keep(known: Collection[bytes]) -> None:
    """Mail was let go to these people. In the caller's transaction."""
    if known:
        sql.count(KEEP, [list(known)])
