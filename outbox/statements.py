"""The ledger's statements: each moves deliveries under a guard and writes one event for each that moved.

Only ``ledger`` runs them. A move locks its deliveries first, then gives back reserved allowance (``ao_count``), then
budgets (``ao_refund``): in the order in which every other move takes them.
"""

from typing import Final, LiteralString

# -- entering ------------------------------------------------------------------------------------------------

# The share lock is what LULL looks for: a lane is not put to sleep beside an accept that it cannot see yet, and an
# accept that meets a LULL waits for it and sees what it wrote. So it is taken whatever state the lane seems to be in,
# in a WITH: in a subquery of FROM the planner would look at the state first. In the order of their keys, since two
# batches that wake the same lanes must not wait for each other. WAKE does the same.
ENTER: Final[LiteralString] = """
WITH messages AS (
    INSERT INTO outbox_message (id, agent_id, stream_id, domain_id, run_id, created_at, scheduled_at, expires_at,
        header_id, sender, addressing, addresses, subject, text, html, headers, tags, context, decision, refused,
        attachment_count, size, charged)
    SELECT id, agent_id, stream_id, domain_id, run_id, created_at, scheduled_at, expires_at, header_id, sender,
        addressing, addresses, subject, text, html, headers, tags, context, decision, refused, attachment_count, size,
        charged
    FROM json_to_recordset(%(messages)s::json) AS m (id uuid, agent_id bigint, stream_id bigint, domain_id bigint,
        run_id bigint, created_at timestamptz, scheduled_at timestamptz, expires_at timestamptz, header_id text,
        sender text, addressing jsonb, addresses text[], subject text, text text, html text, headers jsonb,
        tags jsonb, context jsonb, decision jsonb, refused jsonb, attachment_count smallint, size integer,
        charged jsonb)
), given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(deliveries)s::json) AS d (id uuid, message_id uuid, lane_id bigint,
        recipient text, priority smallint, next_attempt_at timestamptz, expires_at timestamptz, status text,
        code text)
), deliveries AS (
    INSERT INTO outbox_delivery (id, message_id, lane_id, recipient, priority, next_attempt_at, expires_at, status,
        code, attempt, tries, rescues, resent)
    SELECT id, message_id, lane_id, recipient, priority, next_attempt_at, expires_at, status, code, 0, 0, 0, false
    FROM given
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'accepted', status, code, %(actor)s FROM given
), due AS (
    SELECT lane_id AS id, min(next_attempt_at) AS at FROM given WHERE status = 'queued' GROUP BY lane_id
), seen AS (
    SELECT l.id, l.wake_at, l.state, due.at FROM outbox_lane AS l JOIN due USING (id) ORDER BY l.id FOR KEY SHARE OF l
)
UPDATE outbox_lane AS l SET wake_at = seen.at,
    state = CASE WHEN seen.at <= ao_now() THEN 'awake' ELSE l.state END
FROM seen WHERE l.id = seen.id AND seen.state = 'asleep' AND seen.wake_at > seen.at
"""

ENTER_ATTACHMENTS: Final[LiteralString] = """
INSERT INTO outbox_attachment (message_id, ordinal, filename, content_type, content_id, content)
SELECT * FROM unnest(%s::uuid[], %s::smallint[], %s::text[], %s::text[], %s::text[], %s::bytea[])
"""

WAKE: Final[LiteralString] = """
WITH due AS (SELECT * FROM unnest(%s::bigint[], %s::timestamptz[]) AS t (id, at)),
seen AS (
    SELECT l.id, l.wake_at, l.state, due.at FROM outbox_lane AS l JOIN due USING (id) ORDER BY l.id FOR KEY SHARE OF l
)
UPDATE outbox_lane AS l SET wake_at = seen.at,
    state = CASE WHEN seen.at <= ao_now() THEN 'awake' ELSE l.state END
FROM seen WHERE l.id = seen.id AND seen.state = 'asleep' AND seen.wake_at > seen.at
"""

