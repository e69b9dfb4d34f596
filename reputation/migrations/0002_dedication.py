"""Agents send only from below an organisational domain that is dedicated to them: the database refuses the rest."""

from django.db import migrations

DEDICATION = """
-- Each side looks at the other under a lock that the other's change waits for, so that no order of two changes at once
-- leaves an agent stream below a domain that is not dedicated to agents.
CREATE FUNCTION ao_check_dedication() RETURNS trigger LANGUAGE plpgsql AS
$$
DECLARE
    kind text;
    use text;
BEGIN
    SELECT s.kind INTO kind FROM reputation_stream AS s WHERE s.id = NEW.stream_id FOR SHARE;
    SELECT o.use INTO use FROM reputation_organisationaldomain AS o WHERE o.id = NEW.organisation_id FOR SHARE;
    IF kind <> 'transactional' AND use <> 'agents' THEN
        RAISE EXCEPTION 'organisational domain of % is %, not dedicated to agents', NEW.name, use
            USING ERRCODE = 'check_violation', CONSTRAINT = 'agents_need_a_dedicated_organisation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER dedication BEFORE INSERT OR UPDATE OF stream_id, organisation_id ON reputation_sendingdomain
    FOR EACH ROW EXECUTE FUNCTION ao_check_dedication();

CREATE FUNCTION ao_keep_dedication() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    IF EXISTS (
        SELECT FROM reputation_sendingdomain AS d
        JOIN reputation_stream AS s ON s.id = d.stream_id JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
        WHERE CASE TG_TABLE_NAME WHEN 'reputation_stream' THEN s.id = NEW.id ELSE o.id = NEW.id END
          AND s.kind <> 'transactional' AND o.use <> 'agents'
    ) THEN
        RAISE EXCEPTION 'agents send from below it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'agents_need_a_dedicated_organisation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER dedication AFTER UPDATE OF kind ON reputation_stream
    FOR EACH ROW EXECUTE FUNCTION ao_keep_dedication();
CREATE TRIGGER dedication AFTER UPDATE OF use ON reputation_organisationaldomain
    FOR EACH ROW EXECUTE FUNCTION ao_keep_dedication();
"""


SENDER = """
-- From, where the agent names none, is of the sending domain too.
ALTER TABLE reputation_sendingdomain ADD CONSTRAINT default_sender_in_its_domain
    CHECK (lower(default_sender) LIKE '%@' || name OR lower(default_sender) LIKE '%@' || name || '>');
"""


class Migration(migrations.Migration):
    dependencies = [("reputation", "0001_tables")]

    operations = [migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in (DEDICATION, SENDER)]
