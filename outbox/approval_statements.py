"""The statements of approvals: joining a request, deciding about it, and how far a decision was carried out.

None of them writes a delivery: that is the ledger's. Joins lock requests by KEY SHARE, which only closing one waits
for: decisions and joins do not wait for each other, since a decision covers what its page's snapshot saw.
"""

from typing import Final, LiteralString

# -- joining -------------------------------------------------------------------------------------------------

# What an agent's tree of runs has open.
TAKING: Final[LiteralString] = """
SELECT r.id AS run_id, a.id, a.leaf_id, a.cluster, a.expires_at, a.reasons
FROM outbox_run AS r
LEFT JOIN outbox_approval AS a ON a.agent_id = r.agent_id AND a.run_id = r.id AND a.taking
WHERE r.agent_id = %(agent)s AND r.name = %(root)s
"""

# In the order of their keys, since two that open several must not wait for each other.
OPEN: Final[LiteralString] = """
INSERT INTO outbox_approval (id, agent_id, stream_id, run_id, leaf_id, cluster, state, taking, reasons, opened_at,
    expires_at, version, said)
SELECT g.id, %(agent)s, %(stream)s, g.run_id, g.leaf_id, g.cluster, 'open', true, g.reasons,
    g.expires_at - %(life)s::interval, g.expires_at, 1, ''
FROM json_to_recordset(%(opened)s::json) AS g (id uuid, run_id bigint, leaf_id bigint, cluster bigint, reasons text[],
    expires_at timestamptz)
ORDER BY g.run_id, g.leaf_id, g.cluster
ON CONFLICT DO NOTHING
"""

REASONS: Final[LiteralString] = """
WITH given AS (
    SELECT * FROM json_to_recordset(%(added)s::json) AS g (id uuid, reasons text[])
), held AS MATERIALIZED (
    SELECT a.id, g.reasons FROM outbox_approval AS a JOIN given AS g USING (id)
    WHERE NOT a.reasons::text[] @> g.reasons ORDER BY a.id FOR NO KEY UPDATE OF a
)
UPDATE outbox_approval AS a SET reasons = ARRAY(SELECT DISTINCT unnest(a.reasons::text[] || held.reasons) ORDER BY 1)
FROM held WHERE a.id = held.id
"""

# The lock is what closing a request asks for: nothing joins one that has been found empty. What comes back to a request
# that it was in before has to be decided again.
JOIN: Final[LiteralString] = """
WITH taking AS MATERIALIZED (
    SELECT id FROM outbox_approval WHERE id = ANY (%(approvals)s::uuid[]) AND taking ORDER BY id FOR KEY SHARE
)
INSERT INTO outbox_held (approval_id, message_id, digest)
SELECT g.approval_id, g.message_id, g.digest
FROM unnest(%(approvals)s::uuid[], %(messages)s::uuid[], %(digests)s::bytea[]) AS g (approval_id, message_id, digest)
JOIN taking ON taking.id = g.approval_id
ON CONFLICT (approval_id, message_id) DO UPDATE
    SET digest = excluded.digest, decision_id = NULL, joined = pg_current_xact_id()
"""

# What waits for a person since it was accepted, and that nobody was asked about.
UNASKED: Final[LiteralString] = """
SELECT DISTINCT d.message_id FROM outbox_delivery AS d
WHERE d.status = 'held' AND d.code IN ('content_changed', 'policy', 'poison') AND NOT EXISTS (
    SELECT FROM outbox_held AS h JOIN outbox_approval AS a ON a.id = h.approval_id
    WHERE h.message_id = d.message_id AND h.decision_id IS NULL AND a.ended_at IS NULL)
LIMIT %s
"""