# -- claiming ------------------------------------------------------------------------------------------------

CLAIM: Final[LiteralString] = """
SELECT c.id, c.message_id, c.attempt, c.tries, c.recipient, c.expires_at, l.domain_id, l.provider, l.tier, l.scopes,
       l.agent_id, a.name AS agent, a.exempt, ao_now() AS now
FROM ao_claim(%(session)s, %(tier)s, %(limit)s, %(lanes)s, %(last)s, %(never)s) AS c
JOIN outbox_lane AS l ON l.id = c.lane_id JOIN outbox_agent AS a ON a.id = l.agent_id
"""

WAITS: Final[LiteralString] = """
SELECT t.tier, extract(epoch FROM least(
    (SELECT ao_now() FROM outbox_lane WHERE tier = t.tier AND state = 'awake' LIMIT 1),
    (SELECT wake_at FROM outbox_lane WHERE tier = t.tier AND state = 'asleep' ORDER BY wake_at LIMIT 1),
    (SELECT opens_at FROM reputation_ramp WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1)
) - ao_now())::float8 AS seconds
FROM (VALUES (0), (1)) AS t (tier)
"""

# With what was approved of each, where it was held: the last that a person decided. Where all agents are exempt
# (``bound``) nothing is looked up.
CONTENTS: Final[LiteralString] = """
SELECT m.id, m.header_id, m.created_at, m.expires_at, m.sender, m.addressing, m.subject, m.text, m.html, m.headers,
       m.attachment_count, h.digest, h.approved_under, h.policy_version,
       CASE WHEN h.digest IS NOT NULL THEN m.addresses END AS recipients,
       CASE WHEN h.digest IS NOT NULL THEN (m.decision ->> 'policy_version')::int END AS judged_under
FROM outbox_message AS m LEFT JOIN LATERAL (
    SELECT h.digest, c.policy_version AS approved_under, s.policy_version
    FROM outbox_held AS h JOIN outbox_approval AS a ON a.id = h.approval_id
    JOIN reputation_stream AS s ON s.id = a.stream_id LEFT JOIN outbox_decision AS c ON c.id = h.decision_id
    WHERE %(bound)s AND h.message_id = m.id ORDER BY h.decision_id DESC NULLS LAST LIMIT 1) AS h ON true
WHERE m.id = ANY(%(ids)s) AND m.size <= %(largest)s
"""

ATTACHMENTS: Final[LiteralString] = """
SELECT message_id, filename, content_type, content_id, content FROM outbox_attachment
WHERE message_id = ANY(%s) ORDER BY message_id, ordinal
"""

# -- clearing and settling -----------------------------------------------------------------------------------

CLEAR: Final[LiteralString] = "SELECT ao_clear(%s, %s::uuid[], %s::smallint[]) AS id"

