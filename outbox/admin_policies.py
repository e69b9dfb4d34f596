"""By which policy a stream's drafts are judged: edited with what it would have done yesterday beside it.

Guarantees: nothing is changed in place; what is saved is a new version with who and why, made only from the version
that holds, so that of two who edit at once the second is told; what an edited policy would have meant for the last day
can be seen before it is saved. Refuses to delete: decisions name the versions they went by.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin, messages
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F
from django.http import HttpRequest

from outbox import policy_numbers, rehearsing
from outbox.models import Policy as Row
from outbox.policy_numbers import BOUNDS, LISTS, ONE_TIME_CODE, REMINDER, SWITCHES, Policy
from outbox.rehearsing import Met
from outbox.telling import message_link
from reputation.models import Stream
from reputation.viewing import Beside, FixedOnce, clock, visible

if TYPE_CHECKING:
    RowForm = forms.ModelForm[Row]
else:
    RowForm = forms.ModelForm

TRY: Final = "_try"
TRIED: Final = "Nothing was saved: below is what the last day would have met."
OVERTAKEN: Final = "Version {} was saved meanwhile. Open it, and make your change there."

HELP: Final[Mapping[str, tuple[str, str]]] = {
    "hold_everything": ("Hold everything", "Each message waits for a person."),
    "first_contact": ("Hold first contacts", "Nothing of the organisation was ever let go to the person."),
    "new_agent": ("New agents", "So many first messages of an agent are held. 0: none."),
    "run_recipients": (
        "Recipients at once",
        "Held above so many recipients of one tree of runs. 0: no bound.",
    ),
    "run_minutes": ("within minutes", "The stretch of time for that."),
    "cluster_size": ("Same content", "Held when nearly the same goes to more people than this. 0: no bound."),
    "duplicate_hours": (
        "Copies",
        "Nearly the same to the same person within so many hours is refused. 0: never.",
    ),
    "loop_repeats": ("Loops", "So many within an hour to one person stop the run. 0: never."),
    "repeats": (
        "Copies that may go",
        f"By the tag kind: {ONE_TIME_CODE} (with a code in the text), {REMINDER} (late enough).",
    ),
    "reminder_hours": ("Reminders", "So many hours after the last one at the earliest."),
    "footers": (
        "Footers",
        "What mail of this stream ends with (signature, address, legal notice): it makes no two messages alike. "
        "Blocks of text with an empty line between them.",
    ),
    "attachments": (
        "Look at attachments",
        "Types that are not on the list, and files that are not what they say.",
    ),
    "attachment_types": ("Attachment types", "File name extensions that may go."),
    "lookalike_domains": ("Look-alike domains", "Of recipients, of replies and of links."),
    "own_domains": ("Own domains", "Names of the organisation besides its sending domains."),
    "known_domains": ("Known domains", "Never taken for a look-alike."),
    "content_lint": ("Unfinished content", "Placeholders, hidden text; scripts in HTML are refused."),
    "refuse_secrets": ("Refuse secrets", "Keys, tokens and passwords in the text."),
    "link_mismatch": ("Links that lie", "Held when a link shows one host and leads to another."),
    "quiet_from": ("Quiet from", "Hour of the day. Equal hours: no quiet hours."),
    "quiet_until": ("Quiet until", "Hour of the day, up to 24."),
    "quiet_zone": (
        "Time zone",
        "Such as Europe/Berlin: where an address does not tell the recipient's country.",
    ),
    "quiet_by_region": ("In the recipient's region", "Hours of the country in which the address ends."),
}


class Words(forms.CharField):
    """A list of words, written with spaces, commas or line ends between them."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        return tuple(dict.fromkeys(str(value or "").lower().replace(",", " ").split()))


