"""What came in, in the admin: signals about deliveries, messages that wait for a person, how much there was.

Guarantees: nothing here can be changed, and a message of a stranger is shown as its source, never rendered: its
octets as text, what hides or turns it spelled out.
"""

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.utils.safestring import SafeString

from outbox.models import Quarantine, ReturnCount, Signal
from outbox.telling import delivery_link
from reputation.viewing import ReadOnly, block, chip, clock, visible

SHOWN_OCTETS = 256 * 1024


@admin.register(Signal)
class SignalAdmin(ReadOnly):
    list_display = (clock("at"), "shown_kind", "code", "reason", "status", "delivery_shown", "source", "said")
    list_filter = ("kind", "source")
    fields = (
        clock("at"),
        "shown_kind",
        "code",
        "reason",
        "hard",
        "status",
        "delivery_shown",
        "source",
        "reporter_shown",
        "said",
    )

    @admin.display(description="kind")
    def shown_kind(self, signal: Signal) -> SafeString:
        return chip(signal.kind)

    @admin.display(description="delivery")
    def delivery_shown(self, signal: Signal) -> SafeString:
        return delivery_link(signal.delivery_id)

    @admin.display(description="who says so")
    def reporter_shown(self, signal: Signal) -> str:
        return visible(signal.reporter)

    @admin.display(description="text")
    def said(self, signal: Signal) -> str:
        return visible(signal.text)


@admin.register(Quarantine)
class QuarantineAdmin(ReadOnly):
    list_display = (clock("at"), "why", "to", "octets", "delivery_shown", "source", "told")
    list_filter = ("why", "source")
    fields = (clock("at"), "why", "told", "to", "delivery_shown", "source", "octets", "message")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quarantine]:
        rows: QuerySet[Quarantine] = super().get_queryset(request)
        return rows.defer("content", "digest").annotate(size=Length("content"))

    @admin.display(description="envelope recipient")
    def to(self, row: Quarantine) -> str:
        return visible(row.envelope_to)

    @admin.display(description="octets")
    def octets(self, row: Quarantine) -> int:
        size: int = row.size  # type: ignore[attr-defined]
        return size

    @admin.display(description="delivery")
    def delivery_shown(self, row: Quarantine) -> SafeString | None:
        return delivery_link(row.delivery_id) if row.delivery_id else None

    @admin.display(description="detail")
    def told(self, row: Quarantine) -> str:
        return visible(row.detail)

    @admin.display(description="message, its source")
    def message(self, row: Quarantine) -> SafeString:
        return block(bytes(row.content[:SHOWN_OCTETS]).decode("utf-8", "backslashreplace"))


@admin.register(ReturnCount)
class ReturnCountAdmin(ReadOnly):
    list_display = ("day", "source", "end", "messages")
    list_filter = ("source", "end")
