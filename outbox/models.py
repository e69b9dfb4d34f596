"""Tables only. States belong to ``lifecycle``, moves to ``ledger``.

``Message`` is content accepted once; ``Delivery`` is one recipient and owns the state, in a narrow hot table;
a ``Lane`` holds the scope keys its deliveries share; ``Attempt`` is written once, when it is settled or
rescued; ``Event`` is append-only. Content, attempts and events are partitioned by their UUIDv7 keys (the
migration writes their SQL) and carry no database foreign keys: a partition can be dropped without asking.
"""

from typing import Final

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from outbox.lifecycle import CODES, FINAL, Status
from reputation.models import Purse, Ramp, SendingDomain, Stream

STATUSES: Final = [(str(status), str(status)) for status in Status]
WAITING: Final = ["queued", "deferred"]
FINALS: Final = sorted(str(status) for status in FINAL)


class Agent(models.Model):
    """The program that sends. Its name is part of scope keys, so it never changes."""

    name = models.SlugField(max_length=63, unique=True)
    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="agents")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    enabled = models.BooleanField(default=True)
    exempt = models.BooleanField(
        default=False, help_text="For trying and loading: rules that hold or limit do not apply."
    )
    requests_per_minute = models.PositiveIntegerField(default=600)
    recipients_per_message = models.PositiveIntegerField(default=5)
    recipients_per_hour = models.PositiveIntegerField(default=20)
    recipients_per_day = models.PositiveIntegerField(default=100)
    recipients_per_run = models.PositiveIntegerField(default=50)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A credential, stored as a hash. Agent keys belong to an agent; returns and operator keys to nobody."""

    class Kind(models.TextChoices):
        AGENT = "agent"
        RETURNS = "returns"
        OPERATOR = "operator"

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, null=True, blank=True, related_name="keys")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.AGENT)
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.BinaryField(editable=False)
    scopes = ArrayField(models.CharField(max_length=8), default=list)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["agent", "returns", "operator"]), name="key_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(kind="agent", agent__isnull=False) | Q(agent__isnull=True) & ~Q(kind="agent"),
                name="agent_keys_have_an_agent",
            ),
        ]

    def __str__(self) -> str:
        return f"ao_live_{self.prefix}_…"


class Run(models.Model):
    """One task an agent works on. Its parent is fixed at first sight."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=128)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    lineage = ArrayField(models.CharField(max_length=128), help_text="Names from the root to this run.")
    on_behalf_of = models.CharField(max_length=200, blank=True)
    purpose = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    cancelled_at = models.DateTimeField(null=True, blank=True)
    recipients_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="A budget below what it would have, as its agent wished."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "name"], name="run_names_are_unique_per_agent")
        ]

    def __str__(self) -> str:
        return self.name


