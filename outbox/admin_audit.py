"""The audit in the admin: who did what and when, and how far its chain was found whole.

Guarantees: nothing here can be changed; opening it verifies nothing, however long the chain is: ``audit.look`` does, a
step at a time, and its last word stands above the list.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from outbox.models import Audit, AuditLook
from outbox.searching import PeriodFilter
from reputation.models import Stream
from reputation.switchlog import RULE
from reputation.viewing import ReadOnly, block, chip, clock, stamp, visible

# what acts begin with -> what they are about
NOUNS: Final = {
    "switch": "stops and resumes",
    "reopening": "resumes in steps",
    "purge": "purges",
    "judgement": "conclusions of rules",
    "approval": "decisions about requests",
    "uncertain": "what became of uncertain deliveries",
    "export": "lists taken away",
    "login": "log-ins",
    "admin": "the admin",
    "membership": "who belongs to a group",
    "right": "rights",
    "user": "people",
    "secondfactor": "second factors",
    "group": "groups",
    "agent": "agents",
    "apikey": "API keys",
    "endpoint": "webhooks out",
    "policy": "policies",
    "numbers": "the numbers of rules",
    "suppression": "suppressions by people",
    "stream": "streams",
    "route": "routes",
    "domain": "sending domains",
    "organisation": "organisational domains",
    "key": "signing keys",
    "providerlimit": "provider limits",
}
ALSO: Final = {"secondfactor": "second_factor"}  # what people do with theirs, beside what became of the row
BRIEF: Final = 120  # characters of a detail in the list


NOTHING: Final = "none"
# subjects that tell a row by its number -> whose row it is
BY_NUMBER: Final[Mapping[str, type[Model]]] = {"policy": Stream, "numbers": Stream, "secondfactor": User}


class NounFilter(admin.SimpleListFilter):
    title = "what it is about"
    parameter_name = "about"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return list(NOUNS.items())

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Audit]) -> QuerySet[Audit]:
        noun = self.value()
        if not noun:
            return queryset
        words = [noun, *filter(None, [ALSO.get(noun)])]
        return queryset.filter(
            Q(act=noun) | Q(*(("act__startswith", f"{word}.") for word in words), _connector=Q.OR)
        )


class DoerFilter(admin.SimpleListFilter):
    title = "who"
    parameter_name = "by"

    def lookups(self, _request: HttpRequest, _admin: Any) -> tuple[tuple[str, str], ...]:
        return (("people", "people"), ("rules", "rules"), ("roles", "the database's roles"))

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Audit]) -> QuerySet[Audit]:
        rules, roles = Q(who__startswith=RULE), Q(who__startswith="role:")
        wanted = {"people": ~(rules | roles), "rules": rules, "roles": roles}
        return queryset.filter(wanted[self.value() or ""]) if self.value() in wanted else queryset


class WhenFilter(PeriodFilter):
    """When; by the time in the row, since its number does not tell."""

    def between(
        self, queryset: QuerySet[Any], since: datetime | None, until: datetime | None
    ) -> QuerySet[Any]:
        found = queryset.filter(at__gte=since) if since else queryset
        return found.filter(at__lt=until) if until else found


@admin.register(Audit)
class AuditAdmin(ReadOnly):
    change_list_template = "admin/outbox/audit/change_list.html"
    list_display = ("id", clock("at", "when"), "doer", "act", "about", "brief")
    list_filter = (NounFilter, DoerFilter, WhenFilter)
    search_fields = ("=who", "subject__startswith", "subject__icontains")
    search_help_text = "Who did it, in full; or a part of what it was done to: agent:ada, user:rita, a scope."
    fields = ("id", clock("at", "when"), "doer", "act", "about", "told", "link")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, with how far its chain was found whole."""
        return super().changelist_view(request, {"chain": standing(), **(extra_context or {})})

    @admin.display(description="who")
    def doer(self, row: Audit) -> str:
        return visible(row.who)

    @admin.display(description="what it was done to")
    def about(self, row: Audit) -> str:
        # the admin's own rows go by other numbers, and name what they are about
        return visible(row.subject if row.act.startswith("admin.") else row.subject + _named(row.subject))

    @admin.display(description="detail")
    def brief(self, row: Audit) -> str:
        words = visible("; ".join(f"{name}: {value}" for name, value in _told(row) if value != NOTHING))
        return words if len(words) <= BRIEF else f"{words[:BRIEF]} …"

    @admin.display(description="detail")
    def told(self, row: Audit) -> SafeString:
        lines = ((name, block(value)) for name, value in _told(row))
        return format_html(
            '<dl class="ao-told">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines)
        )

    @admin.display(description="its link in the chain")
    def link(self, row: Audit) -> str:
        return f"{row.pk}:{bytes(row.digest).hex()}"


def standing() -> SafeString:
    """In one line: is the chain whole, up to where, and when was that found."""
    seen = AuditLook.objects.first()
    if seen is None or seen.at is None:
        return SafeString("The chain has not been verified yet.")
    if seen.broken is not None:
        words = "{} The chain is broken at row {}: {}. Found {}."
        return format_html(words, chip("broken"), seen.broken, seen.words, stamp(seen.at))
    whole = f"; all of it from the first row on {stamp(seen.whole_at)}" if seen.whole_at else ""
    return format_html(
        "{} Chain verified up to row {} at {}{}.", chip("whole"), seen.upto, stamp(seen.at), whole
    )


def _named(subject: str) -> str:
    """Whose row it is, where the subject tells it by number alone; what is gone has no name."""
    noun, _, number = subject.partition(":")
    if noun not in BY_NUMBER or not number.isdecimal():
        return ""
    found = BY_NUMBER[noun]._default_manager.filter(pk=int(number)).first()
    return f" ({found})" if found else ""


def _told(row: Audit) -> list[tuple[str, str]]:
    """What a row tells, each thing by its name in words, the reason first. Only changes are of before and after."""
    change = row.act.endswith(".changed")
    names = sorted(row.detail, key=lambda name: name != "why")
    return [(name.replace("_", " "), _said(name, row.detail[name], change)) for name in names]


def _said(name: str, value: Any, change: bool) -> str:
    if change and isinstance(value, list) and len(value) == 2:
        return f"{_plain(value[0])} → {_plain(value[1])}"
    if name == "said":  # the admin's own log, which is kept as JSON
        return LogEntry(change_message=value).get_change_message()
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "; ".join(f"{name.replace('_', ' ')}: {_plain(each)}" for name, each in value.items()) or NOTHING
        )
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value in (None, "") else str(value)
