"""Webhooks out are written with the event they tell of: one notice for each enabled endpoint that wants it.

Where no endpoint is enabled, a statement that writes events pays for one look at a small table.
"""

from django.db import migrations

NAMES = """
-- As the API prints keys: a prefix and 26 characters of Crockford's base32 (outbox/ids.py).
CREATE FUNCTION ao_printed(prefix text, key uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
    SELECT prefix || '_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz',
        substring(('x0' || replace(key::text, '-', ''))::bit(132) FROM 3 + 5 * i FOR 5)::int + 1, 1), '' ORDER BY i)
    FROM generate_series(0, 25) AS i
$$;

-- What an event is called outside; nothing, if nobody outside is told. Claims are ours alone, a warning of delay moves
-- nothing, nor does a report about what has ended otherwise.
CREATE FUNCTION ao_told_as(kind text, status text, code text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
    SELECT CASE
        WHEN kind IN ('claimed', 'delayed') THEN NULL
        WHEN kind IN ('complained', 'unsubscribed') THEN 'delivery.' || kind
        WHEN kind IN ('bounced', 'delivered') AND kind <> status THEN NULL
        WHEN kind = 'released' THEN 'message.released'
        WHEN status IN ('held', 'refused', 'cancelled') THEN 'message.' || status
        WHEN status = 'expired' AND code = 'approval_lapsed' THEN 'message.lapsed'
        WHEN status IN ('queued', 'deferred', 'delivered', 'relayed', 'bounced', 'suppressed', 'expired', 'uncertain')
            THEN 'delivery.' || status
    END
$$;

-- Whether a scope may concern a stream: what is another stream's by name does not, what is shared does.
CREATE FUNCTION ao_concerns(scope text, stream bigint) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
$$
    SELECT CASE split_part(scope, ':', 1)
        WHEN 'agents' THEN EXISTS (SELECT FROM reputation_stream WHERE id = stream AND kind <> 'transactional')
        WHEN 'stream' THEN EXISTS (SELECT FROM reputation_stream WHERE id = stream AND name = named.first)
        WHEN 'agent' THEN EXISTS (SELECT FROM outbox_agent WHERE stream_id = stream AND name = named.first)
        WHEN 'run' THEN EXISTS (SELECT FROM outbox_agent WHERE stream_id = stream AND name = named.first)
        WHEN 'domain' THEN EXISTS (SELECT FROM reputation_sendingdomain WHERE stream_id = stream AND name = named.first)
        WHEN 'domain_provider' THEN
            EXISTS (SELECT FROM reputation_sendingdomain WHERE stream_id = stream AND name = named.first)
        ELSE true
    END
    FROM split_part(substr(scope, strpos(scope, ':') + 1), '/', 1) AS named (first)
$$;
"""

