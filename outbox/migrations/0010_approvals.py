"""Approval requests, what belongs to them, and what was decided. The SQL: whether a reviewer can have seen a member."""

from typing import Any

import django.contrib.postgres.fields
import django.db.models.deletion
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

from outbox.people import make_groups

JOINED = """
-- The transaction that wrote a member: a decision covers those that its page's snapshot saw.
ALTER TABLE outbox_held ADD COLUMN joined xid8 NOT NULL DEFAULT pg_current_xact_id();

-- Keys and snapshots of another cluster, from a backup, are of transactions that are over: a key beyond those that this
-- one has given out was seen by whoever sees it now.
CREATE FUNCTION ao_seen(joined xid8, seen pg_snapshot) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT pg_visible_in_snapshot(joined, seen) OR joined >= pg_snapshot_xmax(pg_current_snapshot()) $$;

-- What was decided is never rewritten, whoever asks.
CREATE FUNCTION ao_never() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% can only be added to', TG_TABLE_NAME; END $$;
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON outbox_decision FOR EACH ROW EXECUTE FUNCTION ao_never();

-- Written at every hold, updated once when it is decided.
ALTER TABLE outbox_held SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
"""


def rights(_apps: Any, schema_editor: Any) -> None:
    """As 0007 did, for what is new: Django makes permissions after the last migration."""
    using = schema_editor.connection.alias
    create_permissions(installed.get_app_config("outbox"), verbosity=0, using=using)
    make_groups(using)


class Migration(migrations.Migration):

    dependencies = [
        ('outbox', '0009_policies'),
        ('reputation', '0004_second_person'),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('cluster', models.BigIntegerField(null=True)),
                ('state', models.CharField(choices=[('open', 'Open'), ('confirming', 'confirming: waits for a second person'), ('watching', 'watching what becomes of a wave'), ('lapsed', 'Lapsed'), ('ended', 'Ended')], default='open', max_length=10)),
                ('taking', models.BooleanField(default=True, help_text='What is held joins it; later it joins a new one.')),
                ('reasons', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), help_text='Why its messages are held, in codes.', size=None)),
                ('opened_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(help_text='When it lapses.')),
                ('ended_at', models.DateTimeField(null=True)),
                ('version', models.PositiveIntegerField(default=1)),
                ('carried', models.UUIDField(help_text='The last message that was looked at for it.', null=True)),
                ('watched_until', models.DateTimeField(null=True)),
                ('said', models.TextField(blank=True, help_text='Why its waves were stopped, or it went no further.')),
            ],
            options={
                'verbose_name': 'approval request',
                'permissions': [('decide_approval', 'Can release and refuse what is held')],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('release', 'Release'), ('waves', 'release in waves'), ('part', 'release a part'), ('refuse', 'Refuse'), ('confirm', 'confirm what another has decided'), ('withdraw', 'withdraw what waits for a second person'), ('wave', 'the next wave'), ('stop', 'stop the waves'), ('lapse', 'Lapse')], max_length=8)),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField(blank=True)),
                ('at', models.DateTimeField()),
                ('version', models.PositiveIntegerField(help_text='Of the request, that it was made on.')),
                ('upto', models.UUIDField(help_text='The last message that was shown.', null=True)),
                ('seen', models.TextField(blank=True, help_text='The snapshot of the page: what joined since is not in it.')),
                ('shown_at', models.DateTimeField(help_text='When the page was made: how long it was looked at.', null=True)),
                ('policy_version', models.PositiveIntegerField()),
                ('messages', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), help_text='A part: these.', null=True, size=None)),
                ('most', models.PositiveIntegerField(help_text='Of a wave or a part: so many messages.', null=True)),
                ('people', models.PositiveIntegerField(default=0, help_text='Recipients it is about, as far as was counted.')),
            ],
            options={
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Held',
            fields=[
                ('pk', models.CompositePrimaryKey('approval_id', 'message_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('message_id', models.UUIDField()),
                ('digest', models.BinaryField(max_length=32)),
                ('decision', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='members', to='outbox.decision')),
                ('approval', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='members', to='outbox.approval')),
            ],
            options={
                'verbose_name_plural': 'held messages',
                'default_permissions': ('view',),
            },
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('code__in', ['content_changed', 'policy', 'poison']), ('status', 'held')), fields=['id'], name='delivery_unasked'),
        ),
        migrations.AddField(
            model_name='approval',
            name='agent',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.agent'),
        ),
        migrations.AddField(
            model_name='approval',
            name='leaf',
            field=models.ForeignKey(help_text='The run itself, where its messages are in no cluster.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.run'),
        ),
        migrations.AddField(
            model_name='approval',
            name='run',
            field=models.ForeignKey(help_text='The root of the tree.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.run'),
        ),
        migrations.AddField(
            model_name='approval',
            name='stream',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='reputation.stream'),
        ),
        migrations.AddField(
            model_name='decision',
            name='approval',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='outbox.approval'),
        ),
        migrations.AddField(
            model_name='decision',
            name='of',
            field=models.ForeignKey(help_text='What it confirms, withdraws, stops or goes on with.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.decision'),
        ),
        migrations.AddField(
            model_name='approval',
            name='carrying',
            field=models.ForeignKey(help_text='What is being carried out.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.decision'),
        ),
        migrations.AddField(
            model_name='approval',
            name='proposed',
            field=models.ForeignKey(help_text='What waits for a second person.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.decision'),
        ),
        migrations.AddField(
            model_name='approval',
            name='watching',
            field=models.ForeignKey(help_text='The wave that went last.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.decision'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['-at'], name='decision_newest'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.UniqueConstraint(condition=models.Q(('kind__in', ['confirm', 'withdraw'])), fields=('of',), name='decision_answered_once'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['release', 'waves', 'part', 'refuse', 'confirm', 'withdraw', 'wave', 'stop', 'lapse'])), name='decision_kind_known'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('state__in', ['open', 'confirming', 'watching'])), fields=['opened_at'], name='approval_undecided'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(condition=models.Q(('carrying__isnull', False)), fields=['carrying'], name='approval_carrying'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.UniqueConstraint(condition=models.Q(('taking', True)), fields=('agent', 'run', 'leaf', 'cluster'), name='approval_taking_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['open', 'confirming', 'watching', 'lapsed', 'ended'])), name='approval_state_known'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state__in', ['open', 'confirming', 'watching'])), models.Q(models.Q(('state__in', ['open', 'confirming', 'watching']), _negated=True), ('ended_at__isnull', False), ('taking', False)), _connector='OR'), name='approval_ended_when_final'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('proposed__isnull', False), ('state', 'confirming')), models.Q(models.Q(('state', 'confirming'), _negated=True), ('proposed__isnull', True)), _connector='OR'), name='approval_confirming_a_decision'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(('cluster__isnull', True), ('leaf__isnull', True), _connector='OR'), name='approval_of_a_cluster_or_a_run'),
        ),
        migrations.AddIndex(
            model_name='held',
            index=models.Index(condition=models.Q(('decision', None)), fields=['approval', 'message_id'], name='held_undecided'),
        ),
        migrations.AddIndex(
            model_name='held',
            index=models.Index(fields=['message_id'], name='held_of_message'),
        ),
        migrations.AddIndex(
            model_name='held',
            index=models.Index(condition=models.Q(('decision__isnull', False)), fields=['decision'], name='held_decided'),
        ),
        migrations.RunSQL(JOINED, migrations.RunSQL.noop),
        migrations.RunPython(rights, migrations.RunPython.noop),
    ]
