"""Which scopes cover a delivery, said once for those who ask: its lane's, and its recipient's domain."""

from django.db import migrations

SCOPES = """
-- One expression, so that the planner puts it in the place of its call.
CREATE FUNCTION ao_scopes(lane varchar[], recipient text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lane || ('recipient_domain:' || split_part(recipient, '@', 2)) $$;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0013_sealed_second_factors")]

    operations = [migrations.RunSQL(SCOPES, "DROP FUNCTION ao_scopes(varchar[], text)")]
