"""The groups of people that come with the installation."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("outbox", "0006_audit")]

    operations = []
