"""JSON in, drafts out; accepted messages in, JSON out. Pure: ``now`` is passed in.

Guarantees: a ``Draft`` has been judged whole. Every field is known and of its type, every limit of the
contract holds, no text that ends up in a header can end a line, open an encoded word or turn the reading
direction, and no text holds a control character but line feed and tab. Refuses rather than repairs, and says
all that is wrong at once, each with a JSON pointer. Sizes are measured before anything is decoded.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from outbox import ids
from outbox.addresses import BadText, Mailbox
from outbox.compose import Attachment, text_from_html
from outbox.fields import (
    FORMS,
    MAX_BATCH,
    MAX_HEADERS,
    MAX_LINE,
    MAX_RECIPIENTS,
    AttachmentIn,
    ContextIn,
    EstimateIn,
    MessageIn,
    line,
)
from outbox.headers import check_header
from outbox.problems import Problem, Refused, Violation, instant, refused

ENDPOINT: Final = b"POST /v1/messages\n"  # batch items share its namespace of idempotency keys
MAX_HEADER_BYTES, MAX_CONTENT_BYTES = 50 * 1024, 25 * 1024 * 1024
MAX_VIOLATIONS: Final = 100  # an answer must not grow with the size of a hostile request
FARTHEST: Final = timedelta(days=60)
PRIORITIES: Final = {"high": 0, "normal": 1, "low": 2}

_KEY = re.compile(r"[ -~]{1,256}")


Small = TypeVar("Small", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that somebody wants to send: well formed, not yet judged by any rule.

    ``digest`` covers the JSON as it was sent (keys sorted) and the endpoint, for idempotency. ``priority``
    is 0 for high, 1 for normal, 2 for low. ``text`` is never empty unless ``html`` says nothing either.
    ``recipients`` are to, cc and bcc in order, each person once.
    """

    sender: Mailbox | None
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str
    html: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    tags: tuple[Mapping[str, str], ...]
    scheduled_at: datetime | None
    expires_at: datetime | None
    priority: int
    run_id: str | None
    parent_run_id: str | None
    on_behalf_of: str
    purpose: str
    all_or_nothing: bool
    idempotency_key: str | None
    digest: bytes
    recipients: tuple[Mailbox, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, Mailbox] = {}
        for mailbox in (*self.to, *self.cc, *self.bcc):
            found.setdefault(mailbox.canonical, mailbox)
        object.__setattr__(self, "recipients", tuple(found.values()))

    def without(self, addresses: Collection[str]) -> "Draft":
        """The same message to everybody but these addresses."""
        if not addresses:
            return self
        to, cc, bcc = (
            tuple(mailbox for mailbox in field if mailbox.addr not in addresses)
            for field in (self.to, self.cc, self.bcc)
        )
        return replace(self, to=to, cc=cc, bcc=bcc)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A plan of which only its size is known."""

    recipients: int
    run_id: str | None

    @property
    def draft(self) -> Draft:
        """What the rules can say of it without knowing anybody or anything it says."""
        nobody: tuple[Any, ...] = ()
        empty = (nobody, nobody, nobody, nobody, "", "", None, nobody, nobody, nobody)
        return Draft(None, *empty, None, None, 1, self.run_id, None, "", "", False, None, b"")


def parse_json(body: bytes) -> Any:
    """The JSON value of a body. Raises Refused(malformed_json): bad UTF-8, lone surrogates, NaN too."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = f"The body is not JSON in UTF-8: {error.msg} (line {error.lineno}, column {error.colno})."
        raise refused("malformed_json", detail) from None


def checked_key(key: str) -> str:
    """An idempotency key. Raises Refused(idempotency_key_invalid)."""
    if not _KEY.fullmatch(key):
        raise refused("idempotency_key_invalid", "An idempotency key is 1 to 256 printable ASCII characters.")
    return key


