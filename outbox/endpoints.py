"""Endpoints of webhooks, as people add and change them.

Guarantees: a secret is kept sealed and its text is given to the caller once, when it is made; while one is rotated the
old one signs too, for ``OVERLAP``, and is then forgotten; a URL is one that the sender follows (it is looked at again
at every attempt, with the addresses behind it). Enabling one sends what has waited for it, in order.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from django.conf import settings

from outbox import webhooks
from outbox.models import Endpoint
from outbox.webhook_events import EVENTS, TEST
from outbox.webhook_signing import new_secret
from reputation import sql
from reputation.fetching import FetchFailed, Ways, place_of
from reputation.models import Stream
from reputation.vault import vault

OVERLAP: Final = "24 hours"
PORTS: Final = frozenset({443, 8443})
BY_PERSON: Final = "Switched off by a person."

# Whoever rotates again before the first is over ends that one: two secrets sign, never three.
ROTATE: Final[LiteralString] = """
UPDATE outbox_endpoint SET old_secret_sealed = secret_sealed, old_until = ao_now() + %(overlap)s::interval,
    secret_sealed = %(sealed)s
WHERE id = %(id)s
"""

DISABLE: Final[LiteralString] = """
UPDATE outbox_endpoint SET enabled = false, disabled_at = ao_now(), disabled_why = %(why)s WHERE id = %(id)s AND enabled
"""

ENABLE: Final[LiteralString] = """
UPDATE outbox_endpoint SET enabled = true, disabled_at = NULL, disabled_why = '', failing_since = NULL,
    rests_until = NULL
WHERE id = %(id)s AND NOT enabled
"""

TRY: Final[LiteralString] = """
INSERT INTO outbox_notice (id, endpoint_id, kind, subject, event_id, at, data, state, attempts, next_attempt_at, said)
SELECT ao_uuid7(), id, %(kind)s, %(event)s, %(event)s, ao_now(), jsonb_build_object('endpoint', name), 'waiting', 0,
       ao_now(), ''
FROM outbox_endpoint WHERE id = %(id)s AND enabled
"""

WAITING: Final[LiteralString] = """
SELECT e.id, (SELECT count(*) FROM (SELECT FROM outbox_notice AS n WHERE n.endpoint_id = e.id
    AND n.state IN ('waiting', 'sending') LIMIT 1000) AS some) AS n
FROM unnest(%(ids)s::bigint[]) AS e (id)
"""


class BadUrl(ValueError):
    """The sender would not follow it; the message says why."""


def ways() -> Ways:
    """Which URLs this installation follows."""
    return Ways(PORTS, loopback=settings.AO_ALLOW_LOOPBACK)


def check_url(url: str) -> None:
    """Raises BadUrl for a URL that would not be followed, whatever its name resolves to."""
    try:
        place_of(url, ways())
    except FetchFailed as refused:
        raise BadUrl(str(refused)) from None


def add(
    name: str, url: str, stream: Stream | None = None, events: Sequence[str] = ()
) -> tuple[Endpoint, str]:
    """A new endpoint, and its secret.

    Raises:
        BadUrl: its URL would not be followed.
        ValueError: an event that there is not.
    """
    check_url(url)
    if unknown := set(events) - EVENTS.keys():
        raise ValueError(f"no such event: {', '.join(sorted(unknown))}")
    secret = new_secret()
    sealed = vault().seal(secret.encode())
    made = Endpoint.objects.create(
        name=name, url=url, stream=stream, events=sorted(events), secret_sealed=sealed
    )
    return made, secret


def rotate(endpoint: int) -> str:
    """A new secret; the one so far signs too for ``OVERLAP``."""
    secret = new_secret()
    sql.count(ROTATE, {"id": endpoint, "sealed": vault().seal(secret.encode()), "overlap": OVERLAP})
    return secret


def disable(endpoint: int, why: str = BY_PERSON) -> bool:
    """Send no more, and write no more down for it; whether it was enabled."""
    return sql.count(DISABLE, {"id": endpoint, "why": why}) == 1


def enable(endpoint: int) -> bool:
    """Send again, beginning with what has waited; whether it was disabled."""
    done = sql.count(ENABLE, {"id": endpoint}) == 1
    sql.rows(webhooks.RING)
    return done


def try_out(endpoint: int) -> str | None:
    """Send an event that tells of nothing; its webhook-id, or None where the endpoint is disabled."""
    event = f"test_{uuid.uuid4().hex}"
    if not sql.count(TRY, {"id": endpoint, "kind": TEST, "event": event}):
        return None
    sql.rows(webhooks.RING)
    return event


def waiting(endpoints: Sequence[int]) -> Mapping[int, int]:
    """How many notices wait for each of these, counted no further than a thousand."""
    found = sql.rows(WAITING, {"ids": list(endpoints)})
    return {row.id: row.n for row in found}
