"""What rules remember and conclude, to look at: judgements with their arithmetic, watches, witnesses, incidents.

Guarantees: nothing is judged or changed here, but that a person who may change numbers can let a scope begin anew, with
their name in its story: weak evidence of a scope nobody mails from any more would hold its new mail for a week.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from reputation import judging
from reputation.models import Incident, Judgement, Watch, Witness
from reputation.rules import Strength, Verdict, counted
from reputation.viewing import ReadOnly, block, chip, clock, visible
from reputation.windows import restored


def in_words(arithmetic: Mapping[str, Any]) -> str:
    """Arithmetic as lines a person can follow."""
    return visible("\n".join(_lines(arithmetic, "")))


def _lines(arithmetic: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in arithmetic.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield f"{indent}{words}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{words}: {value:.6g}" if isinstance(value, float) else f"{indent}{words}: {value}"


@admin.register(Judgement)
class JudgementAdmin(ReadOnly):
    list_display = (clock("at"), "how", "scope", "rule", "reason", "epoch")
    list_filter = ("strength",)
    search_fields = ("=scope", "=rule")
    search_help_text = "A scope (run:ada/r-81) or a rule, in full."
    fields = (clock("at"), "how", "scope", "rule", "reason_in_full", "told", "epoch")

    @admin.display(description="strength")
    def how(self, judgement: Judgement) -> SafeString:
        return chip(judgement.strength)

    @admin.display(description="why")
    def reason(self, judgement: Judgement) -> str:
        return visible(judgement.why)

    @admin.display(description="why")
    def reason_in_full(self, judgement: Judgement) -> SafeString:
        return block(judgement.why)

    @admin.display(description="arithmetic")
    def told(self, judgement: Judgement) -> SafeString:
        return block(in_words(judgement.arithmetic))


class WeakFilter(admin.SimpleListFilter):
    title, parameter_name = "evidence", "evidence"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, str]]:
        return [("weak", "weak: new mail is held")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(weak_since__isnull=False) if self.value() == "weak" else queryset


@admin.register(Watch)
class WatchAdmin(ReadOnly):
    actions = ("begin_anew",)
    list_display = ("scope", "signal", "stands", clock("weak_since"), "stream", clock("touched_at"))
    list_filter = ("signal", WeakFilter)
    search_fields = ("=scope", "=stream")
    search_help_text = "A scope (agent:ada) or a stream, in full."
    fields = ("scope", "signal", "stream", "trials", "stands", "weak_since", "touched_at")

    @admin.display(description="as it stands")
    def stands(self, watch: Watch) -> str:
        own, rest = judging.numbers()
        kept = restored(watch.scope, watch.signal, watch.trials, watch.stretches)
        return counted(kept, own.get(watch.stream, rest)).words

    def has_change_numbers_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reputation.change_numbers")

    @admin.action(description="Begin anew: what was held for it goes on", permissions=["change_numbers"])
    def begin_anew(self, request: HttpRequest, chosen: QuerySet[Watch]) -> None:
        """Forget what these watches remember; their stories say who wanted it."""
        who = request.user.get_username()
        rows = list(chosen)
        judging.conclude(
            Verdict(row.scope, row.signal, Strength.CLEARED, f"{who} let it begin anew.") for row in rows
        )
        chosen.delete()
        self.message_user(request, f"{len(rows)} begin anew.", messages.SUCCESS)


@admin.register(Witness)
class WitnessAdmin(ReadOnly):
    list_display = (clock("at"), "scope", "reason", "organisation", "said")
    list_filter = ("reason",)
    search_fields = ("=scope", "=organisation")
    search_help_text = "A scope or an organisation's domain, in full."
    fields = (clock("at"), "scope", "reason", "organisation", "said")

    @admin.display(description="reply")
    def said(self, witness: Witness) -> SafeString:
        return block(witness.reply)


@admin.register(Incident)
class IncidentAdmin(ReadOnly):
    list_display = ("provider", clock("began_at"), clock("until"), "why")
    search_fields = ("=provider",)
    search_help_text = "A provider's family."
