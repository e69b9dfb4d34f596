"""The kill switch: what is closed, and everything that was ever done about it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OpenStop(models.Model):
    """A scope that is closed now. Clearance reads this table; a trip writes one row, a resume deletes it."""

    scope = models.CharField(max_length=400, primary_key=True)
    epoch = models.BigIntegerField()
    tripped_at = models.DateTimeField()
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.scope


class SwitchEvent(models.Model):
    """Every trip and resume there ever was. Append-only: the application's role may not change a row."""

    epoch = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=400)
    action = models.CharField(max_length=6, choices=[("trip", "trip"), ("resume", "resume")])
    at = models.DateTimeField()
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)

    class Meta:
        indexes = [
            # the timeline of one scope, newest first
            models.Index(fields=["scope", "-epoch"], name="switchevent_of_scope")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=["trip", "resume"]), name="switchevent_action_known"
            )
        ]
        permissions = [
            ("trip_switch", "Can stop scopes"),
            ("resume_switch", "Can resume scopes"),
            ("export_switch", "Can export who a stop affected"),
        ]

    def __str__(self) -> str:
        return f"{self.epoch} {self.action} {self.scope}"


class SwitchNote(models.Model):
    """What a person added to a trip or resume afterwards: a reason filled in later, what was found. Append-only."""

    event = models.ForeignKey(SwitchEvent, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=200)
    text = models.TextField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(text__regex=r"\S"), name="switchnote_says_something")
        ]

    def __str__(self) -> str:
        return f"note on {self.event_id}"


class ResumeProposal(models.Model):
    """One person's word that a stop made by a rule may end; it ends when another confirms. Append-only."""

    event = models.ForeignKey(
        SwitchEvent,
        on_delete=models.PROTECT,
        related_name="proposals",
        help_text="The trip that would be undone.",
    )
    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=200)
    why = models.TextField()
    whole = models.BooleanField(default=False, help_text="A false alarm: to where it stood before.")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(why__regex=r"\S"), name="resumeproposal_says_why")]

    def __str__(self) -> str:
        return f"proposal to undo {self.event_id}"


class Reopening(models.Model):
    """A resume in steps: what waits is looked at again while the scope is still closed, then some of it goes first.

    ``glass`` was broken by one person alone: it closes again at ``closes_at`` unless another one confirms it.
    """

    class State(models.TextChoices):
        CHECKING = "checking", "what waits is looked at again"
        OPEN = "open"
        CONFIRMED = "confirmed", "confirmed by a second person"
        CLOSED = "closed", "closed again: nobody confirmed it"
        ABANDONED = "abandoned", "given up before it opened"

    event = models.ForeignKey(
        SwitchEvent, on_delete=models.PROTECT, related_name="reopenings", help_text="The trip it undoes."
    )
    scope = models.CharField(max_length=400)
    who = models.CharField(max_length=200)
    why = models.TextField()
    at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=9, choices=State, default=State.CHECKING)
    whole = models.BooleanField(default=False, help_text="To where it stood before, not in steps.")
    glass = models.BooleanField(default=False)
    looked = models.PositiveIntegerField(default=0, help_text="Deliveries looked at again so far.")
    of = models.PositiveIntegerField(null=True, help_text="How many there were to look at.")
    last = models.UUIDField(null=True, help_text="How far the look has come.")
    fates = models.JSONField(default=dict, help_text="What became of those looked at, by status.")
    cuts = models.JSONField(
        null=True, help_text="By provider the last delivery that goes first; empty until all were looked at."
    )
    opened_at = models.DateTimeField(null=True)
    resumed_epoch = models.BigIntegerField(null=True)
    closes_at = models.DateTimeField(null=True)
    confirmed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope"], condition=Q(state="checking"), name="one_reopening_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["checking", "open", "confirmed", "closed", "abandoned"]),
                name="reopening_state_known",
            ),
            models.CheckConstraint(condition=Q(why__regex=r"\S"), name="reopening_says_why"),
        ]
        indexes = [
            # tend: what is under way, or closes again if nobody confirms it
            models.Index(
                fields=["state"],
                condition=Q(state="checking") | Q(state="open", glass=True),
                name="reopening_tended",
            ),
        ]

    def __str__(self) -> str:
        return f"reopening of {self.scope}"


class Purge(models.Model):
    """What waited behind a stop is thrown away: set aside at once, cancelled for good an hour later unless undone."""

    class State(models.TextChoices):
        SETTING = "setting", "being set aside"
        ASIDE = "aside", "set aside; can be undone"
        UNDOING = "undoing", "being put back"
        UNDONE = "undone"
        ENDING = "ending", "being cancelled"
        DONE = "done", "cancelled for good"

    event = models.ForeignKey(SwitchEvent, on_delete=models.PROTECT, related_name="purges")
    scope = models.CharField(max_length=400)
    who = models.CharField(max_length=200)
    why = models.TextField()
    at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(help_text="Until then it can be undone.")
    state = models.CharField(max_length=7, choices=State, default=State.SETTING)
    set_at = models.DateTimeField(null=True, help_text="When the last of them was set aside.")
    deliveries = models.PositiveIntegerField(default=0, help_text="How many were set aside.")
    undone_by = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["setting", "aside", "undoing", "undone", "ending", "done"]),
                name="purge_state_known",
            ),
            models.CheckConstraint(condition=Q(why__regex=r"\S"), name="purge_says_why"),
        ]
        indexes = [
            # tend: what has still to be done
            models.Index(fields=["state"], condition=~Q(state__in=["undone", "done"]), name="purge_tended")
        ]
        permissions = [("purge_switch", "Can purge what waits behind a stop")]

    def __str__(self) -> str:
        return f"purge of {self.scope}"
