"""Notices to those who want to know: claimed under a lease, in order for one subject, and settled.

The rows are written by triggers, with the events they tell of. Guarantees: a notice is under way only while no earlier
one of its endpoint and subject waits or is under way; one endpoint that hangs or fails costs the others nothing: each
has places of its own, and after a failure it rests, the longer the longer it has failed. What a dead sender had claimed
goes out again when its lease ends, under the same webhook-id. Leases are on the real clock, all else on ``ao_now``.

Refuses: to hold a transaction across the network, to send for a disabled endpoint; what waits for one stays.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from django.db import transaction

from outbox.webhook_events import GONE, Verdict
from reputation import sql

CHANNEL: Final = "ao_notice"

# One request, with all that belongs to it, and how long its lease is: nobody else sends it meanwhile.
REQUEST_SECONDS: Final = float(os.environ.get("AO_LEASE_SECONDS", "15"))
LEASE_SECONDS: Final = 2 * REQUEST_SECONDS
PLACES: Final = 64  # requests under way at once
PLACES_OF_ONE: Final = 8
# After a failure: a tenth of the time it has been failing, within these bounds.
REST_SECONDS: Final = (1, 300)
DISABLED_AFTER: Final = "3 days"
KEPT: Final = "30 days"
PAGE: Final = 50_000

RETURN_LOST: Final[LiteralString] = """
UPDATE outbox_notice SET state = 'waiting', leased_until = NULL, said = 'its sender died'
WHERE state = 'sending' AND leased_until < clock_timestamp()
"""

CLAIM: Final[LiteralString] = """
WITH places AS (
    SELECT e.id, CASE WHEN e.failing_since IS NULL
                      THEN least(%(each)s, greatest(1, %(all)s / (SELECT count(*) FROM outbox_endpoint WHERE enabled)))
                      ELSE 1 END
                 - (SELECT count(*) FROM outbox_notice AS n WHERE n.endpoint_id = e.id AND n.state = 'sending') AS free
    FROM outbox_endpoint AS e WHERE e.enabled AND (e.rests_until IS NULL OR e.rests_until <= ao_now())
), due AS MATERIALIZED (
    SELECT n.id FROM places AS p CROSS JOIN LATERAL (
        SELECT n.id FROM outbox_notice AS n
        WHERE n.endpoint_id = p.id AND n.state = 'waiting' AND n.next_attempt_at <= ao_now()
          AND NOT EXISTS (SELECT FROM outbox_notice AS b WHERE b.endpoint_id = n.endpoint_id AND b.subject = n.subject
                          AND b.id < n.id AND b.state IN ('waiting', 'sending'))
        ORDER BY n.next_attempt_at, n.id LIMIT greatest(p.free, 0) FOR UPDATE SKIP LOCKED
    ) AS n LIMIT %(limit)s
)
UPDATE outbox_notice AS n SET state = 'sending', attempts = n.attempts + 1,
    leased_until = clock_timestamp() + %(lease)s * interval '1 second'
FROM due, outbox_endpoint AS e WHERE n.id = due.id AND e.id = n.endpoint_id
RETURNING n.id, n.endpoint_id, e.url, n.kind, n.event_id, n.at, n.data, n.attempts, e.secret_sealed,
          CASE WHEN e.old_until > ao_now() THEN e.old_secret_sealed ELSE '' END AS old_secret_sealed
"""

# The attempt is the fence: a sender that was too slow settles nothing.
SETTLE: Final[LiteralString] = """
UPDATE outbox_notice SET leased_until = NULL, status = %(status)s, said = %(said)s,
    state = CASE %(verdict)s WHEN 'taken' THEN 'taken' WHEN 'given_up' THEN 'given_up' ELSE 'waiting' END,
    ended_at = CASE WHEN %(verdict)s IN ('taken', 'given_up') THEN ao_now() END,
    next_attempt_at = ao_now() + %(wait)s * interval '1 second'
WHERE id = %(id)s AND state = 'sending' AND attempts = %(attempt)s
"""

# Only where there is something to change: endpoints in health are not written to. What was under way when it asked for
# a rest, and was taken, does not end the rest.
IN_HEALTH: Final[LiteralString] = """
UPDATE outbox_endpoint SET failing_since = NULL,
    rests_until = CASE WHEN rests_until > ao_now() THEN rests_until END
WHERE id = %(endpoint)s AND failing_since IS NOT NULL
"""

FAILED: Final[LiteralString] = """
UPDATE outbox_endpoint AS e SET failing_since = coalesce(e.failing_since, ao_now()),
    rests_until = greatest(e.rests_until, ao_now() + greatest(%(asked)s, least(%(longest)s, greatest(%(shortest)s,
        extract(epoch FROM ao_now() - e.failing_since) / 10))) * interval '1 second'),
    enabled = NOT late.over, disabled_at = CASE WHEN late.over THEN ao_now() END,
    disabled_why = CASE WHEN NOT late.over THEN '' WHEN %(gone)s THEN 'It answered 410: it wants no more.'
                        ELSE 'It has failed for ' || %(patience)s || '. At last: ' || %(said)s END
FROM (SELECT id, %(gone)s OR coalesce(failing_since < ao_now() - %(patience)s::interval, false) AS over
      FROM outbox_endpoint WHERE id = %(endpoint)s) AS late
WHERE e.id = late.id AND e.enabled
"""

# A stop is confirmed once every living session has acknowledged it, and told once: by its id.
CONFIRM: Final[LiteralString] = """
SELECT coalesce(sum(ao_tell_scope('stop.confirmed', s.scope, s.scope, 'stop_' || s.epoch || '_confirmed', ao_now(),
    jsonb_build_object('scope', s.scope, 'epoch', s.epoch))), 0) AS n
