"""The SQL that Django cannot say: the clock, the keys, the partitions, the clearance, the roles."""

from django.db import migrations

CLOCK = """
-- One row whose shift only tests set. Every rule reads time from ao_now(); leases never do.
CREATE TABLE outbox_clockshift (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    shift interval NOT NULL DEFAULT interval '0'
);
INSERT INTO outbox_clockshift DEFAULT VALUES;

CREATE FUNCTION ao_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT statement_timestamp() + (SELECT shift FROM outbox_clockshift) $$;

-- UUIDv7 with the microseconds in rand_a (RFC 9562 section 6.2, method 3), for PostgreSQL before 18 too.
CREATE FUNCTION ao_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS
$$
    SELECT encode(overlay(uuid_send(gen_random_uuid()) PLACING
        int8send((us / 1000 << 16) | 28672 | (us % 1000 * 4096 / 1000)) FROM 1 FOR 8), 'hex')::uuid
    FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) AS t
$$;

CREATE FUNCTION ao_uuid_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT rpad(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid $$;
"""

TABLES = """
CREATE TABLE outbox_message (
    id uuid PRIMARY KEY,
    agent_id bigint NOT NULL,
    stream_id bigint NOT NULL,
    domain_id bigint NOT NULL,
    run_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    scheduled_at timestamptz,
    expires_at timestamptz NOT NULL,
    header_id text NOT NULL,
    sender text NOT NULL,
    addressing jsonb NOT NULL,
    addresses text[] NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    html text,
    headers jsonb NOT NULL,
    tags jsonb NOT NULL,
    context jsonb NOT NULL,
    decision jsonb NOT NULL,
    refused jsonb NOT NULL,
    attachment_count smallint NOT NULL,
    size integer NOT NULL
) PARTITION BY RANGE (id);
-- an agent's list, newest first
CREATE INDEX message_of_agent ON outbox_message (agent_id, id DESC);
-- a run's list and counts
CREATE INDEX message_of_run ON outbox_message (run_id, id DESC);
-- ?to= and the admin's search by recipient
CREATE INDEX message_addresses ON outbox_message USING gin (addresses);

CREATE TABLE outbox_attachment (
    message_id uuid NOT NULL,
    ordinal smallint NOT NULL,
    filename text NOT NULL,
    content_type text NOT NULL,
    content_id text,
    content bytea NOT NULL,
    PRIMARY KEY (message_id, ordinal)
) PARTITION BY RANGE (message_id);

CREATE TABLE outbox_attempt (
    id uuid PRIMARY KEY,
    delivery_id uuid NOT NULL,
    number smallint NOT NULL,
    session_id bigint NOT NULL,
    ended_at timestamptz NOT NULL,
    seconds double precision,
    phase text NOT NULL,
    host text NOT NULL,
    address text NOT NULL,
    tls text NOT NULL,
    reply_code smallint,
    reply text NOT NULL,
    fault text NOT NULL,
    selectors text NOT NULL,
    cleared_at timestamptz,
    outcome text NOT NULL,
    code text NOT NULL
) PARTITION BY RANGE (id);
-- the conversations of one delivery, in order
CREATE INDEX attempt_of_delivery ON outbox_attempt (delivery_id, id);

CREATE TABLE outbox_event (
    id uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    delivery_id uuid,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    code text NOT NULL DEFAULT '',
    attempt smallint,
    actor text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT ''
) PARTITION BY RANGE (id);
-- the story of one message, in order; its length is the message's version
CREATE INDEX event_of_message ON outbox_event (message_id, id);

-- A hot row is updated four times in its life: room for those versions on its own page, and an early vacuum.
ALTER TABLE outbox_delivery SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE outbox_lane SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);
ALTER TABLE outbox_session SET (fillfactor = 50);
-- Counted in by every claim and settle.
ALTER TABLE reputation_ramp SET (fillfactor = 50, autovacuum_vacuum_threshold = 200);
ALTER TABLE reputation_allowance SET (fillfactor = 50, autovacuum_vacuum_threshold = 200);
"""

PARTITIONS = """
-- Monthly partitions up to two months ahead, and one for keys of a clock that is off. Runs as the owner, since
-- the application may not create tables; a partition gets its parent's rights, not the schema's defaults.
CREATE FUNCTION ao_make_partitions() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    parent text;
    child text;
    month timestamptz;
    made int := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['outbox_message', 'outbox_attachment', 'outbox_attempt', 'outbox_event'] LOOP
        FOR month IN SELECT generate_series(date_trunc('month', now(), 'UTC'), now() + interval '2 months', '1 month') LOOP
            child := parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM');
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                ao_uuid_floor(month), ao_uuid_floor(((month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'));
            EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', child);
            made := made + 1;
        END LOOP;
        child := parent || '_other';
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', child, parent);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
SELECT ao_make_partitions();
"""

CLEARANCE = """
-- Clear: let lease holders send their dots (DESIGN: the stop). The shared lock is taken in a statement of its
-- own, so that the update's snapshot is younger than any trip that committed before it: READ COMMITTED gives each
-- statement of a VOLATILE function a new snapshot. A trip takes the same lock exclusively. Call it in autocommit.
CREATE FUNCTION ao_clear(holder bigint, ids uuid[], attempts smallint[])
RETURNS SETOF uuid LANGUAGE plpgsql VOLATILE AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(20559, 1);
    RETURN QUERY
    UPDATE outbox_delivery AS d SET cleared_at = clock_timestamp()
    FROM outbox_lane AS l
    -- Not a join with unnest(ids, attempts): a planner that believes the session holds one row joins all it holds to each.
    WHERE d.id = ANY (ids) AND d.attempt = attempts[array_position(ids, d.id)] AND d.session_id = holder
      AND d.status = 'sending' AND d.cleared_at IS NULL AND l.id = d.lane_id
      AND EXISTS (SELECT FROM outbox_session AS s
                  WHERE s.id = holder AND s.ended_at IS NULL AND s.lease_until > clock_timestamp())
      AND NOT EXISTS (SELECT FROM reputation_openstop AS o
                      WHERE o.scope = ANY (l.scopes || ('recipient_domain:' || split_part(d.recipient, '@', 2))))
    RETURNING d.id;
END
$$;
"""

ROLES = """
-- What the application may do. The story (events, attempts, trips) can be added to, never rewritten; accepted content
-- is never changed; time is not shifted; tables are not made.
CREATE FUNCTION ao_grant(application text) RETURNS void LANGUAGE plpgsql AS
$$
DECLARE
    story text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %I', application);
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO %I', application);
    FOR story IN
        SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
          AND c.relname ~ '^(outbox_(message|attachment|attempt|event|signal|audit)(_.*)?|reputation_(switchevent|switchnote|resumeproposal|rampevent|keyevent|judgement))$'
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM %I', story, application);
    END LOOP;
    -- into the audit only by way of its function, which ties the rows
    EXECUTE format('REVOKE INSERT ON outbox_audit FROM %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION ao_audit(text, text, text, jsonb) TO %I', application);
    EXECUTE format('GRANT UPDATE (epoch) ON reputation_judgement TO %I', application);
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON outbox_clockshift, django_migrations FROM %I', application);
END
$$;
REVOKE ALL ON FUNCTION ao_grant(text) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_tables"), ("reputation", "0002_dedication")]

    operations = [
        migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (CLOCK, TABLES, PARTITIONS, CLEARANCE, ROLES)
    ]
