"""The desk's third door: a stop ends here, and what waited behind it is let go in steps, or thrown away.

Guarantees: nothing opens or is thrown away without the right to, a reason, a password given just now and, from whoever
has a second factor, its code; after a rule a second person, or the glass, which wants a code. All of it is counted
against a rate, and while it cannot be counted nothing opens. What takes long goes on by itself: the page shows how far.
"""

from collections.abc import Callable
from typing import Final

from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
)
from django.views.decorators.http import require_POST, require_safe

from outbox import audit, proving, purging, recheck, second_factor
from outbox.desk_switch import EXPORT, PURGE, RESUME, for_people, found_at, person_of, tell, to_happening
from reputation import killswitch, reopening
from reputation.models import OpenStop, Purge, Reopening
from reputation.switchlog import Happening
from reputation.viewing import download

resumes = for_people(RESUME)
purges = for_people(PURGE)
exports = for_people(EXPORT)

NO_FACTOR: Final = "Breaking the glass wants a second factor: enrol one under your account first."
TOO_LATE: Final = "It cannot be undone any more."


@require_POST
@resumes
def resume(request: HttpRequest, epoch: int) -> HttpResponseBase:
    """Open a stopped scope again, or propose to."""

    def act(who: str, why: str) -> HttpResponse:
        done = reopening.ask(_open(found), who=who, why=why, whole="whole" in request.POST)
        return _went_on(done, epoch) if done else to_happening(epoch, "resume")

    found = found_at(epoch)
    return _proved(request, found, act)


@require_POST
@resumes
def glass(request: HttpRequest, epoch: int) -> HttpResponseBase:
    """Open what a rule has stopped, a little and for an hour, on one person's word and second factor."""

    def act(who: str, why: str) -> HttpResponse:
        return _went_on(reopening.break_glass(_open(found), who=who, why=why), epoch)

    found = found_at(epoch)
    if not second_factor.enrolled(person_of(request)):
        return tell(request, found, error=NO_FACTOR, why=request.POST.get("why", ""), status=422)
    return _proved(request, found, act)


@require_POST
@resumes
def confirm(request: HttpRequest, epoch: int) -> HttpResponseBase:
    """A second person agrees with whoever broke the glass."""

    def act(who: str, why: str) -> HttpResponse:
        broken = next((row for row in _rows(found) if row.glass and row.state == Reopening.State.OPEN), None)
        if broken is None:
            raise killswitch.NotTripped("It has closed again, or was confirmed already.")
        whole = "whole" in request.POST
        return _went_on(reopening.confirm_glass(broken, who=who, why=why, whole=whole), epoch)

    found = found_at(epoch)
    return _proved(request, found, act)


@require_POST
@purges
def purge(request: HttpRequest, epoch: int) -> HttpResponseBase:
    """Throw away what waits behind a stop; for an hour it can be undone."""

    def act(who: str, why: str) -> HttpResponse:
        purging.advance(purging.begin(_open(found), who=who, why=why).pk)
        return to_happening(epoch, "purge")

    found = found_at(epoch)
    return _proved(request, found, act, said="why_purge")


@require_POST
@purges
def undo(request: HttpRequest, key: int) -> HttpResponseBase:
    """Put back what a purge has set aside: nothing leaves by it that would not have, so it asks for nothing more."""
    row = _purge(key)
    if not purging.undo(row, who=person_of(request).get_username()):
        return tell(request, found_at(row.event_id), error=TOO_LATE, status=422)
    purging.advance(row.pk)
    return to_happening(row.event_id, "purge")


@require_safe
@exports
def affected(request: HttpRequest, key: int) -> HttpResponseBase:
    """Everybody whom a purge concerned, as CSV; noted in the audit before the first line leaves."""
    row = _purge(key)
    audit.write(person_of(request).get_username(), "export", f"purge:{row.pk}", scope=row.scope)
    return download(f"purge-{row.pk}.csv", purging.affected(row))


def _proved(
    request: HttpRequest, found: Happening, act: Callable[[str, str], HttpResponse], said: str = "why"
) -> HttpResponse:
    """Do it, once it is certain who sits there; or the stop's page, with what is missing and what they had written."""
    given, person = request.POST, person_of(request)
    why = given.get("why", "")
    try:
        proving.prove(request, person, given.get("password", ""), given.get("code", ""))
        return act(person.get_username(), why)
    except proving.TooManyTries as error:
        return tell(request, found, error=str(error), **{said: why}, status=429)
    except (PermissionError, killswitch.NotTripped, ValueError) as error:
        return tell(request, found, error=str(error), **{said: why}, status=422)


def _went_on(row: Reopening, epoch: int) -> HttpResponse:
    """As far as there is time for in a request; to the resume if it is open now."""
    row = recheck.advance(row.pk)
    if row.state == Reopening.State.OPEN and row.resumed_epoch is not None:
        return to_happening(row.resumed_epoch)
    return to_happening(epoch, "panel-reopening")


def _rows(found: Happening) -> list[Reopening]:
    return list(Reopening.objects.filter(scope=found.first.scope, event_id__gte=found.first.pk))


def _open(found: Happening) -> OpenStop:
    if found.stop is None:
        raise killswitch.NotTripped(f"{found.event.scope} has been resumed meanwhile.")
    return found.stop


def _purge(key: int) -> Purge:
    row = Purge.objects.filter(pk=key).first()
    if row is None:
        raise Http404("There is no such purge.")
    return row
