"""What rules see and say: evidence that waits to be judged, windows, judgements, and the numbers they go by."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reputation.models.lanes import Stream


class Numbers(models.Model):
    """By which numbers a stream is judged; the row without a stream is for all that have none of their own."""

    stream = models.OneToOneField(
        Stream, on_delete=models.CASCADE, null=True, blank=True, related_name="numbers"
    )
    bounce_line = models.FloatField(
        default=0.02, help_text="Share of recipient bounces that is still healthy."
    )
    bounce_bad = models.FloatField(default=0.08, help_text="Share that the running sum is tuned to find.")
    bounce_window = models.PositiveIntegerField(default=500, help_text="Outcomes looked back on.")
    complaint_line = models.FloatField(default=0.001)
    complaint_bad = models.FloatField(default=0.005)
    complaint_window = models.PositiveIntegerField(default=2000)
    unsubscribe_line = models.FloatField(default=0.01, help_text="Above it new mail waits for a person.")
    events = models.PositiveSmallIntegerField(
        default=4, help_text="So many at least before anything is closed."
    )
    complaint_domains = models.PositiveSmallIntegerField(
        default=3,
        help_text="Complaints from so many registrable domains, unless a provider vouches for them.",
    )
    per_domain = models.PositiveSmallIntegerField(
        default=3, help_text="Bounces of one destination domain that count in a window: real ones clump."
    )
    running_sum = models.FloatField(default=8.0, help_text="How high the running sum must rise.")
    unknown_of_first = models.PositiveSmallIntegerField(
        default=5, help_text="More unknown users than this among a run's first messages close the run."
    )
    first = models.PositiveSmallIntegerField(
        default=20, help_text="How many messages of a run are its first."
    )
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(db_default=Now())
    changed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "numbers"
        constraints = [
            # one row for all the others
            models.UniqueConstraint(fields=["stream"], nulls_distinct=False, name="one_set_of_numbers"),
            models.CheckConstraint(
                condition=Q(bounce_line__gt=0, bounce_line__lt=models.F("bounce_bad"), bounce_bad__lt=1)
                & Q(complaint_line__gt=0, complaint_line__lt=models.F("complaint_bad"), complaint_bad__lt=1)
                & Q(unsubscribe_line__gt=0, unsubscribe_line__lt=1, running_sum__gt=0),
                name="numbers_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"numbers of {self.stream}" if self.stream else "numbers of all other streams"


class Evidence(models.Model):
    """Outcomes of one lane that nobody has judged yet, in the order they were settled. Judging takes the row away.

    ``trials`` outcomes, of which ``events`` were not simply accepted: ``[place among them, kind, recipient's domain,
    code, vouched]``, ``vouched`` being true where a provider's own signature stands behind it. A late report has no
    ``trials``: its outcome was counted when it was settled.
    """

    at = models.DateTimeField(help_text="When it was settled; of a late report: what it is about.")
    stream = models.CharField(max_length=63)
    scopes = ArrayField(models.CharField(max_length=400))
    provider = models.CharField(max_length=32)
    trials = models.PositiveIntegerField()
    events = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "evidence"

    def __str__(self) -> str:
        return f"{self.trials} outcomes of {self.stream}"


class Watch(models.Model):
    """What rules remember of one scope and signal: its last outcomes. Begins anew when the scope is resumed.

    ``stretches`` are the last outcomes looked back on, as `reputation.windows.stored` writes them.
    """

    class Signal(models.TextChoices):
        BOUNCES = "bounces"
        COMPLAINTS = "complaints"
        ELSEWHERE = "complaints_elsewhere", "complaints elsewhere"
        UNSUBSCRIBES = "unsubscribes"

    scope = models.CharField(max_length=400)
    signal = models.CharField(max_length=24, choices=Signal)
    stream = models.CharField(max_length=63)
    trials = models.PositiveBigIntegerField(default=0, help_text="Outcomes since it began.")
    stretches = models.JSONField(default=list)
    weak_since = models.DateTimeField(null=True, help_text="New mail is held for a person since then.")
    touched_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "watches"
        constraints = [
            models.UniqueConstraint(fields=["scope", "signal"], name="one_watch_per_scope_and_signal"),
            models.CheckConstraint(
                condition=Q(signal__in=["bounces", "complaints", "complaints_elsewhere", "unsubscribes"]),
                name="watch_signal_known",
            ),
        ]
        indexes = [
            # accept: scopes whose new mail is held
            models.Index(fields=["scope"], condition=Q(weak_since__isnull=False), name="watch_weak"),
            # forget: scopes nobody hears of any more
            models.Index(fields=["touched_at"], name="watch_age"),
        ]

    def __str__(self) -> str:
        return f"{self.signal} of {self.scope}"


class Judgement(models.Model):
    """What a rule concluded, with the arithmetic it did. Never changed, but for the trip that followed (``epoch``)."""

    class Strength(models.TextChoices):
        WEAK = "weak", "weak: new mail is held for a person"
        CLEARED = "cleared", "weak no more"
        STRONG = "strong", "strong: the scope is closed"
        AT_ONCE = "at_once", "at once: said on our own connection, or looked up by ourselves"

    scope = models.CharField(max_length=400)
    rule = models.CharField(max_length=40)
    strength = models.CharField(max_length=8, choices=Strength)
    at = models.DateTimeField()
    why = models.TextField()
    arithmetic = models.JSONField(default=dict)
    epoch = models.BigIntegerField(null=True, help_text="The trip that followed.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(strength__in=["weak", "cleared", "strong", "at_once"]),
                name="judgement_strength_known",
            )
        ]
        indexes = [
            # the story of one scope, newest first
            models.Index(fields=["scope", "-id"], name="judgement_of_scope"),
            # trip: what was concluded and nobody has acted on
            models.Index(
                fields=["id"],
                condition=Q(strength__in=["strong", "at_once"], epoch__isnull=True),
                name="judgement_undone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} on {self.scope}"


class Witness(models.Model):
    """A receiver that is no named provider has refused us for what we are: three within an hour are believed."""

    scope = models.CharField(max_length=400)
    reason = models.CharField(max_length=40)
    organisation = models.CharField(max_length=253, help_text="The registrable domain that said so.")
    at = models.DateTimeField()
    reply = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "witnesses"
        constraints = [
            models.UniqueConstraint(fields=["scope", "reason", "organisation"], name="one_witness_of_a_kind")
        ]

    def __str__(self) -> str:
        return f"{self.organisation} on {self.scope}"


class Incident(models.Model):
    """A provider calls people unknown who are not: nobody is suppressed, and nothing closed, for what it says."""

    provider = models.CharField(max_length=32)
    began_at = models.DateTimeField()
    until = models.DateTimeField()
    why = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["provider", "-until"], name="incident_of_provider")
        ]  # is there one now

    def __str__(self) -> str:
        return f"{self.provider} since {self.began_at}"


class FeedbackProvider(models.Model):
    """A provider from which a complaint ever came: complaints are judged over what it was sent, from then on."""

    family = models.CharField(max_length=32, primary_key=True)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return self.family


class ProviderHour(models.Model):
    """What one provider said of one stream's mail in one hour: the base an incident is told from."""

    provider = models.CharField(max_length=32)
    stream = models.CharField(max_length=63)
    hour = models.DateTimeField()
    trials = models.PositiveIntegerField()
    unknown = models.PositiveIntegerField(help_text="Refused as unknown users.")

    class Meta:
        constraints = [
            # incidents: the last week of one provider
            models.UniqueConstraint(fields=["provider", "hour", "stream"], name="one_hour_of_a_provider")
        ]

    def __str__(self) -> str:
        return f"{self.provider} on {self.stream} at {self.hour}"
