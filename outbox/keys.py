"""API keys: issued, read, and turned into the caller they stand for.

A key reads ``ao_live_<prefix>_<secret>``. The prefix finds the row; the secret is 200 random bits and a
checksum, by which secret scanners tell a key from noise. Stored is only the secret's SHA-256: nothing slower
is needed where there is nothing to guess. A key is shown once, when it is issued.

Guarantees: revoking or disabling works at the next request, since nothing is cached; an unknown key, a
revoked one and a wrong secret get the same answer in the same time. Refuses an agent key without an agent.
"""

import base64
import hashlib
import hmac
import logging
import re
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, LiteralString

from django.db import Error, InterfaceError, OperationalError, connection
from django.db.models import F
from django.db.models.functions import Now

from outbox.models import Agent, ApiKey
from outbox.problems import Refused, refused
from outbox.scopes import agents_of
from reputation import sql

logger = logging.getLogger(__name__)

PREFIX_BYTES: Final = 5
SECRET_BYTES: Final = 25
SCOPES: Final = frozenset({"send", "read", "stop"})
KEYS_SHOWN: Final = 20

_SHAPE: Final = re.compile(r"(ao_live_([a-z2-7]{8})_[a-z2-7]{40})([a-z2-7]{7})")
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)  # RFC 6750 §2.1, scheme as RFC 9110 §11.1
_NOBODY: Final = bytes(32)

# One row by its unique prefix; returns and operator keys have no agent.
FIND: Final[LiteralString] = """
SELECT k.id, k.kind, k.scopes, k.secret_hash, k.revoked_at IS NOT NULL AS revoked,
       coalesce(k.expires_at <= ao_now(), false) AS expired,
       coalesce(k.last_used_at < statement_timestamp() - interval '1 minute', true) AS unnoted,
       coalesce(a.id, 0) AS agent_id, coalesce(a.name, '') AS agent, coalesce(a.enabled, true) AS enabled,
       coalesce(a.exempt, false) AS exempt, coalesce(a.requests_per_minute, 600) AS requests_per_minute,
       coalesce(a.recipients_per_message, 0) AS recipients_per_message,
       coalesce(s.id, 0) AS stream_id, coalesce(s.name, '') AS stream, ao_now() AS now
FROM outbox_apikey AS k
LEFT JOIN outbox_agent AS a ON a.id = k.agent_id
LEFT JOIN reputation_stream AS s ON s.id = a.stream_id
WHERE k.prefix = %s
"""

# Guarded, so that of many requests at once one writes; the others skip its locked row instead of waiting.
NOTE_USE: Final[LiteralString] = """
UPDATE outbox_apikey SET last_used_at = statement_timestamp() WHERE id = (
    SELECT id FROM outbox_apikey WHERE id = %s
      AND coalesce(last_used_at < statement_timestamp() - interval '1 minute', true) FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One API key in full. Its representation shows the prefix only."""

    prefix: str
    secret: str

    @property
    def text(self) -> str:
        """What the agent sends after ``Bearer``."""
        return f"ao_live_{self.prefix}_{self.secret}"

    @property
    def hash(self) -> bytes:
        """What the database keeps of the secret."""
        return hashlib.sha256(self.secret.encode()).digest()

    def matches(self, stored: bytes) -> bool:
        """Whether this is the key whose hash is stored; takes the same time either way."""
        return hmac.compare_digest(self.hash, bytes(stored))

    def __repr__(self) -> str:
        return f"<Key {self.prefix}>"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what the key allows. Keys of no agent have ``agent_id`` and ``stream_id`` 0.

    ``asked_at`` is the database's time, by which rules judge, when the key was looked up.
    """

    key_id: int
    kind: str
    scopes: frozenset[str]
    agent_id: int
    agent: str
    stream_id: int
    stream: str
    enabled: bool
    exempt: bool
    requests_per_minute: int
    recipients_per_message: int
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def new() -> Key:
    """A key nobody has seen."""
    prefix, random = _word(secrets.token_bytes(PREFIX_BYTES)), _word(secrets.token_bytes(SECRET_BYTES))
    return Key(prefix, random + _checksum(f"ao_live_{prefix}_{random}"))


def read(text: str) -> Key | None:
    """The key in this text, or None if it has not the shape of one or its checksum is wrong."""
    shape = _SHAPE.fullmatch(text)
    if shape is None or _checksum(shape[1]) != shape[3]:
        return None
    return Key(shape[2], text.rpartition("_")[2])


def issue(
    agent: Agent | None, kind: str, scopes: Iterable[str], name: str = "", expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A new key, stored, and its text, which cannot be had again.

    Raises:
        ValueError: an unknown scope; an agent key without an agent or another key with one.
    """
    wanted = set(scopes)
    if not wanted <= SCOPES or (agent is None) is (kind == ApiKey.Kind.AGENT):
        raise ValueError(f"no such key: kind {kind}, scopes {sorted(wanted)}, agent {agent}")
    key = new()
    row = ApiKey.objects.create(
        agent=agent,
        kind=kind,
        name=name,
        prefix=key.prefix,
        secret_hash=key.hash,
        scopes=sorted(wanted),
        expires_at=expires_at,
    )
    return row, key.text


