"""The pager is told of the end of an alarm, too; those that had ended are left in peace."""

from django.db import migrations, models
from django.db.models import F, Q


def told(apps, schema_editor):
    alarms = apps.get_model("outbox", "Alarm").objects.using(schema_editor.connection.alias)
    alarms.filter(ended_at__isnull=False, told_at__isnull=False).update(end_told_at=F("told_at"))


class Migration(migrations.Migration):
    dependencies = [("outbox", "0011_budgets")]

    operations = [
        migrations.AddField(
            "alarm",
            "end_told_at",
            models.DateTimeField(null=True, help_text="When the pager took that it is over."),
        ),
        migrations.RunPython(told, migrations.RunPython.noop),
        migrations.RemoveIndex("alarm", "alarm_untold"),
        migrations.AddIndex(
            "alarm",
            models.Index(fields=["next_try_at"], condition=Q(end_told_at=None), name="alarm_to_tell"),
        ),
    ]
