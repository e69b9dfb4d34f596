"""Amazon SES's notifications where they were subscribed to by email: JSON in the body of a message.

The same content as its webhook, which is verified; a mail is not, so it testifies by its token like any
report. Anything that is not what SES documents is simply no notification. Pure.
"""

import json
from collections.abc import Mapping
from typing import Any

from outbox.dsn import MAX_RECIPIENTS, Said, addresses
from outbox.mailparts import one_line
from outbox.testimony import Action, Feedback

_LISTS = {"Bounce": "bouncedRecipients", "Delivery": "recipients", "Complaint": "complainedRecipients"}


def notified(text: str) -> tuple[list[Said], Feedback | None]:
    """What a notification says of whom, and its feedback if it is a complaint; ([], None) if it is none."""
    body = _object(text)
    kind = str(body.get("notificationType") or body.get("eventType"))
    event = body.get(kind.lower())
    if kind not in _LISTS or not isinstance(event, Mapping):
        return [], None
    people = event.get(_LISTS[kind])
    rows = [row if isinstance(row, Mapping) else {"emailAddress": row} for row in people or ()][
        :MAX_RECIPIENTS
    ]
    if kind == "Complaint":
        named = tuple(addresses(" ".join(str(row.get("emailAddress")) for row in rows)))
        return [], Feedback(
            str(event.get("complaintFeedbackType") or "abuse").lower(), original_rcpt_to=named
        )
    action = Action.DELIVERED if kind == "Delivery" else Action.FAILED
    return [_said(row, action, str(event.get("smtpResponse") or "")) for row in rows], None


def _said(row: Mapping[str, Any], action: Action, response: str) -> Said:
    found = addresses(str(row.get("emailAddress")))
    text = str(row.get("diagnosticCode") or response).removeprefix("smtp;")
    return Said(
        recipient=found[0] if found else "",
        action=action,
        status=str(row.get("status") or "")[:12],
        text=one_line(text)[:1000],
    )


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object a text begins with; RecursionError is a ValueError's cousin here: too deep is none."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        value, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}
