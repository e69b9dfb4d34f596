"""``/u/<token>``: where the link below a message and the button of a mail program lead.

Guarantees: GET and HEAD change nothing, whoever follows the link (scanners follow them all); POST of
``List-Unsubscribe=One-Click`` unsubscribes at once, from a program or from the button, without login, cookie, token
against forgery or redirect (RFC 8058 §3.1). The answer is the same for a link that nobody made, and neither page nor
answer says who is meant. It is served under any host name: ``u.<sending domain>`` is one for each domain.
"""

from http import HTTPStatus
from typing import Final

from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from outbox import optouts
from outbox.unsubscribes import ONE_CLICK

MAX_FORM: Final = 16 * 1024  # the form that mail programs post has 26 octets, as multipart some hundred

# The middleware that does this for other pages also looks at the host name, and at cookies.
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, or (if that was asked) unsubscribe."""
    if int(request.headers.get("Content-Length") or 0) > MAX_FORM:
        return _shown("ask", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    field, value = ONE_CLICK
    if request.method != "POST" or request.POST.get(field) != value:
        return _shown("ask", HTTPStatus.OK)
    try:
        optouts.leave(token, "link")
    except Error:
        return _shown("later", HTTPStatus.SERVICE_UNAVAILABLE)
    return _shown("done", HTTPStatus.OK)


def _shown(part: str, status: HTTPStatus) -> HttpResponse:
    shown = render_to_string("outbox/unsubscribe.html", {"part": part, "field": ONE_CLICK})
    return HttpResponse(shown, status=status, headers=HEADERS)
