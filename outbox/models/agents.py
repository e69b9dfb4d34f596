"""Who sends: agents, their keys, their runs and budgets."""

from typing import Final

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from outbox.limits import Kind
from reputation.models import Stream

MOST_MIB: Final = 1 << 20


class Agent(models.Model):
    """The program that sends. Its name is part of scope keys, so it never changes."""

    name = models.SlugField(max_length=63, unique=True)
    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="agents")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    enabled = models.BooleanField(default=True)
    exempt = models.BooleanField(
        default=False, help_text="For trying and loading: rules that hold or limit do not apply."
    )
    requests_per_minute = models.PositiveIntegerField(default=600)
    recipients_per_message = models.PositiveIntegerField(default=5)
    recipients_per_hour = models.PositiveIntegerField(default=20)
    recipients_per_day = models.PositiveIntegerField(default=100)
    recipients_per_run = models.PositiveIntegerField(default=50)
    domains_per_run = models.PositiveIntegerField(
        default=30, help_text="Distinct domains of recipients in a tree of runs."
    )
    attachment_mib_per_run = models.PositiveIntegerField(
        "attachment MiB per run", default=100, help_text="As they leave: counted once for each recipient."
    )
    attachment_mib_per_day = models.PositiveIntegerField("attachment MiB per day", default=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # in bytes they are counted in a bigint
            models.CheckConstraint(
                condition=Q(attachment_mib_per_run__lte=MOST_MIB, attachment_mib_per_day__lte=MOST_MIB),
                name="agent_attachments_bounded",
                violation_error_message=f"At most {MOST_MIB:,} MiB of attachments.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Organisation(models.Model):
    """What bounds all agents of the installation together, which is one organisation's. No row: nothing does."""

    only_row = models.BooleanField(primary_key=True, default=True, editable=False)
    recipients_per_day = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Of all agents together in a UTC day, but for transactional streams; empty: no limit.",
    )

    class Meta:
        verbose_name_plural = "organisation"
        constraints = [
            models.CheckConstraint(condition=Q(only_row=True), name="one_organisation"),
            models.CheckConstraint(
                condition=Q(recipients_per_day__isnull=True) | Q(recipients_per_day__gte=1),
                name="organisation_limit_is_no_stop",
                violation_error_message="At least 1; to stop everybody, trip the switch.",
            ),
        ]

    def __str__(self) -> str:
        return "the organisation"


class ApiKey(models.Model):
    """A credential, stored as a hash. Agent keys belong to an agent; returns and operator keys to nobody."""

    class Kind(models.TextChoices):
        AGENT = "agent"
        RETURNS = "returns"
        OPERATOR = "operator"

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, null=True, blank=True, related_name="keys")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.AGENT)
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.BinaryField(editable=False)
    scopes = ArrayField(models.CharField(max_length=8), default=list)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["agent", "returns", "operator"]), name="key_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(kind="agent", agent__isnull=False) | Q(agent__isnull=True) & ~Q(kind="agent"),
                name="agent_keys_have_an_agent",
            ),
        ]

    def __str__(self) -> str:
        return f"ao_live_{self.prefix}_…"


class Run(models.Model):
    """One task an agent works on. Its parent is fixed at first sight."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=128)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    lineage = ArrayField(models.CharField(max_length=128), help_text="Names from the root to this run.")
    on_behalf_of = models.CharField(max_length=200, blank=True)
    purpose = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    cancelled_at = models.DateTimeField(null=True, blank=True)
    recipients_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="A budget below what it would have, as its agent wished."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "name"], name="run_names_are_unique_per_agent")
        ]
        indexes = [
            # facts: the newest runs of a tree, by its root; not by the key, which would offer itself for all runs
            models.Index(F("agent"), F("lineage__0"), F("created_at").desc(), name="run_of_tree")
        ]

    def __str__(self) -> str:
        return self.name


class Budget(models.Model):
    """What was accepted of one limit in one window of time. Only ``budgets`` and its SQL functions write here."""

    kind = models.CharField(max_length=16)
    key = models.CharField(max_length=240)
    opens_at = models.DateTimeField()
    used = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "key", "opens_at"], name="one_budget_per_window"),
            models.CheckConstraint(condition=Q(kind__in=list(map(str, Kind))), name="budget_kind_known"),
        ]
        indexes = [
            # forget: windows long closed
            models.Index(fields=["opens_at"], name="budget_age")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class RunDomain(models.Model):
    """A domain that a tree of runs has written to, charged at first sight. ``tree``: the key of its root's budget."""

    pk = models.CompositePrimaryKey("tree", "domain")
    tree = models.CharField(max_length=160)
    domain = models.CharField(max_length=255)

    def __str__(self) -> str:
        return self.domain