FROM reputation_switchevent AS s
WHERE s.action = 'trip' AND s.at > clock_timestamp() - interval '1 day'
  AND EXISTS (SELECT FROM outbox_endpoint AS e WHERE e.enabled AND e.created_at <= s.at
              AND (e.events = '{}' OR 'stop.confirmed' = ANY (e.events)))
  AND NOT EXISTS (SELECT FROM outbox_session WHERE ended_at IS NULL AND lease_until > clock_timestamp()
                  AND epoch_seen < s.epoch)
  AND NOT EXISTS (SELECT FROM outbox_notice WHERE event_id = 'stop_' || s.epoch || '_confirmed')
"""

AGAIN: Final[LiteralString] = """
UPDATE outbox_notice SET state = 'waiting', attempts = 0, next_attempt_at = ao_now(), ended_at = NULL
WHERE id = ANY (%(ids)s) AND state IN ('taken', 'given_up')
"""

AGAIN_SINCE: Final[LiteralString] = """
UPDATE outbox_notice SET state = 'waiting', attempts = 0, next_attempt_at = ao_now(), ended_at = NULL
WHERE id IN (SELECT id FROM outbox_notice
             WHERE endpoint_id = %(endpoint)s AND id >= ao_uuid_floor(%(since)s) AND at >= %(since)s
               AND state = ANY (%(states)s) ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""

RING: Final[LiteralString] = "SELECT pg_notify('ao_notice', '')"

FORGET: Final[LiteralString] = """
DELETE FROM outbox_notice WHERE id IN (
    SELECT id FROM outbox_notice WHERE id < ao_uuid_floor(ao_now() - %(kept)s::interval) LIMIT %(limit)s)
"""

FORGET_SECRETS: Final[LiteralString] = """
UPDATE outbox_endpoint SET old_secret_sealed = '', old_until = NULL WHERE old_until <= ao_now()
"""


@dataclass(frozen=True, slots=True)
class Due:
    """One notice under our lease. ``attempt`` is the fence; the secrets are sealed, the old one perhaps empty."""

    id: UUID
    endpoint: int
    url: str
    kind: str
    event_id: str
    at: datetime
    data: dict[str, Any]
    attempt: int
    secret_sealed: bytes
    old_secret_sealed: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to: the HTTP status if there was one, words for people, seconds to the next attempt.

    ``asked``: seconds for which the endpoint asks to be left alone, whatever there is for it.
    """

    verdict: Verdict
    status: int | None = None
    said: str = ""
    wait: float = 0.0
    asked: float = 0.0


def claim(limit: int) -> list[Due]:
    """Take up to ``limit`` notices that are due, under a lease of ``LEASE_SECONDS``; oldest first at each endpoint."""
    sql.count(RETURN_LOST)
    fields = {"limit": limit, "each": PLACES_OF_ONE, "all": PLACES, "lease": LEASE_SECONDS}
    return sorted((_due(row) for row in sql.rows(CLAIM, fields)), key=lambda due: due.id)


def settle(due: Due, outcome: Outcome) -> bool:
    """Write what became of an attempt, and of its endpoint; False if the notice was no longer ours."""
    fields = {"id": due.id, "attempt": due.attempt, "verdict": str(outcome.verdict), "status": outcome.status}
    with transaction.atomic():
        wait = max(outcome.wait, outcome.asked)
        ours = sql.count(SETTLE, fields | {"said": outcome.said, "wait": wait}) == 1
        if ours:
            _note_health(due.endpoint, outcome)
    return ours


def confirm_stops() -> int:
    """Tell of each stop that every living worker has acknowledged by now, once; how many notices that makes."""
    return int(sql.one(CONFIRM).n)


def again(notices: Sequence[UUID]) -> int:
    """Send these once more, under their webhook-ids; how many there were that had ended."""
    return _ringing(sql.count(AGAIN, {"ids": list(notices)}))


def again_since(endpoint: int, since: datetime, *, taken: bool, limit: int = 10_000) -> int:
    """Send once more what an endpoint gave up since then, and what it took if ``taken``; how many notices."""
    states = ["given_up", "taken"] if taken else ["given_up"]
    fields = {"endpoint": endpoint, "since": since, "states": states, "limit": limit}
    return _ringing(sql.count(AGAIN_SINCE, fields))


def forget() -> int:
    """Drop notices older than ``KEPT``, a page at a time, and secrets whose rotation is over; how many notices."""
    sql.count(FORGET_SECRETS)
    return sql.exhaust(FORGET, {"kept": KEPT, "limit": PAGE})


def _due(row: sql.Row) -> Due:
    told = (row.id, row.endpoint_id, row.url, row.kind, row.event_id, row.at, sql.loads(row.data))
    return Due(*told, row.attempts, row.secret_sealed, row.old_secret_sealed)


def _note_health(endpoint: int, outcome: Outcome) -> None:
    if outcome.verdict is Verdict.TAKEN:
        sql.count(IN_HEALTH, {"endpoint": endpoint})
        return
    shortest, longest = REST_SECONDS
    fields = {
        "endpoint": endpoint,
        "gone": outcome.status == GONE,
        "said": outcome.said,
        "asked": outcome.asked,
    }
    sql.count(FAILED, fields | {"patience": DISABLED_AFTER, "shortest": shortest, "longest": longest})


def _ringing(rows: int) -> int:
    if rows:
        sql.rows(RING)
    return rows