class Blocks(forms.CharField):
    """Blocks of text, with an empty line between them."""

    widget = forms.Textarea(attrs={"rows": 6, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        return "\n\n".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        blocks = re.split(r"\n\s*\n", str(value or "").replace("\r\n", "\n"))
        return tuple(dict.fromkeys(block.strip() for block in blocks if block.strip()))


def _field(name: str) -> forms.Field:
    label, words = HELP[name]
    if name in SWITCHES:
        return forms.BooleanField(required=False, label=label, help_text=words)
    if name in BOUNDS:
        least, most = BOUNDS[name]
        return forms.IntegerField(min_value=least, max_value=most, label=label, help_text=words)
    if name == "footers":
        return Blocks(required=False, label=label, help_text=words)
    if name in LISTS:
        return Words(required=False, label=label, help_text=words)
    return forms.CharField(max_length=50, label=label, help_text=words)


NumbersOfPolicy: Any = type("NumbersOfPolicy", (forms.Form,), {name: _field(name) for name in HELP})


class PolicyForm(NumbersOfPolicy, RowForm):  # type: ignore[misc]
    """A policy as its numbers; ``policy`` holds them once they are clean, ``tried`` if nothing is to be saved."""

    policy: Policy | None = None
    tried = False

    class Meta:
        model = Row
        fields = ("stream", "why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        row = kwargs.get("instance")
        known = _of(row) if row and row.pk else policy_numbers.DEFAULT
        kwargs["initial"] = policy_numbers.stored(known) | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if row and row.pk:
            self.initial["why"] = ""

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        row = self.instance
        holds = row.stream.policy_version if row.pk else None
        if holds is not None and holds != row.version:
            raise forms.ValidationError(OVERTAKEN.format(holds))
        if self.errors:
            return found
        try:
            self.policy = Policy(**{name: found[name] for name in HELP})
        except ValueError as error:
            name, _, words = str(error).partition(": ")
            raise forms.ValidationError({name: words}) from None
        if TRY in self.data:
            self.tried = True
            raise forms.ValidationError(TRIED)
        return found


@admin.register(Row)
class PolicyAdmin(Beside, FixedOnce):
    """Versions, the newest first; a version's page edits it into the next one."""

    form = PolicyForm
    fixed = ("stream",)
    readonly_fields = ("version", "who", "at")
    change_form_template = "admin/outbox/policy/change_form.html"
    list_display = ("__str__", "stream", "version", "holds", "who", "why", clock("at"))
    list_filter = ("stream",)
    list_select_related = ("stream",)
    search_fields = ("stream__name", "who", "why")
    search_help_text = "Name of a stream, who made it, or why."
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("stream", "version", "who", "at")}),
        (
            "What a person sees first",
            {
                "fields": (
                    *("hold_everything", "first_contact", "new_agent", ("run_recipients", "run_minutes")),
                    "cluster_size",
                )
            },
        ),
        ("Copies", {"fields": ("duplicate_hours", "loop_repeats", "repeats", "reminder_hours", "footers")}),
        (
            "Content",
            {
                "fields": (
                    *("refuse_secrets", "content_lint", "link_mismatch", "attachments", "attachment_types"),
                    *("lookalike_domains", "own_domains", "known_domains"),
                )
            },
        ),
        ("Quiet hours", {"fields": (("quiet_from", "quiet_until"), "quiet_zone", "quiet_by_region")}),
        ("Why", {"fields": ("why",)}),
    )

    @admin.display(description="holds now", boolean=True)
    def holds(self, row: Row) -> bool:
        return row.stream.policy_version == row.version

    def get_fieldsets(self, _request: HttpRequest, obj: Row | None = None) -> Any:
        """Who made it, once somebody did."""
        return self.fieldsets if obj else ((None, {"fields": ("stream",)}), *self.fieldsets[1:])

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Of a stream that is named in the address, the numbers that hold for it now."""
        named = request.GET.get("stream", "")
        stream = Stream.objects.filter(pk=int(named)).first() if named.isdecimal() else None
        return {"stream": stream, **policy_numbers.stored(_current(stream))} if stream else {}

    def save_model(self, request: HttpRequest, obj: Row, form: Any, change: bool) -> None:
        """The next version, by whom and when; the one at hand stays what it was."""
        stream = obj.stream
        base = obj.version if change else stream.policy_version
        obj.pk, obj.version, obj.who = None, base + 1, request.user.get_username()
        obj.numbers = policy_numbers.stored(form.policy)
        obj._state.adding = True
        with transaction.atomic():
            # guarded, so that of two at once one makes this version
            if not Stream.objects.filter(pk=stream.pk, policy_version=base).update(
                policy_version=F("policy_version") + 1
            ):
                raise IntegrityError(OVERTAKEN.format("another"))
            obj.save(force_insert=True)
        obj.refresh_from_db()

    def beside(self, request: HttpRequest, row: Row | None, form: Any) -> dict[str, Any]:
        """What the last day would have met, if it was asked for."""
        bound = getattr(form, "form", form)
        if not getattr(bound, "tried", False):
            return {"streams": Stream.objects.order_by("name")} if row is None else {}
        self.message_user(request, TRIED, messages.INFO)
        stream = row.stream if row else bound.cleaned_data["stream"]
        saved, edited = _current(stream), bound.policy
        try:
            rehearsal = rehearsing.rehearse(stream.pk, stream.name, stream.kind, saved, edited)
        except OperationalError:
            return {"errors": [], "rehearsal_failed": True}
        return {"errors": [], "rehearsal": rehearsal, "met": [_shown(met) for met in rehearsal.met]}


def _shown(met: Met) -> dict[str, Any]:
    examples = [(message_link(key), visible(subject)[:80]) for key, subject in met.examples]
    return {"code": met.code, "before": met.before, "after": met.after, "examples": examples}


def _current(stream: Stream) -> Policy:
    """What holds for a stream now."""
    row = Row.objects.filter(stream=stream, version=stream.policy_version).first()
    return _of(row) if row else policy_numbers.default(stream.kind)


def _of(row: Row) -> Policy:
    """A row's policy as the rules read it."""
    return policy_numbers.of(row.numbers, row.stream.kind)
