"""Webhooks out: who is told, and what there is to tell."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reputation.models import Stream


class Endpoint(models.Model):
    """An address that is told of events, by Standard Webhooks. Its secrets are sealed and shown once."""

    name = models.SlugField(max_length=63, unique=True)
    url = models.URLField(max_length=500)
    stream = models.ForeignKey(
        Stream, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: of all."
    )
    events = ArrayField(models.CharField(max_length=40), default=list, blank=True, help_text="Empty: all.")
    secret_sealed = models.BinaryField(editable=False)
    old_secret_sealed = models.BinaryField(
        default=b"", editable=False, help_text="Signs too while it rotates."
    )
    old_until = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_why = models.TextField(blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    rests_until = models.DateTimeField(
        null=True, blank=True, help_text="After a failure nothing is sent before."
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """One event for one endpoint, written with the event. In order for one subject (a message, a scope)."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENDING = "sending"
        TAKEN = "taken"
        GIVEN_UP = "given_up"

    id = models.UUIDField(primary_key=True)
    # no database key: every settle would share-lock its endpoint's row, which the sender updates
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, related_name="notices", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=400)
    event_id = models.CharField(max_length=60, help_text="The webhook-id: the same at every attempt.")
    at = models.DateTimeField()
    data = models.JSONField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the last attempt.")
    said = models.TextField(blank=True, help_text="What went wrong at the last attempt.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "sending", "taken", "given_up"]), name="notice_state_known"
            ),
            # one event is told once to one endpoint; and a webhook-id is looked up
            models.UniqueConstraint(fields=["event_id", "endpoint"], name="notice_once"),
        ]
        indexes = [
            # send: what is due at one endpoint
            models.Index(
                fields=["endpoint", "next_attempt_at", "id"], condition=Q(state="waiting"), name="notice_due"
            ),
            # send: what of the same subject comes before
            models.Index(
                fields=["endpoint", "subject", "id"],
                condition=Q(state__in=["waiting", "sending"]),
                name="notice_before",
            ),
            # send: what is under way at one endpoint, and leases that ran out
            models.Index(
                fields=["endpoint", "leased_until"], condition=Q(state="sending"), name="notice_leased"
            ),
            # an endpoint's page, and replay since a time
            models.Index(fields=["endpoint", "-id"], name="notice_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.endpoint}"
