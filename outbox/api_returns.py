"""The door for what comes in by HTTP: an MTA of ours hands over messages it took for our return-paths.

What is posted is not told apart by the answer: matched, known or forged, it was received, and the peer may forget it.
"""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from ninja import Router

from outbox import returns
from outbox.door import Returns, json_answer, octets_of_request
from outbox.openapi import Received, described, parameter
from outbox.problems import Violation, refused

router = Router()

ENVELOPE_TO: Final = parameter(
    "X-Envelope-To",
    "header",
    "The recipient of the envelope (RCPT TO), without angle brackets.",
    maxLength=320,
) | {"required": True}
BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "One message (RFC 5322), as it came: a DSN, an abuse report, an unsubscribe mail. At most 1 MiB.",
    "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "/returns/mime",
    auth=Returns(),
    tags=["returns"],
    summary="Hand over a returned message",
    response={202: None},
    openapi_extra=described(Received, None, 202, [ENVELOPE_TO]) | {"requestBody": BODY},
)
def post_mime(request: HttpRequest) -> HttpResponse:
    """Received, whatever it is. Posted again, it counts no second time."""
    raw = octets_of_request(request, returns.MAX_BYTES)
    envelope_to = request.headers.get("X-Envelope-To", "").strip().removeprefix("<").removesuffix(">")
    if missing := _missing(envelope_to, raw):
        raise refused("validation_failed", "This is no returned message.", violations=missing)
    try:
        returns.take(raw, envelope_to, source="mime")
    except returns.TryLater as error:
        raise refused("undecidable", "It cannot be judged or kept now.") from error
    return json_answer({"received": True}, 202)


def _missing(envelope_to: str, raw: bytes) -> tuple[Violation, ...]:
    found = []
    if not envelope_to:
        found.append(Violation("/X-Envelope-To", "missing", "Name the recipient of the envelope."))
    if not raw.strip():
        found.append(Violation("", "missing", "The body is the message."))
    return tuple(found)
