"""Tables of the lanes and of the switch. No behaviour: rooms act on them.

Scopes are opaque strings ``kind:key`` here, so that reputation needs no table of outbox's.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Kind(models.TextChoices):
    """What a stream is for: transactional mail never waits behind a campaign and is never tripped lightly."""

    TRANSACTIONAL = "transactional"
    AGENTS = "agents"


def every_day() -> list[int]:
    """Monday to Sunday."""
    return [1, 2, 3, 4, 5, 6, 7]


class Warmed(models.Model):
    """What warms up: a sending domain, a source address or an organisational domain, towards each provider."""

    class Preset(models.TextChoices):
        NONE = "none", "none: already warm"
        CAREFUL = "careful"
        STANDARD = "standard"
        NEW_DOMAIN = "new-domain"
        OWN = "own", "own steps"

    preset = models.CharField(max_length=12, choices=Preset, default=Preset.CAREFUL)
    own_steps = ArrayField(
        models.PositiveIntegerField(), default=list, blank=True, help_text="Recipients a day, rising."
    )
    target = models.PositiveIntegerField(
        default=100_000, help_text="Recipients a day and provider at the end."
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(preset__in=["none", "careful", "standard", "new-domain", "own"]),
                name="%(class)s_preset_known",
            ),
            models.CheckConstraint(
                condition=~Q(preset="own") | Q(own_steps__len__gt=0), name="%(class)s_own_steps_given"
            ),
        ]


class Stream(models.Model):
    """A class of traffic with its own sending domain, policy and kill switch."""

    name = models.SlugField(max_length=63, unique=True)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.AGENTS)
    policy_version = models.PositiveIntegerField(default=1)
    resend_uncertain = models.BooleanField(
        default=False,
        help_text="Send an uncertain delivery once more, after two minutes, with the same bytes.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Where its sending hours are.")
    opens_hour = models.PositiveSmallIntegerField(
        default=0, help_text="First hour of the day in which it sends."
    )
    closes_hour = models.PositiveSmallIntegerField(
        default=24, help_text="The hour at which it stops, up to 24."
    )
    sending_days = ArrayField(
        models.PositiveSmallIntegerField(), default=every_day, help_text="1 is Monday, 7 Sunday."
    )
    postal_address = models.TextField(
        blank=True,
        default="",
        max_length=500,
        help_text="Stands below every message, unless the stream is transactional: laws on commercial mail demand it.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="stream_kind_known"),
            models.CheckConstraint(
                condition=Q(opens_hour__lt=F("closes_hour"), closes_hour__lte=24),
                name="stream_hours_in_order",
            ),
            models.CheckConstraint(
                condition=Q(sending_days__len__gt=0, sending_days__contained_by=[1, 2, 3, 4, 5, 6, 7]),
                name="stream_days_of_the_week",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Route(Warmed):
    """How mail leaves: straight to the recipients' MX hosts, or through a relay."""

    class Means(models.TextChoices):
        DIRECT = "direct"
        RELAY = "relay"

    class Security(models.TextChoices):
        OPPORTUNISTIC = "opportunistic"
        STARTTLS = "starttls"
        IMPLICIT = "implicit"
        NONE = "none"

    name = models.SlugField(max_length=63, unique=True)
    means = models.CharField(max_length=8, choices=Means, default=Means.DIRECT)
    ehlo = models.CharField(
        max_length=255, help_text="Name said in EHLO: it must be the PTR name of the address."
    )
    host = models.CharField(max_length=255, blank=True, help_text="Relay only.")
    port = models.PositiveIntegerField(default=25)
    security = models.CharField(max_length=16, choices=Security, default=Security.OPPORTUNISTIC)
    ca_file = models.CharField(
        max_length=255,
        blank=True,
        help_text="The relay's own authority (PEM), if it is not one of the system's.",
    )
    username = models.CharField(max_length=255, blank=True)
    password_sealed = models.BinaryField(blank=True, default=b"", editable=False)
    source_address = models.GenericIPAddressField(null=True, blank=True)
    keeps_envelope_sender = models.BooleanField(
        default=True, help_text="The relay leaves our return-path alone."
    )
    keeps_message_id = models.BooleanField(default=True)
    signs_itself = models.BooleanField(default=False, help_text="The relay adds its own DKIM signature.")
    spf_include = models.CharField(
        max_length=253, blank=True, help_text="The name a relay publishes its own SPF under."
    )

    class Meta:
        constraints = [
            *Warmed.Meta.constraints,
            models.CheckConstraint(condition=Q(means__in=["direct", "relay"]), name="route_means_known"),
            models.CheckConstraint(
                condition=Q(security__in=["opportunistic", "starttls", "implicit", "none"]),
                name="route_security_known",
            ),
            models.CheckConstraint(
                condition=Q(means="direct") | ~Q(host=""), name="route_relay_names_its_host"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class OrganisationalDomain(Warmed):
    """The registrable domain above sending domains: mailbox providers sum volume here, people judge it.

    Agents send only from below one that a person has declared dedicated to them; never from below a protected one. A
    trigger in the database refuses the rest.
    """

    class Use(models.TextChoices):
        UNDECLARED = "undeclared"
        AGENTS = "agents", "dedicated to agents"
        PROTECTED = "protected", "protected: the company's own"

    name = models.CharField(max_length=253, unique=True)
    use = models.CharField(max_length=10, choices=Use, default=Use.UNDECLARED)
    declared_by = models.CharField(max_length=200, blank=True)
    declared_at = models.DateTimeField(null=True, blank=True)
    dmarc = models.TextField(blank=True, help_text="Its DMARC record when it was last looked up.")

    class Meta:
        constraints = [
            *Warmed.Meta.constraints,
            models.CheckConstraint(
                condition=Q(use__in=["undeclared", "agents", "protected"]), name="organisation_use_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SendingDomain(Warmed):
    """The subdomain in From and DKIM ``d=`` of one stream; its return-path host is ``rp.<name>``."""

    class State(models.TextChoices):
        ENROLLED = "enrolled", "enrolled: not yet verified"
        VERIFIED = "verified"
        DEGRADED = "degraded", "degraded: its records broke"
        RETIRED = "retired"

    name = models.CharField(max_length=253, unique=True)
    stream = models.OneToOneField(Stream, on_delete=models.PROTECT, related_name="domain")
    organisation = models.ForeignKey(OrganisationalDomain, on_delete=models.PROTECT, related_name="domains")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="domains")
    default_sender = models.CharField(max_length=320, help_text="From when the agent names none.")
    ed25519 = models.BooleanField(default=False, help_text="Add a second signature with Ed25519.")
    require_tls = models.BooleanField(default=False, help_text="Never hand mail over in the clear.")
    state = models.CharField(max_length=8, choices=State, default=State.ENROLLED)
    verified_at = models.DateTimeField(null=True, blank=True, help_text="When all records were last right.")
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When a check last ended.")
    checking_since = models.DateTimeField(null=True, blank=True, help_text="A check is under way since then.")
    degraded_at = models.DateTimeField(null=True, blank=True)
    rotate_after_days = models.PositiveSmallIntegerField(
        default=180, help_text="0: keys are rotated by hand."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            *Warmed.Meta.constraints,
            models.CheckConstraint(
                condition=Q(state__in=["enrolled", "verified", "degraded", "retired"]),
                name="domain_state_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RecordCheck(models.Model):
    """One DNS record (or other requirement) of a sending domain: what it must be, and what was found last."""

    class Verdict(models.TextChoices):
        UNCHECKED = "unchecked"
        RIGHT = "right"
        ADVICE = "advice", "works, could be better"
        MISSING = "missing"
        WRONG = "wrong"
        UNKNOWN = "unknown", "nobody answered"

    domain = models.ForeignKey(SendingDomain, on_delete=models.CASCADE, related_name="records")
    purpose = models.SlugField(max_length=40)
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=253)
    type = models.CharField(max_length=8)
    expected = models.TextField(blank=True, help_text="Ready to be published.")
    needed = models.BooleanField(default=True, help_text="The domain does not send without it.")
    found = models.TextField(blank=True)
    verdict = models.CharField(max_length=9, choices=Verdict, default=Verdict.UNCHECKED)
    words = models.TextField(blank=True, help_text="What is wrong, and what to do.")
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["domain", "purpose"], name="one_record_per_purpose"),
            models.CheckConstraint(
                condition=Q(verdict__in=["unchecked", "right", "advice", "missing", "wrong", "unknown"]),
                name="record_verdict_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


class SigningKey(models.Model):
    """A DKIM key of a sending domain; the private half is sealed and never shown."""

    class State(models.TextChoices):
        CREATED = "created"
        PUBLISHED = "published", "published: seen in the DNS"
        ACTIVE = "active"
        RETIRING = "retiring"
        REVOKED = "revoked"

    class Algorithm(models.TextChoices):
        RSA = "rsa-sha256"
        ED25519 = "ed25519-sha256"

    domain = models.ForeignKey(SendingDomain, on_delete=models.PROTECT, related_name="keys")
    selector = models.CharField(max_length=63)
    algorithm = models.CharField(max_length=16, choices=Algorithm)
    private_sealed = models.BinaryField(editable=False)
    public_record = models.TextField()
    state = models.CharField(max_length=9, choices=State, default=State.CREATED)
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["domain", "selector"], name="one_key_per_selector"),
            models.UniqueConstraint(
                fields=["domain", "algorithm"],
                condition=Q(state="active"),
                name="one_active_key_per_algorithm",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["created", "published", "active", "retiring", "revoked"]),
                name="key_state_known",
            ),
            models.CheckConstraint(
                condition=Q(algorithm__in=["rsa-sha256", "ed25519-sha256"]), name="key_algorithm_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


class KeyEvent(models.Model):
    """A change in a signing key's life: who, when and why. Append-only, like every story."""

    class Kind(models.TextChoices):
        MADE = "made"
        PUBLISHED = "published", "seen in the DNS"
        WITHDRAWN = "withdrawn", "gone from the DNS before it was used"
        ACTIVATED = "activated"
        FORCED = "forced", "activated without having been seen in the DNS"
        RESTORED = "restored", "active again after it had retired"
        RETIRED = "retired"
        REVOKED = "revoked"

    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="events", db_index=False)
    kind = models.CharField(max_length=9, choices=Kind)
    at = models.DateTimeField()
    who = models.CharField(max_length=200)
    why = models.TextField(blank=True)

    class Meta:
        indexes = [
            # a key's story, newest first
            models.Index(fields=["key", "-id"], name="keyevent_of_key")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "made",
                        "published",
                        "withdrawn",
                        "activated",
                        "forced",
                        "restored",
                        "retired",
                        "revoked",
                    ]
                ),
                name="keyevent_kind_known",
            ),
            models.CheckConstraint(
                condition=~Q(kind="forced") | Q(why__regex=r"\S"), name="keyevent_forced_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


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
        permissions = [("trip_switch", "Can stop scopes"), ("resume_switch", "Can resume scopes")]

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

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(why__regex=r"\S"), name="resumeproposal_says_why")]

    def __str__(self) -> str:
        return f"proposal to undo {self.event_id}"


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
