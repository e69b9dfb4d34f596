"""What became of an attempt: a reply in, an outcome out.

`Reply` is what the SMTP edge saw; `interpret` says which state that is and why. The class comes from the
reply code alone; enhanced codes and texts only refine the reason (`refusals`). The line that matters is the
dot: before it every trouble of the connection is a deferral, after it no answer is `uncertain`, and nothing
here ever turns doubt into a retry. `next_attempt` says when a deferral is due again.

Pure: no clock, no settings, no I/O; `now` and the jitter are passed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from outbox import refusals
from outbox.lifecycle import Status
from outbox.refusal_causes import RECIPIENT


class Phase(StrEnum):
    """How far the conversation got: the last thing that was begun."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # bytes of the body may be on their way
    READY = "ready"  # body transmitted and acknowledged, dot not written
    DOT = "dot"  # a byte of the dot may have been written, no complete reply seen
    REPLIED = "replied"  # the reply after the dot was read


class Fault(StrEnum):
    """What went wrong when no usable reply came, or why we did not ask for one."""

    TIMEOUT = "timeout"
    REFUSED = "refused"  # TCP connection refused or unreachable
    RESET = "reset"
    CLOSED = "closed"  # the peer hung up in order
    TLS = "tls"  # handshake or certificate
    LINE_TOO_LONG = "line_too_long"  # a reply past our limits
    MALFORMED = "malformed"  # bytes that are not an SMTP reply
    DNS_TEMPORARY = "dns_temporary"
    NO_SUCH_DOMAIN = "no_such_domain"
    NO_ADDRESS = "no_address"  # the domain exists and names no host that takes mail
    NULL_MX = "null_mx"  # RFC 7505
    NO_ROUTE = "no_route"  # only private, loopback or our own hosts
    SMTPUTF8_MISSING = "smtputf8_missing"  # RFC 6531 §3.5
    TLS_MISSING = "tls_missing"  # TLS is demanded, by us or by the recipient's domain, and was not offered
    TLS_POLICY = "tls_policy"  # none of the domain's mail hosts is in its MTA-STS policy (RFC 8461 §4.1)
    AUTH_MISSING = "auth_missing"  # the relay does not take our login
    TOO_BIG = "too_big"  # larger than the SIZE the server announced (RFC 1870)
    NOT_CLEARED = "not_cleared"  # hung up before the dot because we were asked to
    STALE_CLEARANCE = "stale_clearance"  # the clearance was too old when the dot was due
    SITE_BUSY = "site_busy"  # no connection to that site was free in time
    SEND_QUEUE_STUCK = "send_queue_stuck"  # the kernel could not get our bytes acknowledged


@dataclass(frozen=True, slots=True)
class Reply:
    """What the edge saw of one SMTP transaction.

    `code` is the reply code, None if there was none. `text` is the reply's text or our own words for what
    happened, at most 1000 characters, control characters escaped. `enhanced` is set if the text began with a
    status code of RFC 3463.
    """

    phase: Phase
    code: int | None
    text: str
    enhanced: str | None = None
    fault: Fault | None = None
    host: str = ""
    address: str = ""
    tls: str = ""  # "TLSv1.3", "TLSv1.3 verified" if the server proved its name, empty for plain
    dot_written: bool = False  # true as soon as a byte of the dot may have left us


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state an attempt ends in, with its code, whom it is about ("" for nobody) and why, for people.

    `code` is of the lifecycle's closed lists; of `DEFERRALS` if deferred, of `GIVEN_BACK` if queued.
    """

    status: Status
    code: str
    about: str = ""
    why: str = ""


GIVEN_BACK: Final = frozenset({Fault.NOT_CLEARED, Fault.STALE_CLEARANCE, Fault.SITE_BUSY})

# The connection ended; a complete 4yz or 5yz read before that is the better testimony.
_HANG_UPS: Final = frozenset({Fault.CLOSED, Fault.RESET, Fault.TIMEOUT})

# What a fault means while the dot has provably not been written.
_BEFORE_THE_DOT: Final[Mapping[Fault, Outcome]] = {
    Fault.TIMEOUT: Outcome(Status.DEFERRED, "timed_out", "", "no answer in time"),
    Fault.REFUSED: Outcome(Status.DEFERRED, "host_unreachable", "", "no connection to the host"),
    Fault.RESET: Outcome(Status.DEFERRED, "connection_lost", "", "the connection was reset"),
    Fault.CLOSED: Outcome(Status.DEFERRED, "connection_lost", "", "the server hung up"),
    Fault.SEND_QUEUE_STUCK: Outcome(Status.DEFERRED, "connection_lost", "", "the server stopped reading"),
    Fault.TLS: Outcome(Status.DEFERRED, "tls_failed", "", "the TLS handshake failed"),
    Fault.TLS_MISSING: Outcome(Status.DEFERRED, "tls_failed", "", "TLS is demanded and was not offered"),
    # RFC 8461 §5: as if the host were not there; the domain may mend it, or its policy, before the delivery expires
    Fault.TLS_POLICY: Outcome(Status.DEFERRED, "tls_failed", "", "no mail host is in the domain's policy"),
    Fault.AUTH_MISSING: Outcome(Status.DEFERRED, "relay_login_refused", "", "the relay takes no login"),
    Fault.LINE_TOO_LONG: Outcome(Status.DEFERRED, "protocol_trouble", "", "a reply longer than we read"),
    Fault.MALFORMED: Outcome(Status.DEFERRED, "protocol_trouble", "", "what came was not an SMTP reply"),
    Fault.DNS_TEMPORARY: Outcome(Status.DEFERRED, "dns_temporary", "", "DNS gave no answer"),
    Fault.NO_SUCH_DOMAIN: Outcome(Status.BOUNCED, "dns_failed", RECIPIENT, "the domain does not exist"),
    Fault.NO_ADDRESS: Outcome(Status.BOUNCED, "dns_failed", RECIPIENT, "no mail host has an address"),
    Fault.NO_ROUTE: Outcome(Status.BOUNCED, "dns_failed", RECIPIENT, "only private hosts, or our own"),
    Fault.NULL_MX: Outcome(Status.BOUNCED, "null_mx", RECIPIENT, "the domain takes no mail (RFC 7505)"),
    Fault.SMTPUTF8_MISSING: Outcome(
        Status.BOUNCED,
        "protocol_error",
        "",
        "the address needs SMTPUTF8 (RFC 6531 §3.5)",
    ),
    Fault.TOO_BIG: Outcome(Status.BOUNCED, "message_too_big", "", "above the server's SIZE (RFC 1870)"),
}

_RELAY_MISSING: Final = Outcome(Status.DEFERRED, "host_unreachable", "", "our relay does not resolve")
_NONSENSE: Final = Outcome(Status.DEFERRED, "protocol_trouble", "", "a reply that does not fit its command")

DEFERRALS: Final = refusals.DEFERRALS | {
    outcome.code for outcome in _BEFORE_THE_DOT.values() if outcome.status is Status.DEFERRED
}

# A 5yz here refuses the connection, our name or our login: the next host or a mended setting may take the message.
_NOT_ABOUT_THE_MESSAGE: Final = frozenset(
    {Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
)


def interpret(reply: Reply, relay: bool) -> Outcome:
    """The outcome of one attempt. `relay`: it was spoken with our own relay, not the recipient's server."""
    if reply.phase is Phase.REPLIED and reply.fault is None and reply.code is not None:
        return _answered(reply, reply.code, relay)
    if reply.dot_written or reply.phase in (Phase.DOT, Phase.REPLIED):
        stuck = reply.fault is Fault.SEND_QUEUE_STUCK
        return Outcome(Status.UNCERTAIN, "send_queue_stuck" if stuck else "no_reply_after_dot")
    if reply.fault is None or (reply.fault in _HANG_UPS and reply.code is not None):
        return _refused(reply)
    if reply.fault in GIVEN_BACK:
        return Outcome(Status.QUEUED, reply.fault.value)
    outcome = _BEFORE_THE_DOT[reply.fault]
    if relay and outcome.about == RECIPIENT:  # DNS spoke of our relay and not of the recipient
        return _RELAY_MISSING
    return outcome


