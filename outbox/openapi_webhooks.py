"""What OpenAPI says about webhooks out: one entry for each event, with what its body holds.

These models describe; they are not run. A test holds what is written down for endpoints against them.
"""

from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import models_json_schema

from outbox.webhook_events import EVENTS

HEADERS: Final = {
    "webhook-id": "The same at every attempt and replay: what a receiver has seen already, it leaves out.",
    "webhook-timestamp": "Unix time of this attempt; refuse what is older than five minutes.",
    "webhook-signature": "v1,<base64 HMAC-SHA256 of id.timestamp.body>; two while a secret rotates.",
}


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _OfMessage(_Told):
    message: str = Field(description="msg_...")
    agent: str
    run_id: str
    stream: str
    status: str
    code: str | None


class MessageTold(_OfMessage):
    """Of a message: those of its deliveries that moved together."""

    deliveries: list[str] = Field(description="dlv_...")


class DeliveryTold(_OfMessage):
    """Of one delivery."""

    delivery: str = Field(description="dlv_...")
    recipient: str
    attempt: int | None


class StopTold(_Told):
    """Of a scope; a confirmation names nobody."""

    scope: str
    epoch: int
    who: str | None = None
    why: str | None = None


class RampTold(_Told):
    """Of what warms up towards a provider."""

    kind: Literal["domain", "source", "organisation"]
    key: str
    provider: str
    step: int
    cap: int | None
    why: str


DATA: Final[dict[str, type[_Told]]] = {
    "message": MessageTold,
    "delivery": DeliveryTold,
    "stop": StopTold,
    "ramp": RampTold,
}


def model_of(event: str) -> type[BaseModel]:
    """The body of one event's request."""
    name = "Webhook" + event.replace(".", "_").title().replace("_", "")
    fields: dict[str, Any] = {
        "type": (Literal[event], ...),
        "timestamp": (AwareDatetime, ...),
        "data": (DATA[event.partition(".")[0]], ...),
    }
    return create_model(name, __base__=_Told, __doc__=EVENTS[event], **fields)


def described(ref: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ``webhooks`` of a document, and the schemas they refer to; ``ref`` is the template of a reference."""
    models = {event: model_of(event) for event in EVENTS}
    _, found = models_json_schema([(model, "serialization") for model in models.values()], ref_template=ref)
    paths = {event: {"post": _operation(event, ref.format(model=models[event].__name__))} for event in EVENTS}
    return paths, found["$defs"]


def _operation(event: str, reference: str) -> dict[str, Any]:
    return {
        "summary": EVENTS[event],
        "operationId": "told_" + event.replace(".", "_"),
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": words,
                "schema": {"type": "string"},
            }
            for name, words in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": reference}}}},
        "responses": {
            "2XX": {"description": "Taken."},
            "410": {"description": "No more of any: the endpoint is disabled."},
            "default": {"description": "Tried again, for about three days."},
        },
    }
