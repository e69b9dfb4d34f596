"""The agents' door for those who speak the Model Context Protocol: ``/mcp``, streamable HTTP, one post at a time.

A key opens it as it opens ``/v1/``. A call of a tool is counted and judged as the request to ``/v1/`` that it is, so
only what else is said here is counted here.
"""

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from outbox import keys
from outbox.door import JSON, MAX_BODY, Bearer, door, octets_of_request, visit_of
from outbox.toolbox import TOOLS

ANY = Bearer()
CALL = "tools/call"


@csrf_exempt
def endpoint(request: HttpRequest) -> HttpResponseBase:
    """Posts are answered; there is no stream to open and no session to end (405, as the protocol has it)."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return _answered(request)


@door
def _answered(request: HttpRequest) -> HttpResponse:
    from outbox import mcp  # half a second and 50 MB, which only who is asked in this language pays

    authorization = request.headers.get("Authorization", "")
    visit_of(request).caller = keys.authenticate(authorization)
    body = octets_of_request(request, MAX_BODY)
    if not _calls(body):
        ANY(request)
    spoken = mcp.answered(request.headers, body, authorization, request.META.get("REMOTE_ADDR", ""))
    return HttpResponse(
        spoken.body, status=spoken.status, content_type=spoken.headers.get("content-type", JSON)
    )


def _calls(body: bytes) -> bool:
    """Whether a tool that there is is called."""
    try:
        said = orjson.loads(body)
        return bool(said["method"] == CALL and said["params"]["name"] in TOOLS)
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False
