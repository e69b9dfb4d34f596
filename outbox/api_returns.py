"""The door for what comes in by HTTP: messages that an MTA of ours took for our return-paths, relay services' webhooks.

What is posted is not told apart by the answer: matched, known or forged, it was received, and the peer may forget it.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from ninja import Router

from outbox import esp, relayed, returns
from outbox.door import Returns, json_answer, octets_of_request
from outbox.openapi import Received, described, parameter
from outbox.problems import Violation, refused

logger = logging.getLogger(__name__)

router = Router()

ENVELOPE_TO: Final = parameter(
    "X-Envelope-To",
    "header",
    "The recipient of the envelope (RCPT TO), without angle brackets.",
    maxLength=320,
) | {"required": True}
UNSIGNED: Final = "Sign the webhook as its service does, with the secret that this installation has for it."
BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "One message (RFC 5322), as it came: a DSN, an abuse report, an unsubscribe mail. At most 1 MiB.",
    "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}},
}

EVENTS: Final[dict[str, Any]] = {
    "required": True,
    "description": "What the service posts, in its own form. At most 1 MiB.",
    "content": {"application/json": {"schema": {}}, "application/x-www-form-urlencoded": {"schema": {}}},
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


@router.api_operation(["HEAD"], "/returns/esp/{service}/", auth=None, include_in_schema=False)
def ask_esp(request: HttpRequest, service: str) -> HttpResponse:  # noqa: ARG001 - whoever asks, for any of them
    """Some services ask so whether anybody is here before they post."""
    return HttpResponse()


@router.post(
    "/returns/esp/{service}/",
    auth=None,
    tags=["returns"],
    summary="A relay service's webhook",
    response={202: None},
    openapi_extra=described(Received, None, 202) | {"requestBody": EVENTS, "security": []},
)
def post_esp(request: HttpRequest, service: str) -> HttpResponse:
    """Received, if the service's own signature or secret is right. Posted again, it counts no second time."""
    octets_of_request(request, esp.MAX_BYTES)
    try:
        told = esp.events(request, service, datetime.now(UTC))
    except esp.NotFromThere as error:
        logger.warning("a webhook was refused: %s", error)
        raise refused(
            "unauthenticated", "This is not signed as that service signs.", remedy=(UNSIGNED,)
        ) from None
    except esp.Unreadable as error:
        logger.warning("a webhook could not be read: %s", error)
        raise refused("malformed_json", "This is nothing that the service documents.") from None
    relayed.take(service, told)
    return json_answer({"received": True}, 202)


def _missing(envelope_to: str, raw: bytes) -> tuple[Violation, ...]:
    found = []
    if not envelope_to:
        found.append(Violation("/X-Envelope-To", "missing", "Name the recipient of the envelope."))
    if not raw.strip():
        found.append(Violation("", "missing", "The body is the message."))
    return tuple(found)
