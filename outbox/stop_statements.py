"""The ledger's statements about what waits behind a stop: each is guarded, and writes one event for each it touches.

Only ``ledger`` runs them, in batches of a caller's transaction. Whatever a worker has claimed meanwhile is left alone.
"""

from typing import Final, LiteralString

# What may not go out any more ends or waits for a person: its life is over, its recipient left, its run was cancelled,
# its domain's records are wrong, its agent was switched off.
LOOK_AGAIN: Final[LiteralString] = """
WITH given AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS g (id, reason)
), held AS MATERIALIZED (
    SELECT d.id, d.lane_id, d.expires_at, g.reason FROM outbox_delivery AS d JOIN given AS g USING (id)
    WHERE d.status IN ('queued', 'deferred') ORDER BY d.id FOR UPDATE OF d
), judged AS (
    SELECT held.id, CASE WHEN held.expires_at <= ao_now() THEN '{expired,expires_at_passed}'::text[]
        WHEN held.reason <> '' THEN ARRAY['suppressed', held.reason]
        WHEN r.cancelled_at IS NOT NULL THEN '{cancelled,run_cancelled}'
        WHEN d.state <> 'verified' THEN '{held,recheck}'
        WHEN NOT a.enabled THEN '{held,policy}' END AS fate
    FROM held JOIN outbox_lane AS l ON l.id = held.lane_id JOIN outbox_run AS r ON r.id = l.run_id
    JOIN outbox_agent AS a ON a.id = l.agent_id JOIN reputation_sendingdomain AS d ON d.id = l.domain_id
), moved AS (
    UPDATE outbox_delivery AS d SET status = j.fate[1], code = j.fate[2],
        finished_at = CASE WHEN j.fate[1] <> 'held' THEN ao_now() END
    FROM judged AS j WHERE d.id = j.id AND j.fate IS NOT NULL
    RETURNING d.id, d.message_id, d.status, d.code
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), status, status, code, %(actor)s, 'looked at again before the resume'
    FROM moved
), refunded AS (
    SELECT ao_refund(array_agg(message_id)) AS n FROM moved WHERE status = 'cancelled'
)
SELECT moved.status, count(*) AS n, max(refunded.n) AS refunded,
       (SELECT pg_notify('ao_settled', '')) AS told FROM moved, refunded GROUP BY moved.status
"""

# The first go when they are due; the others when the first have been watched for a while, not all at one instant.
# ``pull``: the first were put off before, and are due now. What has a later time of its own keeps it.
STAGE: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT d.id, d.id > (%(cuts)s::jsonb ->> (CASE WHEN %(together)s THEN '' ELSE l.provider END))::uuid AS later
    FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
    WHERE d.id = ANY (%(ids)s::uuid[]) AND d.status IN ('queued', 'deferred') AND l.tier > 0
      AND d.next_attempt_at < %(horizon)s
    ORDER BY d.id FOR UPDATE OF d
), moved AS (
    UPDATE outbox_delivery AS d SET next_attempt_at = CASE WHEN held.later
        THEN greatest(CASE WHEN %(pull)s THEN ao_now() ELSE d.next_attempt_at END,
                      ao_now() + %(after)s::interval + random() * %(spread)s::interval)
        ELSE ao_now() END
    FROM held WHERE d.id = held.id AND (held.later OR %(pull)s AND d.status = 'queued' AND d.next_attempt_at > ao_now()
        AND NOT EXISTS (SELECT FROM outbox_message AS m WHERE m.id = d.message_id AND m.scheduled_at > ao_now()))
    RETURNING d.id, d.message_id, d.lane_id, d.status, d.next_attempt_at, coalesce(held.later, false) AS later
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'staged', status, %(actor)s,
        CASE WHEN later THEN 'its scope opens in steps: it waits for the first' ELSE 'due: its scope is open' END
    FROM moved
)
SELECT lane_id, min(next_attempt_at) AS due, count(*) FILTER (WHERE later) AS later FROM moved GROUP BY lane_id
"""

SET_ASIDE: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id FROM outbox_delivery WHERE id = ANY (%(ids)s::uuid[]) AND status IN ('queued', 'deferred')
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET status = 'held', code = 'set_aside' FROM held WHERE d.id = held.id
    RETURNING d.id, d.message_id
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'set_aside', 'held', 'set_aside', %(actor)s, %(purge)s FROM moved
)
SELECT count(*) AS n FROM moved
"""

# In a scope that has been resumed meanwhile they wait like what opens in steps.
PUT_BACK: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id FROM outbox_delivery WHERE id = ANY (%(ids)s::uuid[]) AND status = 'held' AND code = 'set_aside'
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET status = 'queued', code = '', next_attempt_at = greatest(d.next_attempt_at, ao_now()
        + CASE WHEN %(open)s THEN %(after)s::interval + random() * %(spread)s::interval ELSE '0' END)
    FROM held WHERE d.id = held.id RETURNING d.id, d.message_id, d.lane_id, d.next_attempt_at
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'released', 'queued', %(actor)s, %(purge)s || ' was undone' FROM moved
)
SELECT lane_id, next_attempt_at AS due FROM moved
"""

THROW_AWAY: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id FROM outbox_delivery WHERE id = ANY (%(ids)s::uuid[]) AND status = 'held' AND code = 'set_aside'
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET status = 'cancelled', code = 'purged_after_stop', finished_at = ao_now()
    FROM held WHERE d.id = held.id RETURNING d.id, d.message_id
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'cancelled', 'cancelled', 'purged_after_stop', %(actor)s, %(purge)s
    FROM moved
), refunded AS (
    SELECT ao_refund(array_agg(message_id)) AS n FROM moved
)
SELECT (SELECT count(*) FROM moved) AS n, refunded.n AS refunded, (SELECT pg_notify('ao_settled', '')) AS told
FROM refunded
"""
