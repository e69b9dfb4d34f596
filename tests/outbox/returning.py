"""What tests of the way back share: deliveries that were delivered, and reports about them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from outbox import intake, ledger, verp
from outbox.keys import authenticate
from outbox.ledger import Settlement
from outbox.models import Delivery, Event, Signal
from outbox.payloads import parse_draft
from simulator.reports import Subject, arf, dsn
from tests import factories

VERP = "a return-path key of tests"
DOMAIN = "agents.acme.test"
UNTIL = (datetime.now(UTC) + timedelta(days=30)).date()


def delivered(
    session: int, count: int = 1, *, to: str = "example.org", key: str = "", status: str = "delivered"
) -> list[UUID]:
    """So many deliveries to a recipient each, taken by their server (or still under way, with ``sending``)."""
    caller = authenticate(f"Bearer {key or factories.key(factories.agent())}")
    body = {"to": [], "subject": "Hi", "text": "Hi"}
    drafts = [
        parse_draft({**body, "to": [f"p{i}@{to}"]}, now=datetime.now(UTC), idempotency_key=None)
        for i in range(count)
    ]
    intake.accept(drafts, caller, request_id="r", base_url="https://ao.test")
    claimed = ledger.claim(session, tier=1, limit=count)
    ledger.clear(session, [(one.id, one.attempt) for one in claimed])
    if status != "sending":
        settle(session, claimed, status)
    return [one.id for one in sorted(claimed, key=lambda one: one.recipient)]


def settle(session: int, claimed: Any, status: str = "delivered") -> None:
    code = {
        "delivered": "accepted_by_server",
        "relayed": "accepted_by_relay",
        "uncertain": "no_reply_after_dot",
    }[status]
    evidence = "accepted" if status != "uncertain" else ""
    ledger.settle(
        session, [Settlement(one.id, one.attempt, status, code, evidence=evidence) for one in claimed]
    )


def return_path(delivery: UUID, *, until: Any = UNTIL, key: str = VERP, domain: str = DOMAIN) -> str:
    return verp.return_path(verp.make_token(delivery, until, key.encode()), domain)


def subject(delivery: UUID, token: str = "") -> Subject:
    """A message as a reporter knows it, with our reference in its header."""
    row = Delivery.objects.get(pk=delivery)
    path = return_path(delivery)
    header = (
        f"From: ada@{DOMAIN}\r\nTo: {row.recipient}\r\nX-AO-Ref: {token or verp.token_in(path)}\r\n".encode()
    )
    return Subject(path, row.recipient, header, "mx.example.org", "Mon, 23 Nov 2026 09:00:00 +0000")


def bounce(delivery: UUID, *, action: str = "failed", status: str = "5.1.1", says: str = "") -> bytes:
    """A DSN with another verdict than the simulator's, if it is wanted."""
    raw = dsn(subject(delivery)).replace(b"Action: failed", f"Action: {action}".encode())
    raw = raw.replace(b"Status: 5.1.1", f"Status: {status}".encode())
    said = says or f"550 {status} User unknown"
    return raw.replace(b"smtp; 550 5.1.1 User unknown", f"smtp; {said}".encode())


def complaint(delivery: UUID, *, kind: str = "abuse", token: str = "") -> bytes:
    return arf(subject(delivery, token)).replace(b"Feedback-Type: abuse", f"Feedback-Type: {kind}".encode())


def standing(delivery: UUID) -> tuple[str, str]:
    return Delivery.objects.values_list("status", "code").get(pk=delivery)


def kinds(delivery: UUID) -> list[str]:
    return list(Event.objects.filter(delivery_id=delivery).order_by("id").values_list("kind", flat=True))


def signals() -> list[tuple[UUID, str]]:
    return list(Signal.objects.order_by("id").values_list("delivery_id", "kind"))
