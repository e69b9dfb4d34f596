"""When a release needs two people, and whether an agent's owner may be one."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reputation', '0003_suppressed'),
    ]

    operations = [
        migrations.AddField(
            model_name='stream',
            name='owner_may_approve',
            field=models.BooleanField(default=False, help_text='Whether the owner of an agent may release what it asked for.'),
        ),
        migrations.AddField(
            model_name='stream',
            name='second_person_above',
            field=models.PositiveIntegerField(default=200, help_text='A release to more recipients than this needs two people.'),
        ),
    ]
