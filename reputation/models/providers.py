"""What is known of the other side: provider families, how to speak to them, their TLS policies."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


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


class ProviderLimit(models.Model):
    """How fast and over how many connections we speak to one family of mailbox providers, all together."""

    family = models.SlugField(max_length=32, unique=True)
    connections = models.PositiveSmallIntegerField(default=20, help_text="At once, of one worker process.")
    reserved = models.PositiveSmallIntegerField(default=2, help_text="Of these, for transactional mail only.")
    per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Recipients a minute from one sending domain; empty: no limit."
    )

    def __str__(self) -> str:
        return self.family


class TlsPolicy(models.Model):
    """The MTA-STS policy of a recipient's domain (RFC 8461), kept for as long as it says, over failed fetches too."""

    domain = models.CharField(max_length=253, primary_key=True)
    policy_id = models.CharField(max_length=32, blank=True)
    mode = models.CharField(max_length=8, default="none")
    hosts = ArrayField(models.CharField(max_length=253), default=list)
    fetched_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "TLS policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(mode__in=["none", "testing", "enforce"]), name="tls_mode_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.domain}: {self.mode}"