# An uncertain delivery may still be settled by the attempt that was cleared: nobody else can have its number. Outcomes
# are written down for the rules lane by lane, in their order; an agent for trying and loading is not judged.
SETTLE: Final[LiteralString] = """
WITH given AS MATERIALIZED (
    SELECT * FROM ROWS FROM (json_to_recordset(%(settled)s::json) AS (id uuid, attempt smallint, status text, code text,
        wait float8, spoke boolean, seconds float8, phase text, host text, address text, tls text,
        reply_code smallint, reply text, fault text, selectors text, evidence text)) WITH ORDINALITY AS g (id,
        attempt, status, code, wait, spoke, seconds, phase, host, address, tls, reply_code, reply, fault, selectors,
        evidence, turn)
), held AS MATERIALIZED (
    SELECT d.id, d.status AS origin, d.cleared_at AS was_cleared_at, d.purse_id
    FROM outbox_delivery AS d JOIN given AS g USING (id)
    WHERE d.attempt = g.attempt AND d.session_id = %(session)s AND (d.status = 'sending' OR d.status = 'uncertain'
          AND g.status IN ('delivered', 'relayed', 'bounced', 'deferred', 'queued'))
    ORDER BY d.id FOR UPDATE OF d
), moved AS (
    UPDATE outbox_delivery AS d SET
        status = g.status,
        code = g.code,
        next_attempt_at = CASE
            WHEN g.wait IS NOT NULL THEN ao_now() + g.wait * interval '1 second'
            WHEN g.status = 'uncertain' AND s.resend_uncertain AND NOT d.resent THEN ao_now() + %(resend)s::interval
            WHEN g.status = 'uncertain' THEN %(never)s
            ELSE d.next_attempt_at END,
        tries = d.tries + (g.status = 'deferred')::int,
        session_id = CASE WHEN g.status = 'uncertain' THEN d.session_id END,
        purse_id = NULL,
        cleared_at = CASE WHEN g.status IN ('queued', 'deferred') THEN NULL ELSE d.cleared_at END,
        finished_at = CASE WHEN g.status NOT IN ('queued', 'deferred', 'uncertain', 'held') THEN (SELECT ao_now()) END
    FROM held, given AS g, outbox_lane AS l, reputation_stream AS s
    WHERE d.id = held.id AND g.id = held.id AND l.id = d.lane_id AND s.id = l.stream_id
    RETURNING d.id, d.message_id, d.attempt, d.status, d.code, d.lane_id, d.next_attempt_at, d.recipient, held.origin,
              held.was_cleared_at, held.purse_id, g.evidence, g.turn,
              held.was_cleared_at IS NOT NULL OR coalesce(g.phase = 'rcpt' AND g.reply_code >= 500, false) AS used
), outcomes AS (
    SELECT lane_id, evidence, recipient, code, row_number() OVER (PARTITION BY lane_id ORDER BY turn) AS place
    FROM moved WHERE status IN ('delivered', 'relayed', 'bounced')
), evidence AS (
    INSERT INTO reputation_evidence (at, stream, scopes, provider, trials, events)
    SELECT (SELECT ao_now()), s.name, l.scopes, l.provider, o.trials, o.events
    FROM (SELECT lane_id, count(*) AS trials, coalesce(
              jsonb_agg(jsonb_build_array(place, evidence, split_part(recipient, '@', 2), code, false) ORDER BY place)
              FILTER (WHERE evidence IN ('bounced', 'refused')), '[]') AS events
          FROM outcomes GROUP BY lane_id) AS o
    JOIN outbox_lane AS l ON l.id = o.lane_id JOIN reputation_stream AS s ON s.id = l.stream_id
    JOIN outbox_agent AS a ON a.id = l.agent_id
    WHERE NOT a.exempt
), ended AS (
    SELECT purse_id, evidence, used FROM moved
), attempts AS (
    INSERT INTO outbox_attempt (id, delivery_id, number, session_id, ended_at, seconds, phase, host, address, tls,
        reply_code, reply, fault, selectors, cleared_at, outcome, code)
    SELECT ao_uuid7(), g.id, g.attempt, %(session)s, clock_timestamp(), g.seconds, g.phase, g.host, g.address, g.tls,
        g.reply_code, g.reply, g.fault, g.selectors, m.was_cleared_at, g.status, g.code
    FROM moved AS m JOIN given AS g USING (id) WHERE g.spoke AND m.origin = 'sending'
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, attempt, note)
    SELECT ao_uuid7(), m.message_id, m.id, (SELECT ao_now()),
        CASE WHEN m.status = 'queued' THEN 'returned' ELSE m.status END, m.status, m.code, m.attempt,
        CASE WHEN m.origin = 'uncertain' THEN 'settled late: ' || g.reply
             WHEN m.status = 'queued' THEN g.fault ELSE '' END
    FROM moved AS m JOIN given AS g USING (id)
), counted AS (
    SELECT ao_count(array_agg(purse_id), array_agg(used), array_agg(evidence)) AS n FROM ended
)
SELECT id, lane_id, CASE WHEN status IN ('queued', 'deferred') THEN next_attempt_at END AS due,
       CASE WHEN NOT used THEN purse_id END AS back, counted.n, (SELECT pg_notify('ao_settled', '')) AS told
FROM moved, counted
"""

