"""A person's own second factor: enrol a phone, keep recovery codes, do without it again.

Guarantees: whoever has left a screen unlocked enrols and removes nothing, for both want the password, and removing or
fresh recovery codes a code as well; a secret is never shown again. Refuses: to show anybody else's, and to enrol
another phone beside one: who knows the password alone would get past the code.
"""

from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from outbox import audit, proving, second_factor
from outbox.desk_switch import person_of

PAGE = "outbox/account/second_factor.html"
ENROLLED: Final = "You have one already: remove it first, which wants its code."
View = Callable[..., HttpResponse]


def own(view: View) -> View:
    """For whoever is logged in, about themselves."""
    return never_cache(login_required(view, login_url="admin:login"))


@require_safe
@own
def page(request: HttpRequest) -> HttpResponse:
    """What they have, and how to get it."""
    return _page(request)


@require_POST
@own
def begin(request: HttpRequest) -> HttpResponse:
    """Show the secret: from here on the page is its owner's."""
    return _enrolling(request, lambda: _page(request, enrolment=second_factor.enrolment(person_of(request))))


@require_POST
@own
def confirm(request: HttpRequest) -> HttpResponse:
    """The phone shows the right code: it is enrolled."""

    def enrol() -> HttpResponse:
        person = person_of(request)
        codes = second_factor.confirm(person, request.POST.get("code", ""))
        if codes is None:
            shown = {"enrolment": second_factor.enrolment(person), "error": proving.WRONG_CODE}
            return _page(request, status=422, **shown)
        return _told(request, "second_factor.enrolled", codes)

    return _enrolling(request, enrol)


@require_POST
@own
def codes(request: HttpRequest) -> HttpResponse:
    """Fresh recovery codes."""

    def make() -> HttpResponse:
        return _told(request, "second_factor.codes", second_factor.recovery_codes(person_of(request)))

    return _guarded(request, make, code_owed=True)


@require_POST
@own
def remove(request: HttpRequest) -> HttpResponse:
    """Go on without it."""

    def take() -> HttpResponse:
        second_factor.remove(person_of(request))
        _audited(request, "second_factor.removed")
        return HttpResponseRedirect(reverse("second-factor"))

    return _guarded(request, take, code_owed=True)


def _enrolling(request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
    if second_factor.enrolled(person_of(request)):
        return _page(request, status=422, error=ENROLLED)
    return _guarded(request, act)


def _guarded(
    request: HttpRequest, act: Callable[[], HttpResponse], *, code_owed: bool = False
) -> HttpResponse:
    given = request.POST
    # a code that enrols is looked at by what it enrols
    try:
        proving.prove(
            request, person_of(request), given.get("password", ""), given.get("code", ""), code_owed=code_owed
        )
    except proving.TooManyTries as error:
        return _page(request, status=429, error=str(error))
    except PermissionError as error:
        return _page(request, status=422, error=str(error))
    return act()


def _told(request: HttpRequest, act: str, fresh: list[str]) -> HttpResponse:
    _audited(request, act)
    return _page(request, codes=fresh)


def _audited(request: HttpRequest, act: str) -> None:
    name = person_of(request).get_username()
    audit.write(name, act, f"user:{name}")


def _page(request: HttpRequest, *, status: int = 200, **shown: Any) -> HttpResponse:
    person = person_of(request)
    context = {
        "me": person.get_username(),
        "enrolled": second_factor.enrolled(person),
        "left": second_factor.codes_left(person),
        "fresh": proving.is_fresh(request),
        **shown,
    }
    return render(request, PAGE, context, status=status)
