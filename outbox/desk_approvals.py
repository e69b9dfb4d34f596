"""The reviewers' door: what waits for a person by urgency, one request on one screen, and the decision about it.

Guarantees: a decision carries, signed, what its page showed and when, so that nobody lets go what they were not shown;
one that came too late is answered 409 with the newer state and what was typed. Every reading but the request itself
may fail by itself: the page stays, and says what is not known. Whoever may look may not therefore decide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, LiteralString
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from outbox import deciding, exhibits, ids, queue_health, reach, reviewing, senders
from outbox.deciding import NotYours, Overtaken, Shown
from outbox.desk_switch import SHUT_IN, for_people, person_of
from outbox.models import Agent, Approval, Decision
from outbox.panels import glance
from outbox.reviewing import MANY, Filters, Listed
from reputation import evidence, sql
from reputation.killswitch import scope_of
from reputation.models import Stream

FOLDER: Final = "outbox/approvals"
PAGE: Final = 25
SAID: Final = 30
CHOICES: Final = 200
WORDS: Final = 200
OVER: Final = "over"  # decided or lapsed
STATES: Final = dict(Approval.State.choices)
CLOSED: Final = frozenset({OVER, Approval.State.LAPSED, Approval.State.ENDED})
WHY: Final = 2_000
DECIDE: Final = "outbox.decide_approval"

OTHER_PAGE: Final = "That was decided on the page of another request. Look again, then decide."
NO_REASON: Final = "Say why: the agent reads it."
NO_PART: Final = "Choose at least one message."

# Codes of holds, as a reviewer reads them.
REASONS: Final[Mapping[str, str]] = {
    "first_contact": "first contact",
    "new_agent": "new agent",
    "run_recipients": "many people in one run",
    "cluster_size": "the same to many people",
    "attachment_type": "kind of attachment",
    "lookalike_domain": "look-alike domain",
    "content_lint": "something in the text",
    "link_mismatch": "a link whose text lies",
    "quiet_hours": "quiet hours",
    "weak_evidence": "weak evidence",
    "content_changed": "changed since it was approved",
    "recheck": "looked at again",
    "poison": "could not be composed",
    "policy": "policy",
    "set_aside": "set aside",
}

# What was decided, as it stands in its story.
DONE: Final[Mapping[str, str]] = {
    "release": "Released",
    "waves": "Released in waves",
    "part": "Released a part",
    "refuse": "Refused",
    "confirm": "Confirmed",
    "withdraw": "Withdrawn",
    "wave": "The next wave",
    "stop": "Stopped",
    "lapse": "Lapsed",
}

# The same, of what needed a second person: until that one confirms, nothing goes.
PROPOSED: Final[Mapping[str, str]] = {
    "release": "Proposed to release",
    "waves": "Proposed to release in waves",
    "part": "Proposed to release a part",
}
NO_WAVE: Final = "The next wave was due and did not go"
ANSWERS: Final = frozenset({Decision.Kind.CONFIRM, Decision.Kind.WITHDRAW})

NOW: Final[LiteralString] = "SELECT ao_now() AS now"

looks = for_people("outbox.view_approval")
decides = for_people(DECIDE)


@dataclass(frozen=True, slots=True)
class _Word:
    """What was typed and ticked with a decision."""

    why: str
    part: list[UUID]
    most: int


Act = Callable[[Shown, Any, _Word], Decision]

ACTS: Final[Mapping[str, Act]] = {
    "release": lambda shown, by, word: deciding.release(shown, by, word.why),
    "waves": lambda shown, by, word: deciding.release_in_waves(shown, by, word.why),
    "first": lambda shown, by, word: deciding.release_first(shown, by, word.most, word.why),
    "part": lambda shown, by, word: deciding.release_part(shown, by, word.part, word.why),
    "refuse": lambda shown, by, word: deciding.refuse(shown, by, word.why),
    "refuse_part": lambda shown, by, word: deciding.refuse(shown, by, word.why, word.part),
    "confirm": lambda shown, by, word: deciding.confirm(shown, by, word.why),
    "withdraw": lambda shown, by, word: deciding.withdraw(shown, by, word.why),
    "stop": lambda shown, by, word: deciding.stop_waves(shown, by, word.why),
}
NEEDS_REASON: Final = frozenset({"refuse", "refuse_part", "stop"})
NEEDS_PART: Final = frozenset({"part", "refuse_part"})


@require_safe
@looks
def page(request: HttpRequest) -> HttpResponse:
    """The list, most urgent first; whoever looks for one by its name is led there."""
    name = request.GET.get("q", "").strip()
    if (key := ids.parsed("apr", name)) and Approval.objects.filter(pk=key).exists():
        return HttpResponseRedirect(reverse("approval", args=[name]))
    return render(request, f"{FOLDER}/page.html", _list(request))


@require_safe
@looks
def now(request: HttpRequest) -> HttpResponse:
    """The list alone, for a page that stays open."""
    return render(request, f"{FOLDER}/_list.html", _list(request))


@require_safe
@looks
def one(request: HttpRequest, name: str) -> HttpResponse:
    """One request on one screen."""
    return tell(request, _key(name))


@require_safe
@looks
def one_now(request: HttpRequest, name: str) -> HttpResponse:
    """Where it stands, for a page that stays open; ``version`` and ``upto`` say what that page shows."""
    key, upto = _key(name), _uuid(request.GET.get("upto", ""))
    state = _state(request, key)
    joined = glance(lambda: reach.joined_since(key, upto), "what joined") if upto else 0
    moved = request.GET.get("version") != str(state["row"].version)
    return render(request, f"{FOLDER}/_state.html", {**state, "moved": moved, "joined": joined})


@require_POST
@decides
def decide(request: HttpRequest, name: str) -> HttpResponseBase:
    """Carry out one decision, or show the page again with what was wrong and what was typed."""
    key, given = _key(name), request.POST
    word = _Word(
        given.get("why", "").strip()[:WHY],
        [each for each in map(_uuid, given.getlist("messages")) if each],
        _number(given.get("most", "")),
    )
    try:
        act = given.get("act", "")
        shown = _shown(given.get("shown", ""), key)
        if act in NEEDS_REASON and not word.why:
            raise ValueError(NO_REASON)
        if act in NEEDS_PART and not word.part:
            raise ValueError(NO_PART)
        ACTS[act](shown, person_of(request), word)
    except NotYours as error:
        return tell(request, key, error=str(error), status=403)
    except Overtaken as error:
        return tell(request, key, error=str(error), status=409)
    except (ValueError, KeyError) as error:
        words = str(error) if isinstance(error, ValueError) else "There is no such decision."
        return tell(request, key, error=words, status=422)
    return HttpResponseRedirect(reverse("approval", args=[name]))


@require_safe
@looks
def sample(request: HttpRequest, name: str, message: UUID) -> HttpResponse:
    """A message's text and, shut in, its HTML."""
    found = senders.sample(message)
    if found is None:
        raise Http404("There is no such message.")
    back = {"back": reverse("approval", args=[name])}
    shown = {"sample": found[0], "html": found[1], "shut_in": SHUT_IN, **back}
    return render(request, "outbox/killswitch/sample.html", shown)