UNASKED_OF: Final[LiteralString] = """
SELECT m.id, m.agent_id, m.stream_id, m.run_id, r.lineage[1] AS root, m.addresses, ao_now() AS now,
       (m.decision ->> 'policy_version')::int AS judged_under,
       ARRAY(SELECT DISTINCT d.code FROM outbox_delivery AS d
             WHERE d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid AND d.status = 'held') AS codes
FROM outbox_message AS m JOIN outbox_run AS r ON r.id = m.run_id WHERE m.id = ANY (%s)
"""

# -- showing and deciding ------------------------------------------------------------------------------------

# One statement: what its snapshot saw is what is shown.
SHOW: Final[LiteralString] = """
SELECT a.version, s.policy_version, pg_current_snapshot()::text AS seen, ao_now() AS at,
       (SELECT h.message_id FROM outbox_held AS h WHERE h.approval_id = a.id AND h.decision_id IS NULL
        ORDER BY h.message_id DESC LIMIT 1) AS upto
FROM outbox_approval AS a JOIN reputation_stream AS s ON s.id = a.stream_id WHERE a.id = %s
"""

# Of what waits first: which stops cover it, and whether all of it is stopped. OFFSET 0: a look-up for each message.
STOPPED: Final[LiteralString] = """
WITH waits AS MATERIALIZED (
    SELECT message_id AS id FROM outbox_held WHERE approval_id = %(approval)s AND decision_id IS NULL
    ORDER BY message_id LIMIT %(most)s
)
SELECT array_agg(DISTINCT o.scope ORDER BY o.scope) FILTER (WHERE o.scope IS NOT NULL) AS scopes,
       bool_and(o.scope IS NOT NULL) AS whole, bool_or(NOT a.enabled) AS off
FROM waits AS w CROSS JOIN LATERAL (
    SELECT lane_id, recipient, status FROM outbox_delivery
    WHERE id > w.id AND id <= (left(w.id::text, 33) || 'fff')::uuid OFFSET 0) AS d
JOIN outbox_lane AS l ON l.id = d.lane_id JOIN outbox_agent AS a ON a.id = l.agent_id
LEFT JOIN reputation_openstop AS o ON o.scope = ANY (ao_scopes(l.scopes, d.recipient))
WHERE d.status = 'held'
"""

# Messages that a decision covers, the recipients it would let go to, and those to whom one person has let go of it
# before; recipients are counted up to a line.
PEOPLE: Final[LiteralString] = """
WITH covered AS (
    SELECT h.message_id FROM outbox_held AS h
    WHERE h.approval_id = %(approval)s AND h.decision_id IS NULL AND h.message_id <= %(upto)s
      AND ao_seen(h.joined, %(seen)s::pg_snapshot)
      AND (%(messages)s::uuid[] IS NULL OR h.message_id = ANY (%(messages)s::uuid[]))
    ORDER BY h.message_id LIMIT %(first)s
), before AS (
    SELECT h.message_id FROM outbox_decision AS c JOIN outbox_held AS h ON h.decision_id = c.id
    WHERE c.approval_id = %(approval)s AND c.kind IN ('release', 'part', 'waves', 'wave')
      AND NOT EXISTS (SELECT FROM outbox_decision AS o WHERE o.of_id = coalesce(c.of_id, c.id) AND o.kind = 'confirm')
)
SELECT (SELECT count(*) FROM (SELECT FROM covered AS c CROSS JOIN LATERAL (
            SELECT FROM outbox_delivery AS d WHERE d.id > c.message_id
              AND d.id <= (left(c.message_id::text, 33) || 'fff')::uuid AND d.status = 'held') AS each
        LIMIT %(most)s) AS few) AS people,
       (SELECT count(*) FROM (SELECT FROM before AS b CROSS JOIN LATERAL (
            SELECT FROM outbox_delivery AS d WHERE d.id > b.message_id
              AND d.id <= (left(b.message_id::text, 33) || 'fff')::uuid) AS each
        LIMIT %(most)s) AS few) AS before
"""

