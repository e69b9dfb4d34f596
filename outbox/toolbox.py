"""What an agent that speaks MCP may do: each tool is one request to the API, through the same door.

A tool knows its words, its arguments and which request they make, and nothing else: who asks, how often, what is
allowed and what is answered is decided where it is for any other request. Whoever calls a tool twice because an answer
was lost has sent once: what goes out has an idempotency key, made of its run and content where the agent gives none.
There is no tool that approves, resumes or raises a limit.
"""

import hashlib
import io
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import orjson
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve
from pydantic import BaseModel, Field

from outbox import payloads, queries
from outbox.door import Bearer, View, door
from outbox.fields import BatchIn, BatchItemIn, EstimateIn, MessageIn, NothingIn, RunId, StopIn, Strict
from outbox.problems import Refused

WAIT_SECONDS: Final = 25
TOLD: Final = ("Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id")

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Errand:
    """One request to the API."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered: a status, the JSON value, and of the headers what an agent may want to know (``TOLD``)."""

    status: int
    body: dict[str, Any]
    told: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing to do. ``takes`` is the JSON Schema of its arguments; ``shows`` names parts of the answer."""

    name: str
    title: str
    about: str
    takes: Mapping[str, Any]
    errand: Callable[[Arguments], Errand]
    reads: bool = False
    destroys: bool = False
    repeatable: bool = True
    shows: tuple[str, ...] = ()


class _One(Strict):
    id: Annotated[str, Field(pattern=r"^msg_[0-9a-z]{26}$", description="As send_email told it: msg_...")]


class _Read(_One):
    events: bool = Field(
        False, description="Its whole story instead: every decision, every attempt with the server's reply."
    )


class _Awaited(_One):
    after_version: int | None = Field(
        None, ge=0, description="The version you have seen; else the change is counted from now."
    )
    seconds: int = Field(WAIT_SECONDS, ge=1, le=queries.MAX_WAIT, description="How long to wait at most.")


class _Bounds(Strict):
    run_id: RunId | None = Field(None, description="Of this run and all above it; else of the agent.")


class _OwnStop(StopIn):
    scope: Literal["agent", "run"]


def _schema(model: type[BaseModel], without: str = "") -> dict[str, Any]:
    """As a model of an endpoint describes it; titles only repeat the names."""
    schema: dict[str, Any] = _untitled(model.model_json_schema())
    schema.pop("description", None)
    schema["properties"].pop(without, None)
    return schema


def _untitled(value: Any) -> Any:
    if isinstance(value, list):
        return [_untitled(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _untitled(each)
        for name, each in value.items()
        if not (name == "title" and isinstance(each, str))
    }


def _foreseen() -> dict[str, Any]:
    """One object for what a preflight takes: a message, a batch, or how many recipients a plan has."""
    several = [_schema(model) for model in (MessageIn, BatchIn, EstimateIn)]
    named: dict[str, Any] = {}
    defined: dict[str, Any] = {}
    for schema in several:
        named |= schema["properties"]
        defined |= schema.get("$defs", {})
    return {"type": "object", "properties": named, "$defs": defined, "additionalProperties": False}


def _filters() -> dict[str, Any]:
    named = {
        each["name"]: each["schema"] | {"description": each["description"]}
        for each in queries.LIST_PARAMETERS
    }
    return {"type": "object", "properties": named, "additionalProperties": False}


def _key_of(draft: Mapping[str, Any], now: datetime) -> str:
    """The same for the same content in the same run; a run that is not named is that of the day."""
    context = draft.get("agent")
    run = context.get("run_id") if isinstance(context, dict) else None
    said = json.dumps([run or f"{now:%Y-%m-%d}", draft], sort_keys=True, separators=(",", ":"))
    return f"mcp-{hashlib.sha256(said.encode()).hexdigest()}"


def _send_one(arguments: Arguments) -> Errand:
    draft = dict(_keyed(arguments, datetime.now(UTC)))
    key = draft.pop("idempotency_key")
    if not isinstance(key, str):
        raise payloads.bad_value("/idempotency_key", "An idempotency key is a string.")
    return Errand("POST", "/v1/messages", draft, idempotency_key=key)


def _send_many(arguments: Arguments) -> Errand:
    now, drafts = datetime.now(UTC), arguments.get("messages")
    if isinstance(drafts, list):
        arguments = {**arguments, "messages": [_keyed(draft, now) for draft in drafts]}
    return Errand("POST", "/v1/messages/batch", arguments)


def _keyed(draft: Any, now: datetime) -> Any:
    if not isinstance(draft, dict) or draft.get("idempotency_key") is not None:
        return draft
    said = {name: value for name, value in draft.items() if name != "idempotency_key"}
    return said | {"idempotency_key": _key_of(said, now)}


def _read_one(arguments: Arguments) -> Errand:
    wanted = payloads.parsed(_Read, arguments)
    return Errand("GET", f"/v1/messages/{wanted.id}{'/events' if wanted.events else ''}")


def _list(arguments: Arguments) -> Errand:
    query = {name: str(value) for name, value in arguments.items() if value is not None}
    return Errand("GET", "/v1/messages", query=query)


def _cancel(arguments: Arguments) -> Errand:
    return Errand("POST", f"/v1/messages/{payloads.parsed(_One, arguments).id}/cancel", {})


def _await(arguments: Arguments) -> Errand:
    wanted = payloads.parsed(_Awaited, arguments)
    query = {"wait": str(wanted.seconds)}
    if wanted.after_version is not None:
        query["after_version"] = str(wanted.after_version)
    return Errand("GET", f"/v1/messages/{wanted.id}", query=query)


def _bounds(arguments: Arguments) -> Errand:
    run = payloads.parsed(_Bounds, arguments).run_id
    return Errand("GET", f"/v1/runs/{run}" if run else "/v1/whoami")


def _who(arguments: Arguments) -> Errand:
    payloads.parsed(NothingIn, arguments)
    return Errand("GET", "/v1/whoami")


def _stop(arguments: Arguments) -> Errand:
    payloads.parsed(_OwnStop, arguments)
    return Errand("POST", "/v1/stop", arguments)


TOOLS: Final[Mapping[str, Tool]] = {
    tool.name: tool
    for tool in (
        Tool(
            "whoami",
            "Who am I",
            "The agent behind this key, its stream and sender address, its limits and budgets, and whether it may "
            "send now; if not, why.",
            _schema(NothingIn),
            _who,
            reads=True,
        ),
        Tool(
            "preflight_email",
            "Ask what would happen",
            "Every rule's word on a message, on a batch (messages) or on the size of a plan (recipients): whether it "
            "would be released, held for a person or refused, and when it would be through. Writes and sends nothing.",
            _foreseen(),
            lambda arguments: Errand("POST", "/v1/messages/preflight", arguments),
            reads=True,
        ),
        Tool(
            "send_email",
            "Send an email",
            "Accepted means queued or held for a person, not delivered: ask wait_for_outcome. The same content in the "
            "same run is sent once, however often this is called; to send it again give another idempotency_key.",
            _schema(BatchItemIn),
            _send_one,
        ),
        Tool(
            "send_batch",
            "Send up to 1000 emails",
            "One result for each message, in order; a bad one fails alone. Each is sent once, as by send_email.",
            _schema(BatchIn),
            _send_many,
        ),
        Tool(
            "get_email",
            "Read an email",
            "What became of one message and of each of its deliveries; with events its whole story.",
            _schema(_Read),
            _read_one,
            reads=True,
        ),
        Tool(
            "list_emails",
            "List emails",
            "This agent's messages, newest first, by run, status, recipient or time.",
            _filters(),
            _list,
            reads=True,
        ),
        Tool(
            "cancel_email",
            "Cancel an email",
            "Takes back what has not left yet; refused (not_cancellable) if that is nothing.",
            _schema(_One),
            _cancel,
            destroys=True,
        ),
        Tool(
            "wait_for_outcome",
            "Wait for an outcome",
            "Answers when the message has changed, at once if nothing more can happen to it, and at the latest after "
            "some seconds. Held messages wait for a person: do not wait for those in a loop.",
            _schema(_Awaited),
            _await,
            reads=True,
        ),
        Tool(
            "get_budget",
            "Read a budget",
            "How many recipients are left to this agent, or to one of its runs.",
            _schema(_Bounds),
            _bounds,
            reads=True,
            shows=("agent", "run_id", "limits", "budget"),
        ),
        Tool(
            "stop",
            "Stop oneself",
            "Emergency brake: once this is answered, nothing more of this agent (or of the run named) can leave. Only "
            "a person opens it again.",
            _schema(_OwnStop, without="key"),
            _stop,
            destroys=True,
            repeatable=False,
        ),
    )
}


def use(tool: Tool, arguments: Arguments, authorization: str, peer: str) -> Outcome:
    """What the API answers to that errand of whoever holds this key. ``peer`` is the address it came from."""
    try:
        errand = tool.errand(arguments)
        view, positional, named = resolve(errand.path)
    except Refused as error:
        errand, view, positional, named = Errand("POST", "/mcp"), _refusing(error), (), {}
    answer = view(_request(errand, authorization, peer), *positional, **named)
    told = {name: answer[name] for name in TOLD if name in answer}
    outcome = Outcome(answer.status_code, orjson.loads(answer.content), told)
    if tool.shows and outcome.status < 400:
        shown = {name: value for name, value in outcome.body.items() if name in tool.shows}
        return Outcome(outcome.status, shown, outcome.told)
    return outcome


def _refusing(error: Refused) -> View:
    """Behind the door too: what is refused before there is a request is counted as one."""

    def view(request: HttpRequest) -> HttpResponseBase:
        Bearer()(request)
        raise error

    return door(view)


def _request(errand: Errand, authorization: str, peer: str) -> WSGIRequest:
    body = b"" if errand.body is None else json.dumps(errand.body).encode()
    environ = {
        "REQUEST_METHOD": errand.method,
        "PATH_INFO": errand.path,
        "QUERY_STRING": urlencode(errand.query),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": peer,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": authorization,
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }
    if errand.idempotency_key is not None:
        environ["HTTP_IDEMPOTENCY_KEY"] = errand.idempotency_key
    return WSGIRequest(environ)
