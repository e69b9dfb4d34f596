
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import reputation.models.lanes
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Allowance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('opens_at', models.DateTimeField(help_text='Opens evenly from here ...')),
                ('closes_at', models.DateTimeField(help_text='... to here; at once if they are the same.')),
                ('step', models.PositiveSmallIntegerField(db_default=0)),
                ('cap', models.PositiveIntegerField(null=True)),
                ('kept', models.PositiveIntegerField(db_default=0, help_text='Of the cap, for transactional mail only.')),
                ('taken', models.PositiveIntegerField(db_default=0)),
                ('used', models.PositiveIntegerField(db_default=0)),
                ('lapsed', models.PositiveIntegerField(db_default=0)),
                ('accepted', models.PositiveIntegerField(db_default=0)),
                ('bounced', models.PositiveIntegerField(db_default=0, help_text='Recipient bounces.')),
                ('slowed', models.PositiveIntegerField(db_default=0, help_text='Deferrals for rate or reputation.')),
                ('refused', models.PositiveIntegerField(db_default=0, help_text='Refused for reputation, policy or authentication.')),
                ('complained', models.PositiveIntegerField(db_default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Evidence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text='When it was settled; of a late report: what it is about.')),
                ('stream', models.CharField(max_length=63)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=400), size=None)),
                ('provider', models.CharField(max_length=32)),
                ('trials', models.PositiveIntegerField()),
                ('events', models.JSONField(default=list)),
            ],
            options={
                'verbose_name_plural': 'evidence',
            },
        ),
        migrations.CreateModel(
            name='FeedbackProvider',
            fields=[
                ('family', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('since', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='FullMailbox',
            fields=[
                ('mark', models.BinaryField(max_length=10, primary_key=True, serialize=False)),
                ('times', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(), default=list, size=None)),
                ('terms', models.PositiveSmallIntegerField(db_default=0)),
            ],
        ),
        migrations.CreateModel(
            name='KnownDomain',
            fields=[
                ('domain', models.CharField(max_length=253, primary_key=True, serialize=False)),
                ('family', models.SlugField(max_length=32)),
                ('learned_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='OpenStop',
            fields=[
                ('scope', models.CharField(max_length=400, primary_key=True, serialize=False)),
                ('epoch', models.BigIntegerField()),
                ('tripped_at', models.DateTimeField()),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name='ProviderLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('family', models.SlugField(max_length=32, unique=True)),
                ('connections', models.PositiveSmallIntegerField(default=20, help_text='At once, of one worker process.')),
                ('reserved', models.PositiveSmallIntegerField(default=2, help_text='Of these, for transactional mail only.')),
                ('per_minute', models.PositiveIntegerField(blank=True, help_text='Recipients a minute from one sending domain; empty: no limit.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='ProviderSuffix',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('suffix', models.CharField(max_length=253, unique=True)),
                ('family', models.SlugField(max_length=32)),
            ],
            options={
                'verbose_name_plural': 'provider suffixes',
            },
        ),
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=32)),
                ('began_at', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('why', models.TextField()),
            ],
            options={
                'indexes': [models.Index(fields=['provider', '-until'], name='incident_of_provider')],
            },
        ),
        migrations.CreateModel(
            name='Judgement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=400)),
                ('rule', models.CharField(max_length=40)),
                ('strength', models.CharField(choices=[('weak', 'weak: new mail is held for a person'), ('cleared', 'weak no more'), ('strong', 'strong: the scope is closed'), ('at_once', 'at once: said on our own connection, or looked up by ourselves')], max_length=8)),
                ('at', models.DateTimeField()),
                ('why', models.TextField()),
                ('arithmetic', models.JSONField(default=dict)),
                ('epoch', models.BigIntegerField(help_text='The trip that followed.', null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['scope', '-id'], name='judgement_of_scope'), models.Index(condition=models.Q(('epoch__isnull', True), ('strength__in', ['strong', 'at_once'])), fields=['id'], name='judgement_undone')],
                'constraints': [models.CheckConstraint(condition=models.Q(('strength__in', ['weak', 'cleared', 'strong', 'at_once'])), name='judgement_strength_known')],
            },
        ),
        migrations.CreateModel(
            name='OrganisationalDomain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('preset', models.CharField(choices=[('none', 'none: already warm'), ('careful', 'Careful'), ('standard', 'Standard'), ('new-domain', 'New Domain'), ('own', 'own steps')], default='careful', max_length=12)),
                ('own_steps', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(), blank=True, default=list, help_text='Recipients a day, rising.', size=None)),
                ('target', models.PositiveIntegerField(default=100000, help_text='Recipients a day and provider at the end.')),
                ('name', models.CharField(max_length=253, unique=True)),
                ('use', models.CharField(choices=[('undeclared', 'Undeclared'), ('agents', 'dedicated to agents'), ('protected', "protected: the company's own")], default='undeclared', max_length=10)),
                ('declared_by', models.CharField(blank=True, max_length=200)),
                ('declared_at', models.DateTimeField(blank=True, null=True)),
                ('dmarc', models.TextField(blank=True, help_text='Its DMARC record when it was last looked up.')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('preset__in', ['none', 'careful', 'standard', 'new-domain', 'own'])), name='organisationaldomain_preset_known'), models.CheckConstraint(condition=models.Q(models.Q(('preset', 'own'), _negated=True), ('own_steps__len__gt', 0), _connector='OR'), name='organisationaldomain_own_steps_given'), models.CheckConstraint(condition=models.Q(('use__in', ['undeclared', 'agents', 'protected'])), name='organisation_use_known')],
            },
        ),
        migrations.CreateModel(
            name='ProviderHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=32)),
                ('stream', models.CharField(max_length=63)),
                ('hour', models.DateTimeField()),
                ('trials', models.PositiveIntegerField()),
                ('unknown', models.PositiveIntegerField(help_text='Refused as unknown users.')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('provider', 'hour', 'stream'), name='one_hour_of_a_provider')],
            },
        ),
        migrations.CreateModel(
            name='Purse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('of_domain', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='reputation.allowance')),
                ('of_organisation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='reputation.allowance')),
                ('of_source', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='reputation.allowance')),
            ],
        ),
        migrations.CreateModel(
            name='Ramp',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('domain', 'Domain'), ('source', 'Source'), ('organisation', 'Organisation')], max_length=12)),
                ('key', models.CharField(max_length=253)),
                ('provider', models.CharField(max_length=32)),
                ('step', models.PositiveSmallIntegerField(db_default=0)),
                ('stepped_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='When this step began.')),
                ('judged_at', models.DateTimeField(help_text='When its days were last judged.', null=True)),
                ('holding', models.BooleanField(db_default=False, help_text='Evidence holds it on this step.')),
                ('valve', models.CharField(choices=[('open', 'Open'), ('slow', 'Slow'), ('closed', 'Closed'), ('trial', 'trial: a few may try')], db_default='open', max_length=6)),
                ('valve_until', models.DateTimeField(help_text='Closed until then, or slow until then; on trial: empty.', null=True)),
                ('valve_why', models.TextField(blank=True, db_default='')),
                ('strikes', models.PositiveSmallIntegerField(db_default=0, help_text='Closures or slow-downs in a row.')),
                ('per_minute', models.PositiveIntegerField(help_text='The pace it is slowed to; empty: none.', null=True)),
                ('paced_until', models.DateTimeField(null=True)),
                ('purse_until', models.DateTimeField(null=True)),
                ('opens_at', models.DateTimeField(help_text='When lanes that wait behind it may be visited.', null=True)),
                ('served', models.BigIntegerField(db_default=0, help_text="The agent served last: the next one's turn.")),
                ('waiting', models.IntegerField(db_default=0, help_text='Deliveries that wait, counted a few seconds ago.')),
                ('purse', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='reputation.purse')),
            ],
        ),
        migrations.AddField(
            model_name='purse',
            name='ramp',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='purses', to='reputation.ramp'),
        ),
        migrations.AddField(
            model_name='allowance',
            name='ramp',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='allowances', to='reputation.ramp'),
        ),
        migrations.CreateModel(
            name='RampEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('kind', models.CharField(help_text='advanced, held, stepped_down, idle, slowed, closed, opened', max_length=16)),
                ('step', models.PositiveSmallIntegerField()),
                ('cap', models.PositiveIntegerField(null=True)),
                ('why', models.TextField(blank=True)),
                ('evidence', models.JSONField(default=dict)),
                ('ramp', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='reputation.ramp')),
            ],
        ),
        migrations.CreateModel(
            name='Route',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('preset', models.CharField(choices=[('none', 'none: already warm'), ('careful', 'Careful'), ('standard', 'Standard'), ('new-domain', 'New Domain'), ('own', 'own steps')], default='careful', max_length=12)),
                ('own_steps', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(), blank=True, default=list, help_text='Recipients a day, rising.', size=None)),
                ('target', models.PositiveIntegerField(default=100000, help_text='Recipients a day and provider at the end.')),
                ('name', models.SlugField(max_length=63, unique=True)),
                ('means', models.CharField(choices=[('direct', 'Direct'), ('relay', 'Relay')], default='direct', max_length=8)),
                ('ehlo', models.CharField(help_text='Name said in EHLO: it must be the PTR name of the address.', max_length=255)),
                ('host', models.CharField(blank=True, help_text='Relay only.', max_length=255)),
                ('port', models.PositiveIntegerField(default=25)),
                ('security', models.CharField(choices=[('opportunistic', 'Opportunistic'), ('starttls', 'Starttls'), ('implicit', 'Implicit'), ('none', 'None')], default='opportunistic', max_length=16)),
                ('ca_file', models.CharField(blank=True, help_text="The relay's own authority (PEM), if it is not one of the system's.", max_length=255)),
                ('username', models.CharField(blank=True, max_length=255)),
                ('password_sealed', models.BinaryField(blank=True, default=b'')),
                ('source_address', models.GenericIPAddressField(blank=True, null=True)),
                ('keeps_envelope_sender', models.BooleanField(default=True, help_text='The relay leaves our return-path alone.')),
                ('keeps_message_id', models.BooleanField(default=True)),
                ('service', models.CharField(blank=True, choices=[('amazon_ses', 'Amazon SES'), ('brevo', 'Brevo'), ('mailersend', 'MailerSend'), ('mailgun', 'Mailgun'), ('mailjet', 'Mailjet'), ('mailtrap', 'Mailtrap'), ('mandrill', 'Mandrill'), ('postal', 'Postal'), ('postmark', 'Postmark'), ('resend', 'Resend'), ('sendgrid', 'SendGrid'), ('sparkpost', 'SparkPost'), ('unisender_go', 'Unisender Go')], help_text='Whose relay it is, if its webhooks tell what became of the mail.', max_length=12)),
                ('signs_itself', models.BooleanField(default=False, help_text='The relay adds its own DKIM signature.')),
                ('spf_include', models.CharField(blank=True, help_text='The name a relay publishes its own SPF under.', max_length=253)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('preset__in', ['none', 'careful', 'standard', 'new-domain', 'own'])), name='route_preset_known'), models.CheckConstraint(condition=models.Q(models.Q(('preset', 'own'), _negated=True), ('own_steps__len__gt', 0), _connector='OR'), name='route_own_steps_given'), models.CheckConstraint(condition=models.Q(('means__in', ['direct', 'relay'])), name='route_means_known'), models.CheckConstraint(condition=models.Q(('security__in', ['opportunistic', 'starttls', 'implicit', 'none'])), name='route_security_known'), models.CheckConstraint(condition=models.Q(('means', 'direct'), models.Q(('host', ''), _negated=True), _connector='OR'), name='route_relay_names_its_host'), models.CheckConstraint(condition=models.Q(('service', ''), models.Q(('means', 'relay'), ('service__in', ('amazon_ses', 'brevo', 'mailersend', 'mailgun', 'mailjet', 'mailtrap', 'mandrill', 'postal', 'postmark', 'resend', 'sendgrid', 'sparkpost', 'unisender_go'))), _connector='OR'), name='route_service_known')],
            },
        ),
        migrations.CreateModel(
            name='SendingDomain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('preset', models.CharField(choices=[('none', 'none: already warm'), ('careful', 'Careful'), ('standard', 'Standard'), ('new-domain', 'New Domain'), ('own', 'own steps')], default='careful', max_length=12)),
                ('own_steps', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(), blank=True, default=list, help_text='Recipients a day, rising.', size=None)),
                ('target', models.PositiveIntegerField(default=100000, help_text='Recipients a day and provider at the end.')),
                ('name', models.CharField(max_length=253, unique=True)),
                ('default_sender', models.CharField(help_text='From when the agent names none.', max_length=320)),
                ('ed25519', models.BooleanField(default=False, help_text='Add a second signature with Ed25519.')),
                ('require_tls', models.BooleanField(default=False, help_text='Never hand mail over in the clear.')),
                ('state', models.CharField(choices=[('enrolled', 'enrolled: not yet verified'), ('verified', 'Verified'), ('degraded', 'degraded: its records broke'), ('retired', 'Retired')], default='enrolled', max_length=8)),
                ('verified_at', models.DateTimeField(blank=True, help_text='When all records were last right.', null=True)),
                ('checked_at', models.DateTimeField(blank=True, help_text='When a check last ended.', null=True)),
                ('checking_since', models.DateTimeField(blank=True, help_text='A check is under way since then.', null=True)),
                ('degraded_at', models.DateTimeField(blank=True, null=True)),
                ('rotate_after_days', models.PositiveSmallIntegerField(default=180, help_text='0: keys are rotated by hand.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='domains', to='reputation.organisationaldomain')),
                ('route', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='domains', to='reputation.route')),
            ],
        ),
        migrations.CreateModel(
            name='RecordCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('purpose', models.SlugField(max_length=40)),
                ('position', models.PositiveSmallIntegerField()),
                ('name', models.CharField(max_length=253)),
                ('type', models.CharField(max_length=8)),
                ('expected', models.TextField(blank=True, help_text='Ready to be published.')),
                ('needed', models.BooleanField(default=True, help_text='The domain does not send without it.')),
                ('found', models.TextField(blank=True)),
                ('verdict', models.CharField(choices=[('unchecked', 'Unchecked'), ('right', 'Right'), ('advice', 'works, could be better'), ('missing', 'Missing'), ('wrong', 'Wrong'), ('unknown', 'nobody answered')], default='unchecked', max_length=9)),
                ('words', models.TextField(blank=True, help_text='What is wrong, and what to do.')),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('domain', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='records', to='reputation.sendingdomain')),
            ],
            options={
                'ordering': ['position'],
            },
        ),
        migrations.CreateModel(
            name='SigningKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('selector', models.CharField(max_length=63)),
                ('algorithm', models.CharField(choices=[('rsa-sha256', 'Rsa'), ('ed25519-sha256', 'Ed25519')], max_length=16)),
                ('private_sealed', models.BinaryField()),
                ('public_record', models.TextField()),
                ('state', models.CharField(choices=[('created', 'Created'), ('published', 'published: seen in the DNS'), ('active', 'Active'), ('retiring', 'Retiring'), ('revoked', 'Revoked')], default='created', max_length=9)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('published_at', models.DateTimeField(blank=True, null=True)),
                ('activated_at', models.DateTimeField(blank=True, null=True)),
                ('retired_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('domain', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='reputation.sendingdomain')),
            ],
        ),
        migrations.CreateModel(
            name='KeyEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('made', 'Made'), ('published', 'seen in the DNS'), ('withdrawn', 'gone from the DNS before it was used'), ('activated', 'Activated'), ('forced', 'activated without having been seen in the DNS'), ('restored', 'active again after it had retired'), ('retired', 'Retired'), ('revoked', 'Revoked')], max_length=9)),
                ('at', models.DateTimeField()),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField(blank=True)),
                ('key', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='reputation.signingkey')),
            ],
        ),
        migrations.CreateModel(
            name='Stream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(max_length=63, unique=True)),
                ('kind', models.CharField(choices=[('transactional', 'Transactional'), ('agents', 'Agents')], default='agents', max_length=16)),
                ('policy_version', models.PositiveIntegerField(default=1)),
                ('resend_uncertain', models.BooleanField(default=False, help_text='Send an uncertain delivery once more, after two minutes, with the same bytes.')),
                ('time_zone', models.CharField(default='UTC', help_text='Where its sending hours are.', max_length=64)),
                ('opens_hour', models.PositiveSmallIntegerField(default=0, help_text='First hour of the day in which it sends.')),
                ('closes_hour', models.PositiveSmallIntegerField(default=24, help_text='The hour at which it stops, up to 24.')),
                ('sending_days', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), default=reputation.models.lanes.every_day, help_text='1 is Monday, 7 Sunday.', size=None)),
                ('postal_address', models.TextField(blank=True, default='', help_text='Stands below every message, unless the stream is transactional: laws on commercial mail demand it.', max_length=500)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['transactional', 'agents'])), name='stream_kind_known'), models.CheckConstraint(condition=models.Q(('closes_hour__lte', 24), ('opens_hour__lt', models.F('closes_hour'))), name='stream_hours_in_order'), models.CheckConstraint(condition=models.Q(('sending_days__contained_by', [1, 2, 3, 4, 5, 6, 7]), ('sending_days__len__gt', 0)), name='stream_days_of_the_week')],
            },
        ),
        migrations.AddField(
            model_name='sendingdomain',
            name='stream',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='domain', to='reputation.stream'),
        ),
        migrations.CreateModel(
            name='Numbers',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('bounce_line', models.FloatField(default=0.02, help_text='Share of recipient bounces that is still healthy.')),
                ('bounce_bad', models.FloatField(default=0.08, help_text='Share that the running sum is tuned to find.')),
                ('bounce_window', models.PositiveIntegerField(default=500, help_text='Outcomes looked back on.')),
                ('complaint_line', models.FloatField(default=0.001)),
                ('complaint_bad', models.FloatField(default=0.005)),
                ('complaint_window', models.PositiveIntegerField(default=2000)),
                ('unsubscribe_line', models.FloatField(default=0.01, help_text='Above it new mail waits for a person.')),
                ('events', models.PositiveSmallIntegerField(default=4, help_text='So many at least before anything is closed.')),
                ('complaint_domains', models.PositiveSmallIntegerField(default=3, help_text='Complaints from so many registrable domains, unless a provider vouches for them.')),
                ('per_domain', models.PositiveSmallIntegerField(default=3, help_text='Bounces of one destination domain that count in a window: real ones clump.')),
                ('running_sum', models.FloatField(default=8.0, help_text='How high the running sum must rise.')),
                ('unknown_of_first', models.PositiveSmallIntegerField(default=5, help_text="More unknown users than this among a run's first messages close the run.")),
                ('first', models.PositiveSmallIntegerField(default=20, help_text='How many messages of a run are its first.')),
                ('version', models.PositiveIntegerField(default=1)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('changed_by', models.CharField(blank=True, max_length=200)),
                ('stream', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='numbers', to='reputation.stream')),
            ],
            options={
                'verbose_name_plural': 'numbers',
            },
        ),
        migrations.CreateModel(
            name='Suppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mark', models.BinaryField(max_length=10)),
                ('person', models.BinaryField(max_length=10)),
                ('address_sealed', models.BinaryField(default=b'')),
                ('scope', models.CharField(max_length=80)),
                ('reason', models.CharField(choices=[('hard_bounce', 'Hard Bounce'), ('complaint', 'Complaint'), ('unsubscribed', 'Unsubscribed'), ('by_person', 'By Person'), ('mailbox_full', 'Mailbox Full')], max_length=12)),
                ('source', models.CharField(max_length=200)),
                ('why', models.TextField(blank=True, db_default='')),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(blank=True, help_text='Empty: until lifted.', null=True)),
                ('lifted_at', models.DateTimeField(blank=True, null=True)),
                ('lifted_by', models.CharField(blank=True, db_default='', max_length=200)),
                ('lifted_why', models.TextField(blank=True, db_default='')),
                ('erased_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'permissions': [('unseal_suppression', 'Can see and export suppressed addresses'), ('lift_suppression', 'Can lift suppressions'), ('erase_suppression', 'Can erase addresses from the suppression list')],
                'indexes': [models.Index(fields=['person'], name='suppression_of_person')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at', None)), fields=('mark', 'scope', 'reason'), name='suppressed_once'), models.CheckConstraint(condition=models.Q(('reason__in', ['hard_bounce', 'complaint', 'unsubscribed', 'by_person', 'mailbox_full'])), name='suppression_reason_known'), models.CheckConstraint(condition=models.Q(('scope__in', ['all', 'agents']), ('scope__startswith', 'stream:'), _connector='OR'), name='suppression_scope_known'), models.CheckConstraint(condition=models.Q(('lifted_at', None), ('lifted_why__regex', '\\S'), _connector='OR'), name='suppression_lifted_says_why'), models.CheckConstraint(condition=models.Q(('erased_at', None), ('address_sealed', b''), _connector='OR'), name='suppression_erased_is_gone')],
            },
        ),
        migrations.CreateModel(
            name='SwitchEvent',
            fields=[
                ('epoch', models.BigAutoField(primary_key=True, serialize=False)),
                ('scope', models.CharField(max_length=400)),
                ('action', models.CharField(choices=[('trip', 'trip'), ('resume', 'resume')], max_length=6)),
                ('at', models.DateTimeField()),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField(blank=True)),
            ],
            options={
                'permissions': [('trip_switch', 'Can stop scopes'), ('resume_switch', 'Can resume scopes'), ('export_switch', 'Can export who a stop affected')],
                'indexes': [models.Index(fields=['scope', '-epoch'], name='switchevent_of_scope')],
                'constraints': [models.CheckConstraint(condition=models.Q(('action__in', ['trip', 'resume'])), name='switchevent_action_known')],
            },
        ),
        migrations.CreateModel(
            name='ResumeProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField()),
                ('whole', models.BooleanField(default=False, help_text='A false alarm: to where it stood before.')),
                ('event', models.ForeignKey(help_text='The trip that would be undone.', on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='reputation.switchevent')),
            ],
        ),
        migrations.CreateModel(
            name='Reopening',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=400)),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('state', models.CharField(choices=[('checking', 'what waits is looked at again'), ('open', 'Open'), ('confirmed', 'confirmed by a second person'), ('closed', 'closed again: nobody confirmed it'), ('abandoned', 'given up before it opened')], default='checking', max_length=9)),
                ('whole', models.BooleanField(default=False, help_text='To where it stood before, not in steps.')),
                ('glass', models.BooleanField(default=False)),
                ('looked', models.PositiveIntegerField(default=0, help_text='Deliveries looked at again so far.')),
                ('of', models.PositiveIntegerField(help_text='How many there were to look at.', null=True)),
                ('last', models.UUIDField(help_text='How far the look has come.', null=True)),
                ('fates', models.JSONField(default=dict, help_text='What became of those looked at, by status.')),
                ('cuts', models.JSONField(help_text='By provider the last delivery that goes first; empty until all were looked at.', null=True)),
                ('opened_at', models.DateTimeField(null=True)),
                ('resumed_epoch', models.BigIntegerField(null=True)),
                ('closes_at', models.DateTimeField(null=True)),
                ('confirmed_by', models.CharField(blank=True, max_length=200)),
                ('event', models.ForeignKey(help_text='The trip it undoes.', on_delete=django.db.models.deletion.PROTECT, related_name='reopenings', to='reputation.switchevent')),
            ],
        ),
        migrations.CreateModel(
            name='Purge',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=400)),
                ('who', models.CharField(max_length=200)),
                ('why', models.TextField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('until', models.DateTimeField(help_text='Until then it can be undone.')),
                ('state', models.CharField(choices=[('setting', 'being set aside'), ('aside', 'set aside; can be undone'), ('undoing', 'being put back'), ('undone', 'Undone'), ('ending', 'being cancelled'), ('done', 'cancelled for good')], default='setting', max_length=7)),
                ('set_at', models.DateTimeField(help_text='When the last of them was set aside.', null=True)),
                ('deliveries', models.PositiveIntegerField(default=0, help_text='How many were set aside.')),
                ('undone_by', models.CharField(blank=True, max_length=200)),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='purges', to='reputation.switchevent')),
            ],
            options={
                'permissions': [('purge_switch', 'Can purge what waits behind a stop')],
            },
        ),
        migrations.CreateModel(
            name='SwitchNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('who', models.CharField(max_length=200)),
                ('text', models.TextField()),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notes', to='reputation.switchevent')),
            ],
        ),
        migrations.CreateModel(
            name='TlsPolicy',
            fields=[
                ('domain', models.CharField(max_length=253, primary_key=True, serialize=False)),
                ('policy_id', models.CharField(blank=True, max_length=32)),
                ('mode', models.CharField(default='none', max_length=8)),
                ('hosts', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=253), default=list, size=None)),
                ('fetched_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'TLS policies',
                'constraints': [models.CheckConstraint(condition=models.Q(('mode__in', ['none', 'testing', 'enforce'])), name='tls_mode_known')],
            },
        ),
        migrations.CreateModel(
            name='Watch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=400)),
                ('signal', models.CharField(choices=[('bounces', 'Bounces'), ('complaints', 'Complaints'), ('unsubscribes', 'Unsubscribes')], max_length=12)),
                ('stream', models.CharField(max_length=63)),
                ('trials', models.PositiveBigIntegerField(default=0, help_text='Outcomes since it began.')),
                ('stretches', models.JSONField(default=list)),
                ('weak_since', models.DateTimeField(help_text='New mail is held for a person since then.', null=True)),
                ('touched_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'watches',
                'indexes': [models.Index(condition=models.Q(('weak_since__isnull', False)), fields=['scope'], name='watch_weak'), models.Index(fields=['touched_at'], name='watch_age')],
                'constraints': [models.UniqueConstraint(fields=('scope', 'signal'), name='one_watch_per_scope_and_signal'), models.CheckConstraint(condition=models.Q(('signal__in', ['bounces', 'complaints', 'unsubscribes'])), name='watch_signal_known')],
            },
        ),
        migrations.CreateModel(
            name='Witness',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=400)),
                ('reason', models.CharField(max_length=40)),
                ('organisation', models.CharField(help_text='The registrable domain that said so.', max_length=253)),
                ('at', models.DateTimeField()),
                ('reply', models.TextField(blank=True)),
            ],
            options={
                'verbose_name_plural': 'witnesses',
                'constraints': [models.UniqueConstraint(fields=('scope', 'reason', 'organisation'), name='one_witness_of_a_kind')],
            },
        ),
        migrations.AddIndex(
            model_name='ramp',
            index=models.Index(condition=models.Q(('opens_at__isnull', False)), fields=['opens_at'], name='ramp_opening'),
        ),
        migrations.AddIndex(
            model_name='ramp',
            index=models.Index(condition=models.Q(('valve', 'open'), _negated=True), fields=['valve'], name='ramp_unsettled'),
        ),
        migrations.AddConstraint(
            model_name='ramp',
            constraint=models.UniqueConstraint(fields=('kind', 'key', 'provider'), name='one_ramp_per_place'),
        ),
        migrations.AddConstraint(
            model_name='ramp',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['domain', 'source', 'organisation'])), name='ramp_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='ramp',
            constraint=models.CheckConstraint(condition=models.Q(('valve__in', ['open', 'slow', 'closed', 'trial'])), name='ramp_valve_known'),
        ),
        migrations.AddConstraint(
            model_name='purse',
            constraint=models.UniqueConstraint(fields=('ramp', 'of_domain', 'of_source', 'of_organisation'), name='one_purse_per_draw', nulls_distinct=False),
        ),
        migrations.AddIndex(
            model_name='allowance',
            index=models.Index(fields=['day'], name='allowance_of_day'),
        ),
        migrations.AddConstraint(
            model_name='allowance',
            constraint=models.UniqueConstraint(fields=('ramp', 'day'), name='one_allowance_per_day'),
        ),
        migrations.AddConstraint(
            model_name='allowance',
            constraint=models.CheckConstraint(condition=models.Q(('used__lte', models.F('taken'))), name='allowance_used_was_taken'),
        ),
        migrations.AddIndex(
            model_name='rampevent',
            index=models.Index(fields=['ramp', '-at'], name='rampevent_of_ramp'),
        ),
        migrations.AddConstraint(
            model_name='recordcheck',
            constraint=models.UniqueConstraint(fields=('domain', 'purpose'), name='one_record_per_purpose'),
        ),
        migrations.AddConstraint(
            model_name='recordcheck',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['unchecked', 'right', 'advice', 'missing', 'wrong', 'unknown'])), name='record_verdict_known'),
        ),
        migrations.AddConstraint(
            model_name='signingkey',
            constraint=models.UniqueConstraint(fields=('domain', 'selector'), name='one_key_per_selector'),
        ),
        migrations.AddConstraint(
            model_name='signingkey',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('domain', 'algorithm'), name='one_active_key_per_algorithm'),
        ),
        migrations.AddConstraint(
            model_name='signingkey',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['created', 'published', 'active', 'retiring', 'revoked'])), name='key_state_known'),
        ),
        migrations.AddConstraint(
            model_name='signingkey',
            constraint=models.CheckConstraint(condition=models.Q(('algorithm__in', ['rsa-sha256', 'ed25519-sha256'])), name='key_algorithm_known'),
        ),
        migrations.AddIndex(
            model_name='keyevent',
            index=models.Index(fields=['key', '-id'], name='keyevent_of_key'),
        ),
        migrations.AddConstraint(
            model_name='keyevent',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['made', 'published', 'withdrawn', 'activated', 'forced', 'restored', 'retired', 'revoked'])), name='keyevent_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='keyevent',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'forced'), _negated=True), ('why__regex', '\\S'), _connector='OR'), name='keyevent_forced_says_why'),
        ),
        migrations.AddConstraint(
            model_name='sendingdomain',
            constraint=models.CheckConstraint(condition=models.Q(('preset__in', ['none', 'careful', 'standard', 'new-domain', 'own'])), name='sendingdomain_preset_known'),
        ),
        migrations.AddConstraint(
            model_name='sendingdomain',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('preset', 'own'), _negated=True), ('own_steps__len__gt', 0), _connector='OR'), name='sendingdomain_own_steps_given'),
        ),
        migrations.AddConstraint(
            model_name='sendingdomain',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['enrolled', 'verified', 'degraded', 'retired'])), name='domain_state_known'),
        ),
        migrations.AddConstraint(
            model_name='numbers',
            constraint=models.UniqueConstraint(fields=('stream',), name='one_set_of_numbers', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='numbers',
            constraint=models.CheckConstraint(condition=models.Q(('bounce_bad__lt', 1), ('bounce_line__gt', 0), ('bounce_line__lt', models.F('bounce_bad')), ('complaint_bad__lt', 1), ('complaint_line__gt', 0), ('complaint_line__lt', models.F('complaint_bad')), ('running_sum__gt', 0), ('unsubscribe_line__gt', 0), ('unsubscribe_line__lt', 1)), name='numbers_in_order'),
        ),
        migrations.AddConstraint(
            model_name='resumeproposal',
            constraint=models.CheckConstraint(condition=models.Q(('why__regex', '\\S')), name='resumeproposal_says_why'),
        ),
        migrations.AddIndex(
            model_name='reopening',
            index=models.Index(condition=models.Q(('state', 'checking'), models.Q(('glass', True), ('state', 'open')), _connector='OR'), fields=['state'], name='reopening_tended'),
        ),
        migrations.AddConstraint(
            model_name='reopening',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'checking')), fields=('scope',), name='one_reopening_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='reopening',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['checking', 'open', 'confirmed', 'closed', 'abandoned'])), name='reopening_state_known'),
        ),
        migrations.AddConstraint(
            model_name='reopening',
            constraint=models.CheckConstraint(condition=models.Q(('why__regex', '\\S')), name='reopening_says_why'),
        ),
        migrations.AddIndex(
            model_name='purge',
            index=models.Index(condition=models.Q(('state__in', ['undone', 'done']), _negated=True), fields=['state'], name='purge_tended'),
        ),
        migrations.AddConstraint(
            model_name='purge',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['setting', 'aside', 'undoing', 'undone', 'ending', 'done'])), name='purge_state_known'),
        ),
        migrations.AddConstraint(
            model_name='purge',
            constraint=models.CheckConstraint(condition=models.Q(('why__regex', '\\S')), name='purge_says_why'),
        ),
        migrations.AddConstraint(
            model_name='switchnote',
            constraint=models.CheckConstraint(condition=models.Q(('text__regex', '\\S')), name='switchnote_says_something'),
        ),
    ]
