"""The agents' HTTP door: authenticate, rate-limit, parse, call one room, render.

Each endpoint is those five words and no more: ``door`` knows the first two and the last, ``payloads`` and
``queries`` the third. What an agent does not own does not exist for it: 404, as for a name nobody has.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from outbox import (
    api_returns,
    api_runs,
    budgets,
    facts,
    ids,
    intake,
    knocks,
    ledger,
    payloads,
    preflight,
    probing,
    queries,
    runs,
    story,
)
from outbox.answers import Answer
from outbox.door import (
    Bearer,
    answer_to,
    body_of_request,
    budgets_for,
    caller_of,
    json_answer,
    nothing_of_request,
    visit_of,
)  # fmt: skip
from outbox.facts import Place
from outbox.fields import BatchIn, MessageIn, NothingIn, PreflightIn
from outbox.keys import Caller
from outbox.limits import Load, shown
from outbox.models import Agent
from outbox.openapi import (
    BatchAnswer,
    DescribedAPI,
    Documentation,
    EventList,
    Message,
    MessageAccepted,
    MessageList,
    PreflightAnswer,
    Whoami,
    described,
    parameter,
)  # fmt: skip
from outbox.problems import Problem, Refused, Retry, instant, reading, refused
from outbox.waiting import BELL
from reputation import reopening
from reputation.models import OpenStop

SEND, READ, ANY = Bearer("send"), Bearer("read"), Bearer()

KEY_HEADER: Final = parameter(
    "Idempotency-Key", "header", "1 to 256 printable ASCII characters.", maxLength=256
)


HALF_OPEN: Final = "One person has opened it a little; posts are refused until another confirms it."
LIMITS: Final = (
    "requests_per_minute",
    "recipients_per_message",
    "recipients_per_hour",
    "recipients_per_day",
    "recipients_per_run",
    "domains_per_run",
    "attachment_mib_per_run",
    "attachment_mib_per_day",
)


class AgentsAPI(DescribedAPI):
    """The API; whatever goes wrong in an endpoint is answered as the contract has it."""

    def on_exception(self, request: HttpRequest, exc: Any) -> HttpResponse:
        return answer_to(request, exc)


ABOUT: Final = """\
Every refusal is a problem (RFC 9457) whose code is stable and tells what to do.

Unknown fields are refused. Of two members of one name in a JSON object the last counts (RFC 8259, section 4):
send each once.

Answers to a known agent's key, refusals too, carry `RateLimit-Policy` and `RateLimit`: requests a minute, and
budgets. Answers to nobody known (401, a path or method that is not there) and to operators' and returns keys do not:
nothing is counted.
"""

api = AgentsAPI(
    title="Agent Outbox",
    version="1",
    description=ABOUT,
    openapi_url="/openapi.json",
    docs=Documentation(),
    docs_url="/docs",
    urls_namespace="agents",
)


@api.post(
    "/messages",
    auth=SEND,
    tags=["messages"],
    summary="Send a message",
    response={202: None},
    openapi_extra=described(MessageAccepted, MessageIn, 202, [KEY_HEADER]),
)
def post_message(request: HttpRequest) -> HttpResponse:
    """Accepted, held or scheduled, it survives any crash of ours. Same key and body: the same answer."""
    key = request.headers.get("Idempotency-Key")
    key = None if key is None else payloads.checked_key(key)
    now = caller_of(request).asked_at
    draft = payloads.parse_draft(body_of_request(request), now=now, idempotency_key=key)
    answer = _accept([draft], request)[0]
    response = json_answer(answer.body, answer.status)
    if answer.replayed:
        response["Idempotent-Replayed"] = "true"
    if answer.status >= 400:
        _advise(response, answer, now)
    return response


@api.post(
    "/messages/batch",
    auth=SEND,
    tags=["messages"],
    summary="Send up to 1000 messages",
    openapi_extra=described(BatchAnswer, BatchIn),
)
def post_batch(request: HttpRequest) -> HttpResponse:
    """One result per message, in order; a bad one fails alone. Each may carry its own idempotency_key."""
    if "Idempotency-Key" in request.headers:  # ignored it would promise what a repeated batch does not keep
        words = "In a batch each message carries its own idempotency_key: leave the header away."
        raise refused(
            "idempotency_key_invalid", words, remedy=("Put a key in each message's idempotency_key.",)
        )
    drafts = payloads.parse_batch(body_of_request(request), now=caller_of(request).asked_at)
    return json_answer({"data": [_result(answer) for answer in _accept(drafts, request)]})


@api.post(
    "/messages/preflight",
    auth=SEND,
    tags=["messages"],
    summary="Ask what would happen",
    openapi_extra=described(PreflightAnswer, PreflightIn),
)
def post_preflight(request: HttpRequest) -> HttpResponse:
    """Every rule's word on a message, a batch or the size of a plan, and when it would be through. Writes nothing."""
    asked = payloads.parse_preflight(body_of_request(request), now=caller_of(request).asked_at)
    return json_answer(_foreseen(asked, request))


