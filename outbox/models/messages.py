"""What is sent: content accepted once, one row per recipient, and their story."""

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from outbox.lifecycle import Status
from outbox.models.agents import Agent, Run
from reputation.models import Purse, Ramp, SendingDomain, Stream

STATUSES: Final = [(str(status), str(status)) for status in Status]
WAITING: Final = ["queued", "deferred"]


class Lane(models.Model):
    """What deliveries of one stream, sending domain, provider, agent and leaf run have in common.

    ``awake`` lanes may have due work: claims visit them, agent by agent, longest unvisited (``wake_at``) first.
    ``asleep`` ones have none before ``wake_at``; an accept holds the lane's lock until it is committed, and no lane is
    put to sleep beside it. ``shut`` ones wait behind their ramp, which lets as many of them be visited as it has
    allowance. ``parked`` ones overlap an open stop and are not visited until it is resumed.
    """

    class State(models.TextChoices):
        AWAKE = "awake"
        ASLEEP = "asleep"
        SHUT = "shut", "shut: waits for allowance"
        PARKED = "parked", "parked by a stop"

    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="+")
    domain = models.ForeignKey(SendingDomain, on_delete=models.PROTECT, related_name="+")
    provider = models.CharField(max_length=32)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="+")
    scopes = ArrayField(models.CharField(max_length=400))
    tier = models.PositiveSmallIntegerField(default=1, help_text="0: transactional, 1: everything else.")
    ramp = models.ForeignKey(Ramp, on_delete=models.PROTECT, db_index=False, related_name="+")
    state = models.CharField(max_length=6, choices=State, default=State.AWAKE)
    wake_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "provider", "domain", "stream", "agent"], name="one_lane_per_place"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["awake", "asleep", "shut", "parked"]), name="lane_state_known"
            ),
        ]
        indexes = [
            # claim: agents whose lanes may have due work, and their lanes, longest unvisited first
            models.Index(fields=["tier", "agent", "wake_at"], condition=Q(state="awake"), name="lane_awake"),
            # claim: lanes to wake, and when the next one is due
            models.Index(fields=["tier", "wake_at"], condition=Q(state="asleep"), name="lane_asleep"),
            # claim: lanes that wait behind a ramp which has allowance again, agent by agent
            models.Index(fields=["ramp", "agent", "wake_at"], condition=Q(state="shut"), name="lane_shut"),
            # trip and resume: lanes that overlap a scope
            GinIndex(fields=["scopes"], name="lane_of_scope"),
        ]

    def __str__(self) -> str:
        return f"lane {self.pk}"


class Session(models.Model):
    """A worker process's lease: one heartbeat row however many deliveries it holds. Real clock only."""

    name = models.CharField(max_length=200)
    started_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    epoch_seen = models.BigIntegerField(default=0)

    class Meta:
        indexes = [
            # rescue: sessions nobody has ended yet
            models.Index(fields=["lease_until"], condition=Q(ended_at=None), name="session_alive")
        ]

    def __str__(self) -> str:
        return self.name


