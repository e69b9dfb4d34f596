"""The desk's other door: the responder's page, a stop and its proof, the timeline, the resume.

Guarantees: the stop buttons leave before anything is counted; a stop asks for nothing but a session that may stop, is
never counted against a rate, and is a transaction of its own; one that would stop nothing is refused. Whoever may look
may not therefore stop, and whoever may stop may not therefore resume (``desk_reopen``).
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import Error
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    QueryDict,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from outbox import keys, proving, scopes, senders
from outbox.aftermath import Proof, proof_of
from outbox.ending import ending_of
from outbox.followup import followup_of
from outbox.models import ApiKey
from outbox.panels import FOLDER, panels
from reputation import killswitch, switchlog
from reputation.killswitch import UnknownScope
from reputation.switchlog import Happening, Wanted

View = Callable[..., HttpResponseBase]

TRIP: Final = "reputation.trip_switch"
RESUME: Final = "reputation.resume_switch"
PURGE: Final = "reputation.purge_switch"
EXPORT: Final = "reputation.export_switch"
REVOKE: Final = "outbox.change_apikey"
PANELS_HERE: Final = "<!-- panels -->"
# Stands before somebody's HTML in its sandbox, which runs no scripts and goes nowhere by itself.
SHUT_IN: Final = '<!doctype html><meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
UNSURE: Final = "Nothing was stopped: tick that password resets may stop too."
FAILED: Final = "NOT STOPPED: the database did not do it ({}). Press again, or end the workers."


def for_people(permission: str) -> Callable[[View], View]:
    """A view for those who are logged in and may: others are asked to log in, or told that they may not.

    What is given holds no NUL: PostgreSQL keeps none, and pasted text is no reason to fail.
    """

    def guarded(view: View) -> View:
        def storable(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            for name in ("GET", "POST"):
                setattr(request, name, _without_nul(getattr(request, name)))
            return view(request, *args, **kwargs)

        allowed = permission_required(permission, raise_exception=True)(storable)
        return wraps(view)(never_cache(login_required(allowed, login_url="admin:login")))

    return guarded


def _without_nul(given: QueryDict) -> QueryDict:
    return QueryDict(given.urlencode().replace("%00", ""))


looks = for_people("reputation.view_openstop")
stops = for_people(TRIP)
revokes = for_people(REVOKE)


@require_safe
@looks
def page(request: HttpRequest) -> HttpResponseBase:
    """The responder's page: its buttons first, then what goes out, panel by panel."""
    return _page(request, aimed=request.GET)


@require_POST
@looks
def ask(request: HttpRequest) -> HttpResponseBase:
    """What would a stop catch: asked by POST like the stop beside it, so that its token stays out of addresses."""
    asked = {name: request.POST.get(name, "") for name in ("kind", "key")}
    return HttpResponseRedirect(f"{reverse('killswitch')}?{urlencode(asked)}#panel-out")


@require_safe
@looks
def now(request: HttpRequest) -> HttpResponseBase:
    """The panels alone, for a page that stays open."""
    return StreamingHttpResponse(panels(request, request.GET.get("scope", "")))


@require_POST
@stops
def stop(request: HttpRequest) -> HttpResponseBase:
    """Stop a scope: one that the page offered (``scope``), or one that was typed (``kind`` and ``key``)."""
    try:
        given = request.POST
        scope = scopes.offered(given["scope"]) if "scope" in given else _named(given)
        if scope == "all" and "sure" not in given:
            raise UnknownScope(UNSURE)
        done = killswitch.trip(scope, who=_who(request), why=given.get("why", "").strip()[: switchlog.MOST])
    except (UnknownScope, scopes.NoSuchScope) as error:
        return _page(request, aimed=request.POST, error=str(error), status=422)
    except Error as error:
        return _page(request, error=FAILED.format(error), status=503)
    return to_happening(done.epoch)


@require_safe
@looks
def happening(request: HttpRequest, epoch: int) -> HttpResponse:
    """A stop's own page: its proof, what was added to it, and how it may end."""
    return tell(request, found_at(epoch))


@require_safe
@looks
def proof(request: HttpRequest, epoch: int) -> HttpResponse:
    """The proof alone, for a page that stays open."""
    found = found_at(epoch)
    context = {**_proof_context(request, proof_of(found)), "ending": ending_of(found, person_of(request))}
    return render(request, f"{FOLDER}/_now.html", context)


@require_POST
@stops
def note(request: HttpRequest, epoch: int) -> HttpResponseBase:
    """Add a note, or the reason that there was no time for."""
    found = found_at(epoch)
    try:
        switchlog.note(epoch, who=_who(request), text=request.POST.get("text", ""))
    except ValueError as error:
        return tell(request, found, error=str(error), status=422)
    return to_happening(epoch)


