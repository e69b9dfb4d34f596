"""What all agents of a stream may have together, and on behalf of one principal."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("reputation", "0004_second_person")]

    operations = [
        migrations.AddField(
            "stream",
            "recipients_per_day",
            models.PositiveIntegerField(
                null=True,
                blank=True,
                help_text="Of all its agents together in a UTC day; empty: no limit.",
            ),
        ),
        migrations.AddField(
            "stream",
            "recipients_per_principal",
            models.PositiveIntegerField(
                null=True,
                blank=True,
                default=200,
                help_text="Of all its agents together on behalf of one principal in a UTC day; empty: no limit. Not in "
                "transactional streams.",
            ),
        ),
        migrations.AddConstraint(
            "stream",
            models.CheckConstraint(
                condition=Q(recipients_per_day__isnull=True) | Q(recipients_per_day__gte=1),
                name="stream_limit_is_no_stop",
                violation_error_message="At least 1 a day; to stop the stream, trip its switch.",
            ),
        ),
        migrations.AddConstraint(
            "stream",
            models.CheckConstraint(
                condition=Q(recipients_per_principal__isnull=True) | Q(recipients_per_principal__gte=1),
                name="stream_principals_may_send",
                violation_error_message="At least 1 for a principal; to stop the stream, trip its switch.",
            ),
        ),
    ]
