"""For those who watch over it: alarms, drills, refusals counted by minute, provider events seen."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Alarm(models.Model):
    """Something a person has to know of: raised once, told until it was told, ended and told so when it is over."""

    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=400, blank=True)
    raised_at = models.DateTimeField()
    words = models.TextField()
    told_at = models.DateTimeField(null=True, help_text="When the pager took it.")
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    said = models.TextField(blank=True, help_text="Why it could not be told.")
    ended_at = models.DateTimeField(null=True)
    end_told_at = models.DateTimeField(null=True, help_text="When the pager took that it is over.")

    class Meta:
        constraints = [
            # raising twice is raising once
            models.UniqueConstraint(
                fields=["kind", "key"], condition=Q(ended_at=None), name="alarm_raised_once"
            )
        ]
        indexes = [
            # tell: what the pager has not taken, the beginning or the end
            models.Index(fields=["next_try_at"], condition=Q(end_told_at=None), name="alarm_to_tell"),
            models.Index(fields=["-raised_at"], name="alarm_newest"),  # the list of alarms
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Vigil(models.Model):
    """One row: when the conditions for alarms were last judged, and when the world was last told that they are."""

    judged_at = models.DateTimeField()
    who = models.CharField(max_length=200, help_text="The process that judged them.")
    failed = models.TextField(blank=True, help_text="Conditions that could not be judged.")
    beat_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"vigil of {self.judged_at}"


class Drill(models.Model):
    """A rehearsed stop: a canary stream was tripped under load, and the time until its last dot measured."""

    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=200)
    scope = models.CharField(max_length=400)
    messages = models.PositiveIntegerField(help_text="Accepted for it.")
    sent = models.PositiveIntegerField(help_text="Cleared before the stop.")
    kept = models.PositiveIntegerField(help_text="Kept back by it.")
    after = models.PositiveIntegerField(help_text="Cleared after it: must be 0.")
    trip_seconds = models.FloatField(help_text="From the order to the commit.")
    zero_seconds = models.FloatField(help_text="From the commit to the last dot's reply.")
    heard_seconds = models.FloatField(null=True, help_text="From the commit to the last acknowledgement.")
    workers = models.PositiveSmallIntegerField()
    epoch = models.BigIntegerField()

    def __str__(self) -> str:
        return f"drill of {self.at}"


class RefusedPosts(models.Model):
    """How many posts of an agent were refused with one code in one minute: who still knocks at a closed door."""

    minute = models.DateTimeField()
    agent_id = models.BigIntegerField()
    code = models.CharField(max_length=40)
    posts = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "refused posts"
        constraints = [
            models.UniqueConstraint(fields=["minute", "agent_id", "code"], name="one_count_of_refusals")
        ]

    def __str__(self) -> str:
        return f"{self.posts} x {self.code}"


class SeenEvent(models.Model):
    """A provider's webhook event that was taken: it counts once, however often it is sent."""

    provider = models.CharField(max_length=32)
    event_id = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="event_seen_once")]
        indexes = [models.Index(fields=["at"], name="seen_event_age")]  # forget: the oldest first

    def __str__(self) -> str:
        return self.event_id


class Audit(models.Model):
    """Every act of a person or a rule, chained: each row's hash covers the one before. Append-only."""

    at = models.DateTimeField()
    who = models.CharField(max_length=200)
    act = models.CharField(max_length=60)
    subject = models.CharField(max_length=400, blank=True)
    detail = models.JSONField(default=dict)
    previous = models.BinaryField(max_length=32)
    digest = models.BinaryField(max_length=32)

    class Meta:
        verbose_name_plural = "audit"
        indexes = [
            # the list, and what was done to one subject
            models.Index(fields=["subject", "-id"], name="audit_of_subject"),
            models.Index(fields=["who", "-id"], name="audit_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.act} by {self.who}"


class AuditLook(models.Model):
    """How far the chain of the audit was found whole, one row: new rows up to ``upto``, old ones again to ``again``."""

    at = models.DateTimeField(null=True)
    upto = models.BigIntegerField(db_default=0)
    digest = models.BinaryField(max_length=32, db_default=b"")
    again = models.BigIntegerField(db_default=0)
    again_digest = models.BinaryField(max_length=32, db_default=b"")
    whole_at = models.DateTimeField(null=True, help_text="When all of it was last gone through to its end.")
    broken = models.BigIntegerField(null=True, help_text="The first row that is not what it was.")
    words = models.TextField(blank=True, db_default="")

    def __str__(self) -> str:
        return f"audit verified up to {self.upto}"
