"""By which numbers rules judge, edited with what each would do beside it, and what it would have closed last month.

Guarantees: nothing is saved before its consequences were on the page of whoever asked for them; each change is a new
version with its author, and every judgement names the version it went by. Refuses to delete: a stream's own numbers are
set back to the general ones by hand, so that the versions stay in order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db import OperationalError
from django.db.models.functions import Now
from django.http import HttpRequest

from outbox import replaying
from reputation import judging
from reputation.models import Numbers as Row
from reputation.models import Stream
from reputation.rules import Numbers
from reputation.simulating import Consequences, consequences
from reputation.viewing import Beside, FixedOnce, clock

TRY: Final = "_try"
TRIED: Final = "Nothing was saved: this is what these numbers would do."
SIMULATED: Final = tuple(
    "bounce_line bounce_bad bounce_window complaint_line complaint_bad complaint_window events running_sum".split()
)
LONGEST_WINDOW: Final = 20_000  # a watch holds as many outcomes as its window


class NumbersForm(forms.ModelForm):  # type: ignore[type-arg]
    """Numbers within what the rules can bear; ``tried`` holds them when nothing is to be saved."""

    tried: dict[str, Any] | None = None

    class Meta:
        model = Row
        fields = ("stream", *judging.NUMBERS[:-1])

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        for name in ("bounce_window", "complaint_window"):
            if not 20 <= (found.get(name) or 20) <= LONGEST_WINDOW:
                self.add_error(name, f"Between 20 and {LONGEST_WINDOW:,}.")
        for name in ("events", "per_domain", "complaint_domains"):
            if (found.get(name) or 0) < 1:
                self.add_error(name, "At least 1.")
        if TRY in self.data and not self.errors:
            self.tried = found
            raise forms.ValidationError(TRIED)
        return found


@admin.register(Row)
class NumbersAdmin(Beside, FixedOnce):
    form = NumbersForm
    fixed = ("stream",)
    readonly_fields = ("version", "changed_by", "changed_at")
    change_form_template = "admin/reputation/numbers/change_form.html"
    list_display = ("__str__", "bounce_line", "complaint_line", "version", "changed_by", clock("changed_at"))
    list_select_related = ("stream",)
    search_fields = ("stream__name", "changed_by")
    search_help_text = "Name of a stream, or who changed them."
    fieldsets = (
        (None, {"fields": ("stream",)}),
        ("Bounces", {"fields": ("bounce_line", "bounce_bad", "bounce_window", "per_domain")}),
        (
            "Complaints",
            {"fields": ("complaint_line", "complaint_bad", "complaint_window", "complaint_domains")},
        ),
        ("Both", {"fields": ("events", "running_sum")}),
        ("Unsubscribes", {"fields": ("unsubscribe_line",)}),
        ("A run's first messages", {"fields": ("unknown_of_first", "first")}),
        ("Who", {"fields": ("version", "changed_by", "changed_at")}),
    )

    def get_fieldsets(self, _request: HttpRequest, obj: Row | None = None) -> Any:
        """Who changed them last, once there are any."""
        return self.fieldsets if obj else self.fieldsets[:-1]

    def save_model(self, request: HttpRequest, obj: Row, form: Any, change: bool) -> None:
        """One version more, by whom and when."""
        obj.version = obj.version + 1 if change else 1
        obj.changed_by, obj.changed_at = request.user.get_username(), Now()
        super().save_model(request, obj, form, change)
        obj.refresh_from_db()

    def beside(self, request: HttpRequest, row: Row | None, form: Any) -> dict[str, Any]:
        """The form with what the saved numbers do; or, when it was tried, what the edited ones would."""
        saved, tried = _saved(row), getattr(form, "tried", None)
        if tried is None:
            told = [("the defaults", consequences(Numbers()))]
            return {
                "told": told + ([("as they are saved", consequences(saved))] if saved != Numbers() else [])
            }
        edited = _edited(tried, saved)
        stream = row.stream if row else tried.get("stream")
        self.message_user(request, TRIED, messages.INFO)
        return {"told": list(_one_by_one(saved, edited)), "errors": [], **_replayed(edited, stream)}


def _saved(row: Row | None) -> Numbers:
    """As the database has them: the row at hand holds what was typed."""
    found = Row.objects.filter(pk=row.pk).values(*judging.NUMBERS).first() if row else None
    return Numbers(**found) if found else Numbers()


def _edited(cleaned: Mapping[str, Any], saved: Numbers) -> Numbers:
    return replace(
        saved, **{name: cleaned[name] for name in judging.NUMBERS if cleaned.get(name) is not None}
    )


def _one_by_one(saved: Numbers, edited: Numbers) -> Iterator[tuple[str, Consequences]]:
    """What each edited field does alone, then all of them together."""
    yield "as they are saved", consequences(saved)
    changed = [name for name in SIMULATED if getattr(saved, name) != getattr(edited, name)]
    for name in changed:
        alone = replace(saved, **{name: getattr(edited, name)})
        words = f"{name.replace('_', ' ')} {getattr(saved, name):g} → {getattr(edited, name):g}"
        yield words, consequences(alone)
    yield "all as edited", consequences(edited)


def _replayed(edited: Numbers, stream: Stream | None) -> dict[str, Any]:
    if stream is not None:
        streams = [stream.name]
    else:
        streams = list(Stream.objects.filter(numbers__isnull=True).values_list("name", flat=True))
    try:
        return {"replay": replaying.replay(edited, streams)}
    except OperationalError:
        return {"replay_failed": True}
