"""What OpenAPI says about answers, and how it says it.

These models describe; they are not run. Answers are made in ``payloads`` and ``story`` as plain JSON, and a
test holds them against these models. Requests are described by the models that read them, in ``fields``.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal

from ninja import NinjaAPI
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, WithJsonSchema
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from outbox import openapi_webhooks
from outbox.fields import BatchIn, BudgetIn, MessageIn, NothingIn, PreflightIn, StopIn
from outbox.lifecycle import Status
from outbox.problems import CODES, VIOLATIONS, Retry

REF: Final = "#/components/schemas/{model}"


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reason(_Out):
    code: str
    detail: str


class Decision(_Out):
    verdict: Literal["release", "hold"]
    reasons: list[Reason]
    policy_version: int


class Wait(_Out):
    """Seconds until half, and nine tenths, of what asks people now would be decided; null where nobody knows."""

    p50: int | None
    p90: int | None


class Approval(_Out):
    id: str
    expires_at: AwareDatetime
    projected_wait_seconds: Wait


class Delivery(_Out):
    id: str
    to: str
    status: Status
    reason: str | None
    forecast_at: AwareDatetime | None = Field(description="Through by then; if held, were it released now.")


class DeliveryNow(Delivery):
    attempts: int = Field(description="SMTP conversations begun.")
    next_attempt_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class NotMailed(_Out):
    to: str
    code: str = Field(description="A problem's; or duplicate_recipient: another address of who gets it.")


class Budget(_Out):
    """Of recipients; ``run_domains`` of their domains, ``..._bytes`` of attachments, once for each recipient."""

    limit: int
    used: int
    remaining: int


Budgets = Annotated[
    dict[str, Budget],
    Field(
        description="By kind, those that bound it: run, run_domains, run_bytes (of its tree), agent_hour, agent_day, "
        "agent_day_bytes, principal_day, stream_day, organisation_day (UTC; the last three where set); {} in lists."
    ),
]


class Links(_Out):
    self: str
    cancel: str


class _Message(_Out):
    id: str
    status: Status = Field(description="Of the least finished delivery.")
    created_at: AwareDatetime
    message_id: str = Field(description="The Message-ID header.")
    stream: str
    run_id: str
    decision: Decision
    approval: Approval | None
    refused: list[NotMailed] = Field(description="Recipients that got no delivery.")
    budget: Budgets
    scheduled_at: AwareDatetime | None
    expires_at: AwareDatetime
    links: Links


class MessageAccepted(_Message):
    """We took durable responsibility: the message is queued or held."""

    deliveries: list[Delivery]


class Message(_Message):
    """A message as it stands."""

    deliveries: list[DeliveryNow]
    version: int = Field(description="Grows with every event; for after_version.")
    refusal: str | None = Field(description="Why a person refused it, or some of it.")


class MessageList(_Out):
    data: list[Message]
    has_more: bool


class Attempt(_Out):
    number: int
    host: str | None
    address: str | None
    tls: str | None
    reply_code: int | None
    reply: str | None
    phase: str | None
    fault: str | None
    seconds: float | None


class EventOf(_Out):
    id: str
    to: str


class Event(_Out):
    id: str
    at: AwareDatetime
    type: str
    delivery: EventOf | None
    status: Status
    code: str | None
    actor: str | None
    note: str | None
    attempt: Attempt | None


class EventList(_Out):
    data: list[Event]
    has_more: bool


class Violation(_Out):
    pointer: str = Field(description="JSON pointer (RFC 6901) into the body.")
    code: Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(VIOLATIONS)})]
    detail: str


class Problem(_Out):
    """A refusal (RFC 9457); ``forecast_at`` where it would leave too late."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(CODES)})]
    retry: Retry
    retry_at: AwareDatetime | None
    scope: str | None = None
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    forecast_at: AwareDatetime | None = None
    remedy: list[str | dict[str, Any]]
    violations: list[Violation]
    request_id: str


class BatchItem(_Out):
    status: Literal[202]
    id: str
    message: MessageAccepted
    replayed: bool


class BatchAnswer(_Out):
    """One result per message, in order."""

    data: list[BatchItem | Problem]


class ForecastTo(_Out):
    to: str
    forecast_at: AwareDatetime | None


class ForecastDay(_Out):
    day: date
    cap: int | None = Field(description="The least of the caps that count; null is no cap.")
    recipients: int


class ForecastProvider(_Out):
    provider: str
    recipients: int
    waiting: int = Field(description="Recipients that wait there already.")
    forecast_at: AwareDatetime | None
    days: list[ForecastDay] = Field(description="The first days; of a long plan not all.")


class Foreseen(Decision):
    verdict: Literal["release", "hold", "refuse"]  # type: ignore[assignment]