class Message(models.Model):
    """Content, accepted once and never changed. Partitioned by ``id``."""

    id = models.UUIDField(primary_key=True)
    agent = models.ForeignKey(Agent, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    stream = models.ForeignKey(Stream, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    domain = models.ForeignKey(
        SendingDomain, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    created_at = models.DateTimeField()
    scheduled_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    header_id = models.CharField(max_length=300, help_text="Message-ID, with its angle brackets.")
    sender = models.TextField()
    addressing = models.JSONField(help_text="to, cc, bcc and reply_to, as given.")
    addresses = ArrayField(models.TextField())
    subject = models.TextField()
    text = models.TextField()
    html = models.TextField(null=True)
    headers = models.JSONField()
    tags = models.JSONField()
    context = models.JSONField(help_text="on_behalf_of and purpose, as given.")
    decision = models.JSONField()
    refused = models.JSONField(help_text="Recipients that got no delivery: to, code.")
    attachment_count = models.PositiveSmallIntegerField(default=0)
    size = models.PositiveIntegerField(help_text="Octets of bodies and attachments, decoded.")
    charged = models.JSONField(
        null=True,
        help_text="What goes back with each recipient: kind, key, window and amount of a budget. Null: no limits.",
    )

    class Meta:
        managed = False
        db_table = "outbox_message"

    def __str__(self) -> str:
        return self.header_id


class Attachment(models.Model):
    """One attachment of a message, decoded. Partitioned by ``message``, with it."""

    pk = models.CompositePrimaryKey("message_id", "ordinal")
    message = models.ForeignKey(
        Message, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attachments"
    )
    ordinal = models.PositiveSmallIntegerField()
    filename = models.TextField()
    content_type = models.TextField()
    content_id = models.TextField(null=True)
    content = models.BinaryField()

    class Meta:
        managed = False
        db_table = "outbox_attachment"

    def __str__(self) -> str:
        return self.filename


class Delivery(models.Model):
    """One recipient of a message. Only the ledger writes here.

    ``attempt`` is the fencing token: every claim increments it, and a settle must name it. ``tries`` counts
    the attempts a server answered with "later". ``rescues`` counts claims whose worker died undotted.
    """

    id = models.UUIDField(primary_key=True)
    message = models.ForeignKey(
        Message, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="deliveries"
    )
    # no database key: every insert would share-lock its lane's row, which each claim updates
    lane = models.ForeignKey(
        Lane, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    next_attempt_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    session = models.ForeignKey(
        Session, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    attempt = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    rescues = models.PositiveSmallIntegerField(default=0)
    priority = models.PositiveSmallIntegerField(default=1)
    resent = models.BooleanField(default=False)
    status = models.TextField(choices=STATUSES)
    code = models.TextField(default="")
    recipient = models.TextField()
    purse = models.ForeignKey(
        Purse,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        help_text="What its reserved allowance was taken from, while it is under a lease.",
    )

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            # what the machine says, in a function: a CHECK is read and planned anew by each statement that writes here
            models.CheckConstraint(
                condition=Func(
                    *(F(name) for name in ("status", "code", "session", "finished_at")),
                    function="ao_lawful",
                    output_field=models.BooleanField(),
                ),
                name="delivery_lawful",
            ),
        ]
        indexes = [
            # claim: what is due in one lane, by the agent's own priority
            models.Index(
                fields=["lane", "priority", "next_attempt_at"],
                condition=Q(status__in=WAITING),
                name="delivery_due",
            ),
            # clear by (session, id), rescue by session: what one worker session holds
            models.Index(fields=["session", "id"], condition=Q(status="sending"), name="delivery_leased"),
            # expire: what waits past its life
            models.Index(
                fields=["expires_at"], condition=Q(status__in=["held", *WAITING]), name="delivery_expiring"
            ),
            # the responder's page: what of a scope waits for a person
            models.Index(fields=["lane"], condition=Q(status="held"), name="delivery_held"),
            # release: what waits for its domain's records, or for better evidence
            models.Index(
                fields=["lane"],
                condition=Q(status="held", code__in=["recheck", "weak_evidence"]),
                name="delivery_rechecked",
            ),
            # ask: what came back to wait for a person after it had been accepted
            models.Index(
                fields=["id"],
                condition=Q(status="held", code__in=["content_changed", "policy", "poison"]),
                name="delivery_unasked",
            ),
            # resend: uncertain ones whose stream says so
            models.Index(
                fields=["next_attempt_at"], condition=Q(status="uncertain"), name="delivery_uncertain"
            ),
        ]

    def __str__(self) -> str:
        return self.recipient


class Uncertain(Delivery):
    """A delivery of which we do not know whether it arrived: a person may look into it and decide."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "uncertain delivery"
        verbose_name_plural = "uncertain deliveries"
        permissions = [("settle_uncertain", "Can decide what became of uncertain deliveries")]


class Attempt(models.Model):
    """One SMTP conversation for a delivery, written once. Partitioned by ``id``."""

    id = models.UUIDField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attempts"
    )
    number = models.PositiveSmallIntegerField()
    session_id = models.IntegerField()
    ended_at = models.DateTimeField()
    seconds = models.FloatField(null=True)
    phase = models.TextField()
    host = models.TextField()
    address = models.TextField()
    tls = models.TextField()
    reply_code = models.PositiveSmallIntegerField(null=True)
    reply = models.TextField()
    fault = models.TextField()
    selectors = models.TextField()
    cleared_at = models.DateTimeField(null=True)
    outcome = models.TextField()
    code = models.TextField()

    class Meta:
        managed = False
        db_table = "outbox_attempt"

    def __str__(self) -> str:
        return f"attempt {self.number}"


class Event(models.Model):
    """One thing that happened to a message or delivery. Append-only, partitioned by ``id``."""

    id = models.UUIDField(primary_key=True)
    message = models.ForeignKey(
        Message, on_delete=models.DO_NOTHING, db_constraint=False, related_name="events"
    )
    delivery = models.ForeignKey(
        Delivery, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="events"
    )
    at = models.DateTimeField()
    kind = models.TextField()
    status = models.TextField()
    code = models.TextField()
    attempt = models.PositiveSmallIntegerField(null=True)
    actor = models.TextField()
    note = models.TextField()

    class Meta:
        managed = False
        db_table = "outbox_event"

    def __str__(self) -> str:
        return self.kind


class Answer(models.Model):
    """The first answer to an idempotency key, given again on replay."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=256)
    digest = models.BinaryField()
    status = models.PositiveSmallIntegerField()
    body = models.TextField()
    message_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "key"], name="one_answer_per_key")]
        indexes = [models.Index(F("created_at"), name="answer_age")]  # forget: the oldest first

    def __str__(self) -> str:
        return self.key
