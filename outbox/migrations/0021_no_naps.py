"""A lane that a claim has emptied sleeps until somebody wakes it: it no longer naps, to be looked at again in vain.

Naps were for accepts that a claim could not see; now those hold their lane's lock, and no such lane is put to sleep.
"""

from django.db import migrations

LULL = """
-- Put visited lanes to the back of the rotation, to sleep until their next due delivery, behind their ramp, or aside for a
-- stop. A lane that an accept has locked is left alone: its delivery cannot be seen yet. The locks are taken in a
-- statement of their own, so that what is looked at is younger than they are: an accept either still holds its lane, or
-- is visible. What the ramps allow is read only if a lane has due mail left. A ramp that lanes wait behind is visited
-- again when it allows more. Whether any does is asked by LIMIT 1: EXISTS would become a join that reads them all.
CREATE FUNCTION ao_lull(visited bigint[], usable bigint[], ramps bigint[], never timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    moment timestamptz := ao_now();
    ours bigint[] := ARRAY(SELECT l.id FROM outbox_lane AS l WHERE l.id = ANY (visited) ORDER BY l.id FOR UPDATE SKIP LOCKED);
    waited bigint[];
BEGIN
    WITH room AS MATERIALIZED (
        SELECT ramp_id, allowed FROM ao_allowed(ramps)
    ), found AS MATERIALIZED (
        SELECT seen.id, seen.id = ANY (usable) AS open, (
            SELECT min(next.at) FROM (VALUES (0), (1), (2)) AS rank (priority)
            CROSS JOIN LATERAL (
                SELECT d.next_attempt_at AS at FROM outbox_delivery AS d
                WHERE d.lane_id = seen.id AND d.priority = rank.priority AND d.status IN ('queued', 'deferred')
                ORDER BY d.next_attempt_at LIMIT 1
            ) AS next
        ) AS next_at
        FROM unnest(ours) AS seen (id)
    )
    UPDATE outbox_lane AS l SET
        state = CASE WHEN NOT f.open THEN 'parked' WHEN f.next_at IS NULL OR f.next_at > moment THEN 'asleep'
                     WHEN (SELECT allowed FROM room WHERE room.ramp_id = l.ramp_id) = 0 THEN 'shut' ELSE 'awake' END,
        wake_at = CASE WHEN f.next_at IS NULL THEN never ELSE greatest(f.next_at, moment) END
    FROM found AS f WHERE l.id = f.id;

    waited := ARRAY(SELECT r.id FROM reputation_ramp AS r WHERE r.id = ANY (ramps)
        AND (SELECT true FROM outbox_lane AS l WHERE l.ramp_id = r.id AND l.state = 'shut' LIMIT 1));
    UPDATE reputation_ramp AS r SET opens_at = NULL
    WHERE r.id = ANY (ramps) AND r.id <> ALL (waited) AND r.opens_at IS NOT NULL;
    IF waited = '{}' THEN RETURN; END IF;
    UPDATE reputation_ramp AS r SET
        opens_at = CASE WHEN room.allowed = 0 THEN greatest(room.next_at, moment) ELSE moment END,
        served = coalesce((SELECT l.agent_id FROM outbox_lane AS l
                           JOIN unnest(visited) WITH ORDINALITY AS v (id, turn) USING (id)
                           WHERE l.ramp_id = r.id ORDER BY v.turn DESC LIMIT 1), r.served)
    FROM ao_allowed(waited) AS room WHERE r.id = room.ramp_id;
END
$$;
"""