def revoke(key_id: int) -> bool:
    """Close the door to a key from its next request on; False if it was closed already."""
    return ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=Now()) == 1


def of_scope(scope: str) -> list[ApiKey]:
    """Keys of the agents that a scope is made of, open ones first, last used first; none where it names no agents."""
    agents = agents_of(scope)
    if agents is None:
        return []
    found = ApiKey.objects.filter(agent__in=agents).select_related("agent__stream").defer("secret_hash")
    used = F("last_used_at").desc(nulls_last=True)
    return list(found.order_by(F("revoked_at").desc(nulls_first=True), used, "pk")[:KEYS_SHOWN])


def in_use(agents: Iterable[int], most: int) -> dict[int, list[ApiKey]]:
    """By agent, the open keys that were used last."""
    found: dict[int, list[ApiKey]] = {agent: [] for agent in agents}
    rows = ApiKey.objects.filter(agent__in=found, revoked_at=None).defer("secret_hash")
    for key in rows.order_by(F("last_used_at").desc(nulls_last=True), "pk")[: KEYS_SHOWN * len(found)]:
        if key.agent_id is not None and len(found[key.agent_id]) < most:
            found[key.agent_id].append(key)
    return found


def authenticate(header: str | None) -> Caller:
    """The caller behind an ``Authorization`` header.

    Raises:
        Refused: unauthenticated, key_expired or agent_disabled.
        django.db.Error: the database cannot say.
    """
    bearer = _BEARER.fullmatch(header or "")
    key = read(bearer[1]) if bearer else None
    if key is None:
        raise _unknown()
    row = _found(key.prefix)
    if not key.matches(row.secret_hash if row else _NOBODY) or row is None or row.revoked:
        raise _unknown(row.agent_id if row else 0)
    if row.expired:
        raise refused("key_expired", "This key has expired.").of_agent(row.agent_id)
    if not row.enabled:
        raise refused("agent_disabled", f"Agent {row.agent} is switched off.").of_agent(row.agent_id)
    if row.unnoted:
        _note_use(row.id)
    return _caller(row)


def _found(prefix: str) -> sql.Row:
    """The key's row. A connection lost since the last request is replaced, once: nothing was done on it yet."""
    try:
        return sql.one(FIND, [prefix])
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        return sql.one(FIND, [prefix])


def _unknown(agent_id: int = 0) -> Refused:
    return refused("unauthenticated", "There is no valid key in the Authorization header.").of_agent(agent_id)


def _note_use(key_id: int) -> None:
    """A convenience for people, so it must never fail a request."""
    try:
        sql.count(NOTE_USE, [key_id])
    except Error as error:
        logger.warning("could not note the use of key %s: %s", key_id, error)


def _caller(row: sql.Row) -> Caller:
    return Caller(
        key_id=row.id,
        kind=row.kind,
        scopes=frozenset(row.scopes),
        agent_id=row.agent_id,
        agent=row.agent,
        stream_id=row.stream_id,
        stream=row.stream,
        enabled=row.enabled,
        exempt=row.exempt,
        requests_per_minute=row.requests_per_minute,
        recipients_per_message=row.recipients_per_message,
        asked_at=row.now,
    )


def _word(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=").lower()


def _checksum(text: str) -> str:
    return _word(zlib.crc32(text.encode()).to_bytes(4))