@api.get(
    "/messages",
    auth=READ,
    tags=["messages"],
    summary="List messages",
    openapi_extra=described(MessageList, parameters=queries.LIST_PARAMETERS),
)
def list_messages(request: HttpRequest) -> HttpResponse:
    """This agent's messages, newest first."""
    data, has_more = story.page(caller_of(request).agent_id, queries.filter_of(request.GET))
    return json_answer({"data": data, "has_more": has_more})


@api.get(
    "/messages/{message_id}",
    auth=READ,
    tags=["messages"],
    summary="Read a message, or wait for it to change",
    openapi_extra=described(Message, parameters=queries.WAIT_PARAMETERS),
)
def read_message(request: HttpRequest, message_id: str) -> HttpResponse:
    """With ``wait``: at once if final or if the version is not ``after_version``, else at the next change."""
    key = _owned(request, message_id)
    wait = queries.wait_of(request.GET)
    if wait.seconds:
        before = story.pulse(key)
        known = before.version if wait.after_version is None else wait.after_version
        BELL.hold(lambda: _moved(key, known), wait.seconds)
    return json_answer(_message(request, key))


@api.get(
    "/messages/{message_id}/events",
    auth=READ,
    tags=["messages"],
    summary="Read a message's whole story",
    openapi_extra=described(EventList, parameters=queries.EVENTS_PARAMETERS),
)
def read_events(request: HttpRequest, message_id: str) -> HttpResponse:
    """Every decision, attempt (with the SMTP reply) and end, oldest first; all of it, or a page."""
    key = _owned(request, message_id)
    data, has_more = story.stretch(key, queries.stretch_of(request.GET))
    return json_answer({"data": data, "has_more": has_more})


@api.post(
    "/messages/{message_id}/cancel",
    auth=SEND,
    tags=["messages"],
    summary="Cancel what has not left",
    openapi_extra=described(Message, NothingIn),
)
def cancel_message(request: HttpRequest, message_id: str) -> HttpResponse:
    """Cancels whatever is not yet cleared; 409 if that is nothing."""
    caller, key = caller_of(request), _owned(request, message_id)
    nothing_of_request(request)
    if not ledger.cancel_message(key, "by_agent", f"agent:{caller.agent}"):
        seen = reading("not_cancellable", f"/v1/messages/{ids.printed('msg', key)}")
        raise refused("not_cancellable", "Nothing of this message can be taken back any more.", remedy=seen)
    return json_answer(_message(request, key))


@api.get(
    "/whoami", auth=ANY, tags=["agent"], summary="Who am I, and may I send", openapi_extra=described(Whoami)
)
def whoami(request: HttpRequest) -> HttpResponse:
    """The agent behind the key, its stream, sender and limits, and what is closed now and why."""
    caller = caller_of(request)
    place = facts.read(caller.agent_id, caller.stream_id, ()).place
    mine = runs.base_scopes(caller, place)
    of_runs = Q(scope__startswith=f"run:{caller.agent}/")
    ours = Q(scope__in=mine) | of_runs
    stops = [
        {"scope": stop.scope, "since": instant(stop.tripped_at), "why": stop.why}
        for stop in OpenStop.objects.filter(ours).order_by("epoch")
    ]
    stops += [
        {"scope": each.scope, "since": instant(each.at), "why": HALF_OPEN}
        for each in reopening.half_open()
        if each.scope in mine or each.scope.startswith(f"run:{caller.agent}/")
    ]
    why = _why_closed(caller, place, [stop["scope"] for stop in stops if stop["scope"] in mine])
    return json_answer(
        {
            "agent": caller.agent,
            "stream": caller.stream,
            "sender": place.default_sender,
            "sending_domain": place.domain,
            "scopes": sorted(caller.scopes),
            "limits": Agent.objects.values(*LIMITS).get(pk=caller.agent_id),
            "budget": {} if caller.exempt else shown(budgets.read(caller.agent_id).of()),
            "open": why is None,
            "why": why,
            "stops": stops,
        }
    )


