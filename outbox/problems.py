"""Every way the door can say no, from one closed list, as problem details (RFC 9457).

A room that cannot do what was asked raises ``Refused`` with a ``Problem``; the door renders it once. The code
decides status and whether trying again can help, so that nobody says 429 where waiting does not help. A code
may be added when a feature needs it and never changes its meaning. ``detail`` is one sentence that is safe to
show to anyone: it must not name recipients or content of another agent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self


class Retry(StrEnum):
    """What the caller can do: nothing, wait, send something else, or find a person."""

    NEVER = "never"
    AFTER = "after"
    WHEN_CHANGED = "when_changed"
    ASK_HUMAN = "ask_human"


@dataclass(frozen=True, slots=True)
class Kind:
    """What one code means: HTTP status, retry, title, an explanation for its page, the next step, and what to read."""

    status: int
    retry: Retry
    title: str
    explanation: str
    remedy: str
    read: str = ""


WHOAMI: Final = "/v1/whoami"

_N, _A, _C, _H = Retry.NEVER, Retry.AFTER, Retry.WHEN_CHANGED, Retry.ASK_HUMAN

CODES: Final[Mapping[str, Kind]] = {
    "malformed_json": Kind(
        400,
        _N,
        "The body is not JSON",
        "The body must be one JSON value in UTF-8, uncompressed, without lone surrogates or NaN.",
        "Send JSON in UTF-8, without a Content-Encoding.",
    ),
    "idempotency_key_invalid": Kind(
        400,
        _N,
        "The idempotency key is not usable",
        "An idempotency key is 1 to 256 printable ASCII characters.",
        "Use a UUID or a name of your own made of printable ASCII.",
    ),
    "unauthenticated": Kind(
        401,
        _N,
        "No valid key or signature",
        "The request carried no key that we know, or, to a relay service's webhook, not that service's signature. "
        "Unknown, mistyped and revoked keys get the same answer.",
        "Send `Authorization: Bearer ao_live_...` with a key that a person issued to you.",
    ),
    "key_expired": Kind(
        401,
        _N,
        "The key has expired",
        "The key was valid once; its time is over.",
        "Ask a person for a new key.",
    ),
    "insufficient_scope": Kind(
        403,
        _H,
        "The key may not do this",
        "Keys have a kind and scopes: `send`, `read`, `stop`. No key approves, resumes or raises a limit.",
        "Ask a person for a key with the scope that the call needs.",
    ),
    "agent_disabled": Kind(
        403,
        _H,
        "The agent is switched off",
        "A person has disabled this agent. Nothing it posts is accepted until a person enables it again.",
        "Stop sending and tell the person who runs you.",
    ),
    "not_found": Kind(
        404,
        _N,
        "There is no such thing",
        "The name is unknown or belongs to somebody else; the two are never told apart.",
        "Check the name or id and the key you use; /v1/openapi.json lists all paths and their methods.",
        "/v1/openapi.json",
    ),
    "not_cancellable": Kind(
        409,
        _N,
        "Nothing is left to cancel",
        "Every delivery of the message is final, or so far on its way that it cannot be taken back.",
        "Read the message to see what became of it.",
    ),
    "idempotency_key_reused": Kind(
        409,
        _N,
        "The idempotency key belongs to another body",
        "The key was used before with a different body. The first answer stands; this request did nothing.",
        "Use a new key for a new message; repeat the very same body to see the first answer again.",
    ),
    "run_parent_conflict": Kind(
        409,
        _N,
        "The run has another parent",
        "A run's parent is fixed when the run is first seen.",
        "Leave `agent.parent_run_id` out, or name the first parent.",
    ),
    "idempotency_in_progress": Kind(
        409,
        _A,
        "The first request is still running",
        "A request with the same idempotency key has not been answered yet.",
        "Wait, then send the same request again.",
    ),
    "payload_too_large": Kind(
        413,
        _N,
        "The message is too large",
        "At most 36 MiB of JSON, 25 MiB of decoded content and 50 KiB of headers a message.",
        "Send less: link to large files instead of attaching them.",
    ),
    "validation_failed": Kind(
        422,
        _C,
        "The request is not valid",
        "`violations` lists what is wrong, each with a JSON pointer (RFC 6901) into what you sent.",
        "Correct every violation and send again.",
    ),
    "recipient_suppressed": Kind(
        422,
        _N,
        "Recipients may not be mailed",
        "Every recipient is on the suppression list, so nothing is left to send; with `all_or_nothing` one of them is "
        "enough. `violations` names those who are.",
        "Do not write to these recipients again.",
    ),
    "run_parent_unknown": Kind(
        422,
        _C,
        "The parent run is not known",
        "`agent.parent_run_id` names a run that this agent has not opened, or the tree would be too deep.",
        "Post a message in the parent run first, or leave the parent out.",
    ),
    "sender_not_in_lane": Kind(
        403,
        _C,
        "The sender is outside your sending domain",
        "The sending domain follows the key. A `from` in another domain is refused, never rewritten.",
        "Leave `from` out, or use an address of your stream's sending domain; `GET /v1/whoami` names it.",
        WHOAMI,
    ),
    "content_refused": Kind(
        403,
        _C,
        "The content is refused",
        "A rule refuses content like this. `detail` says which.",
        "Change the content as `detail` says.",
    ),
    "forecast_past_expiry": Kind(
        403,
        _C,
        "It would not leave in time",
        "At the present warm-up the message would be sent after its `expires_at`.",
        "Choose a later `expires_at`, fewer recipients, or another day.",
    ),
    "duplicate_content": Kind(
        403,
        _N,
        "The recipient has this message already",
        "Nearly the same content went to the same person a short while ago.",
        "Do not repeat the message.",
    ),
    "run_cancelled": Kind(
        403,
        _N,
        "The run was cancelled",
        "The run, or one above it, was cancelled; nothing more is accepted for it.",
        "Stop this run.",
    ),
    "run_budget_exhausted": Kind(
        403,
        _H,
        "The run's budget does not cover this",
        "A run and all its descendants share one number of recipients, of their domains and of attachment bytes; "
        "`scope` says which does not suffice. Waiting is no help.",
        "Keep within `remaining`; if that is too little, stop and ask the person you work for for a larger budget.",
    ),
    "lane_not_ready": Kind(
        403,
        _H,
        "Your stream cannot send yet",
        "The stream has no enabled sending domain with a signing key.",
        "Tell the person who runs this installation.",
        WHOAMI,
    ),
    "stopped": Kind(
        403,
        _H,
        "Sending is stopped",
        "A person or a rule has closed a scope that you belong to. Only a person opens it again.",
        "Stop sending and tell the person you work for.",
        WHOAMI,
    ),
    "approval_wait_past_expiry": Kind(
        403,
        _H,
        "Nobody would approve it in time",
        "The message needs a person's approval, and the queue is longer than the message's life.",
        "Choose a later `expires_at`, or ask a person to look at the queue.",
    ),
    "agent_hour_limit": Kind(
        429,
        _A,
        "The agent's hour is full",
        "An agent may write to so many recipients an hour.",
        "Wait until `retry_at`.",
    ),
    "agent_day_limit": Kind(
        429,
        _A,
        "The agent's day is full",
        "An agent may write to so many recipients a day, with so many bytes of attachments, in so many runs that it "
        "begins; `scope` says which is spent.",
        "Wait until `retry_at`.",
    ),
    "principal_limit": Kind(
        429,
        _A,
        "The principal's limit is reached",
        "All runs on behalf of one principal share a limit.",
        "Wait until `retry_at`.",
    ),
    "stream_limit": Kind(
        429,
        _A,
        "The stream's limit is reached",
        "All agents of a stream share a limit.",
        "Wait until `retry_at`.",
    ),
    "organisation_limit": Kind(
        429,
        _A,
        "The organisation's limit is reached",
        "All agents of the organisation share a limit.",
        "Wait until `retry_at`.",
    ),
    "request_rate_limited": Kind(
        429,
        _A,
        "Too many requests",
        "An agent may make so many requests a minute, over all its keys.",
        "Wait as `Retry-After` says; post many messages in one batch.",
    ),
    "probing": Kind(
        429,
        _A,
        "The same refusal again and again",
        "What was refused for good, until it is changed or until a person acts was posted again and again in one run. "
        "Each further refusal doubles the wait; a message that is accepted ends it.",
        "Wait until `retry_at`; then do what the refusal before this one said.",
    ),
    "undecidable": Kind(
        503,
        _A,
        "We cannot decide now",
        "Something that must answer before mail may be accepted did not. Nothing was accepted.",
        "Send the same request again later, with the same idempotency key.",
    ),
}

VIOLATIONS: Final = frozenset(
    {"unknown_field", "missing", "too_long", "too_many", "bad_value", "bad_address", "bad_base64"}
    | {"control_character", "encoded_word", "header_not_allowed"}
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a body: where (JSON pointer, RFC 6901), which code of ``VIOLATIONS``, in words."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal. ``scope``, ``limit``, ``used``, ``remaining`` only where a limit spoke, ``forecast_at`` where a ramp.

    ``remedy`` holds next steps: a sentence, or a mapping with ``method`` and ``href`` where there is a call that can be
    made as it stands (``reading``). Left empty, the code's own are given.

    Raises:
        KeyError: the code is not on the list.
    """

    code: str
    detail: str
    retry_at: datetime | None = None
    scope: str | None = None
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    forecast_at: datetime | None = None
    remedy: tuple[Mapping[str, Any] | str, ...] = ()
    violations: tuple[Violation, ...] = ()

    def __post_init__(self) -> None:
        CODES[self.code]

    @property
    def status(self) -> int:
        return CODES[self.code].status

    @property
    def retry(self) -> Retry:
        return CODES[self.code].retry

    @property
    def title(self) -> str:
        return CODES[self.code].title


