"""Which of our mailboxes an envelope recipient is, or none: what is refused before DATA, and what a report may testify.

Guarantees: a return-path is one only with a token that we signed and that has not expired, at the return-path host of
an enrolled domain. A forged one costs a MAC and no statement: the names of our domains are remembered for some
seconds. Where mail is taken there is a postmaster (RFC 5321 §4.5.1) and an abuse desk (RFC 2142 §4).
"""

import time
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, LiteralString
from uuid import UUID

from django.conf import settings

from outbox import unsubscribes, verp
from reputation import sql, suppression

REMEMBERED_SECONDS: Final = 10.0
# A name nobody knows may have been enrolled this moment; asking more often than that is what a flood would want.
ASK_AGAIN_SECONDS: Final = 1.0

OURS: Final[LiteralString] = """
SELECT (ao_now() AT TIME ZONE 'UTC')::date AS today, coalesce(array_agg(d.name), '{}') AS domains,
       coalesce(array_agg(DISTINCT o.name), '{}') AS organisations
FROM reputation_sendingdomain AS d JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
"""


class Reader(StrEnum):
    """Who reads a mailbox."""

    RETURN_PATH = "return_path"  # reports about one delivery
    UNSUBSCRIBE = "unsubscribe"  # whatever is written there
    FEEDBACK = "feedback"  # complaints of providers that enrolled us
    PERSON = "person"
    DMARC = "dmarc"
    TLSRPT = "tlsrpt"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One of our mailboxes; ``delivery`` is whose return-path it is, ``token`` by which somebody unsubscribes."""

    reader: Reader
    delivery: UUID | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class Ours:
    """The names we take mail at, all in lower case, and the day by which tokens expire."""

    today: date
    hosts: frozenset[str]  # return-path hosts: rp.<sending domain>
    names: frozenset[str]  # these, the sending domains and their organisations


LOCAL_PARTS: Final = {
    "postmaster": Reader.PERSON,
    "abuse": Reader.PERSON,
    "fbl": Reader.FEEDBACK,
    "dmarc": Reader.DMARC,
    "tlsrpt": Reader.TLSRPT,
}


def find(address: str) -> Mailbox | None:
    """The mailbox an envelope recipient means.

    Raises:
        django.db.Error: the database cannot say which names are ours.
    """
    ours = _remembered.ours(REMEMBERED_SECONDS)
    if (address.rpartition("@")[2].lower() not in ours.names) and _may_be_new(address, ours):
        ours = _remembered.ours(ASK_AGAIN_SECONDS)
    return mailbox_of(address, ours)


def mailbox_of(address: str, ours: Ours) -> Mailbox | None:
    """The same, by what is known of our names."""
    local, _, host = address.lower().rpartition("@")
    if host in ours.hosts and (testified := _by_token(address, ours.today)):
        return testified
    reader = LOCAL_PARTS.get(local or host)
    if reader and (host in ours.names or (not local and host == "postmaster")):
        return Mailbox(reader)
    return None


def delivery_of(token: str) -> UUID | None:
    """The delivery a token speaks of that was found inside a report."""
    return verp.read_token(token, keys(), _remembered.ours(REMEMBERED_SECONDS).today)


def keys() -> list[bytes]:
    """The keys that return-paths are signed with, the newest first."""
    return [key.encode() for key in settings.AO_VERP_KEYS]


def forget() -> None:
    """Ask the database again at the next look."""
    _remembered.at = float("-inf")


class _Remembered:
    """What the database said last. Threads may ask twice at once; either answer is right."""

    def __init__(self) -> None:
        self.at = float("-inf")
        self._ours: Ours | None = None

    def ours(self, seconds: float) -> Ours:
        """Our names, not older than so many seconds."""
        now = time.monotonic()
        if self._ours is None or now - self.at > seconds:
            row = sql.one(OURS)
            hosts = frozenset(f"rp.{name}" for name in row.domains)
            self._ours, self.at = Ours(row.today, hosts, hosts | {*row.domains, *row.organisations}), now
        return self._ours


_remembered = _Remembered()


def _by_token(address: str, today: date) -> Mailbox | None:
    """What a token of ours in the local part says, wherever the address is."""
    if token := verp.token_in(address):
        delivery = verp.read_token(token, keys(), today)
        return Mailbox(Reader.RETURN_PATH, delivery=delivery) if delivery else None
    if token := unsubscribes.token_in(address):
        genuine = unsubscribes.read_token(token, suppression.key())
        return Mailbox(Reader.UNSUBSCRIBE, token=token) if genuine else None
    return None


def _may_be_new(address: str, ours: Ours) -> bool:
    """Whether it would be one of ours, if only its host were."""
    known = address.rpartition("@")[0].lower() in LOCAL_PARTS
    return known or _by_token(address, ours.today) is not None
