"""Who is not mailed, in the admin: looked up, added, lifted, erased, imported and exported by people.

Guarantees: an address is shown and exported only to those who may unseal it; a list costs the same over a hundred rows
or a million, and asks nothing per row; everything is done by POST with a reason, and leaves who did it. Search is for
one whole address, by its hash: parts of addresses cannot be searched for.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from reputation import suppression, suppression_lists
from reputation.models import Stream, Suppression
from reputation.suppression import Entry, Reason
from reputation.suppression_forms import EraseForm, ImportForm, LiftForm, SuppressForm
from reputation.suppression_lists import NAMED, BadList, Imported
from reputation.vault import Unsealable
from reputation.viewing import ReadOnly, block, chip, clock, confirm, download, stamp, visible

LIST = "admin:reputation_suppression_changelist"
LIFTING = "Streams of its scope may write to this person again. Whoever asked to be left alone will ask for the reason."
ERASING = (
    "The address goes out of every entry about this person, in all spellings, and cannot be had back. They stay "
    "suppressed: a hash of the address remains."
)


class ScopeFilter(admin.SimpleListFilter):
    title = parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        streams = Stream.objects.order_by("name").values_list("name", flat=True)
        return [
            ("all", "all streams"),
            ("agents", "all agents"),
            *((f"stream:{name}", name) for name in streams),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(scope=self.value()) if self.value() else queryset


class StandingFilter(admin.SimpleListFilter):
    title = parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [("now", "suppressed now"), ("expired", "expired"), ("lifted", "lifted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        kept = queryset.filter(lifted_at=None)
        wanted = {
            "now": kept.filter(Q(expires_at=None) | Q(expires_at__gt=Now())),
            "expired": kept.filter(expires_at__lte=Now()),
            "lifted": queryset.exclude(lifted_at=None),
        }
        return wanted.get(self.value() or "", queryset)


@admin.register(Suppression)
class SuppressionAdmin(ReadOnly):
    change_list_template = "admin/reputation/suppression/change_list.html"
    change_form_template = "admin/reputation/suppression/change_form.html"
    list_filter = ("reason", ScopeFilter, StandingFilter)
    search_fields = ("pk",)  # so that there is a box; what is typed there goes to get_search_results
    search_help_text = "One whole address; its tags and dots do not matter."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows if _may(request, "unseal") else rows.defer("address_sealed")

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        return (
            *_address(request),
            "why_not",
            "scope",
            "standing",
            clock("created_at", "since"),
            "source_shown",
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:  # noqa: ARG002
        told = ["why_not", "scope", "standing", clock("created_at", "since"), "source_shown", "told"]
        return [*_address(request), *told, "ended"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def get_search_results(
        self,
        _request: HttpRequest,
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        address = search_term.strip()
        return (queryset.filter(person=suppression.person_mark(address)) if address else queryset), False

    @admin.display(description="reason")
    def why_not(self, row: Suppression) -> SafeString:
        return chip(row.reason)

    @admin.display(description="now")
    def standing(self, row: Suppression) -> str:
        if row.lifted_at:
            return f"lifted {stamp(row.lifted_at)}"
        return f"until {stamp(row.expires_at)}" if row.expires_at else "until lifted"

    @admin.display(description="source")
    def source_shown(self, row: Suppression) -> str:
        return visible(row.source)

    @admin.display(description="why")
    def told(self, row: Suppression) -> SafeString:
        return block(row.why or "-")

    @admin.display(description="lifted")
    def ended(self, row: Suppression) -> SafeString:
        return block(
            f"{stamp(row.lifted_at)} by {row.lifted_by}: {row.lifted_why}" if row.lifted_at else "no"
        )

    def has_add_permission(self, request: HttpRequest) -> bool:  # type: ignore[override]
        return _may(request, "add")

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "<int:key>/lift/": ("lift", self.lift),
            "<int:key>/erase/": ("erase", self.erase),
            "import/": ("import", self.bring),
            "export/": ("export", self.export),
        }
        mine = [
            path(route, self.admin_site.admin_view(view), name=f"reputation_suppression_{name}")
            for route, (name, view) in views.items()
        ]
        return [*mine, *super().get_urls()]

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Suppress somebody by hand."""
        _want(request, "add")
        form = SuppressForm(request.POST or None)
        if form.is_valid():
            given = form.cleaned_data
            fresh = suppression.suppress([_by_person(request, given["address"], given)])
            self.message_user(request, "Suppressed." if fresh else "They were suppressed so already.")
            return HttpResponseRedirect(reverse(LIST))
        return self._ask(request, form, title="Suppress somebody", button="Suppress")

    def lift(self, request: HttpRequest, key: int) -> HttpResponse:
        """Let somebody be mailed again, with a reason."""
        _want(request, "lift")
        row, form = get_object_or_404(Suppression, pk=key), LiftForm(request.POST or None)
        if form.is_valid():
            why = form.cleaned_data["why"]
            done = suppression.lift(row.pk, _name(request), why)
            if done:
                self.log_change(request, row, f"Lifted: {why}")
            self.message_user(request, "Lifted." if done else "It was lifted before.")
            return HttpResponseRedirect(_page(row))
        return self._ask(request, form, title=f"Lift {row}", question=LIFTING, button="Lift", back=_page(row))

    def erase(self, request: HttpRequest, key: int) -> HttpResponse:
        """Drop the address, with a reason."""
        _want(request, "erase")
        row, form = get_object_or_404(Suppression, pk=key), EraseForm(request.POST or None)
        if form.is_valid():
            count = suppression.erase_person(bytes(row.person))
            self.log_change(request, row, f"Erased the address: {form.cleaned_data['why']}")
            self.message_user(request, f"The address is erased from entries: {count}.")
            return HttpResponseRedirect(_page(row))
        return self._ask(
            request, form, title=f"Erase {row}", question=ERASING, button="Erase", back=_page(row)
        )

    def bring(self, request: HttpRequest) -> HttpResponse:
        """Import a list."""
        _want(request, "add")
        form = ImportForm(request.POST or None, request.FILES or None)
        if form.is_valid():
            try:
                done = suppression_lists.read(form.lines(), _by_person(request, "", form.cleaned_data))
            except BadList as error:
                form.add_error("file", str(error))
            else:
                self.message_user(request, _told(done))
                return HttpResponseRedirect(reverse(LIST))
        return self._ask(request, form, title="Import a list", button="Import")

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The list as it is filtered, as CSV."""
        _want(request, "unseal")
        rows = self.get_changelist_instance(request).get_queryset(request).order_by("pk")
        return download("suppressions.csv", suppression_lists.written(rows))

    def _ask(self, request: HttpRequest, form: Any, **shown: Any) -> HttpResponse:
        return confirm(self, request, form=form, **{"back": reverse(LIST), **shown})


@admin.display(description="address")
def unsealed(row: Suppression) -> str:
    """The address, for those who may see it."""
    if row.erased_at:
        return "erased"
    try:
        return visible(suppression.address_in(row)) or "unknown"
    except Unsealable:
        return "cannot be opened"


def _address(request: HttpRequest) -> tuple[Any, ...]:
    return (unsealed,) if _may(request, "unseal") else ("pk",)


def _may(request: HttpRequest, verb: str) -> bool:
    return request.user.has_perm(f"reputation.{verb}_suppression")


def _want(request: HttpRequest, verb: str) -> None:
    if not _may(request, verb):
        raise PermissionDenied


def _name(request: HttpRequest) -> str:
    return f"person:{request.user.get_username()}"


def _by_person(request: HttpRequest, address: str, given: dict[str, Any]) -> Entry:
    return Entry(
        address, Reason.BY_PERSON, given["scope"], _name(request), given.get("expires_at"), given["why"]
    )


def _told(done: Imported) -> str:
    said = f"Lines: {done.lines:,}. New: {done.fresh:,}."
    if not done.wrong:
        return said
    some = ", ".join(map(str, done.wrong[:NAMED])) + (" ..." if len(done.wrong) > NAMED else "")
    return f"{said} Wrong, and left out: {len(done.wrong):,} (lines {some})."


def _page(row: Suppression) -> str:
    return reverse("admin:reputation_suppression_change", args=[row.pk])