def parse_draft(data: Any, *, now: datetime, idempotency_key: str | None, at: str = "") -> Draft:
    """The draft in the JSON value of a post; ``at`` is the pointer to it, in a batch.

    Raises:
        Refused: payload_too_large, or validation_failed with all violations (at most ``MAX_VIOLATIONS``).
    """
    if not isinstance(data, dict):
        raise _invalid([Violation(at, "bad_value", "A message is a JSON object.")])
    _refuse_oversize(data)
    _refuse_crowds(data, at)
    body, violations = _read_fields(data, at)
    violations += [*_missing(data, at), *_bad_headers(data.get("headers"), at)]
    if body:
        violations += _contradictions(body, now, at)
    if violations or not body:
        raise _invalid(violations)
    return _draft(body, data, idempotency_key)


def parse_batch(data: Any, *, now: datetime) -> list[Draft | Problem]:
    """The items of a batch, in order; a bad one is its own problem and nobody else's.

    Raises:
        Refused: validation_failed, if the batch itself is not one.
    """
    if not isinstance(data, dict) or data.get("messages") is None:
        raise _invalid([Violation("/messages", "missing", 'A batch is {"messages": [...]}.')])
    if unknown := [name for name in data if name != "messages"]:
        raise _invalid(
            [Violation(_pointer([name]), "unknown_field", "There is no such field.") for name in unknown]
        )
    items = data["messages"]
    if not isinstance(items, list):
        raise _invalid([Violation("/messages", "bad_value", "This must be a list of messages.")])
    if not items:
        raise _invalid([Violation("/messages", "missing", "A batch holds at least one message.")])
    if len(items) > MAX_BATCH:
        raise _invalid([Violation("/messages", "too_many", f"A batch holds at most {MAX_BATCH} messages.")])
    return [_item(item, now, f"/messages/{number}") for number, item in enumerate(items)]


def parse_preflight(data: Any, *, now: datetime) -> Draft | list[Draft | Problem] | Estimate:
    """What is asked of a preflight: a message, a batch, or how many recipients a plan has.

    Raises:
        Refused: as of a message, of a batch, or validation_failed.
    """
    if isinstance(data, dict) and "messages" in data:
        return parse_batch(data, now=now)
    if isinstance(data, dict) and "recipients" in data:
        return _estimate(data)
    return parse_draft(data, now=now, idempotency_key=None)


def parsed(model: type[Small], data: Any) -> Small:
    """A small body by the model that describes it. Raises Refused(validation_failed)."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise _invalid([_violation(each, data, "") for each in found]) from None


def missing(pointer: str, detail: str) -> Refused:
    """A refusal for want of one value."""
    return _invalid([Violation(pointer, "missing", detail)])


def bad_value(pointer: str, detail: str) -> Refused:
    """A refusal of one value that only a room could judge."""
    return _invalid([Violation(pointer, "bad_value", detail)])


def _estimate(data: Any) -> Estimate:
    body = parsed(EstimateIn, data)
    return Estimate(body.recipients, body.run_id)


def _item(data: Any, now: datetime, at: str) -> Draft | Problem:
    key = None
    try:
        if isinstance(data, dict) and "idempotency_key" in data:
            data = data.copy()
            if (given := data.pop("idempotency_key")) is not None:
                key = checked_key(given if isinstance(given, str) else "")
        return parse_draft(data, now=now, idempotency_key=key, at=at)
    except Refused as error:
        return error.problem


def _invalid(violations: Sequence[Violation]) -> Refused:
    shown = tuple(violations[:MAX_VIOLATIONS])
    detail = "One thing is wrong." if len(violations) == 1 else f"{len(violations)} things are wrong."
    return refused("validation_failed", f"{detail} See violations.", violations=shown)


def _pointer(path: Sequence[object], at: str = "") -> str:
    """RFC 6901; cut, since the names may be an attacker's."""
    return at + "".join("/" + str(part)[:100].replace("~", "~0").replace("/", "~1") for part in path)


def _octets(value: Any) -> int:
    return (len(value) if value.isascii() else len(value.encode())) if isinstance(value, str) else 0


