
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('reputation', '0001_tables'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Attachment',
            fields=[
                ('pk', models.CompositePrimaryKey('message_id', 'ordinal', blank=True, editable=False, primary_key=True, serialize=False)),
                ('ordinal', models.PositiveSmallIntegerField()),
                ('filename', models.TextField()),
                ('content_type', models.TextField()),
                ('content_id', models.TextField(null=True)),
                ('content', models.BinaryField()),
            ],
            options={
                'db_table': 'outbox_attachment',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('number', models.PositiveSmallIntegerField()),
                ('session_id', models.IntegerField()),
                ('ended_at', models.DateTimeField()),
                ('seconds', models.FloatField(null=True)),
                ('phase', models.TextField()),
                ('host', models.TextField()),
                ('address', models.TextField()),
                ('tls', models.TextField()),
                ('reply_code', models.PositiveSmallIntegerField(null=True)),
                ('reply', models.TextField()),
                ('fault', models.TextField()),
                ('selectors', models.TextField()),
                ('cleared_at', models.DateTimeField(null=True)),
                ('outcome', models.TextField()),
                ('code', models.TextField()),
            ],
            options={
                'db_table': 'outbox_attempt',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('kind', models.TextField()),
                ('status', models.TextField()),
                ('code', models.TextField()),
                ('attempt', models.PositiveSmallIntegerField(null=True)),
                ('actor', models.TextField()),
                ('note', models.TextField()),
            ],
            options={
                'db_table': 'outbox_event',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField()),
                ('scheduled_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField()),
                ('header_id', models.CharField(help_text='Message-ID, with its angle brackets.', max_length=300)),
                ('sender', models.TextField()),
                ('addressing', models.JSONField(help_text='to, cc, bcc and reply_to, as given.')),
                ('addresses', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ('subject', models.TextField()),
                ('text', models.TextField()),
                ('html', models.TextField(null=True)),
                ('headers', models.JSONField()),
                ('tags', models.JSONField()),
                ('context', models.JSONField(help_text='on_behalf_of and purpose, as given.')),
                ('decision', models.JSONField()),
                ('refused', models.JSONField(help_text='Recipients that got no delivery: to, code.')),
                ('attachment_count', models.PositiveSmallIntegerField(default=0)),
                ('size', models.PositiveIntegerField(help_text='Octets of bodies and attachments, decoded.')),
            ],
            options={
                'db_table': 'outbox_message',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='AuditLook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(null=True)),
                ('upto', models.BigIntegerField(db_default=0)),
                ('digest', models.BinaryField(db_default=b'', max_length=32)),
                ('again', models.BigIntegerField(db_default=0)),
                ('again_digest', models.BinaryField(db_default=b'', max_length=32)),
                ('whole_at', models.DateTimeField(help_text='When all of it was last gone through to its end.', null=True)),
                ('broken', models.BigIntegerField(help_text='The first row that is not what it was.', null=True)),
                ('words', models.TextField(blank=True, db_default='')),
            ],
        ),
        migrations.CreateModel(
            name='Drill',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('who', models.CharField(max_length=200)),
                ('scope', models.CharField(max_length=400)),
                ('messages', models.PositiveIntegerField(help_text='Accepted for it.')),
                ('sent', models.PositiveIntegerField(help_text='Cleared before the stop.')),
                ('kept', models.PositiveIntegerField(help_text='Kept back by it.')),
                ('after', models.PositiveIntegerField(help_text='Cleared after it: must be 0.')),
                ('trip_seconds', models.FloatField(help_text='From the order to the commit.')),
                ('zero_seconds', models.FloatField(help_text="From the commit to the last dot's reply.")),
                ('heard_seconds', models.FloatField(help_text='From the commit to the last acknowledgement.', null=True)),
                ('workers', models.PositiveSmallIntegerField()),
                ('epoch', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Vigil',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('judged_at', models.DateTimeField()),
                ('who', models.CharField(help_text='The process that judged them.', max_length=200)),
                ('failed', models.TextField(blank=True, help_text='Conditions that could not be judged.')),
                ('beat_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Agent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(max_length=63, unique=True)),
                ('enabled', models.BooleanField(default=True)),
                ('exempt', models.BooleanField(default=False, help_text='For trying and loading: rules that hold or limit do not apply.')),
                ('requests_per_minute', models.PositiveIntegerField(default=600)),
                ('recipients_per_message', models.PositiveIntegerField(default=5)),
                ('recipients_per_hour', models.PositiveIntegerField(default=20)),
                ('recipients_per_day', models.PositiveIntegerField(default=100)),
                ('recipients_per_run', models.PositiveIntegerField(default=50)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('stream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='agents', to='reputation.stream')),
            ],
        ),
        migrations.CreateModel(
            name='Alarm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('key', models.CharField(blank=True, max_length=400)),
                ('raised_at', models.DateTimeField()),
                ('words', models.TextField()),
                ('told_at', models.DateTimeField(help_text='When the pager took it.', null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('next_try_at', models.DateTimeField(null=True)),
                ('said', models.TextField(blank=True, help_text='Why it could not be told.')),
                ('ended_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('told_at', None)), fields=['next_try_at'], name='alarm_untold'), models.Index(fields=['-raised_at'], name='alarm_newest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('kind', 'key'), name='alarm_raised_once')],
            },
        ),
        migrations.CreateModel(
            name='Audit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('who', models.CharField(max_length=200)),
                ('act', models.CharField(max_length=60)),
                ('subject', models.CharField(blank=True, max_length=400)),
                ('detail', models.JSONField(default=dict)),
                ('previous', models.BinaryField(max_length=32)),
                ('digest', models.BinaryField(max_length=32)),
            ],
            options={
                'verbose_name_plural': 'audit',
                'indexes': [models.Index(fields=['subject', '-id'], name='audit_of_subject'), models.Index(fields=['who', '-id'], name='audit_of_person')],
            },
        ),
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=12)),
                ('key', models.CharField(max_length=160)),
                ('opens_at', models.DateTimeField()),
                ('used', models.PositiveIntegerField()),
            ],
            options={
                'indexes': [models.Index(fields=['opens_at'], name='budget_age')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'key', 'opens_at'), name='one_budget_per_window'), models.CheckConstraint(condition=models.Q(('kind__in', ['run', 'agent_hour', 'agent_day', 'root_runs'])), name='budget_kind_known')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('next_attempt_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('cleared_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('attempt', models.PositiveSmallIntegerField(default=0)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('rescues', models.PositiveSmallIntegerField(default=0)),
                ('priority', models.PositiveSmallIntegerField(default=1)),
                ('resent', models.BooleanField(default=False)),
                ('status', models.TextField(choices=[('held', 'held'), ('queued', 'queued'), ('sending', 'sending'), ('deferred', 'deferred'), ('uncertain', 'uncertain'), ('delivered', 'delivered'), ('relayed', 'relayed'), ('bounced', 'bounced'), ('expired', 'expired'), ('suppressed', 'suppressed'), ('cancelled', 'cancelled'), ('refused', 'refused')])),
                ('code', models.TextField(default='')),
                ('recipient', models.TextField()),
                ('message', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='deliveries', to='outbox.message')),
                ('purse', models.ForeignKey(db_constraint=False, db_index=False, help_text='What its reserved allowance was taken from, while it is under a lease.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='reputation.purse')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
            },
        ),
        migrations.CreateModel(
            name='Uncertain',
            fields=[
            ],
            options={
                'verbose_name': 'uncertain delivery',
                'verbose_name_plural': 'uncertain deliveries',
                'permissions': [('settle_uncertain', 'Can decide what became of uncertain deliveries')],
                'proxy': True,
                'default_permissions': ('view',),
                'indexes': [],
                'constraints': [],
            },
            bases=('outbox.delivery',),
        ),
        migrations.CreateModel(
            name='Endpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(max_length=63, unique=True)),
                ('url', models.URLField(max_length=500)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, help_text='Empty: all.', size=None)),
                ('secret_sealed', models.BinaryField()),
                ('old_secret_sealed', models.BinaryField(default=b'', help_text='Signs too while it rotates.')),
                ('old_until', models.DateTimeField(blank=True, null=True)),
                ('enabled', models.BooleanField(default=True)),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('disabled_why', models.TextField(blank=True)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('rests_until', models.DateTimeField(blank=True, help_text='After a failure nothing is sent before.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('stream', models.ForeignKey(blank=True, help_text='Empty: of all.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='reputation.stream')),
            ],
        ),
        migrations.CreateModel(
            name='Lane',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=32)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=400), size=None)),
                ('tier', models.PositiveSmallIntegerField(default=1, help_text='0: transactional, 1: everything else.')),
                ('state', models.CharField(choices=[('awake', 'Awake'), ('asleep', 'Asleep'), ('shut', 'shut: waits for allowance'), ('parked', 'parked by a stop')], default='awake', max_length=6)),
                ('wake_at', models.DateTimeField()),
                ('naps', models.PositiveSmallIntegerField(default=0)),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.agent')),
                ('domain', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='reputation.sendingdomain')),
                ('ramp', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='reputation.ramp')),
                ('stream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='reputation.stream')),
            ],
        ),
        migrations.AddField(
            model_name='delivery',
            name='lane',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.lane'),
        ),
        migrations.CreateModel(
            name='Quarantine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('source', models.CharField(max_length=32)),
                ('envelope_to', models.CharField(max_length=320)),
                ('why', models.CharField(choices=[('unreadable', 'breaks a parser'), ('unknown', 'no report we know'), ('person', 'to postmaster or abuse'), ('dmarc', 'DMARC report'), ('tlsrpt', 'TLS report')], max_length=12)),
                ('detail', models.TextField(blank=True)),
                ('delivery_id', models.UUIDField(blank=True, help_text='Whose return-path it came to.', null=True)),
                ('digest', models.BinaryField(help_text='SHA-256 of the content.', max_length=32)),
                ('content', models.BinaryField()),
            ],
            options={
                'verbose_name_plural': 'quarantine',
                'indexes': [models.Index(fields=['at'], name='quarantine_age')],
                'constraints': [models.UniqueConstraint(fields=('envelope_to', 'digest'), name='quarantined_once'), models.CheckConstraint(condition=models.Q(('why__in', ['unreadable', 'unknown', 'person', 'dmarc', 'tlsrpt'])), name='quarantine_why_known')],
            },
        ),
        migrations.CreateModel(
            name='RefusedPosts',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('minute', models.DateTimeField()),
                ('agent_id', models.BigIntegerField()),
                ('code', models.CharField(max_length=40)),
                ('posts', models.PositiveIntegerField()),
            ],
            options={
                'verbose_name_plural': 'refused posts',
                'constraints': [models.UniqueConstraint(fields=('minute', 'agent_id', 'code'), name='one_count_of_refusals')],
            },
        ),
        migrations.CreateModel(
            name='ReturnCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('source', models.CharField(max_length=32)),
                ('end', models.CharField(max_length=16)),
                ('messages', models.PositiveBigIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('day', 'source', 'end'), name='one_count_of_returns')],
            },
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=128)),
                ('lineage', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=128), help_text='Names from the root to this run.', size=None)),
                ('on_behalf_of', models.CharField(blank=True, max_length=200)),
                ('purpose', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
                ('recipients_limit', models.PositiveIntegerField(blank=True, help_text='A budget below what it would have, as its agent wished.', null=True)),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='outbox.agent')),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='outbox.run')),
            ],
        ),
        migrations.AddField(
            model_name='lane',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='outbox.run'),
        ),
        migrations.CreateModel(
            name='SeenEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=32)),
                ('event_id', models.CharField(max_length=200)),
                ('at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['at'], name='seen_event_age')],
                'constraints': [models.UniqueConstraint(fields=('provider', 'event_id'), name='event_seen_once')],
            },
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lease_until', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('epoch_seen', models.BigIntegerField(default=0)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['lease_until'], name='session_alive')],
            },
        ),
        migrations.AddField(
            model_name='delivery',
            name='session',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='outbox.session'),
        ),
        migrations.CreateModel(
            name='Signal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('bounced', 'Bounced'), ('delivered', "delivered: a relay's report"), ('delayed', 'Delayed'), ('complained', 'Complained'), ('unsubscribed', 'Unsubscribed')], max_length=12)),
                ('at', models.DateTimeField()),
                ('source', models.CharField(help_text='Which door it came through.', max_length=32)),
                ('reason', models.CharField(help_text='Why, in the closed list of outbox.reports.', max_length=32)),
                ('code', models.TextField(blank=True, help_text='The final code it gives its delivery.')),
                ('hard', models.BooleanField(default=False, help_text='The address is gone for good.')),
                ('status', models.CharField(blank=True, help_text='Enhanced status code, RFC 3463.', max_length=16)),
                ('reporter', models.CharField(blank=True, help_text='Who says so, by its own word.', max_length=255)),
                ('text', models.TextField(blank=True)),
                ('early', models.BooleanField(default=False, help_text='It came before its delivery was settled.')),
                ('delivery', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='signals', to='outbox.delivery')),
            ],
        ),
        migrations.CreateModel(
            name='Answer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=256)),
                ('digest', models.BinaryField()),
                ('status', models.PositiveSmallIntegerField()),
                ('body', models.TextField()),
                ('message_id', models.UUIDField(null=True)),
                ('created_at', models.DateTimeField()),
                ('agent', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='outbox.agent')),
            ],
            options={
                'indexes': [models.Index(models.F('created_at'), name='answer_age')],
                'constraints': [models.UniqueConstraint(fields=('agent', 'key'), name='one_answer_per_key')],
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('agent', 'Agent'), ('returns', 'Returns'), ('operator', 'Operator')], default='agent', max_length=8)),
                ('name', models.CharField(blank=True, max_length=100)),
                ('prefix', models.CharField(max_length=16, unique=True)),
                ('secret_hash', models.BinaryField()),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=8), default=list, size=None)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('agent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='outbox.agent')),
            ],
            options={
                'verbose_name': 'API key',
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['agent', 'returns', 'operator'])), name='key_kind_known'), models.CheckConstraint(condition=models.Q(models.Q(('agent__isnull', False), ('kind', 'agent')), models.Q(('agent__isnull', True), models.Q(('kind', 'agent'), _negated=True)), _connector='OR'), name='agent_keys_have_an_agent')],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=40)),
                ('subject', models.CharField(max_length=400)),
                ('event_id', models.CharField(help_text='The webhook-id: the same at every attempt.', max_length=60)),
                ('at', models.DateTimeField()),
                ('data', models.JSONField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('sending', 'Sending'), ('taken', 'Taken'), ('given_up', 'Given Up')], default='waiting', max_length=8)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField()),
                ('leased_until', models.DateTimeField(null=True)),
                ('status', models.PositiveSmallIntegerField(help_text='HTTP status of the last attempt.', null=True)),
                ('said', models.TextField(blank=True, help_text='What went wrong at the last attempt.')),
                ('ended_at', models.DateTimeField(null=True)),
                ('endpoint', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='notices', to='outbox.endpoint')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['endpoint', 'next_attempt_at', 'id'], name='notice_due'), models.Index(condition=models.Q(('state__in', ['waiting', 'sending'])), fields=['endpoint', 'subject', 'id'], name='notice_before'), models.Index(condition=models.Q(('state', 'sending')), fields=['endpoint', 'leased_until'], name='notice_leased'), models.Index(fields=['endpoint', '-id'], name='notice_of_endpoint')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'sending', 'taken', 'given_up'])), name='notice_state_known'), models.UniqueConstraint(fields=('event_id', 'endpoint'), name='notice_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(fields=('agent', 'name'), name='run_names_are_unique_per_agent'),
        ),
        migrations.AddIndex(
            model_name='lane',
            index=models.Index(condition=models.Q(('state', 'awake')), fields=['tier', 'agent', 'wake_at'], name='lane_awake'),
        ),
        migrations.AddIndex(
            model_name='lane',
            index=models.Index(condition=models.Q(('state', 'asleep')), fields=['tier', 'wake_at'], name='lane_asleep'),
        ),
        migrations.AddIndex(
            model_name='lane',
            index=models.Index(condition=models.Q(('state', 'shut')), fields=['ramp', 'agent', 'wake_at'], name='lane_shut'),
        ),
        migrations.AddIndex(
            model_name='lane',
            index=django.contrib.postgres.indexes.GinIndex(fields=['scopes'], name='lane_of_scope'),
        ),
        migrations.AddConstraint(
            model_name='lane',
            constraint=models.UniqueConstraint(fields=('run', 'provider', 'domain', 'stream', 'agent'), name='one_lane_per_place'),
        ),
        migrations.AddConstraint(
            model_name='lane',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['awake', 'asleep', 'shut', 'parked'])), name='lane_state_known'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status__in', ['queued', 'deferred'])), fields=['lane', 'priority', 'next_attempt_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'sending')), fields=['session', 'id'], name='delivery_leased'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status__in', ['held', 'queued', 'deferred'])), fields=['expires_at'], name='delivery_expiring'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'held')), fields=['lane'], name='delivery_held'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('code__in', ['recheck', 'weak_evidence']), ('status', 'held')), fields=['lane'], name='delivery_rechecked'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'uncertain')), fields=['next_attempt_at'], name='delivery_uncertain'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['held', 'queued', 'sending', 'deferred', 'uncertain', 'delivered', 'relayed', 'bounced', 'expired', 'suppressed', 'cancelled', 'refused'])), name='delivery_status_known'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('status__in', ['bounced', 'cancelled', 'delivered', 'expired', 'refused', 'relayed', 'suppressed'])), models.Q(models.Q(('status__in', ['bounced', 'cancelled', 'delivered', 'expired', 'refused', 'relayed', 'suppressed']), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='delivery_finished_when_final'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'sending'), _negated=True), ('session__isnull', False), _connector='OR'), name='delivery_sending_has_a_session'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'held'), _negated=True), ('code__in', ['attachment_type', 'cluster_size', 'content_changed', 'content_lint', 'first_contact', 'link_mismatch', 'lookalike_domain', 'new_agent', 'poison', 'policy', 'quiet_hours', 'recheck', 'run_recipients', 'set_aside', 'weak_evidence']), _connector='OR'), name='delivery_held_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'uncertain'), _negated=True), ('code__in', ['no_reply_after_dot', 'restored_from_backup', 'send_queue_stuck', 'session_lost_after_clearance']), _connector='OR'), name='delivery_uncertain_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'delivered'), _negated=True), ('code__in', ['accepted_by_server', 'by_person']), _connector='OR'), name='delivery_delivered_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'relayed'), _negated=True), ('code__in', ['accepted_by_relay']), _connector='OR'), name='delivery_relayed_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'bounced'), _negated=True), ('code__in', ['authentication_refused', 'by_person', 'content_refused_by_server', 'dns_failed', 'mailbox_full', 'message_too_big', 'null_mx', 'protocol_error', 'recipient_inactive', 'recipient_moved', 'recipient_unknown', 'refused_unclassified', 'reputation_refused', 'tls_required']), _connector='OR'), name='delivery_bounced_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'expired'), _negated=True), ('code__in', ['approval_lapsed', 'expires_at_passed', 'retries_exhausted']), _connector='OR'), name='delivery_expired_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'suppressed'), _negated=True), ('code__in', ['by_person', 'complaint', 'hard_bounce', 'unsubscribed']), _connector='OR'), name='delivery_suppressed_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'cancelled'), _negated=True), ('code__in', ['by_agent', 'by_person', 'purged_after_stop', 'run_cancelled']), _connector='OR'), name='delivery_cancelled_code'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'refused'), _negated=True), ('code__in', ['by_policy', 'by_reviewer']), _connector='OR'), name='delivery_refused_code'),
        ),
        migrations.AddIndex(
            model_name='signal',
            index=models.Index(condition=models.Q(('early', True)), fields=['at'], name='signal_early'),
        ),
        migrations.AddConstraint(
            model_name='signal',
            constraint=models.UniqueConstraint(fields=('delivery', 'kind'), name='one_signal_of_a_kind'),
        ),
        migrations.AddConstraint(
            model_name='signal',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['bounced', 'delivered', 'delayed', 'complained', 'unsubscribed'])), name='signal_kind_known'),
        ),
    ]
