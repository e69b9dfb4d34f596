"""What every request at the HTTP door has in common: who asks, how often, how it is answered.

Guarantees: every answer carries a request id; every refusal is ``application/problem+json`` (RFC 9457) from
the closed list; a database or a cache that cannot answer is 503 ``undecidable``, never a trace, never a yes.
A body is measured before it is read, and never decompressed. No cookie counts here.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from math import ceil
from typing import Any, Final, NamedTuple, cast

import orjson
from django.conf import settings
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django_ratelimit.core import ALL, get_usage
from ninja.security import HttpBearer

from outbox import budgets, keys, knocks, payloads
from outbox.fields import NothingIn
from outbox.keys import Caller
from outbox.limits import WINDOWS, Budget, Kind, Load, narrowest
from outbox.problems import Problem, Refused, Retry, body_of, refused

logger = logging.getLogger(__name__)

MAX_BODY: Final = 36 * 1024 * 1024
WINDOW_SECONDS: Final = 60
RETRY_SECONDS: Final[Mapping[str, int]] = {"undecidable": 5}  # where nothing says when; else one
# Of the budgets, what headers show: those that count recipients.
SHOWN: Final = frozenset({Kind.RUN, Kind.AGENT_HOUR, Kind.AGENT_DAY, Kind.STREAM_DAY, Kind.ORGANISATION_DAY})

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"

View = Callable[..., HttpResponseBase]


@dataclass(slots=True)
class Visit:
    """One request: its id, its caller once known, and what is left of the caller's rate; of budgets a room has read."""

    request_id: str
    caller: Caller | None = None
    rate: Mapping[str, int] | None = None
    budgets: Sequence[Budget] | None = None


def visit_of(request: HttpRequest) -> Visit:
    """The visit of a request that came through ``door``."""
    return cast(Visit, request.visit)  # type: ignore[attr-defined]


def caller_of(request: HttpRequest) -> Caller:
    """Who asks, behind a ``Bearer``."""
    caller = visit_of(request).caller
    assert caller is not None
    return caller


class Bearer(HttpBearer):
    """An agent's key with a scope (or any of its keys, without one), within its request rate."""

    openapi_description = "An agent's key."

    def __init__(self, scope: str | None = None) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller:
        visit = visit_of(request)
        caller = keys.authenticate(request.headers.get("Authorization"))
        visit.caller = caller
        visit.rate = _rate(request, caller)
        _check_scope(caller, self.scope)
        return caller

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        raise NotImplementedError("the whole header is judged, in __call__")


class Operator(Bearer):
    """A key of an operator, or an agent's with a scope."""

    openapi_description = "An operator's key: stops, and nothing else."

    def __call__(self, request: HttpRequest) -> Caller:
        visit = visit_of(request)
        caller = visit.caller = keys.authenticate(request.headers.get("Authorization"))
        if caller.kind != "operator":
            # counted, and never refused: who asks too much may stop itself first of all
            with suppress(Refused):
                visit.rate = _rate(request, caller)
            _check_scope(caller, self.scope)
        return caller


class Returns(Bearer):
    """A returns key: an MTA of ours, which bounds what it takes itself, so no request rate."""

    openapi_description = "A returns key: hands in returned mail, and nothing else."

    def __call__(self, request: HttpRequest) -> Caller:
        visit = visit_of(request)
        caller = visit.caller = keys.authenticate(request.headers.get("Authorization"))
        if caller.kind != "returns":
            raise refused(
                "insufficient_scope", f"This is a key of kind {caller.kind}; returns keys may do this."
            )
        return caller


def _check_scope(caller: Caller, scope: str | None) -> None:
    if caller.kind != "agent":
        raise refused("insufficient_scope", f"This is a key of kind {caller.kind}; agents' keys may do this.")
    if scope and scope not in caller.scopes:
        raise refused("insufficient_scope", f"This needs a key with the scope {scope}.", scope=scope)


