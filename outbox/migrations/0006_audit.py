"""The SQL of the audit: what people and rules do is copied into one chain, whoever does it by whatever way.

Triggers call ``ao_audit``, which adds a loose row; when the transaction commits, ``ao_chain`` gives it its place: no
transaction holds the chain while a client thinks. Rows are added by these functions alone, which run as the owner.
"""

from django.db import migrations

CHAIN = """
-- Who does this: said by the web process for the person who is logged in, else the database's role.
CREATE FUNCTION ao_who() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT coalesce(nullif(current_setting('ao.who', true), ''), 'role:' || session_user) $$;

-- What ties a row to the one before it: outbox.audit computes the same, away from the database.
CREATE FUNCTION ao_digest(previous bytea, place bigint, at timestamptz, who text, act text, subject text, detail jsonb)
RETURNS bytea LANGUAGE sql STABLE AS
$$
    SELECT sha256(previous || convert_to(concat(place, ' ', (extract(epoch FROM at) * 1000000)::bigint, ' ',
        octet_length(who), ':', who, octet_length(act), ':', act, octet_length(subject), ':', subject, detail), 'UTF8'))
$$;

-- Add an act; its number stays below zero until the commit gives it its place.
CREATE FUNCTION ao_audit(who text, act text, subject text, detail jsonb)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    INSERT INTO outbox_audit (id, at, who, act, subject, detail, previous, digest)
    VALUES (-nextval('outbox_audit_id_seq'), clock_timestamp(), left(ao_audit.who, 200), left(ao_audit.act, 60),
            left(coalesce(ao_audit.subject, ''), 400), coalesce(ao_audit.detail, '{}'), '', '');
END
$$;
REVOKE ALL ON FUNCTION ao_audit(text, text, text, jsonb) FROM PUBLIC;

-- The lock is taken at the commit, in a statement of its own: what is looked at after it is younger than whoever had
-- it. A transaction that does not wait for long (a trip) goes on without: its rows stay loose until the next commit.
-- So does one that fails here for whatever reason.
CREATE FUNCTION ao_chain() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    place bigint;
    last bytea;
    loose record;
BEGIN
    IF NOT EXISTS (SELECT FROM outbox_audit WHERE id = NEW.id) THEN RETURN NULL; END IF;
    PERFORM pg_advisory_xact_lock(20559, 7);
    SELECT a.id, a.digest INTO place, last FROM outbox_audit AS a WHERE a.id > 0 ORDER BY a.id DESC LIMIT 1;
    place := coalesce(place, 0);
    last := coalesce(last, '');
    FOR loose IN SELECT * FROM outbox_audit WHERE id < 0 ORDER BY id DESC LOOP
        place := place + 1;
        UPDATE outbox_audit SET id = place, previous = last,
            digest = ao_digest(last, place, loose.at, loose.who, loose.act, loose.subject, loose.detail)
        WHERE id = loose.id RETURNING digest INTO last;
    END LOOP;
    RETURN NULL;
-- whatever is wrong with the chain, a stop must stand: the rows are kept, and the next commit ties them
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'the audit was not chained: %', SQLERRM;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER audit_chain AFTER INSERT ON outbox_audit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ao_chain();
"""

