"""Who sits there: log-in and the password asked again, both against guessing. Stopping passes neither.

A log-in is noted in its own session; what opens mail again wants a password given within ``FRESH_SECONDS``, and each
time a code from those who have a second factor. Log-ins are counted by address and name, so that nobody can lock a
responder out from elsewhere; what opens mail by person, and only what was refused: whoever resumes a lot is no guesser.
While the cache cannot count, people can still log in (they may have to stop something, and hashing is slow enough for
guessers), and nothing can be resumed.
"""

import logging
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django_ratelimit.core import get_usage

from outbox import audit, second_factor
from reputation.vault import Unsealable

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]

FRESH_SECONDS: Final = 600
PROVED: Final = "proved_at"
LOGINS: Final = "10/5m"
REFUSED: Final = "10/5m"
WRONG_CODE: Final = "That code is wrong or was used already; wait for the next one."

SEALED: Final = "The master key that your phone's secret was sealed with is not here: give a recovery code."


class NotProved(PermissionError):
    """The password is wrong, or was not given."""


class TooManyTries(PermissionError):
    """So many tries in so short a time are a guess; or they cannot be counted."""


def guarded_login(view: View) -> View:
    """A log-in view that notes and audits who passed and who did not, and answers 429 to guesses."""

    @wraps(view)
    def login(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        name = f"{request.META.get('REMOTE_ADDR', '')} {request.POST.get('username', '').lower()[:150]}"
        if _counted(request, "login", name, LOGINS) is False:
            return _too_many(request)
        response = view(request, *args, **kwargs)
        passed = request.user.is_authenticated and response.status_code == 302
        if passed:
            _note(request)
        _tell(request, passed)
        return response

    return login


def is_fresh(request: HttpRequest) -> bool:
    """Whether this session's password was given lately."""
    proved = request.session.get(PROVED)
    return isinstance(proved, float) and 0 <= time.time() - proved < FRESH_SECONDS


def prove(request: HttpRequest, user: User, password: str, code: str = "", *, code_owed: bool = True) -> None:
    """Make sure that it is this user who sits there: the password if it was not given lately, and their code.

    Whoever has no second factor owes no code. ``code_owed``: for this act at all.

    Raises:
        NotProved: it is not the password, or not an unused code.
        TooManyTries: not even looked at.
    """
    refusals = partial(_counted, request, "refused", f"user {user.pk}", REFUSED)
    if refusals(one_more=False) is not True:
        raise TooManyTries("Too many tries; wait five minutes. The stop stands meanwhile.")
    try:
        _look(request, user, password, code, code_owed)
    except NotProved:
        refusals()  # guesses of one instant all pass the first look: as many more as there are threads
        raise


def _look(request: HttpRequest, user: User, password: str, code: str, code_owed: bool) -> None:
    if not is_fresh(request):
        if not user.check_password(password):
            raise NotProved("That is not your password." if password else "Give your password again.")
        _note(request)
    if code_owed and second_factor.enrolled(user) and not _passes(user, code):
        raise NotProved(WRONG_CODE if code.strip() else "Give the code that your phone shows.")


def _passes(user: User, code: str) -> bool:
    try:
        return second_factor.passes(user, code)
    except Unsealable as error:
        logger.error("the second factor of %s cannot be looked at: %s", user, error)
        raise NotProved(SEALED) from None


def _tell(request: HttpRequest, passed: bool) -> None:
    """Into the audit; a name that nobody has may be a password typed into the wrong field, so it is not kept."""
    name = request.POST.get("username", "").replace("\0", "")
    known = passed or User.objects.filter(username=name).exists()
    who = request.user.get_username() if passed else "nobody"
    subject = f"user:{who if passed else name}" if known else "user:(no such name)"
    audit.write(
        who,
        "login.passed" if passed else "login.failed",
        subject,
        address=request.META.get("REMOTE_ADDR", ""),
    )


def _note(request: HttpRequest) -> None:
    request.session[PROVED] = time.time()


def _counted(request: HttpRequest, group: str, name: str, rate: str, *, one_more: bool = True) -> bool | None:
    """Whether this one is within the rate, or would be if it is not counted; None if it cannot be counted now."""
    try:
        usage = get_usage(request, group=group, key=lambda *_: name, rate=rate, increment=one_more)
    except Exception as error:  # whatever the cache's client raises
        logger.warning("tries cannot be counted: %s", error)
        return None
    if usage is None or usage["time_left"] < 0:  # so the library says that its cache is down
        return None
    return bool(usage["count"] + (not one_more) <= usage["limit"])


def _too_many(request: HttpRequest) -> HttpResponse:
    response = render(request, "outbox/too_many_logins.html", status=429)
    response["Retry-After"] = "300"
    return response
