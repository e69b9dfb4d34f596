"""Clusters of like content, how they are found, and who got one of them."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

STORAGE = """
-- Its rows are counted up in place.
ALTER TABLE outbox_clustercount SET (fillfactor = 50, autovacuum_vacuum_threshold = 200);
-- Only ever added to, and forgotten from one end.
ALTER TABLE outbox_print SET (autovacuum_vacuum_insert_scale_factor = 0.05);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('outbox', '0007_roles'),
    ]

    operations = [
        migrations.CreateModel(
            name='Cluster',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('sketch', models.BinaryField()),
                ('bands', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), help_text='What it is found by, as far as others left it.', size=None)),
            ],
        ),
        migrations.CreateModel(
            name='Band',
            fields=[
                ('pk', models.CompositePrimaryKey('hash', 'slot', blank=True, editable=False, primary_key=True, serialize=False)),
                ('hash', models.BigIntegerField()),
                ('slot', models.PositiveSmallIntegerField()),
                ('cluster', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='outbox.cluster')),
            ],
        ),
        migrations.CreateModel(
            name='ClusterCount',
            fields=[
                ('pk', models.CompositePrimaryKey('cluster_id', 'day', 'shard', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('shard', models.PositiveSmallIntegerField()),
                ('people', models.PositiveIntegerField()),
                ('cluster', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='outbox.cluster')),
            ],
            options={
                'indexes': [models.Index(fields=['day'], name='cluster_count_age')],
            },
        ),
        migrations.CreateModel(
            name='Print',
            fields=[
                ('pk', models.CompositePrimaryKey('cluster_id', 'person', 'nth', blank=True, editable=False, primary_key=True, serialize=False)),
                ('person', models.BinaryField()),
                ('nth', models.PositiveIntegerField()),
                ('at', models.DateTimeField()),
                ('delivery_id', models.UUIDField(null=True)),
                ('enclosed', models.BinaryField()),
                ('sketch', models.BinaryField()),
                ('agent', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='outbox.agent')),
                ('cluster', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='outbox.cluster')),
            ],
            options={
                'indexes': [models.Index(fields=['person', 'at'], name='print_of_person'), models.Index(fields=['at'], name='print_age')],
            },
        ),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
    ]