def _refuse_oversize(data: Mapping[str, Any]) -> None:
    """Measured before anything is decoded or looked at."""
    headers = data.get("headers")
    if (
        isinstance(headers, dict)
        and sum(_octets(n) + _octets(v) for n, v in headers.items()) > MAX_HEADER_BYTES
    ):
        raise refused("payload_too_large", "The headers are larger than 50 KiB.", limit=MAX_HEADER_BYTES)
    size = _octets(data.get("text")) + _octets(data.get("html"))
    for attachment in _list(data.get("attachments")):
        content = attachment.get("content") if isinstance(attachment, dict) else None
        if isinstance(content, str):
            size += len(content) * 3 // 4 - content[-2:].count("=")
    if size > MAX_CONTENT_BYTES:
        raise refused("payload_too_large", "The content is larger than 25 MiB.", limit=MAX_CONTENT_BYTES)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _refuse_crowds(data: Mapping[str, Any], at: str) -> None:
    """Each unknown field costs memory for its violation, so an object of a million of them is not read on."""
    nested = [data, data.get("agent"), *_list(data.get("attachments")), *_list(data.get("tags"))]
    if any(isinstance(each, dict) and len(each) > MAX_VIOLATIONS for each in nested):
        raise _invalid([Violation(at, "unknown_field", "An object holds far more fields than there are.")])


def _read_fields(data: Mapping[str, Any], at: str) -> tuple[MessageIn | None, list[Violation]]:
    try:
        return MessageIn.model_validate(data), []
    except ValidationError as error:
        return None, [
            _violation(each, data, at) for each in error.errors(include_url=False, include_input=False)
        ]


def _violation(error: ErrorDetails, data: Any, at: str) -> Violation:
    path: list[object] = []
    for part in error["loc"]:
        if not isinstance(data, dict | list):
            break  # one address where a list may stand: the pointer is to the field
        path.append(part)
        data = data.get(part) if isinstance(data, dict) else data[int(part)]
    return Violation(_pointer(path, at), *_meaning(error))


def _meaning(error: ErrorDetails) -> tuple[str, str]:
    """Violation code and detail: ours if we raised it, else pydantic's in our words."""
    context = error.get("ctx", {})
    if isinstance(cause := context.get("error"), BadText):
        return cause.code, cause.detail
    match error["type"]:
        case "extra_forbidden":
            return "unknown_field", "There is no such field."
        case "missing":
            return "missing", "This field is required."
        case "too_long":
            return "too_many", f"At most {context['max_length']} are allowed."
        case kind:
            return "bad_value", FORMS.get(kind, "This cannot stand here.").format(**context)


def _missing(data: Mapping[str, Any], at: str) -> list[Violation]:
    """What is required of several fields together."""
    found = []
    if not any(data.get(name) for name in ("to", "cc", "bcc")):
        found.append(Violation(f"{at}/to", "missing", "Name at least one recipient."))
    if not data.get("text") and not data.get("html"):
        found.append(Violation(f"{at}/text", "missing", "Give text, html or both."))
    agent = data.get("agent")
    if isinstance(agent, dict) and agent.get("parent_run_id") and not agent.get("run_id"):
        found.append(Violation(f"{at}/agent/run_id", "missing", "A parent run needs a run."))
    return found


def _bad_headers(headers: Any, at: str) -> list[Violation]:
    if not isinstance(headers, dict) or len(headers) > MAX_HEADERS:
        return []
    seen: set[str] = set()
    found = []
    for name, value in headers.items():
        try:
            _judge_header(name, value if isinstance(value, str) else "", seen)
        except BadText as error:
            found.append(Violation(_pointer(["headers", name], at), error.code, error.detail))
        seen.add(name.lower())
    return found


def _judge_header(name: str, value: str, seen: Set[str]) -> None:
    if name.lower() in seen:
        raise BadText("bad_value", "The header is given twice, in different case.")
    # only message ids have white space at which a longer line can always be folded
    threading = name.lower() in ("in-reply-to", "references")
    line(value, f"The header {name[:50]}", 8 * MAX_LINE if threading else MAX_LINE)
    check_header(name, value)


