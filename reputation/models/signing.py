"""Signing keys and their story."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reputation.models.lanes import SendingDomain


class SigningKey(models.Model):
    """A DKIM key of a sending domain; the private half is sealed and never shown."""

    class State(models.TextChoices):
        CREATED = "created"
        PUBLISHED = "published", "published: seen in the DNS"
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
    state = models.CharField(max_length=9, choices=State, default=State.CREATED)
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["domain", "selector"], name="one_key_per_selector"),
            models.UniqueConstraint(
                fields=["domain", "algorithm"],
                condition=Q(state="active"),
                name="one_active_key_per_algorithm",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["created", "published", "active", "retiring", "revoked"]),
                name="key_state_known",
            ),
            models.CheckConstraint(
                condition=Q(algorithm__in=["rsa-sha256", "ed25519-sha256"]), name="key_algorithm_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


class KeyEvent(models.Model):
    """A change in a signing key's life: who, when and why. Append-only, like every story."""

    class Kind(models.TextChoices):
        MADE = "made"
        PUBLISHED = "published", "seen in the DNS"
        WITHDRAWN = "withdrawn", "gone from the DNS before it was used"
        ACTIVATED = "activated"
        FORCED = "forced", "activated without having been seen in the DNS"
        RESTORED = "restored", "active again after it had retired"
        RETIRED = "retired"
        REVOKED = "revoked"

    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="events", db_index=False)
    kind = models.CharField(max_length=9, choices=Kind)
    at = models.DateTimeField()
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)

    class Meta:
        indexes = [
            # a key's story, newest first
            models.Index(fields=["key", "-id"], name="keyevent_of_key")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "made",
                        "published",
                        "withdrawn",
                        "activated",
                        "forced",
                        "restored",
                        "retired",
                        "revoked",
                    ]
                ),
                name="keyevent_kind_known",
            ),
            models.CheckConstraint(
                condition=~Q(kind="forced") | Q(why__regex=r"\S"), name="keyevent_forced_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
