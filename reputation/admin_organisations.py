"""Organisational domains: declared by a person for agents or protected from them, seen as providers sum them up.

Guarantees: a declaration is made by ``domains.declare`` alone, by POST, with the domain typed, and leaves who and
when; nothing is added or deleted here in any other way.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from reputation import bulk, domains, keyring
from reputation.forms import DeclareForm, WarmingForm
from reputation.models import OrganisationalDomain
from reputation.viewing import Beside, FixedOnce, chip, confirm, stamp, visible

WARNING = (
    "Every agent stream needs a domain below one that is dedicated to agents. What mailbox providers come to think of "
    "it they think of all of it: never dedicate the company's own."
)


class OrganisationList(ChangeList):
    """A page of organisations with their volume and domains: two statements more, however many rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = list(self.result_list)
        volumes = bulk.last_day(rows, keyring.now())
        counted = OrganisationalDomain.objects.filter(pk__in=[row.pk for row in rows])
        counts = dict(counted.annotate(all=Count("domains")).values_list("pk", "all"))
        for row in rows:
            row.volume, row.domain_count = volumes.get(row.name, 0), counts.get(row.pk, 0)
        self.result_list = rows


@admin.register(OrganisationalDomain)
class OrganisationalDomainAdmin(Beside, FixedOnce):
    form = WarmingForm
    change_form_template = "admin/reputation/organisationaldomain/change_form.html"
    readonly_fields = ("name", "use_now", "declared")
    fieldsets = (
        (None, {"fields": ("name", "use_now", "declared")}),
        ("Warming up, all sending domains together", {"fields": ("preset", "own_steps", "target")}),
    )
    list_display = ("name", "use_now", "sending_domains", "to_gmail", "declared")
    list_filter = ("use",)
    search_fields = ("name",)
    search_help_text = "Part of a domain's name."
    ordering = ("name",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return OrganisationList

    @admin.display(description="use", ordering="use")
    def use_now(self, organisation: OrganisationalDomain) -> SafeString:
        return chip(organisation.use)

    @admin.display(description="declared")
    def declared(self, organisation: OrganisationalDomain) -> str:
        if not organisation.declared_by:
            return "by nobody yet"
        return f"by {visible(organisation.declared_by)}, {stamp(organisation.declared_at)}"

    @admin.display(description="sending domains")
    def sending_domains(self, organisation: Any) -> int:
        return int(organisation.domain_count)

    @admin.display(description="to personal Gmail in 24 h, at most")
    def to_gmail(self, organisation: Any) -> str:
        return f"{organisation.volume:,} of {bulk.LINE:,}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.declare)
        name = "reputation_organisationaldomain_declare"
        return [path("<int:organisation>/declare/", view, name=name), *super().get_urls()]

    def beside(self, _request: HttpRequest, row: Any, _form: Any) -> dict[str, Any]:
        return {"bulk": bulk.of_organisation(row, keyring.now())} if row else {}

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",  # noqa: ARG002
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Declare a domain that nobody has enrolled anything below yet."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        back = reverse("admin:reputation_organisationaldomain_changelist")
        return self._declare(request, DeclareForm(request.POST or None), "Declare a domain", back)

    def declare(self, request: HttpRequest, organisation: int) -> HttpResponse:
        """Say what an organisational domain is for, by typing its name."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        row = get_object_or_404(OrganisationalDomain, pk=organisation)
        given = {**request.POST.dict(), "name": row.name} if request.method == "POST" else None
        form = DeclareForm(given, initial={"name": row.name, "use": row.use})
        form.fields["name"].disabled = True
        return self._declare(request, form, f"Declare {row}", _page(row))

    def _declare(self, request: HttpRequest, form: DeclareForm, title: str, back: str) -> HttpResponse:
        if form.is_valid() and (row := _declared(request, form)):
            self.log_change(request, row, f"Declared {row.use}.")
            self.message_user(request, f"{row} is declared: {row.get_use_display()}.")
            return HttpResponseRedirect(_page(row))
        return confirm(self, request, title=title, form=form, question=WARNING, button="Declare", back=back)


def _declared(request: HttpRequest, form: DeclareForm) -> OrganisationalDomain | None:
    name = form.cleaned_data["name"].strip().lower()
    try:
        return domains.declare(name, form.cleaned_data["use"], who=request.user.get_username())
    except domains.NotEnrolled as error:
        form.add_error("name", str(error))
    except domains.NotDeclared as error:
        form.add_error("use", str(error))
    return None


def _page(organisation: OrganisationalDomain) -> str:
    return reverse("admin:reputation_organisationaldomain_change", args=[organisation.pk])
