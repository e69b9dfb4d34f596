"""What each field of a post may hold: the models that the door reads by and that OpenAPI shows.

Guarantees, per field: text that ends up in a header cannot end a line, open an encoded word or turn the
reading direction; text of a body holds no control character but line feed and tab. Types are strict, unknown
fields are errors. What several fields must satisfy together is judged in ``payloads``. Pure.
"""

import binascii
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    RootModel,
)

from outbox.addresses import BadText, Mailbox, check_text, parse_mailbox
from outbox.compose import Attachment, check_attachment

MAX_RECIPIENTS, MAX_BATCH, MAX_ATTACHMENTS, MAX_HEADERS, MAX_TAGS = 50, 1000, 100, 100, 50
MAX_ESTIMATE: Final = 100_000_000
MAX_LINE: Final = 998  # RFC 5322 §2.1.1

_RUN: Final = r"^[A-Za-z0-9._:\-]{1,128}$"
_TAG: Final = r"^[A-Za-z0-9_\-]{1,256}$"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
# C0 but tab and line feed, DEL and C1: none of them is text, and NUL does not fit into the database either
_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _as_list(value: Any) -> Any:
    if value is None:
        return []
    if not isinstance(value, str | list):
        raise BadText("bad_value", "This must be a list of strings, or one string.")
    return [value] if isinstance(value, str) else value


def line(value: str, what: str, limit: int = MAX_LINE) -> str:
    """Text that stands in one header. Raises BadText."""
    if len(value) > limit or len(value.encode(errors="replace")) > limit:
        raise BadText("too_long", f"{what} is longer than {limit} octets.")
    check_text(value, what)
    return value


def _prose(value: str) -> str:
    """Text of a body, its line ends made line feeds."""
    value = value.replace("\r\n", "\n")
    if found := _NOT_TEXT.search(value):
        raise BadText("control_character", f"The text holds the control character U+{ord(found[0]):04X}.")
    return value


def moment(value: str) -> datetime:
    if _INSTANT.fullmatch(value.upper()):
        # a day, hour or offset out of range raises ValueError, an instant before year 1 OverflowError
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    raise BadText("bad_value", "Give an RFC 3339 instant with its offset, like 2026-12-01T00:00:00Z.")


def _filename(value: str) -> str:
    line(value, "The file name", 255)
    if not value.strip(" .") or "/" in value or "\\" in value:
        raise BadText("bad_value", "A file name has no slash or backslash, and is not empty or all dots.")
    return value


def _content_type(value: str) -> str:
    line(value, "The content type", 255)
    check_attachment(Attachment("", value, b"", None))
    return value


def _content_id(value: str) -> str:
    line(value, "The content id", 200)
    check_attachment(Attachment("", "text/plain", b"", value))
    return value


def _decoded(value: str) -> bytes:
    whole = len(value) % 4 == 0 and not value.endswith("===")  # Python 3.11 reads past needless padding
    with suppress(ValueError):
        if whole:
            return binascii.a2b_base64(value, strict_mode=True)
    raise BadText("bad_base64", "The content is not base64 (RFC 4648 §4, padded, one line).")


def _read(judge: Callable[[str], Any]) -> PlainValidator:
    """A field that is a string in JSON and something better in Python. ``judge`` raises BadText."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise BadText("bad_value", "This must be a string.")
        return judge(value)

    return PlainValidator(validate, json_schema_input_type=str)


# The simulated world of the demo accepts it.
EXAMPLE: Final[dict[str, Any]] = {"to": ["ok@gmail.test"], "subject": "Hello", "text": "A first message."}


# what pydantic found -> what may stand there, in JSON's words and not in Python's
FORMS: Final = {
    "model_type": "This must be an object.",
    "dict_type": "This must be an object.",
    "list_type": "This must be a list of objects.",
    "string_type": "This must be a string.",
    "bool_type": "This must be true or false.",
    "int_type": "This must be a whole number.",
    "literal_error": "This must be {expected}.",
    "string_pattern_mismatch": "This must match the pattern {pattern}.",
    "string_too_short": "This must not be empty.",
    "greater_than_equal": "This must be at least {ge}.",
    "less_than_equal": "This must be at most {le}.",
}


class Strict(BaseModel):
    """Exactly these fields, of exactly these types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Address = Annotated[Mailbox, _read(parse_mailbox)]
