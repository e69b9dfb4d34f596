"""What relay services tell of mail they took: each event finds its delivery, counts once, and is acted on.

Guarantees: an event of one id counts once, however often it is posted; a delivery is found by our token, or by our
Message-ID and its recipient, never by an address alone. Its signal, move, event and suppression are one transaction, as
for a report that comes by mail. What finds nothing is forgotten: services tell of other mail of theirs too.
"""

from collections.abc import Iterable
from typing import Final, LiteralString
from uuid import UUID

from django.db import transaction

from outbox import esp_reports, ids, mailboxes, optouts, returns, tally
from outbox.esp_reports import ServiceEvent
from outbox.models import Signal
from outbox.reasons import Reason
from outbox.returns import End, Taken
from outbox.testimony import Report
from reputation import sql

SOURCE: Final = "esp"

FIRST_SIGHT: Final[LiteralString] = """
INSERT INTO outbox_seenevent (provider, event_id, at) VALUES (%(service)s, %(id)s, ao_now()) ON CONFLICT DO NOTHING
"""

OF_MESSAGE: Final[LiteralString] = """
SELECT id FROM outbox_delivery WHERE id > %(first)s AND id <= %(last)s AND lower(recipient) = lower(%(recipient)s)
"""

FORGET: Final[LiteralString] = "DELETE FROM outbox_seenevent WHERE at < ao_now() - interval '90 days'"


def take(service: str, told: Iterable[ServiceEvent]) -> list[Taken]:
    """Act on a service's events, in order; what became of each.

    Raises:
        django.db.Error: those before were written, and come again harmlessly with the rest.
    """
    taken = []
    for event in told:
        taken.append(_take(service, event))
        tally.count(SOURCE, taken[-1].end)
    return taken


def forget() -> int:
    """Drop events so old that no service repeats them; how many."""
    return sql.count(FORGET)


def _take(service: str, event: ServiceEvent) -> Taken:
    report = esp_reports.report_of(event)
    if report is None:
        return Taken(End.IGNORED)
    delivery = _delivery_of(event)
    if delivery is None:
        return Taken(End.UNMATCHED)
    with transaction.atomic():
        if event.id and not sql.count(FIRST_SIGHT, {"service": service, "id": event.id[:200]}):
            return Taken(End.KNOWN, delivery)
        return _heard(service, delivery, report)


def _heard(service: str, delivery: UUID, report: Report) -> Taken:
    if report.reason is Reason.OPT_OUT:
        left = optouts.leave_by(delivery, SOURCE)
        return Taken(End.COUNTED if left else End.UNMATCHED, delivery, Signal.Kind.UNSUBSCRIBED)
    return returns.hear(delivery, report, source=SOURCE, reporter=service, vouched=True)


def _delivery_of(event: ServiceEvent) -> UUID | None:
    for token in esp_reports.references(event):
        if delivery := mailboxes.delivery_of(token):
            return delivery
    for message in esp_reports.messages(event):
        asked = {"first": message, "last": ids.last_delivery_of(message), "recipient": event.recipient}
        if row := sql.one(OF_MESSAGE, asked):
            return UUID(str(row.id))
    return None