# Of these messages, how many are undecided members that the page showed.
CHOSEN: Final[LiteralString] = """
SELECT count(*) AS n FROM outbox_held AS h
WHERE h.approval_id = %(approval)s AND h.message_id = ANY (%(messages)s::uuid[]) AND h.decision_id IS NULL
  AND h.message_id <= %(upto)s AND ao_seen(h.joined, %(seen)s::pg_snapshot)
"""

ASKED: Final[LiteralString] = """
SELECT g.owner_id, s.second_person_above, s.owner_may_approve, c.who AS proposed_by
FROM outbox_approval AS a JOIN outbox_agent AS g ON g.id = a.agent_id JOIN reputation_stream AS s ON s.id = a.stream_id
LEFT JOIN outbox_decision AS c ON c.id = a.proposed_id WHERE a.id = %s
"""

# The guard of every decision: the state, the version and the policy that were shown, and the deadline. ``busy``:
# whether it may take the place of what is being carried out. One that waited for the lock finds another version.
DECIDE: Final[LiteralString] = """
WITH held AS (
    SELECT a.id, a.version, a.proposed_id, a.watching_id, s.policy_version
    FROM outbox_approval AS a JOIN reputation_stream AS s ON s.id = a.stream_id
    WHERE a.id = %(approval)s AND a.version = %(version)s AND a.state = ANY (%(origins)s)
      AND s.policy_version = %(policy_version)s AND a.expires_at > ao_now()
      AND (a.carrying_id IS NULL OR %(busy)s)
    FOR NO KEY UPDATE OF a
), made AS (
    INSERT INTO outbox_decision (approval_id, kind, who, why, at, version, upto, seen, shown_at, policy_version,
        messages, most, people, of_id)
    SELECT id, %(kind)s::text, %(who)s::text, %(why)s::text, ao_now(), version, %(upto)s, %(seen)s, %(shown_at)s,
        policy_version, %(messages)s::uuid[], %(most)s::int, %(people)s, coalesce(proposed_id, watching_id)
    FROM held RETURNING id
)
UPDATE outbox_approval AS a SET version = a.version + 1, state = %(state)s::text, said = '', carried = NULL,
    watching_id = NULL, watched_until = NULL,
    proposed_id = CASE WHEN %(state)s::text = 'confirming' THEN made.id END,
    carrying_id = CASE %(carries)s::text WHEN 'this' THEN made.id WHEN 'proposed' THEN held.proposed_id END
FROM held, made WHERE a.id = held.id
RETURNING made.id
"""

# -- carrying out --------------------------------------------------------------------------------------------

CARRYING: Final[LiteralString] = """
SELECT a.id, a.carried, a.said, c.id AS decision_id, c.kind, c.who, c.why, c.upto, c.seen, c.messages, c.most,
       c.policy_version, s.policy_version AS current, s.name AS stream, s.kind AS stream_kind
FROM outbox_approval AS a JOIN outbox_decision AS c ON c.id = a.carrying_id
JOIN reputation_stream AS s ON s.id = a.stream_id
"""
OF_ONE: Final[LiteralString] = "WHERE a.id = %s"
OF_ALL: Final[LiteralString] = "ORDER BY a.id"
CARRYING_ONE: Final[LiteralString] = "".join((CARRYING, OF_ONE))
CARRYING_ALL: Final[LiteralString] = "".join((CARRYING, OF_ALL))

# The next members that a decision covers. Of a lapse, all.
PAGE: Final[LiteralString] = """
SELECT h.message_id FROM outbox_held AS h
WHERE h.approval_id = %(approval)s AND h.decision_id IS NULL
  AND (%(last)s::uuid IS NULL OR h.message_id > %(last)s::uuid)
  AND (%(all)s OR h.message_id <= %(upto)s::uuid AND ao_seen(h.joined, %(seen)s::pg_snapshot))
  AND (%(messages)s::uuid[] IS NULL OR h.message_id = ANY (%(messages)s::uuid[]))
ORDER BY h.message_id LIMIT %(limit)s
"""