STORIES = """
-- Rows that tell who did what already. Arguments: noun, what was done (a column, or the word itself), who (a column, or
-- none: then a rule did it, named by the column `rule`).
CREATE FUNCTION ao_audit_story() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    told jsonb := to_jsonb(NEW);
    known jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END;
    who text := coalesce(told ->> 'who', 'rule:' || (told ->> 'rule'));
    subject text := coalesce(told ->> 'scope',
        (SELECT e.scope FROM reputation_switchevent AS e WHERE e.epoch = (told ->> 'event_id')::bigint),
        (SELECT 'key:' || k.selector || '._domainkey.' || d.name FROM reputation_signingkey AS k
         JOIN reputation_sendingdomain AS d ON d.id = k.domain_id WHERE k.id = (told ->> 'key_id')::bigint));
BEGIN
    IF TG_OP = 'UPDATE' THEN
        who := coalesce(nullif(told ->> 'confirmed_by', known ->> 'confirmed_by'),
                        nullif(told ->> 'undone_by', known ->> 'undone_by'), ao_who());
    END IF;
    PERFORM ao_audit(who, TG_ARGV[0] || '.' || coalesce(told ->> TG_ARGV[1], TG_ARGV[1]), subject,
                     told - ARRAY['who', 'scope', 'at', 'arithmetic', 'fates', 'cuts', 'last']);
    RETURN NULL;
-- a stop must stand whatever is wrong with the audit, and what a rule stops for: they have stories of their own that
-- nobody can change
EXCEPTION WHEN OTHERS THEN
    IF TG_TABLE_NAME NOT IN ('reputation_switchevent', 'reputation_judgement')
       AND told ->> 'state' IS DISTINCT FROM 'closed' THEN RAISE; END IF;
    RAISE WARNING '% % was not audited: %', TG_TABLE_NAME, coalesce(told ->> 'epoch', told ->> 'id'), SQLERRM;
    RETURN NULL;
END
$$;
CREATE TRIGGER audited AFTER INSERT ON reputation_switchevent
    FOR EACH ROW EXECUTE FUNCTION ao_audit_story('switch', 'action');
CREATE TRIGGER audited AFTER INSERT ON reputation_switchnote
    FOR EACH ROW EXECUTE FUNCTION ao_audit_story('switch', 'noted');
CREATE TRIGGER audited AFTER INSERT ON reputation_resumeproposal
    FOR EACH ROW EXECUTE FUNCTION ao_audit_story('switch', 'proposed');
CREATE TRIGGER audited_anew AFTER INSERT ON reputation_reopening
    FOR EACH ROW EXECUTE FUNCTION ao_audit_story('reopening', 'state');
CREATE TRIGGER audited AFTER UPDATE OF state ON reputation_reopening
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION ao_audit_story('reopening', 'state');
CREATE TRIGGER audited_anew AFTER INSERT ON reputation_purge
    FOR EACH ROW EXECUTE FUNCTION ao_audit_story('purge', 'state');
CREATE TRIGGER audited AFTER UPDATE OF state ON reputation_purge
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION ao_audit_story('purge', 'state');
CREATE TRIGGER audited AFTER INSERT ON reputation_keyevent
    FOR EACH ROW EXECUTE FUNCTION ao_audit_story('key', 'kind');
-- weak evidence comes and goes by the hour; what closes a scope is an act
CREATE TRIGGER audited AFTER INSERT ON reputation_judgement
    FOR EACH ROW WHEN (NEW.strength IN ('strong', 'at_once')) EXECUTE FUNCTION ao_audit_story('judgement', 'strength');

CREATE FUNCTION ao_audit_admin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    PERFORM ao_audit((SELECT u.username FROM auth_user AS u WHERE u.id = NEW.user_id),
        'admin.' || (ARRAY['added', 'changed', 'deleted'])[NEW.action_flag],
        (SELECT c.model FROM django_content_type AS c WHERE c.id = NEW.content_type_id) || ':' || NEW.object_id,
        jsonb_build_object('row', NEW.object_repr, 'said', NEW.change_message));
    RETURN NULL;
END
$$;
CREATE TRIGGER audited AFTER INSERT ON django_admin_log FOR EACH ROW EXECUTE FUNCTION ao_audit_admin();
"""

SUPPRESSIONS = """
-- Suppressed by a person: one row for a statement, however long the list. A machine's are not audited: a flood of
-- complaints must not queue for the chain. Never the address, nor a hash of it.
CREATE FUNCTION ao_audit_suppressed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    PERFORM ao_audit(substr(t.source, 8), 'suppression.made', CASE WHEN t.entries = 1 THEN 'suppression:' || t.first
        ELSE 'suppressions' END, to_jsonb(t) - 'source')
    FROM (SELECT m.source, m.scope, m.reason, m.why, count(*) AS entries, min(m.id) AS first, max(m.id) AS last
          FROM made AS m WHERE m.source LIKE 'person:%' GROUP BY m.source, m.scope, m.reason, m.why) AS t;
    RETURN NULL;
END
$$;
CREATE TRIGGER audited_anew AFTER INSERT ON reputation_suppression REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION ao_audit_suppressed();

CREATE FUNCTION ao_audit_unsuppressed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    lifted boolean := OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL;
    erased boolean := OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL;
BEGIN
    PERFORM ao_audit(
        CASE WHEN lifted THEN substr(NEW.lifted_by, 8) WHEN erased THEN ao_who() ELSE substr(NEW.source, 8) END,
        'suppression.' || CASE WHEN lifted THEN 'lifted' WHEN erased THEN 'erased' ELSE 'made' END,
        'suppression:' || NEW.id, jsonb_build_object('scope', NEW.scope, 'reason', NEW.reason, 'until', NEW.expires_at,
            'why', CASE WHEN lifted THEN NEW.lifted_why WHEN erased THEN '' ELSE NEW.why END));
    RETURN NULL;
END
$$;
CREATE TRIGGER audited AFTER UPDATE ON reputation_suppression FOR EACH ROW
    WHEN (OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL AND NEW.lifted_by LIKE 'person:%'
          OR OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL
          OR NEW.source LIKE 'person:%'
             AND (OLD.created_at, OLD.expires_at) IS DISTINCT FROM (NEW.created_at, NEW.expires_at))
    EXECUTE FUNCTION ao_audit_unsuppressed();
"""

