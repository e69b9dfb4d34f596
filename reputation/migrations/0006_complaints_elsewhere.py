"""Complaints of providers that nobody knows to send any are a signal of their own."""

from django.db import migrations, models
from django.db.models import Q

SIGNALS = ["bounces", "complaints", "complaints_elsewhere", "unsubscribes"]


class Migration(migrations.Migration):
    dependencies = [("reputation", "0005_limits")]

    operations = [
        migrations.AlterField(
            "watch",
            "signal",
            models.CharField(
                choices=[
                    ("bounces", "Bounces"),
                    ("complaints", "Complaints"),
                    ("complaints_elsewhere", "complaints elsewhere"),
                    ("unsubscribes", "Unsubscribes"),
                ],
                max_length=24,
            ),
        ),
        migrations.RemoveConstraint("watch", "watch_signal_known"),
        migrations.AddConstraint(
            "watch", models.CheckConstraint(condition=Q(signal__in=SIGNALS), name="watch_signal_known")
        ),
    ]