class Budget(models.Model):
    """What was accepted of one limit in one window of time. Only ``ao_spend`` and ``ao_refund`` write here."""

    kind = models.CharField(max_length=12)
    key = models.CharField(max_length=160)
    opens_at = models.DateTimeField()
    used = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "key", "opens_at"], name="one_budget_per_window"),
            models.CheckConstraint(
                condition=Q(kind__in=["run", "agent_hour", "agent_day", "root_runs"]),
                name="budget_kind_known",
            ),
        ]
        indexes = [
            # forget: windows long closed
            models.Index(fields=["opens_at"], name="budget_age")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Lane(models.Model):
    """What deliveries of one stream, sending domain, provider, agent and leaf run have in common.

    ``awake`` lanes may have due work: claims visit them, agent by agent, longest unvisited (``wake_at``) first.
    ``asleep`` ones have none before ``wake_at``; they fall asleep in steps (``naps`` counts visits that found nothing),
    so that an insert which was not yet committed when the claim looked is still found. ``shut`` ones wait behind their
    ramp, which lets as many of them be visited as it has allowance. ``parked`` ones overlap an open stop and are not
    visited until it is resumed.
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
    naps = models.PositiveSmallIntegerField(default=0)

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
            models.CheckConstraint(
                condition=Q(status__in=[str(s) for s in Status]), name="delivery_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=FINALS, finished_at__isnull=False)
                | ~Q(status__in=FINALS) & Q(finished_at__isnull=True),
                name="delivery_finished_when_final",
            ),
            models.CheckConstraint(
                condition=~Q(status="sending") | Q(session__isnull=False),
                name="delivery_sending_has_a_session",
            ),
            *(
                models.CheckConstraint(
                    condition=~Q(status=str(status)) | Q(code__in=sorted(codes)),
                    name=f"delivery_{status}_code",
                )
                for status, codes in CODES.items()
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
            # release: what waits for its domain's records
            models.Index(
                fields=["lane"], condition=Q(status="held", code="recheck"), name="delivery_rechecked"
            ),
            # resend: uncertain ones whose stream says so
            models.Index(
                fields=["next_attempt_at"], condition=Q(status="uncertain"), name="delivery_uncertain"
            ),
        ]

    def __str__(self) -> str:
        return self.recipient


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


class Signal(models.Model):
    """What a receiver said of a delivery after it had taken it. Each kind counts once for a delivery, ever.

    Append-only. A bounce that came before its delivery was settled waits here until ``ledger.catch_up`` acts on it.
    """

    class Kind(models.TextChoices):
        BOUNCED = "bounced"
        DELIVERED = "delivered", "delivered: a relay's report"
        DELAYED = "delayed"
        COMPLAINED = "complained"
        UNSUBSCRIBED = "unsubscribed"

    delivery = models.ForeignKey(
        Delivery, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="signals"
    )
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    source = models.CharField(max_length=32, help_text="Which door it came through.")
    reason = models.CharField(max_length=32, help_text="Why, in the closed list of outbox.reports.")
    code = models.TextField(blank=True, help_text="The final code it gives its delivery.")
    hard = models.BooleanField(default=False, help_text="The address is gone for good.")
    status = models.CharField(max_length=16, blank=True, help_text="Enhanced status code, RFC 3463.")
    reporter = models.CharField(max_length=255, blank=True, help_text="Who says so, by its own word.")
    text = models.TextField(blank=True)
    early = models.BooleanField(default=False, help_text="It came before its delivery was settled.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "kind"], name="one_signal_of_a_kind"),
            models.CheckConstraint(
                condition=Q(kind__in=["bounced", "delivered", "delayed", "complained", "unsubscribed"]),
                name="signal_kind_known",
            ),
        ]
        # catch up: what has yet to move its delivery
        indexes = [models.Index(fields=["at"], condition=Q(early=True), name="signal_early")]

    def __str__(self) -> str:
        return self.kind


class Quarantine(models.Model):
    """A message that came in and is for a person: it could not be read, or was written to one. Kept for 30 days."""

    class Why(models.TextChoices):
        UNREADABLE = "unreadable", "breaks a parser"
        UNKNOWN = "unknown", "no report we know"
        PERSON = "person", "to postmaster or abuse"
        DMARC = "dmarc", "DMARC report"
        TLSRPT = "tlsrpt", "TLS report"

    at = models.DateTimeField()
    source = models.CharField(max_length=32)
    envelope_to = models.CharField(max_length=320)
    why = models.CharField(max_length=12, choices=Why)
    detail = models.TextField(blank=True)
    delivery_id = models.UUIDField(null=True, blank=True, help_text="Whose return-path it came to.")
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the content.")
    content = models.BinaryField()

    class Meta:
        verbose_name_plural = "quarantine"
        constraints = [
            models.UniqueConstraint(fields=["envelope_to", "digest"], name="quarantined_once"),
            models.CheckConstraint(
                condition=Q(why__in=["unreadable", "unknown", "person", "dmarc", "tlsrpt"]),
                name="quarantine_why_known",
            ),
        ]
        indexes = [models.Index(fields=["at"], name="quarantine_age")]  # forget: the oldest first

    def __str__(self) -> str:
        return self.envelope_to


class ReturnCount(models.Model):
    """How many messages came in through one door on one day and ended so: what forgeries leave behind."""

    day = models.DateField()
    source = models.CharField(max_length=32)
    end = models.CharField(max_length=16)
    messages = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "source", "end"], name="one_count_of_returns")]

    def __str__(self) -> str:
        return f"{self.day} {self.source} {self.end}"
