"""Admin pages that only show: what the ledger wrote, people read.

Guarantees: nothing is added, changed or deleted here, by nobody, a superuser included; a list costs the same
over a thousand rows or a hundred million: it is read by its key, counted no further than ``COUNTED``, and
stopped when it takes longer than ``PATIENCE``. Refuses to interpret what agents and servers wrote: text is
shown escaped, and what would hide or turn it is spelled out.
"""

import unicodedata
from collections.abc import Iterable
from datetime import MAXYEAR, UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import OperationalError, transaction
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from psycopg.errors import QueryCanceled

from reputation import sql

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    AnyPaginator = Paginator[Any]
else:
    ModelAdmin, TabularInline, AnyPaginator = admin.ModelAdmin, admin.TabularInline, Paginator

PAGE: Final = 50
COUNTED: Final = 20 * PAGE
PATIENCE: Final[LiteralString] = "SET LOCAL statement_timeout = '4s'"

TOO_LONG: Final = "That took more than four seconds and was stopped. Search for an id, or choose a period."

# The zero-width joiners stay as they are: emoji and Persian need them.
_JOINERS: Final = "\u200c\u200d"
_HIDING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def download(name: str, lines: Iterable[str]) -> StreamingHttpResponse:
    """CSV as a file to keep, a line at a time as it is written; no cache keeps what it holds."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


class CappedPaginator(AnyPaginator):
    """Counts as far as anybody will leaf: ``count(*)`` over millions of rows answers no question."""

    @property
    def most(self) -> int:
        """Where the count ends."""
        return COUNTED

    @cached_property
    def count(self) -> int:
        return cast("QuerySet[Model]", self.object_list)[: self.most].count()


def _never(self: Any, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG001
    return False


class FixedOnce(ModelAdmin):
    """Rows that stay: names which scopes are made of cannot change, and what is in use is switched off instead."""

    fixed: tuple[str, ...] = ()
    list_per_page = PAGE
    save_on_top = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        always = tuple(cast("tuple[str, ...]", super().get_readonly_fields(request, obj)))
        return (*self.fixed, *always) if obj else always

    has_delete_permission = _never


class ReadOnly(ModelAdmin):
    """A list and a page to look at. Ordered by key, since the keys of large tables sort by time."""

    actions: Any = None
    ordering = ("-pk",)
    sortable_by = ()
    paginator = CappedPaginator
    list_per_page = list_max_show_all = PAGE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count over everything for each choice of each filter
    change_list_template = "admin/viewing_list.html"
    change_form_template = "admin/viewing_page.html"

    has_add_permission = has_change_permission = has_delete_permission = _never

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """What the page shows; instants as they stand in lists."""
        instants = {field.name for field in self.opts.fields if isinstance(field, DateTimeField)}
        return [clock(name) if name in instants else name for name in super().get_fields(request, obj)]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, within ``PATIENCE``: rendered here, because its queries run while it is rendered."""
        try:
            with transaction.atomic():
                sql.count(PATIENCE)
                response = super().changelist_view(request, {"counted": COUNTED, **(extra_context or {})})
                return response.render() if isinstance(response, TemplateResponse) else response
        except OperationalError as error:
            if not isinstance(error.__cause__, QueryCanceled) or not request.GET:
                raise
        self.message_user(request, TOO_LONG, messages.WARNING)
        return HttpResponseRedirect(request.path)


class Beside(ModelAdmin):
    """A row's page with more beside the row: what ``beside`` answers goes to its template."""

    def beside(self, request: HttpRequest, row: Any, form: Any) -> dict[str, Any]:
        """``row`` is None on the page that adds one; ``form`` is the one shown."""
        raise NotImplementedError

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        told = self.beside(request, obj, context["adminform"].form)
        return super().render_change_form(request, context | told, add, change, form_url, obj)


class ReadOnlyInline(TabularInline):
    """Rows of another table on the page of the row they belong to."""

    extra = max_num = 0
    can_delete = False

    has_add_permission = has_change_permission = has_delete_permission = _never


def confirm(site: ModelAdmin, request: HttpRequest, **context: Any) -> TemplateResponse:
    """A page that asks before something is done: ``title``, ``question``, ``button`` and ``back``."""
    shown = {**site.admin_site.each_context(request), "opts": site.opts, **context}
    return TemplateResponse(request, "admin/confirm.html", shown)


def stamp(at: datetime | None, never: str = "never") -> str:
    """An instant as logs and servers write it, to the second, in UTC; the last year there is means ``never``."""
    if at is None:
        return ""
    return never if at.year == MAXYEAR else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def timed(at: datetime | None) -> SafeString:
    """The same, with its fractions of a second for whoever points at it."""
    if at is None:
        return SafeString("")
    exact = at.astimezone(UTC).isoformat()
    return format_html('<time datetime="{}" title="{}">{}</time>', exact, exact, stamp(at))


def clock(field: str, description: str = "", never: str = "never") -> Any:
    """A column or line that shows an instant of a row by ``stamp``; Any, since stubs know only names in ``fields``."""

    @admin.display(description=description or field.removesuffix("_at").replace("_", " "))
    def shown(row: Any) -> str:
        return stamp(getattr(row, field), never) or "-"

    shown.__name__ = field  # its class in the page
    return shown


def visible(text: str) -> str:
    """Text as it is, but for line ends and tabs every character that hides or turns it spelled out."""
    return "".join(_spelled(character) if _hides(character) else character for character in text)


def block(text: str) -> SafeString:
    """Text of others over several lines, escaped."""
    return format_html('<pre class="ao-text">{}</pre>', visible(text.replace("\r\n", "\n")))


def chip(word: str, note: str = "") -> SafeString:
    """A status, coloured by its word; the word stays, since colour alone tells some people nothing."""
    spoken = word.replace("_", " ")
    shape = '<span class="ao-chip ao-{}">{}{}</span>'
    return format_html(shape, spoken.replace(" ", "-"), spoken, f" {note}" if note else "")


def _hides(character: str) -> bool:
    return (
        not character.isprintable()
        and character not in "\n\t" + _JOINERS
        and unicodedata.category(character) in _HIDING
    )


def _spelled(character: str) -> str:
    return f"\\u{ord(character):04x}"