def _rate(request: HttpRequest, caller: Caller) -> Mapping[str, int]:
    """Count this request against its agent, over all the agent's keys.

    Raises:
        Refused: request_rate_limited; undecidable if the cache does not count.
    """
    name = f"agent:{caller.agent_id}" if caller.agent_id else f"key:{caller.key_id}"
    usage = _usage(request, name, caller.requests_per_minute)
    rate = {
        "quota": usage["limit"],
        "left": max(usage["limit"] - usage["count"], 0),
        "reset": max(usage["time_left"], 1),
    }
    if usage["should_limit"]:
        visit_of(request).rate = rate
        raise refused(
            "request_rate_limited",
            f"At most {usage['limit']} requests a minute.",
            retry_at=datetime.fromtimestamp(datetime.now(UTC).timestamp() + rate["reset"], UTC),
            scope=name.partition(":")[0],
            limit=usage["limit"],
            used=usage["count"],
            remaining=0,
        )
    return rate


def _usage(request: HttpRequest, name: str, per_minute: int) -> Mapping[str, Any]:
    try:
        usage = get_usage(
            request,
            group="api",
            key=lambda _group, _request: name,
            rate=f"{per_minute}/m",
            method=ALL,
            increment=True,
        )
    except Exception as error:  # whatever the cache's client raises
        logger.warning("the request rate cannot be counted: %s", error)
        usage = None
    if usage is None or usage["time_left"] < 0:  # so the library says that its cache is down
        raise refused("undecidable", "The request rate cannot be counted now.")
    return cast(Mapping[str, Any], usage)


def body_of_request(request: HttpRequest) -> Any:
    """The JSON value posted; any media type will do, since only JSON is read.

    Raises:
        Refused: payload_too_large before anything is parsed; malformed_json.
    """
    return payloads.parse_json(octets_of_request(request, MAX_BODY))


def nothing_of_request(request: HttpRequest) -> None:
    """There is nothing to say: no body, or an object without members.

    Raises:
        Refused: validation_failed for a body that says something; as ``body_of_request``.
    """
    if octets := octets_of_request(request, MAX_BODY):
        payloads.parsed(NothingIn, payloads.parse_json(octets))


def octets_of_request(request: HttpRequest, most: int) -> bytes:
    """The body as it was posted, uncompressed, of at most so many octets.

    Raises:
        Refused: payload_too_large; malformed_json for a body that is compressed or was cut off.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise refused("malformed_json", "Bodies are taken uncompressed: no Content-Encoding.")
    try:
        return _octets_of(request, most)
    except OSError:  # the peer went away in the middle
        raise refused("malformed_json", "The body ended before its time.") from None


def _octets_of(request: HttpRequest, most: int) -> bytes:
    """The body: refused by its length unread, or once too much of it came where no length was sent."""
    chunked = "HTTP_TRANSFER_ENCODING" in request.META  # RFC 9112 §7.1; Django takes such a body for empty
    body: bytes = request.META["wsgi.input"].read(most + 1) if chunked else b""
    length = str(len(body)) if chunked else request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > most:
        raise refused("payload_too_large", f"The body is larger than {most >> 20} MiB.", limit=most)
    return body if chunked else request.body


def json_answer(body: Any, status: int = 200) -> HttpResponse:
    """An answer of JSON, from a value or from bytes that are JSON already."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpResponse(content, status=status, content_type=JSON if status < 400 else PROBLEM_JSON)


def problem_answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A refusal, with the headers that go with its code."""
    body = body_of(problem, visit_of(request).request_id, settings.PUBLIC_URL)
    response = json_answer(body, problem.status)
    if problem.retry is Retry.AFTER:
        response["Retry-After"] = str(_seconds_until(problem.retry_at) or RETRY_SECONDS.get(problem.code, 1))
    if problem.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="agent-outbox"'  # RFC 9110 §11.6.1
    return response


def _seconds_until(at: datetime | None) -> int:
    return max(ceil((at - datetime.now(UTC)).total_seconds()), 1) if at else 0


def answer_to(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer to whatever went wrong. A bug of ours accepts nothing, so it is ``undecidable`` too."""
    if isinstance(error, Refused):
        _note(request, error)
        return problem_answer(request, error.problem)
    if isinstance(error, Http404):
        return problem_answer(request, Problem("not_found", "There is no such path."))
    request_id = visit_of(request).request_id
    if isinstance(error, Error):
        logger.warning("request %s: the database cannot answer: %s", request_id, error)
        return problem_answer(request, Problem("undecidable", "The database cannot answer now."))
    logger.error("request %s: %s", request_id, error, exc_info=error)
    return problem_answer(request, Problem("undecidable", "Something here is broken; it has been noted."))