Addresses = Annotated[
    list[Address],
    Field(max_length=MAX_RECIPIENTS),
    BeforeValidator(_as_list, json_schema_input_type=str | list[str] | None),
]
Moment = Annotated[datetime, _read(moment)]
Prose = Annotated[str, AfterValidator(_prose)]
RunId = Annotated[str, Field(pattern=_RUN)]
_Principal = Annotated[str, AfterValidator(partial(line, what="on_behalf_of", limit=200))]
_Purpose = Annotated[str, AfterValidator(partial(line, what="purpose", limit=500))]


_Reason = Annotated[str, Field(min_length=1), AfterValidator(partial(line, what="reason", limit=500))]


class AttachmentIn(Strict):
    filename: Annotated[str, AfterValidator(_filename)]
    content: Annotated[bytes, _read(_decoded)] = Field(description="base64 (RFC 4648 §4)")
    content_type: Annotated[str, AfterValidator(_content_type)] | None = None
    content_id: Annotated[str, AfterValidator(_content_id)] | None = None


class TagIn(Strict):
    name: Annotated[str, Field(pattern=_TAG)]
    value: Annotated[str, Field(pattern=_TAG)]


class ContextIn(Strict):
    run_id: RunId | None = Field(
        default=None, description="The task this belongs to. Default: one for the day, day-2026-12-01."
    )
    parent_run_id: RunId | None = Field(
        default=None, description="The run that started it; fixed at first sight."
    )
    on_behalf_of: _Principal | None = Field(default=None, description="For whom, such as user:grace.")
    purpose: _Purpose | None = Field(
        default=None, description="Why, in a sentence; people who look at it read this."
    )


class MessageIn(Strict):
    """What ``POST /v1/messages`` takes."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    sender: Address | None = Field(None, alias="from", description="Default: the stream's own sender.")
    to: Addresses = Field(
        [],
        description="At most 50 recipients with cc and bcc. Each gets one delivery, also who is named more than once.",
    )
    cc: Addresses = []
    bcc: Addresses = Field([], description="Appears in no header.")
    reply_to: Addresses = []
    subject: Annotated[str, AfterValidator(partial(line, what="The subject"))]
    text: Prose | None = Field(None, description="Give text, html or both. Default: made from html.")
    html: Prose | None = None
    headers: Annotated[dict[str, str], Field(max_length=MAX_HEADERS)] | None = Field(
        None, description="X-* (not X-AO-*), In-Reply-To and References; any other is refused."
    )
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_ATTACHMENTS)] | None = None
    tags: Annotated[list[TagIn], Field(max_length=MAX_TAGS)] | None = Field(
        None, description="Names and values of your own. They are kept with the message and not mailed."
    )
    scheduled_at: Moment | None = Field(
        None, description="Not before this RFC 3339 instant, at most 60 days ahead. Default: now."
    )
    expires_at: Moment | None = Field(
        None,
        description="What has not left by this RFC 3339 instant expires; at most 60 days after now or "
        "scheduled_at. Default: 5 days after, in a transactional stream 1 hour.",
    )
    priority: Literal["low", "normal", "high"] = Field(
        "normal", description="Orders only this agent's own mail."
    )
    agent: ContextIn | None = Field(None, description="The work that this message is part of.")
    all_or_nothing: bool = Field(False, description="Accept nothing if any recipient would be refused.")


class BatchItemIn(MessageIn):
    idempotency_key: str | None = Field(
        None,
        description="1 to 256 printable ASCII characters; as the header Idempotency-Key of a single post.",
    )


class BatchIn(Strict):
    """What ``POST /v1/messages/batch`` takes."""

    messages: Annotated[list[BatchItemIn], Field(min_length=1, max_length=MAX_BATCH)]


class EstimateIn(Strict):
    """How many recipients a plan has, before there are messages: what ``POST /v1/messages/preflight`` takes too."""

    recipients: int = Field(ge=1, le=MAX_ESTIMATE)
    run_id: RunId | None = None


class BudgetIn(Strict):
    """What ``POST /v1/runs/{run_id}/budget`` takes."""

    recipients: int = Field(ge=0, le=MAX_ESTIMATE, description="In all, with everything below the run.")


class NothingIn(Strict):
    """What a cancel takes: an empty body says the same."""


class StopIn(Strict):
    """What ``POST /v1/stop`` takes: an agent names itself or a run of its own, an operator any scope by its key."""

    scope: str
    reason: _Reason
    run_id: RunId | None = None
    key: Annotated[str, AfterValidator(partial(line, what="key", limit=400))] | None = Field(
        None, description="Operators' keys only: the stream, domain or whatever else the scope names."
    )


class PreflightIn(RootModel[MessageIn | BatchIn | EstimateIn]):
    """A message or a batch as it would be posted, or the size of a plan."""