WAITING: Final[LiteralString] = """
SELECT d.id, d.recipient FROM unnest(%s::uuid[]) AS m (id)
JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
WHERE d.status = 'held' AND d.code NOT IN ('set_aside', 'recheck')
"""

WENT: Final[LiteralString] = "SELECT count(*) AS n FROM outbox_held WHERE decision_id = %s"

# One process a page, and only while this is still what is carried out, and nobody has come further.
HOLD: Final[LiteralString] = """
SELECT id FROM outbox_approval WHERE id = %(approval)s AND carrying_id = %(decision)s
    AND carried IS NOT DISTINCT FROM %(last)s::uuid FOR NO KEY UPDATE SKIP LOCKED
"""

CAME: Final[LiteralString] = (
    "UPDATE outbox_approval SET carried = %(last)s, said = %(said)s::text WHERE id = %(approval)s"
)

# What was not carried out (its scope is stopped, say) is undecided, and can be decided anew.
CARRIED: Final[LiteralString] = """
UPDATE outbox_approval SET carrying_id = NULL, carried = NULL, version = version + 1,
    said = CASE WHEN %(said)s::text <> '' THEN %(said)s::text ELSE said END,
    state = CASE WHEN state = 'open' AND %(watch)s THEN 'watching' ELSE state END,
    watching_id = CASE WHEN state = 'open' AND %(watch)s THEN %(decision)s END,
    watched_until = CASE WHEN state = 'open' AND %(watch)s THEN ao_now() + %(window)s::interval END
WHERE id = %(approval)s AND carrying_id = %(decision)s AND carried IS NOT DISTINCT FROM %(last)s::uuid
"""

MARK: Final[LiteralString] = """
UPDATE outbox_held SET decision_id = %(decision)s
WHERE approval_id = %(approval)s AND message_id = ANY (%(messages)s::uuid[]) AND decision_id IS NULL
"""

# -- waves ---------------------------------------------------------------------------------------------------

WATCHED: Final[LiteralString] = """
SELECT a.id, a.version, a.watched_until <= ao_now() AS over, w.id AS wave_id, w.kind, w.most,
       coalesce(w.of_id, w.id) AS plan_id
FROM outbox_approval AS a JOIN outbox_decision AS w ON w.id = a.watching_id WHERE a.state = 'watching' ORDER BY a.id
"""

# What became of a wave, and whether anything of it is stopped.
OUTCOMES: Final[LiteralString] = """
WITH wave AS MATERIALIZED (
    SELECT d.id, d.status, d.code, d.finished_at, d.lane_id, split_part(d.recipient, '@', 2) AS domain
    FROM outbox_held AS h
    JOIN outbox_delivery AS d ON d.id > h.message_id AND d.id <= (left(h.message_id::text, 33) || 'fff')::uuid
    WHERE h.decision_id = %s
)
SELECT count(*) AS people, count(*) FILTER (WHERE finished_at IS NOT NULL) AS ended,
       count(*) FILTER (WHERE status = 'bounced' AND code LIKE 'recipient%%') AS bounced,
       count(*) FILTER (WHERE status = 'bounced' AND code IN
           ('reputation_refused', 'authentication_refused', 'content_refused_by_server')) AS refused,
       count(*) FILTER (WHERE EXISTS (
           SELECT FROM outbox_signal AS g WHERE g.delivery_id = wave.id AND g.kind = 'complained')) AS complained,
       (SELECT min(o.scope) FROM wave AS w JOIN outbox_lane AS l ON l.id = w.lane_id
        JOIN reputation_openstop AS o ON o.scope = ANY (l.scopes || ('recipient_domain:' || w.domain))) AS stopped
FROM wave
"""

