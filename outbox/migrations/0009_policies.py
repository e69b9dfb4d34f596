"""Policies of streams, each version kept; who has been written to before; the runs of a tree by its root."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


# A version that a decision names must stay what it was, whoever asks.
UNCHANGED = """
CREATE FUNCTION ao_refuse_policy_change() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION 'a policy is never changed; make a new version' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER policy_unchanged BEFORE UPDATE OR DELETE ON outbox_policy
    FOR EACH ROW EXECUTE FUNCTION ao_refuse_policy_change();
SELECT ao_watch('outbox_policy', 'policy', 'stream_id', '{}', '{}');
"""


class Migration(migrations.Migration):

    dependencies = [
        ('outbox', '0008_likeness'),
        ('reputation', '0003_suppressed'),
    ]

    operations = [
        migrations.CreateModel(
            name='Contact',
            fields=[
                ('mark', models.BinaryField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('numbers', models.JSONField()),
                ('who', models.CharField(max_length=200)),
                ('why', models.CharField(blank=True, max_length=500)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'policies',
            },
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(models.F('agent'), models.F('lineage__0'), models.OrderBy(models.F('created_at'), descending=True), name='run_of_tree'),
        ),
        migrations.AddField(
            model_name='policy',
            name='stream',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='policies', to='reputation.stream'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.UniqueConstraint(fields=('stream', 'version'), name='one_policy_per_version'),
        ),
        migrations.AddConstraint(
            model_name='policy',
            constraint=models.CheckConstraint(condition=models.Q(('version__gte', 1)), name='policy_versions_begin_at_one'),
        ),
        migrations.RunSQL(UNCHANGED, migrations.RunSQL.noop),
    ]