def _note(request: HttpRequest, error: Refused) -> None:
    """Count a post that was refused, for whoever wants to see who still knocks after a stop."""
    caller = visit_of(request).caller
    if request.method == "POST":
        knocks.note(caller.agent_id if caller else error.agent_id, error.problem.code)


def door(view: View) -> View:
    """A view behind the door: every way out of it is an answer as the contract has it."""

    @csrf_exempt
    @wraps(view)
    def behind_the_door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.visit = visit = Visit(f"req_{secrets.token_hex(12)}")  # type: ignore[attr-defined]
        try:
            response = view(request, *args, **kwargs)
            if response.status_code == 405:
                response = _no_such_method(request, response)
        except Exception as error:
            response = answer_to(request, error)
        _stamp(response, visit)
        return response

    return behind_the_door


def _no_such_method(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    allowed = ", ".join(sorted(response.headers.get("Allow", "").split(", ")))
    answer = problem_answer(
        request, Problem("not_found", f"{request.method} is not for this path: {allowed}.")
    )
    answer["Allow"] = allowed
    return answer


def _stamp(response: HttpResponseBase, visit: Visit) -> None:
    response._has_been_logged = True  # type: ignore[attr-defined]  # a refusal is no warning of Django's
    response["X-Request-Id"] = visit.request_id
    response["Cache-Control"] = "no-store"
    if rates := _rates(visit):  # draft-ietf-httpapi-ratelimit-headers
        response["RateLimit-Policy"] = ", ".join(f'"{one.name}";q={one.quota}{one.window}' for one in rates)
        response["RateLimit"] = ", ".join(f'"{one.name}";r={one.left}{one.reset}' for one in rates)


class _Rate(NamedTuple):
    """What bounds a caller, and when it is whole again; a run has no window, and never is."""

    name: str
    quota: int
    window: str
    left: int
    reset: str


def _rates(visit: Visit) -> list[_Rate]:
    if not visit.rate:
        return []
    rate = visit.rate
    return [
        _Rate("requests", rate["quota"], f";w={WINDOW_SECONDS}", rate["left"], f";t={rate['reset']}"),
        *_budget_rates(visit),
    ]


def _budget_rates(visit: Visit) -> list[_Rate]:
    """With what the answer has drawn on them."""
    found = _budgets(visit.caller) if visit.budgets is None else visit.budgets
    return [_rate_of(budget) for budget in narrowest(found) if budget.kind in SHOWN]


def _rate_of(budget: Budget) -> _Rate:
    name, length = str(budget.kind).replace("_", "-"), WINDOWS.get(budget.kind)
    window = f";w={int(length.total_seconds())}" if length else ""
    reset = f";t={_seconds_until(budget.closes_at)}" if length else ""
    return _Rate(name, budget.limit, window, budget.left, reset)


def budgets_for(request: HttpRequest, load: Load) -> Sequence[Budget]:
    """What the caller's limits leave for a message like this; the answer's headers show it too."""
    visit = visit_of(request)
    visit.budgets = budgets.read(caller_of(request).agent_id, [load]).of(load)
    return visit.budgets


def _budgets(caller: Caller | None) -> Sequence[Budget]:
    """Read after the answer was made, so that it counts; a header is never a reason not to answer."""
    if caller is None or caller.exempt or not caller.agent_id:
        return ()
    try:
        return budgets.read(caller.agent_id).of()
    except Error as error:
        logger.warning("the budgets cannot be shown: %s", error)
        return ()