class Refused(Exception):
    """What was asked is refused; the door answers with ``problem``."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem
        self.agent_id = 0

    def of_agent(self, agent_id: int) -> Self:
        """The same, of an agent that did not prove to be itself: for our counts, not for the answer."""
        self.agent_id = agent_id
        return self


def refused(code: str, detail: str, **more: Any) -> Refused:
    """The exception for a problem, in one breath: ``raise refused("not_found", "No such message.")``."""
    return Refused(Problem(code, detail, **more))


def reading(code: str, path: str) -> tuple[Mapping[str, Any] | str, ...]:
    """The usual next step of a code, and where to read what it is about."""
    return CODES[code].remedy, {"method": "GET", "href": path}


def instant(at: datetime) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def body_of(problem: Problem, request_id: str, base_url: str) -> dict[str, Any]:
    """The members of ``application/problem+json``; ``type`` is the page that explains the code."""
    kind = CODES[problem.code]
    body: dict[str, Any] = {
        "type": f"{base_url}/v1/errors/{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "code": problem.code,
        "retry": str(kind.retry),
        "retry_at": instant(problem.retry_at) if problem.retry_at else None,
    }
    for member in ("scope", "limit", "used", "remaining"):
        if (value := getattr(problem, member)) is not None:
            body[member] = value
    if problem.forecast_at:
        body["forecast_at"] = instant(problem.forecast_at)
    usual = reading(problem.code, kind.read) if kind.read else (kind.remedy,)
    body["remedy"] = list(problem.remedy or usual)
    body["violations"] = [
        {"pointer": v.pointer, "code": v.code, "detail": v.detail} for v in problem.violations
    ]
    body["request_id"] = request_id
    return body
