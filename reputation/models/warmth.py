"""Ramps, their days, and what deliveries draw on."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Ramp(models.Model):
    """How far one sending domain, source address or organisational domain has warmed up towards one provider.

    Also its valve: how replies of that provider have slowed or closed it (``shaping``), and, for a sending domain,
    since when and for what its lanes wait.
    """

    class Kind(models.TextChoices):
        DOMAIN = "domain"
        SOURCE = "source"
        ORGANISATION = "organisation"

    class Valve(models.TextChoices):
        OPEN = "open"
        SLOW = "slow"
        CLOSED = "closed"
        TRIAL = "trial", "trial: a few may try"

    kind = models.CharField(max_length=12, choices=Kind)
    key = models.CharField(max_length=253)
    provider = models.CharField(max_length=32)
    step = models.PositiveSmallIntegerField(db_default=0)
    stepped_at = models.DateTimeField(db_default=Now(), help_text="When this step began.")
    judged_at = models.DateTimeField(null=True, help_text="When its days were last judged.")
    holding = models.BooleanField(db_default=False, help_text="Evidence holds it on this step.")
    valve = models.CharField(max_length=6, choices=Valve, db_default=Valve.OPEN)
    valve_until = models.DateTimeField(
        null=True, help_text="Closed until then, or slow until then; on trial: empty."
    )
    valve_why = models.TextField(blank=True, db_default="")
    strikes = models.PositiveSmallIntegerField(db_default=0, help_text="Closures or slow-downs in a row.")
    per_minute = models.PositiveIntegerField(null=True, help_text="The pace it is slowed to; empty: none.")
    # a virtual clock of the pace: how far ahead of now the recipients already let through reach
    paced_until = models.DateTimeField(null=True)
    # for a sending domain: what its deliveries draw on today, until when, and when its waiting lanes may be visited
    purse = models.ForeignKey(
        "Purse", on_delete=models.SET_NULL, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    purse_until = models.DateTimeField(null=True)
    opens_at = models.DateTimeField(null=True, help_text="When lanes that wait behind it may be visited.")
    served = models.BigIntegerField(db_default=0, help_text="The agent served last: the next one's turn.")
    waiting = models.IntegerField(db_default=0, help_text="Deliveries that wait, counted a few seconds ago.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "key", "provider"], name="one_ramp_per_place"),
            models.CheckConstraint(
                condition=Q(kind__in=["domain", "source", "organisation"]), name="ramp_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(valve__in=["open", "slow", "closed", "trial"]), name="ramp_valve_known"
            ),
        ]
        indexes = [
            # claim: sending domains whose waiting lanes may be visited
            models.Index(fields=["opens_at"], condition=Q(opens_at__isnull=False), name="ramp_opening"),
            # tend: valves that are not open
            models.Index(fields=["valve"], condition=~Q(valve="open"), name="ramp_unsettled"),
        ]

    def __str__(self) -> str:
        return f"{self.key} to {self.provider}"


class Allowance(models.Model):
    """One ramp's day: how many recipients it may have, how many are taken, and what became of them.

    ``taken`` counts what is reserved and what is used, and never passes ``cap`` (empty: no cap); ``used`` is the part
    that is beyond return. What the sender let pass by (more than two hours' worth) is ``lapsed``.
    """

    ramp = models.ForeignKey(Ramp, on_delete=models.CASCADE, related_name="allowances", db_index=False)
    day = models.DateField()
    opens_at = models.DateTimeField(help_text="Opens evenly from here ...")
    closes_at = models.DateTimeField(help_text="... to here; at once if they are the same.")
    step = models.PositiveSmallIntegerField(db_default=0)
    cap = models.PositiveIntegerField(null=True)
    kept = models.PositiveIntegerField(db_default=0, help_text="Of the cap, for transactional mail only.")
    taken = models.PositiveIntegerField(db_default=0)
    used = models.PositiveIntegerField(db_default=0)
    lapsed = models.PositiveIntegerField(db_default=0)
    accepted = models.PositiveIntegerField(db_default=0)
    bounced = models.PositiveIntegerField(db_default=0, help_text="Recipient bounces.")
    slowed = models.PositiveIntegerField(db_default=0, help_text="Deferrals for rate or reputation.")
    refused = models.PositiveIntegerField(
        db_default=0, help_text="Refused for reputation, policy or authentication."
    )
    complained = models.PositiveIntegerField(db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ramp", "day"], name="one_allowance_per_day"),
            models.CheckConstraint(condition=Q(used__lte=F("taken")), name="allowance_used_was_taken"),
        ]
        indexes = [
            # volume of the last 24 h, and forgetting
            models.Index(fields=["day"], name="allowance_of_day")
        ]

    def __str__(self) -> str:
        return f"{self.ramp} on {self.day}"


class Purse(models.Model):
    """The three allowances that deliveries of one sending domain draw on, for one provider and day. Never changed."""

    ramp = models.ForeignKey(Ramp, on_delete=models.CASCADE, related_name="purses", db_index=False)
    day = models.DateField()
    of_domain = models.ForeignKey(Allowance, on_delete=models.CASCADE, related_name="+")
    of_source = models.ForeignKey(Allowance, on_delete=models.CASCADE, null=True, related_name="+")
    of_organisation = models.ForeignKey(Allowance, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ramp", "of_domain", "of_source", "of_organisation"],
                nulls_distinct=False,
                name="one_purse_per_draw",
            )
        ]

    def __str__(self) -> str:
        return f"{self.ramp} on {self.day}"


class RampEvent(models.Model):
    """What happened to a ramp and why, with its arithmetic. Append-only, like every story."""

    ramp = models.ForeignKey(Ramp, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    kind = models.CharField(
        max_length=16, help_text="advanced, held, stepped_down, idle, slowed, closed, opened"
    )
    step = models.PositiveSmallIntegerField()
    cap = models.PositiveIntegerField(null=True)
    why = models.TextField(blank=True)
    evidence = models.JSONField(default=dict)

    class Meta:
        indexes = [
            # a ramp's story, newest first
            models.Index(fields=["ramp", "-at"], name="rampevent_of_ramp")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ramp}"