TELL_SETTLED: Final[LiteralString] = "SELECT pg_notify('ao_settled', '')"

# -- taking back, ending, waking -----------------------------------------------------------------------------

END_DEAD_SESSIONS: Final[LiteralString] = """
UPDATE outbox_session SET ended_at = clock_timestamp() WHERE ended_at IS NULL AND lease_until < clock_timestamp()
"""

# Sessions that ended lately, not only just now: a rescuer may itself have died between the two statements.
TAKE_BACK: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT d.id, d.session_id, d.purse_id FROM outbox_delivery AS d
    WHERE d.session_id IN (SELECT id FROM outbox_session WHERE ended_at > clock_timestamp() - interval '1 day')
      AND d.status = 'sending' FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET
        status = CASE WHEN d.cleared_at IS NOT NULL THEN 'uncertain' WHEN d.rescues + 1 >= %(poison)s THEN 'held'
                      ELSE 'queued' END,
        code = CASE WHEN d.cleared_at IS NOT NULL THEN 'session_lost_after_clearance'
                    WHEN d.rescues + 1 >= %(poison)s THEN 'poison' ELSE '' END,
        rescues = d.rescues + (d.cleared_at IS NULL)::int,
        session_id = CASE WHEN d.cleared_at IS NOT NULL THEN d.session_id END,
        purse_id = NULL,
        next_attempt_at = CASE
            WHEN d.cleared_at IS NULL THEN ao_now() + random() * (4 ^ d.rescues - 1) * interval '1 second'
            WHEN s.resend_uncertain AND NOT d.resent THEN ao_now() + %(resend)s::interval
            ELSE %(never)s END
    FROM held, outbox_lane AS l, reputation_stream AS s
    WHERE d.id = held.id AND d.session_id = held.session_id AND d.status = 'sending'
      AND l.id = d.lane_id AND s.id = l.stream_id
    RETURNING d.id, d.message_id, d.attempt, d.status, d.code, d.lane_id, d.next_attempt_at, d.cleared_at,
              held.session_id, held.purse_id
), ended AS (
    SELECT purse_id, '' AS evidence, cleared_at IS NOT NULL AS used FROM moved
), attempts AS (
    INSERT INTO outbox_attempt (id, delivery_id, number, session_id, ended_at, phase, host, address, tls, reply,
        fault, selectors, cleared_at, outcome, code)
    SELECT ao_uuid7(), id, attempt, session_id, clock_timestamp(), 'unknown', '', '', '', '', 'session_lost', '',
        cleared_at, status, code FROM moved
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, attempt)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'rescued', status, code, attempt FROM moved
), counted AS (
    SELECT ao_count(array_agg(purse_id), array_agg(used), array_agg(evidence)) AS n FROM ended
)
SELECT id, lane_id, status, CASE WHEN status = 'queued' THEN next_attempt_at END AS due,
       CASE WHEN cleared_at IS NULL THEN purse_id END AS back, counted.n
FROM moved, counted
"""

# What a living session holds without knowing: its claim was committed, and the answer lost.
DISOWN: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id, purse_id FROM outbox_delivery
    WHERE session_id = %(session)s AND status = 'sending' AND cleared_at IS NULL AND id <> ALL (%(held)s::uuid[])
    FOR UPDATE
), moved AS (
    UPDATE outbox_delivery AS d SET status = 'queued', session_id = NULL, purse_id = NULL, next_attempt_at = ao_now()
    FROM held WHERE d.id = held.id AND d.cleared_at IS NULL
    RETURNING d.id, d.message_id, d.lane_id, d.attempt, d.next_attempt_at, held.purse_id
), ended AS (
    SELECT purse_id, '' AS evidence, false AS used FROM moved
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, attempt, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'returned', 'queued', attempt, 'claim_lost' FROM moved
), counted AS (
    SELECT ao_count(array_agg(purse_id), array_agg(used), array_agg(evidence)) AS n FROM ended
)
SELECT lane_id, next_attempt_at AS due, purse_id AS back, counted.n FROM moved, counted
"""

