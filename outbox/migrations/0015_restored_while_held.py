"""What was restored while it waited for an approval is an event of its own kind, not one of a certain text.

Only of what is in doubt now: nobody asks about the rest.
"""

from django.db import migrations

TOLD_APART = """
UPDATE outbox_event AS e SET kind = 'restored_held' FROM outbox_delivery AS d
WHERE d.status = 'uncertain' AND d.code = 'restored_from_backup' AND e.message_id = d.message_id AND e.delivery_id = d.id
  AND e.kind = 'restored' AND e.note LIKE 'was held: %'
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0014_scopes_of_a_delivery")]

    operations = [migrations.RunSQL(TOLD_APART, migrations.RunSQL.noop)]
