"""Who sends: agents, their keys, their runs and budgets."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from reputation.models import Stream


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
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


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
    """What was accepted of one limit in one window of time. Only ``ao_spend`` and ``ao_refund`` write here."""

    kind = models.CharField(max_length=12)
    key = models.CharField(max_length=160)
    opens_at = models.DateTimeField()
    used = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "key", "opens_at"], name="one_budget_per_window"),
            models.CheckConstraint(
                condition=Q(kind__in=["run", "agent_hour", "agent_day", "root_runs"]),
                name="budget_kind_known",
            ),
        ]
        indexes = [
            # forget: windows long closed
            models.Index(fields=["opens_at"], name="budget_age")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