api.add_router("", api_runs.router)
api.add_router("", api_returns.router)


def no_such_path(_request: HttpRequest) -> HttpResponse:
    """Whatever else is asked for under /v1."""
    remedy = "Ask for a path that /v1/openapi.json lists, by a method it has there."
    raise refused("not_found", "There is no such path; /v1/openapi.json lists them all.", remedy=(remedy,))


def _accept(drafts: list[Any], request: HttpRequest) -> list[Answer]:
    caller, visit = caller_of(request), visit_of(request)
    watch = probing.watch(caller, "post", drafts)
    heard = watch.let_in(drafts)
    given = intake.given(heard, caller, request_id=visit.request_id, base_url=settings.PUBLIC_URL)
    answers, visit.budgets = given.answers, given.budgets
    refusals = [orjson.loads(answer.body)["code"] if answer.status != 202 else None for answer in answers]
    for code, posts in Counter(filter(None, refusals)).items():
        knocks.note(caller.agent_id, code, posts)
    # an answer given again is no new acceptance: or whoever probes would have one at hand
    watch.heed(
        heard,
        ["" if a.replayed and not code else code for a, code in zip(answers, refusals, strict=True)],
    )
    return answers


def _why_closed(caller: Caller, place: Place, closed: Sequence[str]) -> str | None:
    """Why nothing of an agent's can leave now; None if it can."""
    if closed:
        return f"Sending is stopped for {closed[0]}; see stops."
    if not place.domain:
        return f"Stream {caller.stream} has no sending domain that is verified; a deliverability admin must finish it."
    if not place.signed:
        return f"{place.domain} has no key to sign with; a deliverability admin must finish it."
    return None


def _foreseen(asked: Any, request: HttpRequest) -> dict[str, Any]:
    """What a preflight answers; whoever asks by it what was refused too often is not answered either."""
    caller, several = caller_of(request), isinstance(asked, list)
    watch = probing.watch(caller, "preflight", asked if several else [asked])
    heard = watch.let_in(asked if several else [asked])
    if not several and isinstance(heard[0], Problem):
        raise Refused(heard[0])
    wanted = heard if several else asked
    body = preflight.answer(wanted, caller, visit_of(request).request_id, settings.PUBLIC_URL)
    problems = [each["problem"] for each in (body["data"] if several else [body])]
    watch.heed(heard, [problem["code"] if problem else "" for problem in problems])
    return body


def _advise(response: HttpResponse, answer: Answer, now: datetime) -> None:
    """Say in the header when to come back, as the problem says it."""
    problem = orjson.loads(answer.body)
    if problem["retry"] == Retry.AFTER:
        response["Retry-After"] = str(queries.seconds_until(problem["retry_at"], now))


def _result(answer: Answer) -> Mapping[str, Any] | orjson.Fragment:
    """One item of a batch's answer."""
    if answer.status != 202:
        return orjson.Fragment(answer.body)
    key = answer.message_id
    name = ids.printed("msg", key) if key else orjson.loads(answer.body)["id"]
    message = orjson.Fragment(answer.body)
    return {"status": answer.status, "id": name, "message": message, "replayed": answer.replayed}


def _owned(request: HttpRequest, message_id: str) -> UUID:
    """The key of a message of the caller's."""
    key = ids.parsed("msg", message_id)
    if key is None or not story.owns(caller_of(request).agent_id, key):
        raise refused("not_found", "There is no such message.")
    return key


def _message(request: HttpRequest, key: UUID) -> dict[str, Any]:
    caller = caller_of(request)
    body = story.one(caller.agent_id, key)
    if body is None:
        raise refused("not_found", "There is no such message.")
    if not caller.exempt:
        body["budget"] = shown(budgets_for(request, Load(story.lineage(caller.agent_id, key))))
    return body


def _moved(key: UUID, known: int) -> bool:
    now = story.pulse(key)
    return now.final or now.version != known
