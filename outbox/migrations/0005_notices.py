"""Webhooks out are written with the event they tell of."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("outbox", "0004_budgets")]

    operations = []
