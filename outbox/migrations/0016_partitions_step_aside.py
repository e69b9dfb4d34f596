"""Partitions are made without holding anybody up, and each for itself; the audit watches the columns that came later."""

from django.db import migrations

PARTITIONS = """
-- Monthly partitions up to two months ahead, and one for keys of a clock that is off. Runs as the owner, since
-- the application may not create tables; a partition gets its parent's rights, not the schema's defaults.
-- A new partition locks its parent against all: behind a dump that reads it for an hour everybody would queue, so it is
-- tried again in an hour instead. A month of which a wrong clock has put keys into the other one stays there: the rest
-- is made all the same. Months are added in UTC: elsewhere one of them ends an hour early, and has the name of the one before.
CREATE OR REPLACE FUNCTION ao_make_partitions() RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS
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
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                    ao_uuid_floor(month), ao_uuid_floor(((month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'));
                EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', child);
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                RAISE WARNING 'partition % cannot be made: %', child, SQLERRM;
            END;
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
"""

# A trigger of an UPDATE names its columns; which there were depended on how far the other app had been migrated.
WATCH = """
SELECT ao_watch('outbox_agent', 'agent', 'name', '{}', '{}');
SELECT ao_watch('reputation_stream', 'stream', 'name', '{}', '{}');
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0015_restored_while_held"), ("reputation", "0006_complaints_elsewhere")]

    operations = [migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (PARTITIONS, WATCH)]
