"""Streams, routes, providers, and what the switch did: for the people who run them.

Sending domains, organisational domains and ramps have pages of their own rooms, registered by importing them here.
Guarantees: relay passwords never come out; what scopes are named after is fixed once it is made; what the switch
did is only shown. Refuses nothing by itself: ``forms`` does.
"""

from django.contrib import admin
from django.utils.safestring import SafeString

from reputation import admin_domains, admin_organisations, admin_rules, admin_suppressions
from reputation.admin_ramps import FamilyFilter
from reputation.forms import DAYS, ProviderSuffixForm, RouteForm, StreamForm
from reputation.models import KnownDomain, OpenStop, ProviderSuffix, Route, Stream, SwitchEvent
from reputation.viewing import FixedOnce, ModelAdmin, ReadOnly, block, chip, clock, visible

__all__ = [
    "admin_domains",
    "admin_organisations",
    "admin_rules",
    "admin_suppressions",
]  # importing them registers their pages


@admin.register(Stream)
class StreamAdmin(FixedOnce):
    fixed = ("name", "kind")
    readonly_fields = ("policy_version",)
    form = StreamForm
    fieldsets = (
        (None, {"fields": ("name", "kind", "resend_uncertain", "policy_version")}),
        ("When it sends", {"fields": ("time_zone", ("opens_hour", "closes_hour"), "sending_days")}),
        ("Limits", {"fields": ("recipients_per_day", "recipients_per_principal")}),
        ("Approvals", {"fields": ("second_person_above", "owner_may_approve")}),
        ("Below its messages", {"fields": ("postal_address",)}),
    )
    list_display = (
        "name",
        "kind",
        "sending_domain",
        "hours",
        "policy_version",
        "resends",
        clock("created_at"),
    )
    list_filter = ("kind", "resend_uncertain")
    list_select_related = ("domain",)
    search_fields = ("name", "domain__name")
    search_help_text = "Name of a stream or of its sending domain."
    ordering = ("name",)

    @admin.display(description="sending domain")
    def sending_domain(self, stream: Stream) -> str:
        return str(getattr(stream, "domain", "none yet"))

    @admin.display(description="resends uncertain", ordering="resend_uncertain")
    def resends(self, stream: Stream) -> str:
        return "yes" if stream.resend_uncertain else "no"

    @admin.display(description="sends")
    def hours(self, stream: Stream) -> str:
        if len(stream.sending_days) == 7 and (stream.opens_hour, stream.closes_hour) == (0, 24):
            return "always"
        days = (
            " ".join(DAYS[day] for day in sorted(stream.sending_days))
            if len(stream.sending_days) < 7
            else "daily"
        )
        return f"{days} {stream.opens_hour}-{stream.closes_hour} h, {stream.time_zone}"


@admin.register(Route)
class RouteAdmin(FixedOnce):
    form = RouteForm
    fixed = ("name",)
    readonly_fields = ("password_is",)
    list_display = ("name", "means", "host", "port", "security", "ehlo", "password_is")
    list_filter = ("means", "security")
    search_fields = ("name", "host", "ehlo")
    search_help_text = "Name, host or EHLO name."
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "means", "ehlo", "source_address")}),
        (
            "Relay",
            {
                "fields": (
                    "host",
                    "port",
                    "security",
                    "ca_file",
                    "username",
                    "password_is",
                    "password",
                    "forget_password",
                )
            },
        ),
        (
            "What the relay does",
            {
                "fields": (
                    "service",
                    "keeps_envelope_sender",
                    "keeps_message_id",
                    "signs_itself",
                    "spf_include",
                )
            },
        ),
        ("Warming up of the source address", {"fields": ("preset", "own_steps", "target")}),
    )

    @admin.display(description="password now")
    def password_is(self, route: Route) -> str:
        return "set" if route.password_sealed else "none"


@admin.register(ProviderSuffix)
class ProviderSuffixAdmin(ModelAdmin):
    form = ProviderSuffixForm
    list_display = ("suffix", "family")
    list_filter = ("family",)
    search_fields = ("suffix", "family")
    search_help_text = "Ending of an MX host's name, or a provider's family."
    ordering = ("suffix",)


@admin.register(KnownDomain)
class KnownDomainAdmin(ReadOnly):
    list_display = ("domain", "family", clock("learned_at"))
    list_filter = (FamilyFilter,)
    ordering = ("domain",)
    search_fields = ("=domain",)
    search_help_text = "A recipient's domain, in full."


@admin.register(OpenStop)
class OpenStopAdmin(ReadOnly):
    list_display = ("scope", clock("tripped_at"), "who", "reason", "epoch")
    fields = ("scope", clock("tripped_at"), "who", "reason", "epoch")
    ordering = ("-epoch",)
    search_fields = ("scope", "who")
    search_help_text = "Scope, or who tripped it."

    @admin.display(description="why")
    def reason(self, stop: OpenStop) -> str:
        return visible(stop.why)


@admin.register(SwitchEvent)
class SwitchEventAdmin(ReadOnly):
    list_display = ("epoch", clock("at"), "action_now", "scope", "who", "reason")
    fields = ("epoch", "at", "action", "scope", "who", "reason_in_full")
    list_filter = ("action",)
    search_fields = ("scope", "who")
    search_help_text = "Scope, or who did it."

    @admin.display(description="action")
    def action_now(self, event: SwitchEvent) -> SafeString:
        return chip(event.action)

    @admin.display(description="why")
    def reason(self, event: SwitchEvent) -> str:
        return visible(event.why)

    @admin.display(description="why")
    def reason_in_full(self, event: SwitchEvent) -> SafeString:
        return block(event.why)
