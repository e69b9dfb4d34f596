"""What is told of a message and of its deliveries is told in one order: each is what became of the one before."""

from django.db import migrations

EVENTS = """
-- Deliveries are told of one by one, messages once for all their deliveries that one statement moved alike. All of one
-- message has one subject, so that nobody hears of a delivery's end before its release, or of a cancel before it was
-- queued.
CREATE OR REPLACE FUNCTION ao_tell_events() RETURNS trigger LANGUAGE plpgsql AS
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
        SELECT k.id, k.told, k.message_id, k.at, k.status, k.code,
               jsonb_build_object('delivery', ao_printed('dlv', k.delivery_id), 'recipient', d.recipient,
                                  'attempt', k.attempt) AS data
        FROM known AS k JOIN outbox_delivery AS d ON d.id = k.delivery_id WHERE k.told LIKE 'delivery.%'
        UNION ALL
        SELECT (array_agg(k.id ORDER BY k.id))[1], k.told, k.message_id, min(k.at), k.status, k.code,
               jsonb_build_object('deliveries', coalesce(jsonb_agg(ao_printed('dlv', k.delivery_id) ORDER BY k.delivery_id)
                                      FILTER (WHERE k.delivery_id IS NOT NULL), '[]'))
        FROM known AS k WHERE k.told LIKE 'message.%'
        GROUP BY k.told, k.message_id, k.status, k.code
    ), added AS (
        INSERT INTO outbox_notice (id, endpoint_id, kind, subject, event_id, at, data, state, attempts, next_attempt_at,
            said)
        SELECT ao_uuid7(), e.id, t.told, ao_printed('msg', t.message_id), ao_printed('evt', t.id), t.at,
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
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0018_spend_in_open_runs")]

    operations = [migrations.RunSQL(EVENTS, migrations.RunSQL.noop)]