CLAIM = """
-- Claim: take due deliveries under a session's lease, with their allowance reserved, fairly over agents and their lanes.
-- Locks in this order: lanes to wake, the session, ramps, allowances, deliveries, visited lanes; deliveries and lanes
-- never wait. With stale statistics the planner would sort a million rows rather than walk the index: it has no choice.
-- The time is asked for once: it is that of the caller's statement throughout, and asked for lane by lane it costs more
-- than the look at the lane.
CREATE FUNCTION ao_claim(holder bigint, of_tier int, wanted int, breadth int, last_agent bigint,
    never timestamptz)
RETURNS SETOF outbox_delivery LANGUAGE plpgsql VOLATILE
SET enable_bitmapscan = off SET enable_seqscan = off SET enable_sort = off AS
$$
DECLARE
    moment timestamptz := ao_now();
    lanes bigint[];
    lane_ramps bigint[];
    lane_agents bigint[];
    shares int[];
    more record;
    waking bigint[];
    usable bigint[];
    ramps bigint[];
    places bigint[];
BEGIN
    PERFORM FROM outbox_session AS s WHERE s.id = holder AND s.ended_at IS NULL FOR SHARE;
    IF NOT FOUND THEN RETURN; END IF;

    waking := ARRAY(SELECT l.id FROM outbox_lane AS l WHERE l.tier = of_tier AND l.state = 'asleep' AND l.wake_at <= moment
                    ORDER BY l.wake_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    UPDATE outbox_lane AS l SET state = 'awake' WHERE l.id = ANY (waking);

    -- look: the lanes to visit, in turn
    SELECT array_agg(l.id ORDER BY l.turn, l.wake_at), array_agg(l.ramp_id ORDER BY l.turn, l.wake_at),
           array_agg(l.agent_id ORDER BY l.turn, l.wake_at),
           array_agg(greatest(wanted / l.agents / l.siblings, 1) ORDER BY l.turn, l.wake_at)
    INTO lanes, lane_ramps, lane_agents, shares
    FROM (
        SELECT l.*, a.turn, a.agents, count(*) OVER (PARTITION BY l.agent_id) AS siblings
        FROM (SELECT t.agent, t.turn, count(*) OVER () AS agents
              FROM unnest(ao_agents(of_tier, NULL, last_agent, breadth)) WITH ORDINALITY AS t (agent, turn)) AS a
        CROSS JOIN LATERAL (
            SELECT o.id, o.ramp_id, o.wake_at, o.agent_id FROM outbox_lane AS o
            WHERE o.tier = of_tier AND o.state = 'awake' AND o.agent_id = a.agent
            ORDER BY o.wake_at LIMIT greatest(breadth / a.agents, 1)
        ) AS l
    ) AS l;
    FOR more IN
        SELECT r.id, r.served, least(t.allowed, wanted) AS n
        FROM reputation_ramp AS r JOIN reputation_sendingdomain AS d ON d.name = r.key
        JOIN reputation_stream AS s ON s.id = d.stream_id AND (s.kind = 'transactional') = (of_tier = 0)
        CROSS JOIN LATERAL ao_allowed(ARRAY[r.id]) AS t
        WHERE r.opens_at <= moment ORDER BY r.opens_at LIMIT 16
    LOOP
        SELECT lanes || array_agg(l.id ORDER BY a.turn, l.wake_at), lane_ramps || array_agg(more.id),
               lane_agents || array_agg(a.agent ORDER BY a.turn, l.wake_at),
               shares || array_agg(greatest(more.n / cardinality(a.agents), 1))
        INTO lanes, lane_ramps, lane_agents, shares
        FROM (SELECT t.agent, t.turn, agents FROM ao_agents(of_tier, more.id, more.served, least(more.n, breadth)) AS agents,
              unnest(agents) WITH ORDINALITY AS t (agent, turn)) AS a
        CROSS JOIN LATERAL (
            SELECT o.id, o.wake_at FROM outbox_lane AS o
            WHERE o.ramp_id = more.id AND o.state = 'shut' AND o.agent_id = a.agent
              AND o.id <> ALL (coalesce(lanes, '{}'))  -- one that was shut since we looked at it awake is not taken twice
            ORDER BY o.wake_at LIMIT greatest(least(more.n, breadth) / cardinality(a.agents), 1)
        ) AS l;
        ramps := ramps || more.id;
    END LOOP;
    IF lanes IS NULL AND ramps IS NULL THEN RETURN; END IF;
    usable := ARRAY(SELECT l.id FROM outbox_lane AS l WHERE l.id = ANY (lanes)
                    AND NOT EXISTS (SELECT FROM reputation_openstop AS o WHERE o.scope = ANY (l.scopes)));

    -- lock what is drawn on, each kind in the order of its keys
    ramps := ARRAY(SELECT DISTINCT t.id FROM unnest(ramps || lane_ramps) AS t (id));
    places := ARRAY(SELECT a.id FROM reputation_ramp AS r JOIN reputation_purse AS p ON p.id = r.purse_id
                    JOIN reputation_allowance AS a ON a.id IN (p.of_domain_id, p.of_source_id, p.of_organisation_id)
                    WHERE r.id = ANY (ramps));
    PERFORM FROM reputation_ramp AS r WHERE r.id = ANY (ramps)
        OR r.per_minute IS NOT NULL AND r.id IN (SELECT a.ramp_id FROM reputation_allowance AS a WHERE a.id = ANY (places))
        ORDER BY r.id FOR NO KEY UPDATE;
    -- again, now that no ramp changes: a day that was opened before we had the locks draws on what nobody has locked yet
    places := ARRAY(SELECT a.id FROM reputation_ramp AS r JOIN reputation_purse AS p ON p.id = r.purse_id
                    JOIN reputation_allowance AS a ON a.id IN (p.of_domain_id, p.of_source_id, p.of_organisation_id)
                    WHERE r.id = ANY (ramps));
    PERFORM FROM reputation_allowance AS a WHERE a.id = ANY (places) ORDER BY a.id FOR NO KEY UPDATE;

    RETURN QUERY WITH room AS MATERIALIZED (
        SELECT t.*, r.purse_id FROM ao_allowed(ramps) AS t JOIN reputation_ramp AS r ON r.id = t.ramp_id
    ), due AS MATERIALIZED (
        SELECT d.id, v.turn, v.ramp_id, v.agent, room.allowed, room.of_source_id, room.source_allowed,
               room.of_organisation_id, room.organisation_allowed, room.purse_id,
               row_number() OVER (PARTITION BY v.lane ORDER BY d.rank) AS rank
        FROM unnest(lanes, lane_ramps, lane_agents, shares) WITH ORDINALITY AS v (lane, ramp_id, agent, share, turn)
        JOIN room ON room.ramp_id = v.ramp_id AND room.allowed > 0
        CROSS JOIN LATERAL (
            SELECT d.id, p.rank FROM (VALUES (0), (1), (2)) AS p (rank)
            CROSS JOIN LATERAL (
                SELECT o.id FROM outbox_delivery AS o
                WHERE o.lane_id = v.lane AND o.priority = p.rank AND o.status IN ('queued', 'deferred')
                  AND o.next_attempt_at <= moment
                ORDER BY o.next_attempt_at LIMIT least(v.share, room.allowed) FOR UPDATE SKIP LOCKED
            ) AS d LIMIT least(v.share, room.allowed)
        ) AS d WHERE v.lane = ANY (usable)
    ), fair AS (
        -- everybody's first, then everybody's second: of what a ramp allows, and of what is wanted
        SELECT t.* FROM (
            SELECT t.*, row_number() OVER (PARTITION BY t.ramp_id ORDER BY t.nth, t.turn) AS place,
                   row_number() OVER (PARTITION BY t.of_source_id ORDER BY t.nth, t.turn) AS source_place,
                   row_number() OVER (PARTITION BY t.of_organisation_id ORDER BY t.nth, t.turn) AS organisation_place
            FROM (SELECT due.*, row_number() OVER (PARTITION BY due.ramp_id, due.agent ORDER BY due.rank, due.turn) AS nth
                  FROM due) AS t
        ) AS t WHERE t.place <= t.allowed AND (t.of_source_id IS NULL OR t.source_place <= t.source_allowed)
          AND t.organisation_place <= t.organisation_allowed
        ORDER BY t.nth, t.turn LIMIT wanted
    ), claimed AS (
        UPDATE outbox_delivery AS d SET status = 'sending', code = '', session_id = holder, attempt = d.attempt + 1,
            cleared_at = NULL, purse_id = fair.purse_id
        FROM fair WHERE d.id = fair.id RETURNING d.*
    ), events AS (
        INSERT INTO outbox_event (id, message_id, delivery_id, at, kind, status, attempt)
        SELECT ao_uuid7(), c.message_id, c.id, moment, 'claimed', 'sending', c.attempt FROM claimed AS c
    ), drawn AS (
        SELECT f.ramp_id, f.purse_id, count(*) AS n FROM fair AS f GROUP BY f.ramp_id, f.purse_id
    ), reserved AS (
        UPDATE reputation_allowance AS a SET taken = a.taken + t.n, lapsed = a.lapsed + t.surplus
        FROM (SELECT x.id, sum(coalesce(drawn.n, 0)) AS n,
                     sum(CASE WHEN x.id = p.of_domain_id THEN room.surplus ELSE 0 END) AS surplus
              FROM room JOIN reputation_purse AS p ON p.id = room.purse_id LEFT JOIN drawn ON drawn.ramp_id = room.ramp_id
              CROSS JOIN LATERAL (VALUES (p.of_domain_id), (p.of_source_id), (p.of_organisation_id)) AS x (id)
              GROUP BY x.id) AS t
        WHERE a.id = t.id AND t.n + t.surplus > 0
        RETURNING a.ramp_id, t.n
    ), paced AS (
        UPDATE reputation_ramp AS r SET paced_until = coalesce(greatest(r.paced_until, moment - interval '2 seconds'),
            moment) + reserved.n * 60000000 / pace.per_minute * interval '1 microsecond'
        FROM reserved, LATERAL (SELECT least(
            CASE WHEN v.valve IN ('slow', 'trial') THEN v.per_minute END,
            CASE WHEN v.kind = 'domain' THEN (SELECT l.per_minute FROM reputation_providerlimit AS l
                                              WHERE l.family = v.provider) END) AS per_minute
            FROM reputation_ramp AS v WHERE v.id = reserved.ramp_id) AS pace
        WHERE r.id = reserved.ramp_id AND pace.per_minute IS NOT NULL AND reserved.n > 0
    )
    SELECT c.* FROM claimed AS c JOIN fair ON fair.id = c.id ORDER BY fair.turn;

    PERFORM ao_lull(lanes, usable, ramps, never);
END
$$;
"""

OUTDATED = """
DROP FUNCTION ao_claim(bigint, int, int, int, bigint, float8[], timestamptz);
DROP FUNCTION ao_lull(bigint[], bigint[], bigint[], float8[], timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0020_lawful")]

    operations = [
        *(migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (OUTDATED, LULL, CLAIM)),
        migrations.RemoveField("lane", "naps"),
    ]
