"""Where mail leaves from: streams, routes, organisational and sending domains. What of it warms up."""

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Kind(models.TextChoices):
    """What a stream is for: transactional mail never waits behind a campaign and is never tripped lightly."""

    TRANSACTIONAL = "transactional"
    AGENTS = "agents"


def every_day() -> list[int]:
    """Monday to Sunday."""
    return [1, 2, 3, 4, 5, 6, 7]


class Warmed(models.Model):
    """What warms up: a sending domain, a source address or an organisational domain, towards each provider."""

    class Preset(models.TextChoices):
        NONE = "none", "none: already warm"
        CAREFUL = "careful"
        STANDARD = "standard"
        NEW_DOMAIN = "new-domain"
        OWN = "own", "own steps"

    preset = models.CharField(max_length=12, choices=Preset, default=Preset.CAREFUL)
    own_steps = ArrayField(
        models.PositiveIntegerField(), default=list, blank=True, help_text="Recipients a day, rising."
    )
    target = models.PositiveIntegerField(
        default=100_000, help_text="Recipients a day and provider at the end."
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(preset__in=["none", "careful", "standard", "new-domain", "own"]),
                name="%(class)s_preset_known",
            ),
            models.CheckConstraint(
                condition=~Q(preset="own") | Q(own_steps__len__gt=0), name="%(class)s_own_steps_given"
            ),
        ]


class Stream(models.Model):
    """A class of traffic with its own sending domain, policy and kill switch."""

    name = models.SlugField(max_length=63, unique=True)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.AGENTS)
    policy_version = models.PositiveIntegerField(default=1)
    resend_uncertain = models.BooleanField(
        default=False,
        help_text="Send an uncertain delivery once more, after two minutes, with the same bytes.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Where its sending hours are.")
    opens_hour = models.PositiveSmallIntegerField(
        default=0, help_text="First hour of the day in which it sends."
    )
    closes_hour = models.PositiveSmallIntegerField(
        default=24, help_text="The hour at which it stops, up to 24."
    )
    sending_days = ArrayField(
        models.PositiveSmallIntegerField(), default=every_day, help_text="1 is Monday, 7 Sunday."
    )
    postal_address = models.TextField(
        blank=True,
        default="",
        max_length=500,
        help_text="Stands below every message, unless the stream is transactional: laws on commercial mail demand it.",
    )
    recipients_per_day = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of all its agents together in a UTC day; empty: no limit."
    )
    recipients_per_principal = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=200,
        help_text="Of all its agents together on behalf of one principal in a UTC day; empty: no limit. Not in "
        "transactional streams.",
    )
    second_person_above = models.PositiveIntegerField(
        default=200, help_text="A release to more recipients than this needs two people."
    )
    owner_may_approve = models.BooleanField(
        default=False, help_text="Whether the owner of an agent may release what it asked for."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(recipients_per_day__isnull=True) | Q(recipients_per_day__gte=1),
                name="stream_limit_is_no_stop",
                violation_error_message="At least 1 a day; to stop the stream, trip its switch.",
            ),
            models.CheckConstraint(
                condition=Q(recipients_per_principal__isnull=True) | Q(recipients_per_principal__gte=1),
                name="stream_principals_may_send",
                violation_error_message="At least 1 for a principal; to stop the stream, trip its switch.",
            ),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="stream_kind_known"),
            models.CheckConstraint(
                condition=Q(opens_hour__lt=F("closes_hour"), closes_hour__lte=24),
                name="stream_hours_in_order",
            ),
            models.CheckConstraint(
                condition=Q(sending_days__len__gt=0, sending_days__contained_by=[1, 2, 3, 4, 5, 6, 7]),
                name="stream_days_of_the_week",
            ),
        ]

    def __str__(self) -> str:
        return self.name


SERVICES: Final = (
    *(
        "amazon_ses",
        "brevo",
        "mailersend",
        "mailgun",
        "mailjet",
        "mailtrap",
        "mandrill",
        "postal",
        "postmark",
    ),
    *("resend", "sendgrid", "sparkpost", "unisender_go"),
)


