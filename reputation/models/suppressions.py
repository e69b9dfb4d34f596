"""Who is not mailed."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Suppression(models.Model):
    """Somebody whom streams of a scope do not write to, by keyed hashes; the address is sealed, or erased.

    ``mark`` is what is looked up: of the mailbox where a bounce spoke, of the person where a person did. ``person`` is
    the same for all spellings of an address: erasing and searching go by it.
    """

    class Reason(models.TextChoices):
        HARD_BOUNCE = "hard_bounce"
        COMPLAINT = "complaint"
        UNSUBSCRIBED = "unsubscribed"
        BY_PERSON = "by_person"
        MAILBOX_FULL = "mailbox_full"

    mark = models.BinaryField(max_length=10)
    person = models.BinaryField(max_length=10)
    address_sealed = models.BinaryField(default=b"", editable=False)
    scope = models.CharField(max_length=80)
    reason = models.CharField(max_length=12, choices=Reason)
    source = models.CharField(max_length=200)
    why = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: until lifted.")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=200, blank=True, db_default="")
    lifted_why = models.TextField(blank=True, db_default="")
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # suppressing twice is suppressing once; look-up goes by its first column
            models.UniqueConstraint(
                fields=["mark", "scope", "reason"], condition=Q(lifted_at=None), name="suppressed_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    reason__in=["hard_bounce", "complaint", "unsubscribed", "by_person", "mailbox_full"]
                ),
                name="suppression_reason_known",
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["all", "agents"]) | Q(scope__startswith="stream:"),
                name="suppression_scope_known",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at=None) | Q(lifted_why__regex=r"\S"), name="suppression_lifted_says_why"
            ),
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(address_sealed=b""), name="suppression_erased_is_gone"
            ),
        ]
        indexes = [
            # erase, and search by address: everything about one person
            models.Index(fields=["person"], name="suppression_of_person"),
        ]
        permissions = [
            ("unseal_suppression", "Can see and export suppressed addresses"),
            ("lift_suppression", "Can lift suppressions"),
            ("erase_suppression", "Can erase addresses from the suppression list"),
        ]

    def __str__(self) -> str:
        return f"suppression {self.pk}"


class FullMailbox(models.Model):
    """A mailbox that was too full for messages of ours lately, by its mark, and how often it was left alone for it."""

    mark = models.BinaryField(primary_key=True, max_length=10)
    times = ArrayField(models.DateTimeField(), default=list)
    terms = models.PositiveSmallIntegerField(db_default=0)

    def __str__(self) -> str:
        return f"full mailbox, {self.terms} times"
