"""The look-up of suppressed addresses, with one good plan however large the list has grown since it was made."""

from django.db import migrations

SUPPRESSED = """
-- Which of these marks a stream may not write to, and why. By the index alone: a plan that was made while the list was
-- short would read all of it for every message.
CREATE FUNCTION ao_suppressed(marks bytea[], of_stream text, of_kind text)
RETURNS TABLE (mark bytea, reason text) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS
$$
BEGIN
    RETURN QUERY
    SELECT s.mark, s.reason::text FROM reputation_suppression AS s
    WHERE s.mark = ANY (marks) AND s.lifted_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > ao_now())
      AND (s.scope = 'all' OR s.scope = 'stream:' || of_stream OR s.scope = 'agents' AND of_kind <> 'transactional');
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("reputation", "0002_dedication")]

    operations = [migrations.RunSQL(SUPPRESSED, "DROP FUNCTION ao_suppressed(bytea[], text, text)")]