# The next wave, or the end of them: under the plan's snapshot and policy.
GO_ON: Final[LiteralString] = """
WITH held AS (
    SELECT id, version FROM outbox_approval
    WHERE id = %(approval)s AND version = %(version)s AND state = 'watching' AND carrying_id IS NULL
    FOR NO KEY UPDATE
), made AS (
    INSERT INTO outbox_decision (approval_id, kind, who, why, at, version, upto, seen, policy_version, most, people,
        of_id)
    SELECT held.id, %(kind)s::text, %(who)s::text, %(why)s::text, ao_now(), held.version, p.upto, p.seen,
        p.policy_version, %(most)s::int, 0, p.id
    FROM held JOIN outbox_decision AS p ON p.id = %(plan)s RETURNING id
)
UPDATE outbox_approval AS a SET version = a.version + 1, state = 'open', watching_id = NULL, watched_until = NULL,
    carried = NULL, carrying_id = CASE WHEN %(kind)s::text = 'wave' THEN made.id END, said = %(why)s::text
FROM held, made WHERE a.id = held.id
"""

# -- the end -------------------------------------------------------------------------------------------------

TAKE_NO_MORE: Final[LiteralString] = """
UPDATE outbox_approval SET taking = false
WHERE taking AND ended_at IS NULL AND opened_at <= ao_now() - %s::interval
"""

# What was decided in time is carried out first. FOR UPDATE waits for no join, and keeps them out.
DUE: Final[LiteralString] = """
SELECT id FROM outbox_approval WHERE ended_at IS NULL AND carrying_id IS NULL AND expires_at <= ao_now()
ORDER BY opened_at LIMIT 100 FOR UPDATE SKIP LOCKED
"""

LAPSE: Final[LiteralString] = """
WITH made AS (
    INSERT INTO outbox_decision (approval_id, kind, who, why, at, version, seen, policy_version, people)
    SELECT a.id, 'lapse', 'rule:deadline', 'Nobody decided in time.', ao_now(), a.version, '', s.policy_version, 0
    FROM outbox_approval AS a JOIN reputation_stream AS s ON s.id = a.stream_id WHERE a.id = ANY (%s)
    RETURNING id, approval_id
)
UPDATE outbox_approval AS a SET version = a.version + 1, state = 'lapsed', taking = false, ended_at = ao_now(),
    carrying_id = made.id, carried = NULL, proposed_id = NULL, watching_id = NULL, watched_until = NULL, said = ''
FROM made WHERE a.id = made.approval_id
"""

EMPTY: Final[LiteralString] = """
SELECT a.id FROM outbox_approval AS a
WHERE a.ended_at IS NULL AND a.carrying_id IS NULL AND (%(among)s::uuid[] IS NULL OR a.id = ANY (%(among)s::uuid[]))
  AND NOT EXISTS (
    SELECT FROM outbox_held AS h CROSS JOIN LATERAL (
        SELECT FROM outbox_delivery AS d WHERE d.id > h.message_id
          AND d.id <= (left(h.message_id::text, 33) || 'fff')::uuid AND d.status = 'held' LIMIT 1) AS d
    WHERE h.approval_id = a.id AND h.decision_id IS NULL)
"""

LOCK: Final[LiteralString] = "SELECT id FROM outbox_approval WHERE id = ANY (%s) FOR UPDATE SKIP LOCKED"

END: Final[LiteralString] = """
UPDATE outbox_approval SET state = 'ended', taking = false, ended_at = ao_now(), version = version + 1,
    proposed_id = NULL, watching_id = NULL, watched_until = NULL
WHERE id = ANY (%s) AND ended_at IS NULL
"""

# Long after its end nothing of a request is under way any more.
FORGET: Final[LiteralString] = """
DELETE FROM outbox_held WHERE (approval_id, message_id) IN (
    SELECT h.approval_id, h.message_id FROM outbox_approval AS a JOIN outbox_held AS h ON h.approval_id = a.id
    WHERE a.ended_at < ao_now() - interval '100 days' LIMIT 10000)
"""
