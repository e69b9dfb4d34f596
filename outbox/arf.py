"""Feedback reports: RFC 5965 with RFC 6591's failures, and the one provider that sends the bare message.

Fields are taken as they were sent; who sent them, and whether the message was ours, others decide. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from outbox.dsn import addresses
from outbox.mailparts import Header, Part, one_line
from outbox.reasons import Reason
from outbox.testimony import Feedback, Report

MAX_RECIPIENTS: Final = 100
_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z-]{2,40}):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_REASONS: Final[Mapping[str, Reason]] = {
    "abuse": Reason.ABUSE,
    "fraud": Reason.FRAUD,
    "phishing": Reason.FRAUD,
    "virus": Reason.VIRUS,
    "malware": Reason.VIRUS,
    "not-spam": Reason.NOT_SPAM,
    "auth-failure": Reason.AUTH_FAILURE,
    "dmarc": Reason.AUTH_FAILURE,
    "opt-out": Reason.OPT_OUT,
    "opt-out-list": Reason.OPT_OUT,
}


def feedback_in(header: Header, leaves: Iterable[Part], original: Header) -> Feedback | None:
    """The report's fields, or None if the message is no feedback report."""
    parts = list(leaves)
    machine = [part.text() for part in parts if part.media_type == "message/feedback-report"]
    if not machine and "feedback-report" in header.get("content-type").lower():
        machine = [part.text() for part in parts if re.search(r"^Feedback-Type:", part.text(), re.M | re.I)]
    if machine:
        return _feedback(machine[0])
    # Microsoft's JMRP forwards the message, with a field that names the recipient
    if original.get("x-hmxmroriginalrecipient") and "complaint about" in header.get("subject").lower():
        return Feedback("abuse", original_rcpt_to=tuple(addresses(original.get("x-hmxmroriginalrecipient"))))
    return None


def reports_of(feedback: Feedback, original: Header) -> tuple[Report, ...]:
    """One report per recipient named, else for whom the message was addressed to, else for nobody by name."""
    reason = _REASONS.get(feedback.type, Reason.OTHER_FEEDBACK)
    named = feedback.original_rcpt_to or _addressed(original) or ("",)
    return tuple(Report(recipient=each, action=None, reason=reason) for each in named[:MAX_RECIPIENTS])


def _addressed(original: Header) -> tuple[str, ...]:
    for name in ("x-hmxmroriginalrecipient", "x-apparently-to", "delivered-to", "to", "cc"):
        found = addresses(original.get(name))
        if found:
            return tuple(found[:1] if name != "to" else found)
    return ()


def _feedback(text: str) -> Feedback:
    fields: dict[str, list[str]] = {}
    for found in _FIELD.finditer(text):
        fields.setdefault(found[1].lower(), []).append(one_line(found[2])[:1000])

    def first(name: str) -> str:
        return fields.get(name, [""])[0]

    recipients = (*fields.get("original-rcpt-to", ()), *fields.get("original-recipient", ()))
    incidents = first("incidents")
    return Feedback(
        type=first("feedback-type").lower(),
        original_mail_from=first("original-mail-from").strip("<>"),
        original_rcpt_to=tuple(addresses(" ".join(recipients[:MAX_RECIPIENTS]))),
        source_ip=first("source-ip"),
        original_envelope_id=first("original-envelope-id"),
        arrival_date=first("arrival-date") or first("received-date"),
        user_agent=first("user-agent"),
        version=first("version"),
        reported_domains=tuple(fields.get("reported-domain", ())[:MAX_RECIPIENTS]),
        auth_failure=first("auth-failure").lower(),
        incidents=int(incidents) if re.fullmatch(r"[0-9]{1,6}", incidents) else 1,
    )
