"""The secrets of people's phones are sealed, their recovery codes kept as keyed hashes."""

from binascii import hexlify, unhexlify

import django.db.models.deletion
import django_otp.plugins.otp_totp.models
from django.db import migrations, models

from outbox.second_factor import hashed
from reputation.vault import vault


def seal(apps, schema_editor):
    using = schema_editor.connection.alias
    devices = apps.get_model("otp_totp", "TOTPDevice").objects.using(using)
    with schema_editor.connection.cursor() as cursor:
        for device in devices.exclude(key=""):
            sealed = vault().seal(unhexlify(device.key))
            cursor.execute(
                "INSERT INTO outbox_phone (totpdevice_ptr_id, secret_sealed) VALUES (%s, %s)", [device.pk, sealed]
            )
    devices.update(key="")
    for token in apps.get_model("otp_static", "StaticToken").objects.using(using).select_related("device"):
        token.token = hashed(token.device.user_id, token.token)
        token.save(update_fields=["token"])


def unseal(apps, schema_editor):
    """Recovery codes stay hashes, and are void."""
    devices = apps.get_model("otp_totp", "TOTPDevice").objects.using(schema_editor.connection.alias)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT totpdevice_ptr_id, secret_sealed FROM outbox_phone")
        for key, sealed in cursor.fetchall():
            devices.filter(pk=key).update(key=hexlify(vault().unseal(bytes(sealed))).decode())


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0012_alarms_end_told"),
        ("otp_totp", "0003_add_timestamps"),
        ("otp_static", "0003_add_timestamps"),
    ]

    operations = [
        migrations.CreateModel(
            name="Phone",
            fields=[
                (
                    "totpdevice_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="otp_totp.totpdevice",
                    ),
                ),
                ("secret_sealed", models.BinaryField(editable=False)),
            ],
            options={"abstract": False},
            bases=("otp_totp.totpdevice",),
        ),
        migrations.RunPython(seal, unseal),
    ]