class RuleSays(_Out):
    rule: str
    verdict: Literal["release", "hold", "refuse"]
    code: str | None
    detail: str | None


class Cluster(_Out):
    people: int = Field(
        description="Who would have nearly the same content, this message's recipients among them."
    )


class Preflight(_Out):
    """What would happen now; nothing was written or reserved."""

    status: int = Field(description="The status a post would be answered with.")
    decision: Foreseen
    problem: Problem | None = Field(description="The refusal a post would meet.")
    rules: list[RuleSays] = Field(description="What each rule says by itself, in their order.")
    cluster: Cluster | None = Field(description="The content that it is nearly the same as.")
    projected_wait_seconds: int | None = Field(
        description="Until half of what asks people now would be decided; null where nobody knows."
    )
    expires_at: AwareDatetime | None
    forecast_at: AwareDatetime | None = Field(description="When the last recipient would be through.")
    deliveries: list[ForecastTo]
    refused: list[NotMailed] = Field(description="Recipients that would get no delivery.")
    budget: Budgets
    recipients: int | None = None
    providers: list[ForecastProvider] | None = Field(
        None, description="Of a plan: how it goes on, by provider."
    )


class PreflightBatch(_Out):
    """One answer per message, in order, each behind those before it."""

    data: list[Preflight]
    forecast_at: AwareDatetime | None
    budget: Budgets


class PreflightAnswer(RootModel[Preflight | PreflightBatch]):
    """What would happen now; nothing was written or reserved."""


class RunBelow(_Out):
    run_id: str
    parent_run_id: str
    cancelled_at: AwareDatetime | None
    counts: dict[str, int]


class Run(_Out):
    """A run with everything below it."""

    run_id: str
    parent_run_id: str | None
    root_run_id: str
    on_behalf_of: str | None
    purpose: str | None
    created_at: AwareDatetime
    cancelled_at: AwareDatetime | None
    counts: dict[str, int] = Field(description="Deliveries by status, of the run and of all below it.")
    descendants: list[RunBelow]
    budget: Budgets


class Tripped(_Out):
    """The scope is closed: nothing in it can leave until a person resumes it."""

    scope: str
    epoch: int
    tripped_at: AwareDatetime


class Received(_Out):
    """We have it. Whether it matched anything is nobody's business."""

    received: Literal[True]


class Stop(_Out):
    scope: str
    since: AwareDatetime
    why: str


class Whoami(_Out):
    agent: str
    stream: str
    sender: str | None
    sending_domain: str | None
    scopes: list[str]
    limits: dict[str, int]
    budget: Budgets
    open: bool
    why: str | None = Field(description="Why it is not open; null while it is.")
    stops: list[Stop]


TAKEN: Final[Sequence[type[BaseModel]]] = (MessageIn, BatchIn, PreflightIn, StopIn, BudgetIn, NothingIn)
ANSWERS: Final[Sequence[type[BaseModel]]] = (
    MessageAccepted,
    Message,
    MessageList,
    EventList,
    BatchAnswer,
    PreflightAnswer,
    Run,
    Tripped,
    Whoami,
    Received,
    Problem,
)
_PROBLEM: Final[Mapping[str, Any]] = {
    "description": "A refusal, from the closed list of codes.",
    "content": {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}},
}


def described(
    answer: type[BaseModel],
    body: type[BaseModel] | None = None,
    status: int = 200,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The ``openapi_extra`` of an operation which answers so, and takes such a body and such parameters."""
    extra: dict[str, Any] = {
        "responses": {
            status: {"description": answer.__doc__ or answer.__name__, "content": _content(answer)},
            "default": dict(_PROBLEM),
        }
    }
    if body:
        required = any(field.is_required() for field in body.model_fields.values())
        extra["requestBody"] = {"required": required, "content": _content(body)}
    if parameters:
        extra["parameters"] = parameters
    return extra


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}


def parameter(name: str, where: str, description: str, **schema: Any) -> dict[str, Any]:
    """One OpenAPI parameter; a string unless ``schema`` says more."""
    return {"name": name, "in": where, "description": description, "schema": {"type": "string", **schema}}


class Documentation(Swagger):
    """The browsable documentation, on a page that fits a phone."""

    template = "outbox/docs.html"


class DescribedAPI(NinjaAPI):
    """A NinjaAPI whose document holds the models above, though no operation runs them."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**kwargs)
        models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
            *((model, "validation") for model in TAKEN),
            *((model, "serialization") for model in ANSWERS),
        ]
        _, definitions = models_json_schema(models, ref_template=REF)
        schema["webhooks"], told = openapi_webhooks.described(REF)
        schema["components"].setdefault("schemas", {}).update(definitions["$defs"] | told)
        return schema
