"""What came back."""

from django.db import models
from django.db.models import Q

from outbox.models.messages import Delivery


class Signal(models.Model):
    """What a receiver said of a delivery after it had taken it. Each kind counts once for a delivery, ever.

    Append-only. A bounce that came before its delivery was settled waits here until ``ledger.catch_up`` acts on it.
    """

    class Kind(models.TextChoices):
        BOUNCED = "bounced"
        DELIVERED = "delivered", "delivered: a relay's report"
        DELAYED = "delayed"
        COMPLAINED = "complained"
        UNSUBSCRIBED = "unsubscribed"

    delivery = models.ForeignKey(
        Delivery, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="signals"
    )
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    source = models.CharField(max_length=32, help_text="Which door it came through.")
    reason = models.CharField(max_length=32, help_text="Why, in the closed list of outbox.reports.")
    code = models.TextField(blank=True, help_text="The final code it gives its delivery.")
    hard = models.BooleanField(default=False, help_text="The address is gone for good.")
    status = models.CharField(max_length=16, blank=True, help_text="Enhanced status code, RFC 3463.")
    reporter = models.CharField(max_length=255, blank=True, help_text="Who says so, by its own word.")
    text = models.TextField(blank=True)
    early = models.BooleanField(default=False, help_text="It came before its delivery was settled.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "kind"], name="one_signal_of_a_kind"),
            models.CheckConstraint(
                condition=Q(kind__in=["bounced", "delivered", "delayed", "complained", "unsubscribed"]),
                name="signal_kind_known",
            ),
        ]
        # catch up: what has yet to move its delivery
        indexes = [models.Index(fields=["at"], condition=Q(early=True), name="signal_early")]

    def __str__(self) -> str:
        return self.kind


class Quarantine(models.Model):
    """A message that came in and is for a person: it could not be read, or was written to one. Kept for 30 days."""

    class Why(models.TextChoices):
        UNREADABLE = "unreadable", "breaks a parser"
        UNKNOWN = "unknown", "no report we know"
        PERSON = "person", "to postmaster or abuse"
        DMARC = "dmarc", "DMARC report"
        TLSRPT = "tlsrpt", "TLS report"

    at = models.DateTimeField()
    source = models.CharField(max_length=32)
    envelope_to = models.CharField(max_length=320)
    why = models.CharField(max_length=12, choices=Why)
    detail = models.TextField(blank=True)
    delivery_id = models.UUIDField(null=True, blank=True, help_text="Whose return-path it came to.")
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the content.")
    content = models.BinaryField()

    class Meta:
        verbose_name_plural = "quarantine"
        constraints = [
            models.UniqueConstraint(fields=["envelope_to", "digest"], name="quarantined_once"),
            models.CheckConstraint(
                condition=Q(why__in=["unreadable", "unknown", "person", "dmarc", "tlsrpt"]),
                name="quarantine_why_known",
            ),
        ]
        indexes = [models.Index(fields=["at"], name="quarantine_age")]  # forget: the oldest first

    def __str__(self) -> str:
        return self.envelope_to


class ReturnCount(models.Model):
    """How many messages came in through one door on one day and ended so: what forgeries leave behind."""

    day = models.DateField()
    source = models.CharField(max_length=32)
    end = models.CharField(max_length=16)
    messages = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "source", "end"], name="one_count_of_returns")]

    def __str__(self) -> str:
        return f"{self.day} {self.source} {self.end}"