def _answered(reply: Reply, code: int, relay: bool) -> Outcome:
    """The reply after the dot: every 2yz is success (RFC 5321 §4.2.1), what is no verdict leaves doubt."""
    if 200 <= code <= 299:
        if relay:
            return Outcome(Status.RELAYED, "accepted_by_relay")
        return Outcome(Status.DELIVERED, "accepted_by_server")
    if 400 <= code <= 599:
        return _refused(reply)
    return Outcome(Status.UNCERTAIN, "no_reply_after_dot", "", "the reply after the dot was no verdict")


def _refused(reply: Reply) -> Outcome:
    if reply.code is None or not 400 <= reply.code <= 599:
        return _NONSENSE
    if reply.phase is Phase.AUTH:
        return Outcome(Status.DEFERRED, "relay_login_refused", "", "the relay refused our login")
    for_now = reply.code < 500 or reply.phase in _NOT_ABOUT_THE_MESSAGE
    reason = refusals.classify(reply.code, reply.enhanced, reply.text, for_now=for_now)
    return Outcome(Status.DEFERRED if for_now else Status.BOUNCED, reason.code, reason.about, reason.why)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to come back: `steps` after the first attempts, then `every`, `most` attempts in all.

    `unless` holds other schedules for some deferral codes.
    """

    steps: tuple[timedelta, ...]
    every: timedelta
    most: int
    unless: Mapping[str, "Schedule"] = field(default_factory=dict, hash=False)

    def wait_after(self, tries: int) -> timedelta:
        """The pause after the `tries`-th attempt, counted from 1."""
        return self.steps[tries - 1] if tries <= len(self.steps) else self.every

    def for_code(self, code: str) -> "Schedule":
        """The schedule to follow after a deferral with this code."""
        return self.unless.get(code, self)


def _minutes(*values: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=value) for value in values)


GREYLISTED: Final = Schedule(_minutes(5, 10, 20), timedelta(hours=1), most=122)  # five days
MAILBOX_FULL: Final = Schedule(_minutes(60, 120, 240), timedelta(hours=6), most=10)  # 48 hours
BULK: Final = Schedule(  # five days (RFC 5321 §4.5.4.1)
    _minutes(15, 30, 60, 120),
    timedelta(hours=4),
    most=34,
    unless={"greylisted": GREYLISTED, "mailbox_full": MAILBOX_FULL},
)
TRANSACTIONAL: Final = Schedule(
    _minutes(1, 3, 5, 10, 20), timedelta(minutes=30), most=100, unless={"greylisted": GREYLISTED}
)
MAX_JITTER: Final = 0.2  # of the pause, and only later: a greylist that says five minutes means it


def next_attempt(
    schedule: Schedule, tries: int, now: datetime, expires_at: datetime, jitter: float
) -> datetime | None:
    """When a deferred delivery is due after `tries` attempts (from 1), with `jitter` in [0, 1).

    None if `schedule.most` attempts were made or the time would not be before `expires_at`.
    """
    if tries >= schedule.most:
        return None
    due = now + schedule.wait_after(tries) * (1 + MAX_JITTER * jitter)
    return due if due < expires_at else None
