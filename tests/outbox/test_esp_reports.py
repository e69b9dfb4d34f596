"""What services' events testify, in our words."""

from uuid import UUID

import pytest

from outbox import esp_marks, esp_reports, ids
from outbox.compose import DELIVERY_HEADERS
from outbox.esp_reports import ServiceEvent
from outbox.reasons import Reason
from outbox.testimony import Action

TOKEN = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnop"


@pytest.mark.parametrize(
    ("kind", "reply", "action", "reason", "code", "hard"),
    [
        # the server's own words decide, whatever the service calls it
        ("bounced", "550 5.1.1 user unknown", "failed", "unknown_recipient", "recipient_unknown", True),
        ("bounced", "smtp; 550 5.1.1 user unknown", "failed", "unknown_recipient", "recipient_unknown", True),
        ("bounced", "552 5.2.2 mailbox full", "failed", "mailbox_full", "mailbox_full", False),
        # a block list is about us: nobody is suppressed for it
        (
            "bounced",
            "550 5.7.1 blocked using zen.spamhaus.org",
            "failed",
            "block_list",
            "reputation_refused",
            False,
        ),
        (
            "bounced",
            "550 5.7.26 unauthenticated",
            "failed",
            "authentication",
            "authentication_refused",
            False,
        ),
        # no words, no verdict on the person
        ("bounced", "", "failed", "unknown", "refused_unclassified", False),
        ("rejected", "", "failed", "unknown", "refused_unclassified", False),
        ("delivered", "250 2.0.0 OK", "delivered", "delivered", "", False),
        ("deferred", "451 4.7.1 try later", "delayed", None, None, False),
    ],
)
def test_an_event_is_judged_like_a_report(
    kind: str, reply: str, action: str, reason: str | None, code: str | None, hard: bool
) -> None:
    report = esp_reports.report_of(ServiceEvent(kind, "1", "ada@example.org", reply))
    assert report is not None
    assert (report.action, report.hard) == (Action(action), hard)
    if reason is not None:
        assert (report.reason, report.code) == (Reason(reason), code)


def test_complaints_and_opt_outs_are_feedback() -> None:
    complaint = esp_reports.report_of(ServiceEvent("complained", "1", "ada@example.org"))
    left = esp_reports.report_of(ServiceEvent("unsubscribed", "1", "ada@example.org"))
    assert complaint is not None
    assert complaint.complaint
    assert left is not None
    assert (left.reason, left.complaint) == (Reason.OPT_OUT, False)


@pytest.mark.parametrize(
    "kind", ["opened", "clicked", "queued", "sent", "autoresponded", "subscribed", "unknown", "inbound"]
)
def test_what_is_no_news_of_a_delivery_testifies_nothing(kind: str) -> None:
    assert esp_reports.report_of(ServiceEvent(kind, "1", "ada@example.org")) is None


@pytest.mark.parametrize("service", sorted(esp_marks.MARKS))
def test_the_token_that_a_service_is_told_is_found_in_what_it_says(service: str) -> None:
    ((name, value),) = esp_marks.mark(service, TOKEN)
    assert name in DELIVERY_HEADERS
    assert list(esp_reports.references(ServiceEvent("bounced", "1", "", raw=value))) == [TOKEN]


def test_a_service_without_a_field_of_its_own_is_told_nothing() -> None:
    assert esp_marks.mark("resend", TOKEN) == esp_marks.mark("", TOKEN) == ()


def test_tokens_are_found_in_headers_and_return_paths_once_each() -> None:
    raw = f'{{"headers": [{{"name": "X-AO-Ref", "value": "{TOKEN}"}}], "returnPath": "b+{TOKEN}@rp.agents.acme.test"}}'
    assert list(esp_reports.references(ServiceEvent("bounced", "1", "", raw=raw))) == [TOKEN]


def test_a_message_is_found_by_its_message_id() -> None:
    key = UUID("01976a3f-0000-7000-8000-000000000000")
    name = ids.printed("msg", key)[4:]
    event = ServiceEvent("bounced", "1", "", raw=f'{{"message-id": "<{name}@agents.acme.test>"}}')
    assert list(esp_reports.messages(event)) == [key]


def test_a_storm_of_candidates_is_cut() -> None:
    raw = " ".join(f"{TOKEN[:-2]}{a}{b}" for a in "abcdef" for b in "abcdef")
    assert (
        len(list(esp_reports.references(ServiceEvent("bounced", "1", "", raw=raw)))) == esp_reports.MAX_NAMES
    )
