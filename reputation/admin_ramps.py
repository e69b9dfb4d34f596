"""Ramps, what happened to them, and the tables that say how fast we speak and over what: lists and pages to look at.

Guarantees: nothing here moves a ramp; rules do. A list is the same number of statements however many rows it has.
"""

from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.safestring import SafeString

from reputation import keyring, overview, tiles
from reputation.models import Allowance, ProviderLimit, ProviderSuffix, Ramp, RampEvent, TlsPolicy
from reputation.providers import OTHER
from reputation.viewing import Beside, ModelAdmin, ReadOnly, block, chip, clock, visible

KINDS: Final = ("advanced", "held", "stepped_down", "idle", "slowed", "closed", "opened")


class FamilyFilter(admin.SimpleListFilter):
    """Families by the small table of suffixes: the large one is not searched for what it holds."""

    title, parameter_name = "provider", "family"
    column = "family"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        known = ProviderSuffix.objects.order_by("family").values_list("family", flat=True).distinct()
        return [(family, family) for family in [*known, OTHER]]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class RampProviderFilter(FamilyFilter):
    """Providers that there are ramps towards."""

    column = "provider"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        known = Ramp.objects.order_by("provider").values_list("provider", flat=True).distinct()
        return [(provider, provider) for provider in known]


class RampList(ChangeList):
    """A page of ramps with the newest day of them all: one statement more, however many rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = list(self.result_list)
        newest = Allowance.objects.filter(ramp__in=rows).order_by("ramp_id", "-day").distinct("ramp_id")
        days = {day.ramp_id: day for day in newest}
        for row in rows:
            row.newest = days.get(row.pk)
        self.result_list = rows


@admin.register(Ramp)
class RampAdmin(Beside, ReadOnly):
    change_form_template = "admin/reputation/ramp/change_form.html"
    ordering = ("-pk",)
    list_display = ("key", "provider", "kind", "step", "held", "last_day", "turned", "waiting")
    list_filter = ("kind", "valve", "holding", RampProviderFilter)
    search_fields = ("key",)
    search_help_text = "Part of a sending domain, a source address or an organisational domain."

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return RampList

    def get_fieldsets(self, _request: HttpRequest, _row: Any = None) -> list[Any]:
        return []

    def beside(self, _request: HttpRequest, row: Any, _form: Any) -> dict[str, Any]:
        [tile] = tiles.tiles([row], keyring.now(), tiles.plan_for(row))
        return {"tile": tile, "subtitle": str(row), "happenings": overview.happenings([row])}

    @admin.display(description="evidence", empty_value="")
    def held(self, ramp: Ramp) -> SafeString | None:
        return chip("held") if ramp.holding else None

    @admin.display(description="newest day")
    def last_day(self, ramp: Any) -> str:
        return f"{ramp.newest.day}: {tiles.in_words(ramp.newest)}" if ramp.newest else "none yet"

    @admin.display(description="valve")
    def turned(self, ramp: Ramp) -> SafeString:
        return tiles.valve(ramp)


class EventKindFilter(admin.SimpleListFilter):
    """What happened, from a closed list: the table is not searched for what it holds."""

    title = parameter_name = "kind"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ")) for kind in KINDS]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() in KINDS else queryset


@admin.register(RampEvent)
class RampEventAdmin(ReadOnly):
    list_display = (clock("at"), "what", "ramp", "step", "cap", "reason")
    list_filter = (EventKindFilter,)
    list_select_related = ("ramp",)
    search_fields = ("=ramp__key",)
    search_help_text = "A sending domain, source address or organisational domain, in full."
    fields = (clock("at"), "ramp", "what", "step", "cap", "reason_in_full", "arithmetic")

    @admin.display(description="what")
    def what(self, event: RampEvent) -> SafeString:
        return chip(event.kind)

    @admin.display(description="why")
    def reason(self, event: RampEvent) -> str:
        return visible(event.why)

    @admin.display(description="why")
    def reason_in_full(self, event: RampEvent) -> SafeString:
        return block(event.why)

    @admin.display(description="arithmetic")
    def arithmetic(self, event: RampEvent) -> SafeString:
        return block(overview.arithmetic(event.evidence))


@admin.register(ProviderLimit)
class ProviderLimitAdmin(ModelAdmin):
    list_display = ("family", "connections", "reserved", "pace")
    search_fields = ("family",)
    search_help_text = "A provider's family."
    ordering = ("family",)

    @admin.display(description="recipients a minute", ordering="per_minute")
    def pace(self, limit: ProviderLimit) -> str:
        return "no limit" if limit.per_minute is None else f"{limit.per_minute:,}"


@admin.register(TlsPolicy)
class TlsPolicyAdmin(ReadOnly):
    list_display = ("domain", "mode_now", "hosts_shown", clock("fetched_at"), clock("expires_at"))
    list_filter = (("mode", admin.AllValuesFieldListFilter),)
    ordering = ("domain",)
    search_fields = ("=domain",)
    search_help_text = "A recipient's domain, in full."
    fields = ("domain", "mode", "hosts_shown", "policy_id", "fetched_at", "expires_at")

    @admin.display(description="mode")
    def mode_now(self, policy: TlsPolicy) -> SafeString:
        return chip(policy.mode)

    @admin.display(description="MX hosts")
    def hosts_shown(self, policy: TlsPolicy) -> str:
        return visible(", ".join(policy.hosts)) or "-"
