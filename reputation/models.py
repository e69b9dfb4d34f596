"""Tables of the lanes and of the switch. No behaviour: rooms act on them.

Scopes are opaque strings ``kind:key`` here, so that reputation needs no table of outbox's.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Kind(models.TextChoices):
    """What a stream is for: transactional mail never waits behind a campaign and is never tripped lightly."""

    TRANSACTIONAL = "transactional"
    AGENTS = "agents"


class Stream(models.Model):
    """A class of traffic with its own sending domain, policy and kill switch."""

    name = models.SlugField(max_length=63, unique=True)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.AGENTS)
    policy_version = models.PositiveIntegerField(default=1)
    resend_uncertain = models.BooleanField(
        default=False,
        help_text="Send an uncertain delivery once more, after two minutes, with the same bytes.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(kind__in=Kind.values), name="stream_kind_known")]

    def __str__(self) -> str:
        return self.name


class Route(models.Model):
    """How mail leaves: straight to the recipients' MX hosts, or through a relay."""

    class Means(models.TextChoices):
        DIRECT = "direct"
        RELAY = "relay"

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
    signs_itself = models.BooleanField(default=False, help_text="The relay adds its own DKIM signature.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(means__in=["direct", "relay"]), name="route_means_known"),
            models.CheckConstraint(
                condition=Q(security__in=["opportunistic", "starttls", "implicit", "none"]),
                name="route_security_known",
            ),
            models.CheckConstraint(
                condition=Q(means="direct") | ~Q(host=""), name="route_relay_names_its_host"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SendingDomain(models.Model):
    """The subdomain in From and DKIM ``d=`` of one stream; its return-path host is ``rp.<name>``."""

    name = models.CharField(max_length=253, unique=True)
    stream = models.OneToOneField(Stream, on_delete=models.PROTECT, related_name="domain")
    organisational_domain = models.CharField(max_length=253)
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="domains")
    default_sender = models.CharField(max_length=320, help_text="From when the agent names none.")
    ed25519 = models.BooleanField(default=False, help_text="Add a second signature with Ed25519.")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class SigningKey(models.Model):
    """A DKIM key of a sending domain; the private half is sealed and never shown."""

    class State(models.TextChoices):
        CREATED = "created"
        ACTIVE = "active"
        RETIRING = "retiring"
        REVOKED = "revoked"

    class Algorithm(models.TextChoices):
        RSA = "rsa-sha256"
        ED25519 = "ed25519-sha256"

    domain = models.ForeignKey(SendingDomain, on_delete=models.PROTECT, related_name="keys")
    selector = models.CharField(max_length=63)
    algorithm = models.CharField(max_length=16, choices=Algorithm)
    private_sealed = models.BinaryField(editable=False)
    public_record = models.TextField()
    state = models.CharField(max_length=8, choices=State, default=State.CREATED)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["domain", "selector"], name="one_key_per_selector"),
            models.UniqueConstraint(
                fields=["domain", "algorithm"],
                condition=Q(state="active"),
                name="one_active_key_per_algorithm",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["created", "active", "retiring", "revoked"]), name="key_state_known"
            ),
            models.CheckConstraint(
                condition=Q(algorithm__in=["rsa-sha256", "ed25519-sha256"]), name="key_algorithm_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


class ProviderSuffix(models.Model):
    """One line of the table that tells a mailbox provider's family by the ending of its MX names."""

    suffix = models.CharField(max_length=253, unique=True)
    family = models.SlugField(max_length=32)

    class Meta:
        verbose_name_plural = "provider suffixes"

    def __str__(self) -> str:
        return f"{self.suffix} -> {self.family}"


class KnownDomain(models.Model):
    """The provider family of a recipient's domain, learned from the MX host that took its mail."""

    domain = models.CharField(max_length=253, primary_key=True)
    family = models.SlugField(max_length=32)
    learned_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.domain} -> {self.family}"


class OpenStop(models.Model):
    """A scope that is closed now. Clearance reads this table; a trip writes one row, a resume deletes it."""

    scope = models.CharField(max_length=400, primary_key=True)
    epoch = models.BigIntegerField()
    tripped_at = models.DateTimeField()
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.scope


class SwitchEvent(models.Model):
    """Every trip and resume there ever was. Append-only: the application's role may not change a row."""

    epoch = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=400)
    action = models.CharField(max_length=6, choices=[("trip", "trip"), ("resume", "resume")])
    at = models.DateTimeField()
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)

    class Meta:
        indexes = [
            # the timeline of one scope, newest first
            models.Index(fields=["scope", "-epoch"], name="switchevent_of_scope")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=["trip", "resume"]), name="switchevent_action_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.epoch} {self.action} {self.scope}"
