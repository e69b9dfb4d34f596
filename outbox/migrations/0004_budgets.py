"""The SQL of budgets: charge them all or none, and give back what was cancelled or lapsed."""

from django.db import migrations

BUDGETS = """
-- Charge each budget, or none: false if one has not so much left. Locks in the order of kinds (a run is its own agent's,
-- the agent's are everybody's of that agent) and keys, for the rest of the caller's transaction.
CREATE FUNCTION ao_spend(kinds text[], keys text[], opens timestamptz[], amounts int[], bounds int[])
RETURNS boolean LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    charge record;
BEGIN
    FOR charge IN
        SELECT * FROM unnest(kinds, keys, opens, amounts, bounds) AS c (kind, key, opens_at, amount, bound)
        ORDER BY array_position(ARRAY['run', 'agent_hour', 'agent_day', 'root_runs'], kind), key
    LOOP
        IF charge.amount > charge.bound THEN RETURN false; END IF;
        INSERT INTO outbox_budget AS b (kind, key, opens_at, used)
        VALUES (charge.kind, charge.key, charge.opens_at, charge.amount)
        ON CONFLICT (kind, key, opens_at) DO UPDATE SET used = b.used + excluded.used
        WHERE b.used + excluded.used <= charge.bound;
        IF NOT FOUND THEN RETURN false; END IF;
    END LOOP;
    RETURN true;
END
$$;

-- These deliveries' messages will not be sent: one recipient each goes back to the windows that their messages were
-- charged to, in the order in which they are charged.
CREATE FUNCTION ao_refund(messages uuid[]) RETURNS int LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    given_back int := 0;
    charge record;
BEGIN
    FOR charge IN
        SELECT c.kind, c.key, c.opens_at, count(*) AS n
        FROM unnest(messages) AS t (id)
        JOIN outbox_message AS m USING (id)
        JOIN outbox_run AS r ON r.id = m.run_id
        CROSS JOIN LATERAL (
            SELECT 'run' AS kind, m.agent_id || '/' || name AS key, timestamptz '1970-01-01 00:00+00' AS opens_at
            FROM unnest(r.lineage) AS name
            UNION ALL VALUES ('agent_hour', m.agent_id::text, date_trunc('hour', m.created_at, 'UTC')),
                             ('agent_day', m.agent_id::text, date_trunc('day', m.created_at, 'UTC'))
        ) AS c
        GROUP BY c.kind, c.key, c.opens_at
        ORDER BY array_position(ARRAY['run', 'agent_hour', 'agent_day'], c.kind), c.key, c.opens_at
    LOOP
        UPDATE outbox_budget AS b SET used = greatest(b.used - charge.n, 0)
        WHERE b.kind = charge.kind AND b.key = charge.key AND b.opens_at = charge.opens_at;
        given_back := given_back + 1;
    END LOOP;
    RETURN given_back;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0003_claim")]

    operations = [migrations.RunSQL(BUDGETS, migrations.RunSQL.noop)]
