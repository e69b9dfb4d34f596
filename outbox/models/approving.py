"""What people are asked: requests to send, what belongs to them, and every word that was said about them."""

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from outbox.models.agents import Agent, Run
from reputation.models import Stream

UNDECIDED: Final = ["open", "confirming", "watching"]


class Approval(models.Model):
    """A request: held messages of one agent, one tree of runs and one cluster of like content, decided together.

    ``open`` waits for a person, ``confirming`` for a second one, ``watching`` has let a wave go and looks at what
    becomes of it. ``lapsed`` was not decided in time, ``ended`` has nothing left that waits. No joining message writes
    here: what belongs to it is in ``Held``. Every decision moves ``version`` on.
    """

    class State(models.TextChoices):
        OPEN = "open"
        CONFIRMING = "confirming", "confirming: waits for a second person"
        WATCHING = "watching", "watching what becomes of a wave"
        LAPSED = "lapsed"
        ENDED = "ended"

    id = models.UUIDField(primary_key=True)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="+", help_text="The root of the tree."
    )
    leaf = models.ForeignKey(
        Run,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The run itself, where its messages are in no cluster.",
    )
    cluster = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    taking = models.BooleanField(default=True, help_text="What is held joins it; later it joins a new one.")
    reasons = ArrayField(models.CharField(max_length=20), help_text="Why its messages are held, in codes.")
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="When it lapses.")
    ended_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)
    proposed = models.ForeignKey(
        "Decision",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="What waits for a second person.",
    )
    carrying = models.ForeignKey(
        "Decision",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="What is being carried out.",
    )
    carried = models.UUIDField(null=True, help_text="The last message that was looked at for it.")
    watching = models.ForeignKey(
        "Decision",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The wave that went last.",
    )
    watched_until = models.DateTimeField(null=True)
    said = models.TextField(blank=True, help_text="Why its waves were stopped, or it went no further.")

    class Meta:
        default_permissions = ("view",)
        verbose_name = "approval request"
        permissions = [("decide_approval", "Can release and refuse what is held")]
        constraints = [
            # join: one request for all of a flood, however many find that there is none yet
            models.UniqueConstraint(
                fields=["agent", "run", "leaf", "cluster"],
                condition=Q(taking=True),
                nulls_distinct=False,
                name="approval_taking_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[*UNDECIDED, "lapsed", "ended"]), name="approval_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNDECIDED, ended_at__isnull=True)
                | ~Q(state__in=UNDECIDED) & Q(ended_at__isnull=False, taking=False),
                name="approval_ended_when_final",
            ),
            models.CheckConstraint(
                condition=Q(state="confirming", proposed__isnull=False)
                | ~Q(state="confirming") & Q(proposed__isnull=True),
                name="approval_confirming_a_decision",
            ),
            models.CheckConstraint(
                condition=Q(cluster__isnull=True) | Q(leaf__isnull=True),
                name="approval_of_a_cluster_or_a_run",
            ),
        ]
        indexes = [
            # the desk's list, lapse, tend: what waits for people, the oldest first
            models.Index(fields=["opened_at"], condition=Q(state__in=UNDECIDED), name="approval_undecided"),
            # tend: decisions that are being carried out
            models.Index(fields=["carrying"], condition=Q(carrying__isnull=False), name="approval_carrying"),
        ]

    def __str__(self) -> str:
        return f"approval {self.pk}"


class Decision(models.Model):
    """One word about a request, of a person or a rule. Append-only.

    It covers the members that were committed when the reviewer's page was made (``seen``, a snapshot) up to the last
    one that was shown (``upto``), under the policy of that moment; of ``messages`` only these.
    """

    class Kind(models.TextChoices):
        RELEASE = "release"
        WAVES = "waves", "release in waves"
        PART = "part", "release a part"
        REFUSE = "refuse"
        CONFIRM = "confirm", "confirm what another has decided"
        WITHDRAW = "withdraw", "withdraw what waits for a second person"
        WAVE = "wave", "the next wave"
        STOP = "stop", "stop the waves"
        LAPSE = "lapse"

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=8, choices=Kind)
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)
    at = models.DateTimeField()
    version = models.PositiveIntegerField(help_text="Of the request, that it was made on.")
    upto = models.UUIDField(null=True, help_text="The last message that was shown.")
    seen = models.TextField(blank=True, help_text="The snapshot of the page: what joined since is not in it.")
    shown_at = models.DateTimeField(null=True, help_text="When the page was made: how long it was looked at.")
    policy_version = models.PositiveIntegerField()
    messages = ArrayField(models.UUIDField(), null=True, help_text="A part: these.")
    most = models.PositiveIntegerField(null=True, help_text="Of a wave or a part: so many messages.")
    people = models.PositiveIntegerField(
        default=0, help_text="Recipients it is about, as far as was counted."
    )
    of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="What it confirms, withdraws, stops or goes on with.",
    )

    class Meta:
        default_permissions = ("view",)
        constraints = [
            # what waits for a second person is confirmed or withdrawn, once
            models.UniqueConstraint(
                fields=["of"], condition=Q(kind__in=["confirm", "withdraw"]), name="decision_answered_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        *("release", "waves", "part", "refuse", "confirm"),
                        *("withdraw", "wave", "stop", "lapse"),
                    ]
                ),
                name="decision_kind_known",
            ),
        ]
        indexes = [
            # projected wait, queue health: what people decided lately
            models.Index(fields=["-at"], name="decision_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.who}"


class Held(models.Model):
    """A held message of a request, with the digest of what was held. No counters: joins must not queue for one row.

    ``decision`` is what let it go or ended it. A column of the database's own, ``joined``, is the transaction that
    wrote it: whether a reviewer can have seen it.
    """

    pk = models.CompositePrimaryKey("approval_id", "message_id")
    # no database keys: every join would share-lock its request's row
    approval = models.ForeignKey(
        Approval, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="members"
    )
    message_id = models.UUIDField()
    digest = models.BinaryField(max_length=32)
    decision = models.ForeignKey(
        Decision,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="members",
    )

    class Meta:
        verbose_name_plural = "held messages"
        default_permissions = ("view",)
        indexes = [
            # carry out, count: what is not decided yet, in order
            models.Index(
                fields=["approval", "message_id"], condition=Q(decision=None), name="held_undecided"
            ),
            # compose: what was approved of a message
            models.Index(fields=["message_id"], name="held_of_message"),
            # watch a wave: what became of it
            models.Index(fields=["decision"], condition=Q(decision__isnull=False), name="held_decided"),
        ]

    def __str__(self) -> str:
        return f"message {self.message_id}"
