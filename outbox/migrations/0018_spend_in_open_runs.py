"""Nothing is charged to a run that was cancelled while the message was judged."""

from django.db import migrations

SPEND = """
-- Charge each budget, or none: false if one has not so much left. Locks counters for the rest of the caller's
-- transaction: trees of runs from their roots down, so that the root's counter guards all that is counted of a tree.
-- No bound: a run without a limit of its own; if it has a counter by now, it was lowered, and must be judged again.
-- So must what belongs to a run that was cancelled meanwhile: whoever cancels takes the root's counter first.
-- A domain that a tree of runs sees for the first time costs one.
CREATE OR REPLACE FUNCTION ao_spend(kinds text[], depths smallint[], keys text[], opens timestamptz[], amounts bigint[],
                                    bounds bigint[], trees text[], domains text[])
RETURNS boolean LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    charge record;
    cost bigint;
BEGIN
    FOR charge IN
        SELECT * FROM unnest(kinds, depths, keys, opens, amounts, bounds) AS c (kind, depth, key, opens_at, amount, bound)
        ORDER BY ao_budget_rank(kind), depth, key
    LOOP
        cost := charge.amount;
        IF charge.bound IS NULL THEN
            IF EXISTS (SELECT FROM outbox_budget AS b WHERE b.kind = charge.kind AND b.key = charge.key
                       AND b.opens_at = charge.opens_at) THEN RETURN false; END IF;
        ELSE
            IF charge.kind = 'run_domains' THEN
                INSERT INTO outbox_rundomain (tree, domain)
                SELECT d.tree, d.domain FROM unnest(trees, domains) AS d (tree, domain) WHERE d.tree = charge.key
                ON CONFLICT DO NOTHING;
                GET DIAGNOSTICS cost = ROW_COUNT;
            END IF;
            CONTINUE WHEN cost = 0;
            IF cost > charge.bound THEN RETURN false; END IF;
            INSERT INTO outbox_budget AS b (kind, key, opens_at, used)
            VALUES (charge.kind, charge.key, charge.opens_at, cost)
            ON CONFLICT (kind, key, opens_at) DO UPDATE SET used = b.used + excluded.used
            WHERE b.used + excluded.used <= charge.bound;
            IF NOT FOUND THEN RETURN false; END IF;
        END IF;
        -- a statement of its own, whose snapshot sees what the lock has waited for
        IF charge.kind = 'run' THEN
            IF EXISTS (SELECT FROM outbox_run AS r WHERE r.cancelled_at IS NOT NULL
                       AND r.agent_id = split_part(charge.key, '/', 1)::bigint
                       AND r.name = split_part(charge.key, '/', 2)) THEN RETURN false; END IF;
        END IF;
    END LOOP;
    RETURN true;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0017_months_are_forgotten")]

    operations = [migrations.RunSQL(SPEND, migrations.RunSQL.noop)]
