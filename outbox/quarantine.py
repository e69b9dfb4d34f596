"""Messages that wait for a person: what no parser understands, and what was written to one. Kept for 30 days.

Guarantees: the same message to the same address is kept once. Of one delivery only so many are kept, since whoever has
one genuine token could fill the table with it; a mailbox that is full of unread messages takes no more until they are
old. What becomes of more is for whoever asked. Refuses to render: octets in, octets out.
"""

import hashlib
from typing import Final, LiteralString
from uuid import UUID

from reputation import sql

KEPT_OF_ONE_DELIVERY: Final = 5
KEPT_OF_ONE_MAILBOX: Final = 1000
KEPT_DAYS: Final = 30

KEEP: Final[LiteralString] = """
INSERT INTO outbox_quarantine (at, source, envelope_to, why, detail, delivery_id, digest, content)
SELECT ao_now(), %(source)s, %(to)s::text, %(why)s, %(detail)s, %(delivery)s, %(digest)s, %(content)s
WHERE (SELECT count(*) FROM (SELECT FROM outbox_quarantine WHERE envelope_to = %(to)s::text LIMIT %(most)s) AS kept)
    < %(most)s
ON CONFLICT (envelope_to, digest) DO NOTHING
"""

KEPT: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM outbox_quarantine WHERE envelope_to = %s AND digest = %s) AS so
"""

FORGET: Final[LiteralString] = "DELETE FROM outbox_quarantine WHERE at < ao_now() - %s * interval '1 day'"


class Full(Exception):
    """Of this mailbox, or of this delivery, as many are kept as may be, and nobody has read them."""


def keep(raw: bytes, to: str, source: str, why: str, detail: str = "", delivery: UUID | None = None) -> bool:
    """Keep a message; whether it is new. ``why`` is one of ``Quarantine.Why``.

    Raises:
        Full: of its mailbox, or of its delivery if there is one, as many are kept as may be.
    """
    digest = hashlib.sha256(raw).digest()
    fields = {
        "source": source,
        "to": storable(to, 320),
        "why": str(why),
        "detail": storable(detail, 1000),
        "delivery": delivery,
        "digest": digest,
        "content": raw,
        "most": KEPT_OF_ONE_DELIVERY if delivery else KEPT_OF_ONE_MAILBOX,
    }
    if sql.count(KEEP, fields):
        return True
    if not sql.one(KEPT, [to, digest]).so:
        raise Full(f"{to} is full of messages that nobody has read")
    return False


def storable(text: str, most: int) -> str:
    """A stranger's words as the database can hold them: it knows neither NUL nor half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:most]


def forget() -> int:
    """Drop what has been kept for its time; how many messages."""
    return sql.count(FORGET, [KEPT_DAYS])
