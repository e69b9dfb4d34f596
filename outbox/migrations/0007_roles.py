"""The groups of people that come with the installation, as ``outbox.people`` has them."""

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

from outbox.people import APPS, make_groups


def make(_apps: Any, schema_editor: Any) -> None:
    """Permissions first: Django makes them after the last migration. The apps of a migration's state have no models
    module, for which it would make none."""
    using = schema_editor.connection.alias
    for label in (*APPS, "auth"):
        create_permissions(installed.get_app_config(label), verbosity=0, using=using)
    make_groups(using)


class Migration(migrations.Migration):
    dependencies = [("outbox", "0006_audit")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