# To the lane of the provider that its domain's mail hosts tell; made at need, like any other. What it had reserved goes
# back: it was another provider's.
RELANE: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id, lane_id, purse_id FROM outbox_delivery
    WHERE id = %(id)s AND attempt = %(attempt)s AND session_id = %(session)s AND status = 'sending'
      AND cleared_at IS NULL FOR UPDATE
), lane AS (
    INSERT INTO outbox_lane (stream_id, domain_id, provider, agent_id, run_id, ramp_id, scopes, tier, state, wake_at)
    SELECT l.stream_id, l.domain_id, %(provider)s::text, l.agent_id, l.run_id, %(ramp)s,
           array_replace(array_replace(l.scopes, 'provider:' || l.provider, 'provider:' || %(provider)s::text),
               'domain_provider:' || d.name || '/' || l.provider,
               'domain_provider:' || d.name || '/' || %(provider)s::text),
           l.tier, 'awake', ao_now()
    FROM held JOIN outbox_lane AS l ON l.id = held.lane_id JOIN reputation_sendingdomain AS d ON d.id = l.domain_id
    ON CONFLICT (run_id, provider, domain_id, stream_id, agent_id) DO UPDATE SET provider = excluded.provider
    RETURNING id
), moved AS (
    UPDATE outbox_delivery AS d SET lane_id = lane.id, status = 'queued', session_id = NULL, purse_id = NULL,
        next_attempt_at = ao_now()
    FROM held, lane WHERE d.id = held.id
    RETURNING d.id, d.message_id, d.lane_id, d.attempt, d.next_attempt_at, held.purse_id
), ended AS (
    SELECT purse_id, '' AS evidence, false AS used FROM moved
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, attempt, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'returned', 'queued', attempt, 'its provider is ' || %(provider)s::text
    FROM moved
), counted AS (
    SELECT ao_count(array_agg(purse_id), array_agg(used), array_agg(evidence)) AS n FROM ended
)
SELECT lane_id, next_attempt_at AS due, purse_id AS back, counted.n FROM moved, counted
"""

EXPIRE: Final[LiteralString] = """
WITH late AS (
    SELECT id, status AS origin FROM outbox_delivery
    WHERE status IN ('held', 'queued', 'deferred') AND expires_at <= ao_now()
    ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE outbox_delivery AS d SET status = 'expired', finished_at = ao_now(),
        code = CASE late.origin WHEN 'held' THEN 'approval_lapsed' ELSE 'expires_at_passed' END
    FROM late WHERE d.id = late.id RETURNING d.id, d.message_id, d.code
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'expired', 'expired', code FROM moved
), refunded AS (
    SELECT ao_refund(array_agg(message_id)) AS n FROM moved WHERE code = 'approval_lapsed'
)
SELECT id, refunded.n FROM moved, refunded
"""

RESEND: Final[LiteralString] = """
WITH moved AS (
    UPDATE outbox_delivery SET status = 'queued', code = '', resent = true, session_id = NULL, cleared_at = NULL,
        next_attempt_at = ao_now()
    WHERE status = 'uncertain' AND next_attempt_at <= ao_now() AND NOT resent
    RETURNING id, message_id, lane_id, next_attempt_at
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, actor)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'resent', 'queued', 'stream' FROM moved
)
SELECT lane_id, next_attempt_at AS due FROM moved
"""

# Of the deliveries in ``held``: what a cancel does, with its events, its reservations and its budgets given back.
_CANCELLED: Final[LiteralString] = """), moved AS (
    UPDATE outbox_delivery AS d SET status = 'cancelled', code = %(code)s, finished_at = ao_now(), session_id = NULL,
        purse_id = NULL
    FROM held WHERE d.id = held.id
    RETURNING d.id, d.message_id, d.attempt, held.purse_id
), ended AS (
    SELECT purse_id, '' AS evidence, false AS used FROM moved
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'cancelled', 'cancelled', %(code)s, %(actor)s FROM moved
), counted AS (
    SELECT ao_count(array_agg(purse_id), array_agg(used), array_agg(evidence)) AS n FROM ended
), refunded AS (
    SELECT ao_refund(array_agg(message_id)) AS n FROM moved
)
"""

CANCEL: Final[LiteralString] = "".join(
    (
        """