def _contradictions(body: MessageIn, now: datetime, at: str) -> list[Violation]:
    """What is wrong between fields that are right by themselves."""
    found = []
    if len(body.to) + len(body.cc) + len(body.bcc) > MAX_RECIPIENTS:
        found.append(Violation(f"{at}/to", "too_many", f"At most {MAX_RECIPIENTS} recipients in all."))
    start = max(body.scheduled_at or now, now)
    if start > now + FARTHEST:
        found.append(Violation(f"{at}/scheduled_at", "bad_value", "At most 60 days ahead."))
    if body.expires_at and body.expires_at <= start:
        detail = "It must be in the future, and after scheduled_at."
        found.append(Violation(f"{at}/expires_at", "bad_value", detail))
    if body.expires_at and body.expires_at > start + FARTHEST:
        detail = "At most 60 days after now or scheduled_at."
        found.append(Violation(f"{at}/expires_at", "bad_value", detail))
    return found


def _draft(body: MessageIn, data: Mapping[str, Any], idempotency_key: str | None) -> Draft:
    agent = body.agent or _NO_CONTEXT
    return Draft(
        sender=body.sender,
        to=tuple(body.to),
        cc=tuple(body.cc),
        bcc=tuple(body.bcc),
        reply_to=tuple(body.reply_to),
        subject=body.subject,
        text=body.text or text_from_html(body.html or ""),
        html=body.html or None,
        headers=tuple((body.headers or {}).items()),
        attachments=tuple(map(_attachment, body.attachments or ())),
        tags=tuple({"name": tag.name, "value": tag.value} for tag in body.tags or ()),
        scheduled_at=body.scheduled_at,
        expires_at=body.expires_at,
        priority=PRIORITIES[body.priority],
        run_id=agent.run_id,
        parent_run_id=agent.parent_run_id,
        on_behalf_of=agent.on_behalf_of or "",
        purpose=agent.purpose or "",
        all_or_nothing=body.all_or_nothing,
        idempotency_key=idempotency_key,
        digest=hashlib.sha256(ENDPOINT + orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).digest(),
    )


_NO_CONTEXT: Final = ContextIn()


def _attachment(given: AttachmentIn) -> Attachment:
    content_type = given.content_type or "application/octet-stream"
    return Attachment(
        filename=given.filename, content_type=content_type, content=given.content, content_id=given.content_id
    )


@dataclass(frozen=True, slots=True)
class AcceptedDelivery:
    """One recipient of an accepted message, as the answer shows it."""

    id: UUID
    to: str
    status: str
    reason: str | None
    forecast_at: datetime | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a 202 says. ``budget`` maps a scope to ``{"limit", "used", "remaining"}``."""

    id: UUID
    status: str
    created_at: datetime
    header_id: str
    stream: str
    run_id: str
    verdict: str
    reasons: tuple[Mapping[str, str], ...]
    policy_version: int
    deliveries: tuple[AcceptedDelivery, ...]
    refused: tuple[Mapping[str, str], ...]
    budget: Mapping[str, Mapping[str, int]]
    scheduled_at: datetime | None
    expires_at: datetime
    approval: Mapping[str, Any] | None = None


def accepted_body(accepted: Accepted) -> dict[str, Any]:
    """The body of a 202, ready for JSON."""
    name = ids.printed("msg", accepted.id)
    return {
        "id": name,
        "status": accepted.status,
        "created_at": instant(accepted.created_at),
        "message_id": accepted.header_id,
        "stream": accepted.stream,
        "run_id": accepted.run_id,
        "decision": {
            "verdict": accepted.verdict,
            "reasons": [dict(reason) for reason in accepted.reasons],
            "policy_version": accepted.policy_version,
        },
        "approval": accepted.approval,
        "deliveries": [_delivery_body(delivery) for delivery in accepted.deliveries],
        "refused": [dict(each) for each in accepted.refused],
        "budget": {scope: dict(numbers) for scope, numbers in accepted.budget.items()},
        "scheduled_at": instant(accepted.scheduled_at) if accepted.scheduled_at else None,
        "expires_at": instant(accepted.expires_at),
        "links": {"self": f"/v1/messages/{name}", "cancel": f"/v1/messages/{name}/cancel"},
    }


def _delivery_body(delivery: AcceptedDelivery) -> dict[str, Any]:
    return {
        "id": ids.printed("dlv", delivery.id),
        "to": delivery.to,
        "status": delivery.status,
        "reason": delivery.reason,
        "forecast_at": instant(delivery.forecast_at) if delivery.forecast_at else None,
    }
