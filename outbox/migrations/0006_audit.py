"""Every act of a person or a rule is written down, chained."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("outbox", "0005_notices")]

    operations = []