EVENTS = """
-- Deliveries are told of one by one, messages once for all their deliveries that one statement moved alike.
CREATE FUNCTION ao_tell_events() RETURNS trigger LANGUAGE plpgsql AS
$$
DECLARE
    urgent bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM outbox_endpoint WHERE enabled) THEN
        RETURN NULL;
    END IF;
    WITH known AS (
        SELECT w.*, ao_told_as(w.kind, w.status, w.code) AS told FROM written AS w
    ), told AS (
        SELECT k.id, k.told, k.message_id, k.at, k.status, k.code, ao_printed('dlv', k.delivery_id) AS subject,
               jsonb_build_object('delivery', ao_printed('dlv', k.delivery_id), 'recipient', d.recipient,
                                  'attempt', k.attempt) AS data
        FROM known AS k JOIN outbox_delivery AS d ON d.id = k.delivery_id WHERE k.told LIKE 'delivery.%'
        UNION ALL
        SELECT (array_agg(k.id ORDER BY k.id))[1], k.told, k.message_id, min(k.at), k.status, k.code,
               ao_printed('msg', k.message_id),
               jsonb_build_object('deliveries', coalesce(jsonb_agg(ao_printed('dlv', k.delivery_id) ORDER BY k.delivery_id)
                                      FILTER (WHERE k.delivery_id IS NOT NULL), '[]'))
        FROM known AS k WHERE k.told LIKE 'message.%'
        GROUP BY k.told, k.message_id, k.status, k.code
    ), added AS (
        INSERT INTO outbox_notice (id, endpoint_id, kind, subject, event_id, at, data, state, attempts, next_attempt_at,
            said)
        SELECT ao_uuid7(), e.id, t.told, t.subject, ao_printed('evt', t.id), t.at,
               t.data || jsonb_build_object('message', ao_printed('msg', t.message_id), 'status', t.status,
                   'code', nullif(t.code, ''), 'agent', a.name, 'run_id', r.name, 'stream', s.name),
               'waiting', 0, ao_now(), ''
        FROM told AS t
        JOIN outbox_message AS m ON m.id = t.message_id
        JOIN outbox_agent AS a ON a.id = m.agent_id
        JOIN outbox_run AS r ON r.id = m.run_id
        JOIN reputation_stream AS s ON s.id = m.stream_id
        JOIN outbox_endpoint AS e ON e.enabled AND (e.stream_id IS NULL OR e.stream_id = m.stream_id)
             AND (e.events = '{}' OR t.told = ANY (e.events))
        ON CONFLICT (event_id, endpoint_id) DO NOTHING
        RETURNING kind
    )
    SELECT count(*) INTO urgent FROM added WHERE kind <> 'delivery.queued';
    -- notifications cost every accept; what was only accepted can wait for the sender's next look
    IF urgent > 0 THEN
        PERFORM pg_notify('ao_notice', '');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_events AFTER INSERT ON outbox_event
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION ao_tell_events();
"""

SCOPES = """
-- What happened to a scope; to those endpoints whose stream it may concern.
CREATE FUNCTION ao_tell_scope(told text, about text, scope text, event text, happened timestamptz, facts jsonb)
RETURNS int LANGUAGE plpgsql AS
$$
DECLARE
    n int;
BEGIN
    INSERT INTO outbox_notice (id, endpoint_id, kind, subject, event_id, at, data, state, attempts, next_attempt_at, said)
    SELECT ao_uuid7(), e.id, told, about, event, happened, facts, 'waiting', 0, ao_now(), ''
    FROM outbox_endpoint AS e
    WHERE e.enabled AND (e.events = '{}' OR told = ANY (e.events))
      AND (e.stream_id IS NULL OR ao_concerns(scope, e.stream_id))
    ON CONFLICT (event_id, endpoint_id) DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        PERFORM pg_notify('ao_notice', '');
    END IF;
    RETURN n;
END
$$;

CREATE FUNCTION ao_tell_switch() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM ao_tell_scope(CASE NEW.action WHEN 'trip' THEN 'stop.tripped' ELSE 'stop.resumed' END, NEW.scope, NEW.scope,
        'stop_' || NEW.epoch, NEW.at,
        jsonb_build_object('scope', NEW.scope, 'epoch', NEW.epoch, 'who', NEW.who, 'why', NEW.why));
    RETURN NULL;
-- whatever is wrong with telling, the stop stands
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'nobody is told of epoch %: %', NEW.epoch, SQLERRM;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_switch AFTER INSERT ON reputation_switchevent
FOR EACH ROW EXECUTE FUNCTION ao_tell_switch();

CREATE FUNCTION ao_tell_ramp() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    -- a ramp that was idle stepped down
    PERFORM ao_tell_scope('ramp.' || CASE NEW.kind WHEN 'idle' THEN 'stepped_down' ELSE NEW.kind END,
        'ramp:' || NEW.ramp_id, r.kind || ':' || r.key, 'ramp_' || NEW.id, NEW.at,
        jsonb_build_object('kind', r.kind, 'key', r.key, 'provider', r.provider, 'step', NEW.step, 'cap', NEW.cap,
                           'why', NEW.why))
    FROM reputation_ramp AS r WHERE r.id = NEW.ramp_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER tell_ramp AFTER INSERT ON reputation_rampevent
FOR EACH ROW WHEN (NEW.kind IN ('advanced', 'held', 'stepped_down', 'idle')) EXECUTE FUNCTION ao_tell_ramp();
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0004_budgets")]

    operations = [migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (NAMES, EVENTS, SCOPES)]