WITH held AS MATERIALIZED (
    SELECT id, purse_id FROM outbox_delivery
    WHERE id > %(first)s AND id <= %(last)s
      AND (status IN ('held', 'queued', 'deferred') OR status = 'sending' AND cleared_at IS NULL)
    FOR UPDATE
""",
        _CANCELLED,
        """SELECT id, purse_id AS back, counted.n + refunded.n AS n FROM moved, counted, refunded
""",
    )
)

# A page of runs' messages, oldest first. Deliveries of one message are one range of the key.
CANCEL_RUNS: Final[LiteralString] = "".join(
    (
        """
WITH page AS MATERIALIZED (
    SELECT id FROM outbox_message WHERE run_id = ANY (%(runs)s) AND (%(after)s::uuid IS NULL OR id > %(after)s)
    ORDER BY id LIMIT %(limit)s
), held AS MATERIALIZED (
    SELECT d.id, d.purse_id FROM page AS m
    JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
    WHERE d.status IN ('held', 'queued', 'deferred') OR d.status = 'sending' AND d.cleared_at IS NULL
    FOR UPDATE OF d
""",
        _CANCELLED,
        """SELECT (SELECT max(id::text)::uuid FROM page) AS last, (SELECT count(*) FROM moved) AS cancelled,
       (SELECT array_agg(DISTINCT purse_id) FILTER (WHERE purse_id IS NOT NULL) FROM moved) AS purses,
       counted.n + refunded.n AS n
FROM counted, refunded
""",
    )
)

# What a receiver says of a delivery afterwards: its signal, once, and the move it testifies if the delivery stands
# where that begins. What came before the attempt was settled is left to CATCH_UP. No answer: it was known already.
REPORT: Final[LiteralString] = """
WITH held AS MATERIALIZED (
    SELECT id, message_id, lane_id, status AS origin, split_part(recipient, '@', 2) AS domain,
           coalesce(finished_at, ao_now()) AS at
    FROM outbox_delivery WHERE id = %(delivery)s FOR UPDATE
), signal AS (
    INSERT INTO outbox_signal (delivery_id, kind, at, source, reason, code, hard, status, reporter, text, early)
    SELECT id, %(kind)s, ao_now(), %(source)s, %(reason)s, %(code)s, %(hard)s, %(enhanced)s, %(reporter)s, %(text)s,
           %(target)s::text IS NOT NULL AND origin = ANY (%(unsettled)s)
    FROM held ON CONFLICT (delivery_id, kind) DO NOTHING RETURNING delivery_id, early
), moved AS (
    UPDATE outbox_delivery AS d SET status = %(target)s, code = %(code)s, finished_at = ao_now(), session_id = NULL
    FROM held JOIN signal ON delivery_id = held.id WHERE d.id = held.id AND held.origin = ANY (%(origins)s)
    RETURNING d.id, d.status
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), held.message_id, held.id, ao_now(), %(kind)s, coalesce(moved.status, held.origin), %(code)s,
           %(source)s, %(text)s
    FROM held JOIN signal ON delivery_id = held.id LEFT JOIN moved ON moved.id = held.id WHERE NOT signal.early
)
SELECT l.domain_id, l.provider, l.scopes, s.name AS stream, a.exempt, held.domain, held.at,
       moved.id IS NOT NULL AS moved, (SELECT pg_notify('ao_settled', '')) AS told
FROM held JOIN signal ON delivery_id = held.id JOIN outbox_lane AS l ON l.id = held.lane_id
JOIN reputation_stream AS s ON s.id = l.stream_id JOIN outbox_agent AS a ON a.id = l.agent_id
LEFT JOIN moved ON moved.id = held.id
"""

# Reports that were faster than the settle of the attempt they are about.
CATCH_UP: Final[LiteralString] = """
WITH early AS (
    SELECT d.id, s.kind, s.code, s.source, s.text
    FROM outbox_signal AS s JOIN outbox_delivery AS d ON d.id = s.delivery_id
    WHERE s.early AND s.at > ao_now() - interval '7 days' AND (
        s.kind = 'bounced' AND d.status IN ('delivered', 'relayed', 'uncertain')
        OR s.kind = 'delivered' AND d.status IN ('relayed', 'uncertain') AND NOT EXISTS (
            SELECT FROM outbox_signal AS o WHERE o.delivery_id = s.delivery_id AND o.kind = 'bounced'))
    LIMIT %s FOR UPDATE OF d SKIP LOCKED
), moved AS (
    UPDATE outbox_delivery AS d SET status = early.kind, code = early.code, finished_at = ao_now(), session_id = NULL
    FROM early WHERE d.id = early.id RETURNING d.id, d.message_id, d.status, d.code, early.source, early.text
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, code, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), status, status, code, source, text FROM moved
)
SELECT id, (SELECT pg_notify('ao_settled', '')) AS told FROM moved
"""

# Lanes that sleep on due work (an accept that was not committed for seconds), and parked ones no stop covers. The
# recursion hops from lane to lane through delivery_due.
ROUSE: Final[LiteralString] = """
WITH RECURSIVE waiting AS (
    (SELECT lane_id FROM outbox_delivery WHERE status IN ('queued', 'deferred') ORDER BY lane_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.lane_id FROM outbox_delivery AS d WHERE d.status IN ('queued', 'deferred')
            AND d.lane_id > waiting.lane_id ORDER BY d.lane_id LIMIT 1)
    FROM waiting WHERE waiting.lane_id IS NOT NULL
)
UPDATE outbox_lane AS l SET state = 'awake', wake_at = ao_now() WHERE l.id IN (
    SELECT o.id FROM outbox_lane AS o WHERE o.id IN (SELECT lane_id FROM waiting)
      AND (o.state = 'asleep' AND o.wake_at > ao_now() + interval '1 minute' OR o.state = 'parked')
      AND NOT EXISTS (SELECT FROM reputation_openstop AS s WHERE s.scope = ANY (o.scopes))
      AND EXISTS (SELECT FROM outbox_delivery AS d WHERE d.lane_id = o.id AND d.status IN ('queued', 'deferred')
                  AND (d.next_attempt_at < o.wake_at OR o.state = 'parked'))
    FOR UPDATE SKIP LOCKED)
