"""By what drafts are judged: a stream's policies, each version kept; and who has been written to before."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reputation.models import Stream


class Policy(models.Model):
    """One version of a stream's policy, never changed; the stream's ``policy_version`` names the one that holds.

    A version without a row is the product's defaults. ``numbers`` is a whole policy as ``policy_numbers`` reads it.
    """

    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="policies")
    version = models.PositiveIntegerField()
    numbers = models.JSONField()
    who = models.CharField(max_length=200)
    why = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            # facts: the version that holds, by both; two who save at once cannot make one version
            models.UniqueConstraint(fields=["stream", "version"], name="one_policy_per_version"),
            models.CheckConstraint(condition=Q(version__gte=1), name="policy_versions_begin_at_one"),
        ]

    def __str__(self) -> str:
        return f"policy {self.version} of {self.stream}"


class Contact(models.Model):
    """Somebody whom mail of the organisation was let go to: the keyed hash of the person, and since when."""

    mark = models.BinaryField(primary_key=True)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"known since {self.at}"