CHANGES = """
-- Rows that are changed in place: what was before and after. Arguments: noun, the column that names the row, columns
-- whose change is told without what they hold, columns that do not count.
CREATE FUNCTION ao_audit_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    changed jsonb;
BEGIN
    SELECT jsonb_object_agg(key, CASE
        WHEN key = ANY (TG_ARGV[2]::text[]) THEN '"not shown"'
        WHEN TG_OP = 'UPDATE' THEN jsonb_build_array(b.value, a.value) ELSE coalesce(a.value, b.value) END)
    INTO changed
    FROM jsonb_each(coalesce(before, '{}')) AS b FULL JOIN jsonb_each(coalesce(after, '{}')) AS a USING (key)
    WHERE a.value IS DISTINCT FROM b.value AND key <> ALL (TG_ARGV[3]::text[]);
    IF changed IS NOT NULL THEN
        PERFORM ao_audit(coalesce(nullif(after ->> 'changed_by', ''), ao_who()),
            TG_ARGV[0] || '.' || CASE TG_OP WHEN 'INSERT' THEN 'made' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
            TG_ARGV[0] || ':' || coalesce(coalesce(after, before) ->> TG_ARGV[1], ''), changed);
    END IF;
    RETURN NULL;
END
$$;

-- Watch a table. Updates of columns that pass (a last use, a clock of a machine) do not even call the trigger.
CREATE FUNCTION ao_watch(watched regclass, noun text, named text, secret text[], passing text[])
RETURNS void LANGUAGE plpgsql AS
$$
DECLARE
    columns text := (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
                     WHERE attrelid = watched AND attnum > 0 AND NOT attisdropped AND attname <> ALL (passing));
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER audited_change AFTER INSERT OR DELETE OR UPDATE OF %s ON %s FOR EACH ROW
        EXECUTE FUNCTION ao_audit_change(%L, %L, %L, %L)', columns, watched, noun, named, secret, passing);
END
$$;
REVOKE ALL ON FUNCTION ao_watch(regclass, text, text, text[], text[]) FROM PUBLIC;
"""

# table, noun, the column that names a row, columns whose content is secret, columns that no person or rule sets
WATCHED = (
    ("outbox_agent", "agent", "name", "", ""),
    ("outbox_apikey", "apikey", "prefix", "secret_hash", "last_used_at"),
    ("outbox_endpoint", "endpoint", "name", "secret_sealed,old_secret_sealed", "failing_since,rests_until"),
    ("reputation_numbers", "numbers", "stream_id", "", "changed_at"),
    ("reputation_stream", "stream", "name", "", ""),
    ("reputation_route", "route", "name", "password_sealed", ""),
    ("reputation_sendingdomain", "domain", "name", "", "verified_at,checked_at,checking_since"),
    ("reputation_organisationaldomain", "organisation", "name", "", "dmarc"),
    ("reputation_providerlimit", "providerlimit", "family", "", ""),
    (
        "otp_totp_totpdevice",
        "secondfactor",
        "user_id",
        "key",
        "throttling_failure_timestamp,throttling_failure_count,last_used_at,drift,last_t",
    ),
    ("auth_user", "user", "username", "password", "last_login"),
    ("auth_group", "group", "name", "", ""),
)
WATCH = "\n".join(
    f"SELECT ao_watch('{table}', '{noun}', '{named}', '{{{secret}}}', '{{{passing}}}');"
    for table, noun, named, secret, passing in WATCHED
)

MEMBERS = """
-- Who belongs to a group, and what a group or a person may: one row for each of them and statement.
CREATE FUNCTION ao_audit_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    PERFORM ao_audit(ao_who(), TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN '.given' ELSE '.taken' END, t.subject,
                     jsonb_build_object(TG_ARGV[0], t.things))
    FROM (SELECT coalesce('user:' || u.username, 'group:' || g.name) AS subject,
                 jsonb_agg(coalesce(c.app_label || '.' || p.codename, g.name) ORDER BY p.codename, g.name) AS things
          FROM (SELECT to_jsonb(x) AS row FROM touched AS x) AS t
          LEFT JOIN auth_user AS u ON u.id = (t.row ->> 'user_id')::bigint
          LEFT JOIN auth_group AS g ON g.id = (t.row ->> 'group_id')::bigint
          LEFT JOIN auth_permission AS p ON p.id = (t.row ->> 'permission_id')::bigint
          LEFT JOIN django_content_type AS c ON c.id = p.content_type_id
          GROUP BY 1) AS t;
    RETURN NULL;
END
$$;
"""
MEMBERSHIPS = (
    ("auth_user_groups", "membership"),
    ("auth_group_permissions", "right"),
    ("auth_user_user_permissions", "right"),
)
MEMBER_TRIGGERS = "\n".join(
    f"CREATE TRIGGER audited_{verb.lower()} AFTER {verb} ON {table} REFERENCING {side} TABLE AS touched "
    f"FOR EACH STATEMENT EXECUTE FUNCTION ao_audit_members('{noun}');"
    for table, noun in MEMBERSHIPS
    for verb, side in (("INSERT", "NEW"), ("DELETE", "OLD"))
)


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0005_notices"),
        ("reputation", "0003_suppressed"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("otp_totp", "0003_add_timestamps"),
    ]

    operations = [
        migrations.RunSQL(sql, migrations.RunSQL.noop)
        for sql in (CHAIN, STORIES, SUPPRESSIONS, CHANGES, WATCH, MEMBERS, MEMBER_TRIGGERS)
    ]
