"""What became of an attempt: a reply in, an outcome out.

`Reply` is what the SMTP edge saw; `interpret` says which state that is and why. The class comes from the reply code
alone; enhanced codes and texts only refine the reason. The line that matters is the dot: before it every trouble is a
deferral, after it no answer is `uncertain`, and nothing here ever turns doubt into a retry.

Pure: no clock, no settings, no I/O; `now` and the jitter are passed in.
"""

from dataclasses import dataclass
from enum import StrEnum


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
    TLS_MISSING = "tls_missing"  # TLS is demanded of this route and was not offered
    AUTH_MISSING = "auth_missing"  # the relay does not take our login
    TOO_BIG = "too_big"  # larger than the SIZE the server announced (RFC 1870)
    NOT_CLEARED = "not_cleared"  # hung up before the dot because we were asked to
    STALE_CLEARANCE = "stale_clearance"  # the clearance was too old when the dot was due
    SITE_BUSY = "site_busy"  # no connection to that site was free in time
    SEND_QUEUE_STUCK = "send_queue_stuck"  # the kernel could not get our bytes acknowledged


@dataclass(frozen=True, slots=True)
class Reply:
    """What the edge saw of one SMTP transaction.

    `code` is the reply code, None if there was none. `text` is the reply's text or our own words for what happened, at
    most 1000 characters, control characters escaped. `enhanced` is set if the text began with a status code of RFC 3463.
    """

    phase: Phase
    code: int | None
    text: str
    enhanced: str | None = None
    fault: Fault | None = None
    host: str = ""
    address: str = ""
    tls: str = ""  # "TLSv1.3", empty for plain
    dot_written: bool = False  # true as soon as a byte of the dot may have left us