"""

# Ramps that lanes wait behind and nobody would open.
ROUSE_SHUT: Final[LiteralString] = """
UPDATE reputation_ramp AS r SET opens_at = ao_now()
WHERE r.opens_at IS NULL AND EXISTS (SELECT FROM outbox_lane AS l WHERE l.ramp_id = r.id AND l.state = 'shut')
"""

UNPARK: Final[LiteralString] = """
UPDATE outbox_lane AS l SET state = 'awake', wake_at = ao_now()
WHERE l.state = 'parked' AND l.scopes && ARRAY[%s]::varchar[]
  AND NOT EXISTS (SELECT FROM reputation_openstop AS o WHERE o.scope = ANY (l.scopes))
"""

# What waited for a domain's records, or for better evidence, is judged again by the claim like any other. Mail that
# waited for both is held for the first; what a person has other reasons to look at goes by no evidence. Weak evidence
# holds nothing transactional, and nothing of an exempt agent. A resume forgets what was weak: what was held for it
# waits behind the glass, and else for those that go first.
RELEASE_RECHECKED: Final[LiteralString] = """
WITH found AS (
    SELECT d.id, d.code, (SELECT max(r.opened_at) FROM reputation_reopening AS r
            WHERE r.state IN ('open', 'confirmed') AND NOT r.whole AND r.scope = ANY (l.scopes) AND l.tier > 0
              AND r.opened_at > clock_timestamp() - interval '1 hour') AS opened_at
    FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
    JOIN reputation_sendingdomain AS s ON s.id = l.domain_id JOIN reputation_stream AS t ON t.id = l.stream_id
    JOIN outbox_agent AS a ON a.id = l.agent_id
    WHERE d.status = 'held' AND d.code IN ('recheck', 'weak_evidence')
      AND (d.code <> 'recheck' OR s.state = 'verified')
      AND (d.code <> 'weak_evidence' OR NOT EXISTS (
          SELECT FROM outbox_message AS m, jsonb_array_elements(m.decision -> 'reasons') AS r
          WHERE m.id = d.message_id AND r ->> 'code' NOT IN ('recheck', 'weak_evidence')))
      AND (a.exempt OR t.kind = 'transactional' OR NOT EXISTS (
          SELECT FROM reputation_watch AS w WHERE w.weak_since IS NOT NULL AND w.scope = ANY (l.scopes)))
      AND (l.tier = 0 OR NOT EXISTS (
          SELECT FROM reputation_reopening AS r WHERE r.state = 'open' AND r.glass AND r.scope = ANY (l.scopes)))
    LIMIT %s FOR UPDATE OF d SKIP LOCKED
), moved AS (
    UPDATE outbox_delivery AS d
    SET status = 'queued', code = '', next_attempt_at = greatest(d.next_attempt_at, ao_now(),
        found.opened_at + (1 + random()) * interval '30 minutes')
    FROM found WHERE d.id = found.id RETURNING d.id, d.message_id, d.lane_id, d.next_attempt_at, found.code AS was
), events AS (
    INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, actor, note)
    SELECT ao_uuid7(), message_id, id, ao_now(), 'released', 'queued',
        CASE was WHEN 'recheck' THEN 'verification' ELSE 'rules' END,
        CASE was WHEN 'recheck' THEN 'the records are right again' ELSE 'the evidence is weak no more' END
    FROM moved
)
SELECT lane_id, next_attempt_at AS due FROM moved
"""

ANY_RAMP: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM reputation_sendingdomain WHERE preset <> 'none')
    OR EXISTS (SELECT FROM reputation_route WHERE preset <> 'none')
    OR EXISTS (SELECT FROM reputation_organisationaldomain WHERE preset <> 'none') AS found
"""

# An index-only scan beside the walk, as often as its own length allows.
COUNT_WAITING: Final[LiteralString] = """
SELECT l.ramp_id, count(*) AS n FROM outbox_delivery AS d JOIN outbox_lane AS l ON l.id = d.lane_id
WHERE d.status IN ('queued', 'deferred') GROUP BY l.ramp_id
"""

# Lanes that wait behind their ramps may be visited again: something was given back. After the commit of the move that
# gave it back; if we die between the two, they are visited at the next opening.
REOPEN: Final[LiteralString] = """
UPDATE reputation_ramp SET opens_at = ao_now() WHERE opens_at > ao_now() AND id IN (
    SELECT r.id FROM reputation_purse AS p
    JOIN reputation_allowance AS a ON a.id IN (p.of_domain_id, p.of_source_id, p.of_organisation_id)
    JOIN reputation_purse AS o ON a.id IN (o.of_domain_id, o.of_source_id, o.of_organisation_id)
    JOIN reputation_ramp AS r ON r.purse_id = o.id
    WHERE p.id = ANY (%s))
"""