@require_safe
@looks
def health(request: HttpRequest) -> HttpResponse:
    """How the queue does, and whether anybody still reads."""
    found = glance(queue_health.measured, "the health of the queue")
    return render(
        request,
        f"{FOLDER}/health.html",
        {"health": found, "days": queue_health.DAYS, "words": queue_health.WORDS_A_MINUTE},
    )


def tell(request: HttpRequest, key: UUID, *, error: str = "", status: int = 200) -> HttpResponse:
    """One request's page, with what went wrong just now; what was typed stays."""
    shown = deciding.show(key)  # first: what is read after it can only be more
    urgent = glance(lambda: reviewing.listed(Filters(), 1, PAGE), "what is urgent") or ()
    case = next((row for row in urgent if row.id == key), None) or reviewing.found(key)
    if shown is None or case is None:
        raise Http404("There is no such request.")
    waits = glance(partial(reach.waiting, key), "what waits")
    read = glance(lambda: exhibits.exhibits(reach.spread(key, waits or 0)), "the messages of a request")
    context = {
        **_state(request, key, case),
        **_neighbours(case, urgent),
        "error": error,
        "shown": str(shown),
        "nothing_left": shown.upto is None,
        "seen_query": urlencode({"version": shown.version, "upto": shown.upto or ""}),
        "waits": waits,
        "exhibits": read,
        "reach": glance(partial(reach.reach, key, waits), "the reach of a request") if waits else None,
        "glimpse": (glance(lambda: reach.glimpses([key]), "a glimpse") or {}).get(key),
        "earlier": glance(lambda: exhibits.before(read.shown), "earlier mail") if read else None,
        "repute": glance(lambda: evidence.against_limits(_scopes(case)), "evidence"),
        "given": request.POST,
        "chosen": request.POST.getlist("messages"),
    }
    return render(request, f"{FOLDER}/request.html", context, status=status)


def _state(request: HttpRequest, key: UUID, case: Listed | None = None) -> dict[str, Any]:
    """Where a request stands, what was decided, and what became of it."""
    case = case or reviewing.found(key)
    row = Approval.objects.select_related("agent__owner", "run", "leaf", "proposed").filter(pk=key).first()
    if case is None or row is None:
        raise Http404("There is no such request.")
    person = person_of(request)
    return {
        **_row(case, sql.one(NOW).now),
        "case": case,
        "row": row,
        "undecided": row.ended_at is None,
        "waves": row.state == Approval.State.WATCHING,
        "confirming": row.state == Approval.State.CONFIRMING,
        "mine": row.proposed is not None and row.proposed.who == person.get_username(),
        "stopped": glance(lambda: deciding.stopped(key), "stops") if row.ended_at is None else None,
        "decisions": glance(lambda: _decisions(row), "decisions"),
        "may_decide": person.has_perm(DECIDE),
    }


