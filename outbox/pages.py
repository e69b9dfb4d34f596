"""Middleware for people's pages only: sessions, logins, forms. Requests of machines under ``/v1/`` pass it by.

An agent has a key in a header and no cookie, so there is nothing here for it but time. What watches a process asks it
by its bare address, which is no host name of ours.
"""

from collections.abc import Callable
from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware

from outbox import audit

# Whoever unsubscribes has no cookie, and comes by a host name of the sending domain's own (``optout_page``).
MACHINES = ("/v1/", "/mcp", "/u/", "/livez", "/readyz", "/metrics")
# These under /v1/ are pages too: the browsable documentation and the explanations of errors.
PAGES = ("/v1/docs", "/v1/errors")


def for_machines(path: str) -> bool:
    """Whether a request to this path comes from a program with a key."""
    return path.startswith(MACHINES) and not path.startswith(PAGES)


class _ForPeople:
    """Mixed in before a middleware: lets machines pass."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if for_machines(request.path_info):
            response: HttpResponseBase = self.get_response(request)
            return response
        answered: HttpResponseBase = super().__call__(request)  # type: ignore[misc]
        return answered


class Sessions(_ForPeople, SessionMiddleware):
    """Sessions of people."""


class Common(_ForPeople, CommonMiddleware):
    """Trailing slashes and content lengths of pages."""


class Csrf(_ForPeople, CsrfViewMiddleware):
    """Forms of people; a view for machines is exempt by its own decorator."""


class Authentication(_ForPeople, AuthenticationMiddleware):
    """Logins of people."""


class _SaysWho:
    """What a logged-in person changes is theirs in the audit."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST" or not request.user.is_authenticated:
            return self.get_response(request)
        with audit.by(request.user.get_username()):
            return self.get_response(request)


class SaysWho(_ForPeople, _SaysWho):
    """Acts of people."""


class Messages(_ForPeople, MessageMiddleware):
    """Notices to people."""


class XFrameOptions(_ForPeople, XFrameOptionsMiddleware):
    """Pages are not framed."""


class ContentSecurity(_ForPeople, CSPMiddleware):  # type: ignore[misc]
    """What pages may load."""