class Route(Warmed):
    """How mail leaves: straight to the recipients' MX hosts, or through a relay."""

    class Means(models.TextChoices):
        DIRECT = "direct"
        RELAY = "relay"

    class Service(models.TextChoices):
        """Relay services whose webhooks are understood; each is told whose delivery a message is in its own way."""

        AMAZON_SES = "amazon_ses", "Amazon SES"
        BREVO = "brevo", "Brevo"
        MAILERSEND = "mailersend", "MailerSend"
        MAILGUN = "mailgun", "Mailgun"
        MAILJET = "mailjet", "Mailjet"
        MAILTRAP = "mailtrap", "Mailtrap"
        MANDRILL = "mandrill", "Mandrill"
        POSTAL = "postal", "Postal"
        POSTMARK = "postmark", "Postmark"
        RESEND = "resend", "Resend"
        SENDGRID = "sendgrid", "SendGrid"
        SPARKPOST = "sparkpost", "SparkPost"
        UNISENDER_GO = "unisender_go", "Unisender Go"

    class Security(models.TextChoices):
        OPPORTUNISTIC = "opportunistic"
        STARTTLS = "starttls"
        IMPLICIT = "implicit"
        NONE = "none"

    name = models.SlugField(max_length=63, unique=True)
    means = models.CharField(max_length=8, choices=Means, default=Means.DIRECT)
    ehlo = models.CharField(
        max_length=255, help_text="Name said in EHLO: it must be the PTR name of the address."
    )
    host = models.CharField(max_length=255, blank=True, help_text="Relay only.")
    port = models.PositiveIntegerField(default=25)
    security = models.CharField(max_length=16, choices=Security, default=Security.OPPORTUNISTIC)
    ca_file = models.CharField(
        max_length=255,
        blank=True,
        help_text="The relay's own authority (PEM), if it is not one of the system's.",
    )
    username = models.CharField(max_length=255, blank=True)
    password_sealed = models.BinaryField(blank=True, default=b"", editable=False)
    source_address = models.GenericIPAddressField(null=True, blank=True)
    keeps_envelope_sender = models.BooleanField(
        default=True, help_text="The relay leaves our return-path alone."
    )
    keeps_message_id = models.BooleanField(default=True)
    service = models.CharField(
        max_length=12,
        blank=True,
        choices=Service,
        help_text="Whose relay it is, if its webhooks tell what became of the mail.",
    )
    signs_itself = models.BooleanField(default=False, help_text="The relay adds its own DKIM signature.")
    spf_include = models.CharField(
        max_length=253, blank=True, help_text="The name a relay publishes its own SPF under."
    )

    class Meta:
        constraints = [
            *Warmed.Meta.constraints,
            models.CheckConstraint(condition=Q(means__in=["direct", "relay"]), name="route_means_known"),
            models.CheckConstraint(
                condition=Q(security__in=["opportunistic", "starttls", "implicit", "none"]),
                name="route_security_known",
            ),
            models.CheckConstraint(
                condition=Q(means="direct") | ~Q(host=""), name="route_relay_names_its_host"
            ),
            models.CheckConstraint(
                condition=Q(service="") | Q(means="relay", service__in=SERVICES), name="route_service_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class OrganisationalDomain(Warmed):
    """The registrable domain above sending domains: mailbox providers sum volume here, people judge it.

    Agents send only from below one that a person has declared dedicated to them; never from below a protected one. A
    trigger in the database refuses the rest.
    """

    class Use(models.TextChoices):
        UNDECLARED = "undeclared"
        AGENTS = "agents", "dedicated to agents"
        PROTECTED = "protected", "protected: the company's own"

    name = models.CharField(max_length=253, unique=True)
    use = models.CharField(max_length=10, choices=Use, default=Use.UNDECLARED)
    declared_by = models.CharField(max_length=200, blank=True)
    declared_at = models.DateTimeField(null=True, blank=True)
    dmarc = models.TextField(blank=True, help_text="Its DMARC record when it was last looked up.")

    class Meta:
        constraints = [
            *Warmed.Meta.constraints,
            models.CheckConstraint(
                condition=Q(use__in=["undeclared", "agents", "protected"]), name="organisation_use_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SendingDomain(Warmed):
    """The subdomain in From and DKIM ``d=`` of one stream; its return-path host is ``rp.<name>``."""

    class State(models.TextChoices):
        ENROLLED = "enrolled", "enrolled: not yet verified"
        VERIFIED = "verified"
        DEGRADED = "degraded", "degraded: its records broke"
        RETIRED = "retired"

    name = models.CharField(max_length=253, unique=True)
    stream = models.OneToOneField(Stream, on_delete=models.PROTECT, related_name="domain")
    organisation = models.ForeignKey(OrganisationalDomain, on_delete=models.PROTECT, related_name="domains")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="domains")
    default_sender = models.CharField(max_length=320, help_text="From when the agent names none.")
    ed25519 = models.BooleanField(default=False, help_text="Add a second signature with Ed25519.")
    require_tls = models.BooleanField(default=False, help_text="Never hand mail over in the clear.")
    state = models.CharField(max_length=8, choices=State, default=State.ENROLLED)
    verified_at = models.DateTimeField(null=True, blank=True, help_text="When all records were last right.")
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When a check last ended.")
    checking_since = models.DateTimeField(null=True, blank=True, help_text="A check is under way since then.")
    degraded_at = models.DateTimeField(null=True, blank=True)
    rotate_after_days = models.PositiveSmallIntegerField(
        default=180, help_text="0: keys are rotated by hand."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            *Warmed.Meta.constraints,
            models.CheckConstraint(
                condition=Q(state__in=["enrolled", "verified", "degraded", "retired"]),
                name="domain_state_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RecordCheck(models.Model):
    """One DNS record (or other requirement) of a sending domain: what it must be, and what was found last."""

    class Verdict(models.TextChoices):
        UNCHECKED = "unchecked"
        RIGHT = "right"
        ADVICE = "advice", "works, could be better"
        MISSING = "missing"
        WRONG = "wrong"
        UNKNOWN = "unknown", "nobody answered"

    domain = models.ForeignKey(SendingDomain, on_delete=models.CASCADE, related_name="records")
    purpose = models.SlugField(max_length=40)
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=253)
    type = models.CharField(max_length=8)
    expected = models.TextField(blank=True, help_text="Ready to be published.")
    needed = models.BooleanField(default=True, help_text="The domain does not send without it.")
    found = models.TextField(blank=True)
    verdict = models.CharField(max_length=9, choices=Verdict, default=Verdict.UNCHECKED)
    words = models.TextField(blank=True, help_text="What is wrong, and what to do.")
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["domain", "purpose"], name="one_record_per_purpose"),
            models.CheckConstraint(
                condition=Q(verdict__in=["unchecked", "right", "advice", "missing", "wrong", "unknown"]),
                name="record_verdict_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.type}"