def _decisions(approval: Approval) -> list[dict[str, Any]]:
    """The newest words about it, and what became of what each let go."""
    fates = reach.fates(approval.pk)
    rows = list(Decision.objects.filter(approval=approval).order_by("-pk")[:SAID])
    proposals = {approval.proposed_id, *(row.of_id for row in rows if _answers(row, fates))}
    return [
        {
            "row": row,
            "done": _done(
                row, proposed=row.pk in proposals, went=row.pk in fates or row.pk == approval.carrying_id
            ),
            "fates": fates.get(row.pk, ()),
        }
        for row in rows
    ]


def _done(row: Decision, *, proposed: bool, went: bool) -> str:
    if row.kind == Decision.Kind.WAVE and not went:
        return NO_WAVE
    return (PROPOSED if proposed else DONE).get(row.kind, row.kind)


def _answers(row: Decision, fates: Mapping[int, Any]) -> bool:
    """Whether it is about a proposal: also a refusal of what nobody had confirmed, of which nothing has gone."""
    return row.kind in ANSWERS or (row.kind == Decision.Kind.REFUSE and row.of_id not in fates)


def _list(request: HttpRequest) -> dict[str, Any]:
    names = ("q", "agent", "stream", "reason", "state")
    asked = {name: request.GET[name] for name in names if request.GET.get(name)}
    number = request.GET.get("page", "1")
    at = max(int(number), 1) if number.isdecimal() and len(number) < 5 else 1
    wanted = Filters(
        stream=asked.get("stream", ""),
        agent=asked.get("agent", ""),
        reason=asked.get("reason", ""),
        closed=asked.get("state") in CLOSED,
        state=asked["state"] if asked.get("state") in STATES else "",
        words=asked.get("q", "").strip()[:WORDS],
    )
    found = glance(lambda: reviewing.listed(wanted, at, PAGE), "the requests")
    rows = list(found or ())[:PAGE]
    seen = glance(lambda: reach.glimpses([row.id for row in rows]), "glimpses") or {}
    now_ = sql.one(NOW).now
    return {
        "wanted": wanted,
        "known": found is not None,
        "rows": [{**_row(row, now_), "glimpse": seen.get(row.id)} for row in rows],
        "start": (at - 1) * PAGE + 1,
        "asked": urlencode({**asked, "page": at}) if at > 1 else urlencode(asked),
        "filtered": bool(asked),
        "earlier": urlencode({**asked, "page": at - 1}) if at > 1 else "",
        "later": urlencode({**asked, "page": at + 1}) if len(found or ()) > PAGE else "",
        "agents": Agent.objects.order_by("name").values_list("name", flat=True)[:CHOICES],
        "streams": Stream.objects.order_by("name").values_list("name", flat=True)[:CHOICES],
        "all_reasons": REASONS,
        "all_states": {**STATES, OVER: "all that are over"},
        "state": asked.get("state", ""),
    }


def _row(case: Listed, now_: datetime) -> dict[str, Any]:
    """A request in words: how much of it waits, since when, until when, and why."""
    return {
        "row": case,
        "people": _counted(case.people, "person", "people"),
        "messages": _counted(case.messages, "message", "messages"),
        "age": (now_ - case.opened_at).total_seconds(),
        "left": (case.expires_at - now_).total_seconds(),
        "reasons": [REASONS.get(code, code.replace("_", " ")) for code in case.reasons],
        "answer": DONE.get(case.answer, case.answer),
    }


def _counted(number: int, one_: str, many: str) -> str:
    if number > MANY:
        return f"more than {MANY:,} {many}"
    return f"{number:,} {one_ if number == 1 else many}"


def _neighbours(case: Listed, urgent: Sequence[Listed]) -> dict[str, str]:
    """The requests before and after it in the list; what is not among the most urgent leads to the most urgent."""
    names = [row.printed for row in urgent]
    at = names.index(case.printed) if case.printed in names else -1
    return {
        "before": names[at - 1] if at > 0 else "",
        "after": names[at + 1] if at + 1 < len(names) else "",
    }


def _scopes(case: Listed) -> list[str]:
    pairs = {"agent": case.agent, "stream": case.stream, "run": f"{case.agent}/{case.run}"}
    return [scope_of(kind, key) for kind, key in pairs.items()]


def _shown(text: str, key: UUID) -> Shown:
    """What the page showed that this decision was made on, signed by that page."""
    shown = Shown.parsed(text)
    if shown.approval != key:
        raise ValueError(OTHER_PAGE)
    return shown


def _key(name: str) -> UUID:
    key = ids.parsed("apr", name)
    if key is None:
        raise Http404("There is no such request.")
    return key


def _number(text: str) -> int:
    """0 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
