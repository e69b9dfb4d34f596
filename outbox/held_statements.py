"""The ledger's move out of ``held`` that a decision orders. Only ``ledger`` runs it."""

from typing import Final, LiteralString

# What is let go is judged again: its life may be over, its recipient gone, its run cancelled, its domain's records
# wrong. Of a message that has to stay (a scope is stopped, its agent switched off) all stays, as it was held.
CONCLUDE: Final[LiteralString] = """
WITH given AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS g (id, reason)
), held AS MATERIALIZED (
    SELECT d.id, d.message_id, d.lane_id, d.expires_at, d.recipient, g.reason
    FROM outbox_delivery AS d JOIN given AS g USING (id)
    WHERE d.status = 'held' AND d.code NOT IN ('set_aside', 'recheck') ORDER BY d.id FOR UPDATE OF d
), judged AS (
    SELECT held.id, held.message_id, held.recipient, CASE
        WHEN %(verdict)s::text = 'refuse' THEN '{refused,by_reviewer}'::text[]
        WHEN %(verdict)s::text = 'lapse' OR held.expires_at <= ao_now() THEN '{expired,approval_lapsed}'
        WHEN held.reason <> '' THEN ARRAY['suppressed', held.reason]
        WHEN r.cancelled_at IS NOT NULL THEN '{cancelled,run_cancelled}'
        WHEN NOT a.enabled OR EXISTS (SELECT FROM reputation_openstop AS o WHERE o.scope = ANY (
            l.scopes || ('recipient_domain:' || split_part(held.recipient, '@', 2)))) THEN '{kept,""}'
        WHEN s.state <> 'verified' THEN '{held,recheck}'
        ELSE '{queued,""}' END AS fate
    FROM held JOIN outbox_lane AS l ON l.id = held.lane_id JOIN outbox_run AS r ON r.id = l.run_id
    JOIN outbox_agent AS a ON a.id = l.agent_id JOIN reputation_sendingdomain AS s ON s.id = l.domain_id
), moved AS (
    UPDATE outbox_delivery AS d SET status = j.fate[1], code = j.fate[2],
        next_attempt_at = CASE WHEN j.fate[1] = 'queued' THEN greatest(d.next_attempt_at, ao_now())
                               ELSE d.next_attempt_at END,
        finished_at = CASE WHEN j.fate[1] NOT IN ('held', 'queued') THEN ao_now() END
    FROM judged AS j WHERE d.id = j.id AND NOT EXISTS (
        SELECT FROM judged AS o WHERE o.message_id = j.message_id AND o.fate[1] = 'kept')
    RETURNING d.id, d.message_id, d.lane_id, d.recipient, d.status, d.code, d.next_attempt_at
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), CASE status WHEN 'queued' THEN 'released' ELSE status END, status,
        code, %(actor)s::text, %(note)s::text
    FROM moved
), refunded AS (
    SELECT ao_refund(array_agg(message_id)) AS n FROM moved WHERE status IN ('refused', 'expired', 'cancelled')
)
SELECT m.message_id, m.recipient, m.lane_id, m.status, m.next_attempt_at AS due, refunded.n,
       (SELECT pg_notify('ao_settled', '')) AS told
FROM moved AS m, refunded
"""