@require_POST
@revokes
def revoke(request: HttpRequest, epoch: int, key: int) -> HttpResponseBase:
    """Revoke a key of an agent that was stopped."""
    if keys.revoke(key):
        row = ApiKey.objects.filter(pk=key)
        LogEntry.objects.log_actions(
            person_of(request).pk, row, CHANGE, f"Revoked {row[0]} (stop {epoch}).", single_object=True
        )
    return to_happening(epoch, "keys")


@require_safe
@looks
def sample(request: HttpRequest, message: UUID) -> HttpResponse:
    """A message's text and, shut in, its HTML."""
    found = senders.sample(message)
    if found is None:
        raise Http404("There is no such message.")
    shown = {"sample": found[0], "html": found[1], "shut_in": SHUT_IN}
    return render(request, f"{FOLDER}/sample.html", shown)


@require_safe
@looks
def timeline(request: HttpRequest) -> HttpResponse:
    """Trips and resumes, newest first, those that were asked for."""
    asked = request.GET
    before = asked.get("before", "")
    wanted = Wanted(
        action=asked.get("action", ""),
        by=asked.get("by", ""),
        words=asked.get("q", "")[:200],
        before=int(before) if before.isdecimal() and len(before) < 19 else None,
    )
    found = switchlog.timeline(wanted)
    events, more = found[: switchlog.PAGE], found[switchlog.PAGE :]
    kept = {name: asked[name] for name in ("action", "by", "q") if asked.get(name)}
    older = urlencode({**kept, "before": events[-1].pk}) if more else ""
    return render(request, f"{FOLDER}/timeline.html", {"events": events, "wanted": wanted, "older": older})


def _page(
    request: HttpRequest, aimed: Any = None, error: str = "", status: int = 200
) -> StreamingHttpResponse:
    kind, key = (aimed or {}).get("kind", ""), (aimed or {}).get("key", "").strip()
    try:
        scope = killswitch.scope_of(kind, key) if kind else ""
    except UnknownScope:
        scope = ""
    shown = {
        "kinds": killswitch.KINDS,
        "kind": kind,
        "key": key,
        "aimed": scope,
        "error": error,
        "anyway": bool(error and scope) and _is_there(scope),
        **_may(request),
    }
    shell = render_to_string(f"{FOLDER}/page.html", shown, request)
    return StreamingHttpResponse(_in_parts(shell, panels(request, scope)), status=status)


def _in_parts(shell: str, inner: Iterator[str]) -> Iterator[str]:
    top, _, bottom = shell.partition(PANELS_HERE)
    yield top
    yield from inner
    yield bottom


def tell(request: HttpRequest, found: Happening, *, status: int = 200, **shown: Any) -> HttpResponse:
    """A stop's own page, with what went wrong just now."""
    told = proof_of(found)
    context = {
        **_proof_context(request, told),
        "ending": ending_of(found, person_of(request)),
        "fresh": proving.is_fresh(request),
        **shown,
    }
    return render(request, f"{FOLDER}/stop.html", context, status=status)


def _proof_context(request: HttpRequest, told: Proof) -> dict[str, Any]:
    after = followup_of(told.happening)
    return {"told": told, "after": after, "happening": told.happening, "me": _who(request), **_may(request)}


def _may(request: HttpRequest) -> dict[str, bool]:
    asked = {
        "may_stop": TRIP,
        "may_resume": RESUME,
        "may_revoke": REVOKE,
        "may_purge": PURGE,
        "may_export": EXPORT,
    }
    return {name: person_of(request).has_perm(permission) for name, permission in asked.items()}


def _named(given: Any) -> str:
    return scopes.named(given.get("kind", ""), given.get("key", "").strip())


def _is_there(scope: str) -> bool:
    """Whether a scope that was refused by its name can be stopped all the same: lanes may hold an old name."""
    try:
        return bool(scopes.offered(scope))
    except scopes.NoSuchScope:
        return False


def found_at(epoch: int) -> Happening:
    """The trip or resume of this number; 404 if there is none."""
    found = switchlog.happening(epoch)
    if found is None:
        raise Http404("Nothing was tripped or resumed with this number.")
    return found


def person_of(request: HttpRequest) -> User:
    """Who is logged in."""
    if not isinstance(request.user, User):  # the views are for people who are logged in
        raise PermissionDenied
    return request.user


def _who(request: HttpRequest) -> str:
    return person_of(request).get_username()


def to_happening(epoch: int, place: str = "") -> HttpResponse:
    """To the page of a trip or resume."""
    address = reverse("stop-happening", args=[epoch])
    return HttpResponseRedirect(f"{address}#{place}" if place else address)
