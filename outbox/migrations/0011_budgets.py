"""Budgets of more kinds: their tables, and the SQL that charges them in one order and gives back what was charged."""

from django.db import migrations, models
from django.db.models import Q

CHARGES = """
-- What goes back with each recipient: [kind, key, when its window opened, amount]; null where no limits are.
ALTER TABLE outbox_message ADD COLUMN charged jsonb;

-- The order in which whoever charges or gives back takes counters: what all agents share at the very end.
CREATE FUNCTION ao_budget_rank(kind text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
    SELECT array_position(ARRAY['run', 'run_domains', 'run_bytes', 'agent_hour', 'agent_day', 'agent_day_bytes',
                                'root_runs', 'principal_day', 'stream_day', 'organisation_day'], kind)
$$;

DROP FUNCTION ao_spend(text[], text[], timestamptz[], int[], int[]);

-- Charge each budget, or none: false if one has not so much left. Locks counters for the rest of the caller's
-- transaction: trees of runs from their roots down, so that the root's counter guards all that is counted of a tree.
-- No bound: a run without a limit of its own; if it has a counter by now, it was lowered, and must be judged again.
-- A domain that a tree of runs sees for the first time costs one.
CREATE FUNCTION ao_spend(kinds text[], depths smallint[], keys text[], opens timestamptz[], amounts bigint[],
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
        IF charge.bound IS NULL THEN
            IF EXISTS (SELECT FROM outbox_budget AS b WHERE b.kind = charge.kind AND b.key = charge.key
                       AND b.opens_at = charge.opens_at) THEN RETURN false; END IF;
            CONTINUE;
        END IF;
        cost := charge.amount;
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
    END LOOP;
    RETURN true;
END
$$;

-- These deliveries' messages will not be sent: what each recipient was charged to goes back to the windows it was
-- charged to, in the order in which they are charged. By lineage to runs: one that was lowered since counts it too.
CREATE OR REPLACE FUNCTION ao_refund(messages uuid[]) RETURNS int LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    given_back int := 0;
    charge record;
BEGIN
    FOR charge IN
        SELECT c.kind, c.key, c.opens_at, sum(c.amount) AS n
        FROM unnest(messages) AS t (id)
        JOIN outbox_message AS m USING (id)
        JOIN outbox_run AS r ON r.id = m.run_id
        CROSS JOIN LATERAL (
            SELECT 'run' AS kind, l.depth, m.agent_id || '/' || l.name AS key,
                   timestamptz '1970-01-01 00:00+00' AS opens_at, 1 AS amount
            FROM unnest(r.lineage) WITH ORDINALITY AS l (name, depth)
            UNION ALL
            SELECT e ->> 0, 0, e ->> 1, (e ->> 2)::timestamptz, (e ->> 3)::bigint
            FROM jsonb_array_elements(m.charged) AS e
        ) AS c
        WHERE m.charged IS NOT NULL
        GROUP BY c.kind, c.depth, c.key, c.opens_at
        ORDER BY ao_budget_rank(c.kind), c.depth, c.key, c.opens_at
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
    dependencies = [("outbox", "0010_approvals"), ("reputation", "0005_limits")]

    operations = [
        migrations.AddField(
            "agent",
            "domains_per_run",
            models.PositiveIntegerField(
                default=30, help_text="Distinct domains of recipients in a tree of runs."
            ),
        ),
        migrations.AddField(
            "agent",
            "attachment_mib_per_run",
            models.PositiveIntegerField(
                "attachment MiB per run",
                default=100,
                help_text="As they leave: counted once for each recipient.",
            ),
        ),
        migrations.AddField(
            "agent",
            "attachment_mib_per_day",
            models.PositiveIntegerField("attachment MiB per day", default=200),
        ),
        migrations.AddConstraint(
            "agent",
            models.CheckConstraint(
                condition=Q(attachment_mib_per_run__lte=1048576, attachment_mib_per_day__lte=1048576),
                name="agent_attachments_bounded",
                violation_error_message="At most 1,048,576 MiB of attachments.",
            ),
        ),
        migrations.AlterField("budget", "kind", models.CharField(max_length=16)),
        migrations.AlterField("budget", "key", models.CharField(max_length=240)),
        migrations.AlterField("budget", "used", models.PositiveBigIntegerField()),
        migrations.RemoveConstraint("budget", "budget_kind_known"),
        migrations.AddConstraint(
            "budget",
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        *("run", "run_domains", "run_bytes", "agent_hour", "agent_day", "agent_day_bytes"),
                        *("root_runs", "principal_day", "stream_day", "organisation_day"),
                    ]
                ),
                name="budget_kind_known",
            ),
        ),
        migrations.CreateModel(
            name="RunDomain",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tree", "domain", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tree", models.CharField(max_length=160)),
                ("domain", models.CharField(max_length=255)),
            ],
        ),
        migrations.CreateModel(
            name="Organisation",
            fields=[
                (
                    "only_row",
                    models.BooleanField(default=True, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "recipients_per_day",
                    models.PositiveIntegerField(
                        null=True,
                        blank=True,
                        help_text="Of all agents together in a UTC day, but for transactional streams; empty: no limit.",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "organisation",
                "constraints": [
                    models.CheckConstraint(condition=Q(only_row=True), name="one_organisation"),
                    models.CheckConstraint(
                        condition=Q(recipients_per_day__isnull=True) | Q(recipients_per_day__gte=1),
                        name="organisation_limit_is_no_stop",
                        violation_error_message="At least 1; to stop everybody, trip the switch.",
                    ),
                ],
            },
        ),
        migrations.RunSQL(CHARGES, migrations.RunSQL.noop),
    ]
