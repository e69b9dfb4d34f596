"""The owner drops a month whose mail is over, and may do it beside everything that runs."""

from django.db import migrations

MONTHS = """
-- Drop what was accepted and written down in the month that begins then, unless a delivery of it or of an earlier one
-- is open: their number, 0 if it was dropped. Only for the owner. Waits for nobody longer than a second: a dump that
-- reads a parent would hold up the drop, and the drop everybody else.
CREATE FUNCTION ao_forget_month(month timestamptz) RETURNS bigint LANGUAGE plpgsql
SET search_path = public, pg_temp SET lock_timeout = '1s' AS
$$
DECLARE
    after uuid := ao_uuid_floor(((month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
    open bigint := (SELECT count(*) FROM outbox_delivery WHERE id < after AND finished_at IS NULL);
    parent text;
BEGIN
    IF open > 0 THEN RETURN open; END IF;
    FOREACH parent IN ARRAY ARRAY['outbox_attachment', 'outbox_attempt', 'outbox_event', 'outbox_message'] LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM'));
    END LOOP;
    RETURN 0;
END
$$;
REVOKE ALL ON FUNCTION ao_forget_month(timestamptz) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0016_partitions_step_aside")]

    operations = [migrations.RunSQL(MONTHS, "DROP FUNCTION ao_forget_month(timestamptz)")]
