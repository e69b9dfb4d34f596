"""What watches over it, in the admin: alarms, and drills of the stop. Nothing here can be changed."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from outbox import alarms
from outbox.conditions import CONDITIONS
from outbox.models import Alarm, Drill
from outbox.searching import ClosedListFilter
from reputation.viewing import ReadOnly, block, chip, clock, stamp, visible


class KindFilter(ClosedListFilter):
    title = parameter_name = "kind"
    values = tuple(condition.kind for condition in CONDITIONS)


class StandingFilter(admin.SimpleListFilter):
    title = parameter_name = "standing"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("ended", "ended"), ("untold", "nobody was told")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {"open": Q(ended_at=None), "ended": ~Q(ended_at=None), "untold": Q(told_at=None)}
        return queryset.filter(wanted.get(self.value() or "", Q()))


@admin.register(Alarm)
class AlarmAdmin(ReadOnly):
    list_display = ("shown_kind", "what", clock("raised_at"), "end", "told")
    list_filter = (StandingFilter, KindFilter)
    search_fields = ("key", "words")
    search_help_text = "Words of an alarm, such as a scope or a domain."
    fields = ("shown_kind", "in_full", "runbook", clock("raised_at"), "end", "told", "tries")

    @admin.display(description="alarm")
    def shown_kind(self, alarm: Alarm) -> SafeString:
        return chip(alarm.kind)

    @admin.display(description="words")
    def what(self, alarm: Alarm) -> str:
        return visible(alarm.words)

    @admin.display(description="words")
    def in_full(self, alarm: Alarm) -> SafeString:
        return block(alarm.words)

    @admin.display(description="runbook")
    def runbook(self, alarm: Alarm) -> str | SafeString:
        address = alarms.runbook(alarm.kind)
        return format_html('<a href="{}">{}</a>', address, address) if "://" in address else address

    @admin.display(description="ended")
    def end(self, alarm: Alarm) -> str:
        return stamp(alarm.ended_at) or "open"

    @admin.display(description="told")
    def told(self, alarm: Alarm) -> str:
        if alarm.told_at:
            return stamp(alarm.told_at)
        return f"no: {visible(alarm.said)}" if alarm.said else "not yet"


@admin.register(Drill)
class DrillAdmin(ReadOnly):
    list_display = (
        clock("at"),
        "scope",
        "messages",
        "sent",
        "kept",
        "leaked",
        "trip",
        "zero",
        "heard",
        "workers",
        "who",
    )
    list_filter = ("scope",)
    search_fields = ("scope", "who")
    search_help_text = "A scope, or who did it."

    @admin.display(description="after")
    def leaked(self, drill: Drill) -> str:
        return f"{drill.after}: THIS MUST BE 0" if drill.after else "0"

    @admin.display(description="trip")
    def trip(self, drill: Drill) -> str:
        return _seconds(drill.trip_seconds)

    @admin.display(description="zero")
    def zero(self, drill: Drill) -> str:
        return _seconds(drill.zero_seconds)

    @admin.display(description="heard")
    def heard(self, drill: Drill) -> str:
        return _seconds(drill.heard_seconds)


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.3f} s"
