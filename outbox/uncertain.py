"""Uncertain deliveries, in the admin: a person looks into them and decides, one or many, with a reason.

Guarantees: nothing is done by GET, nor without a page that says how many and what becomes of them; what is done is what
that page was about, or it asks again; each delivery that moves leaves who decided and why in its story. Refuses to send
again what has outlived itself. What a late answer has settled meanwhile stays as it is.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import ModelAdmin
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from outbox import doubt, ids, searching, telling
from outbox.doubt import Word
from outbox.lifecycle import CODES, Status
from outbox.models import Uncertain
from outbox.records import Told
from outbox.searching import ClosedListFilter, PeriodFilter
from reputation.suppression_forms import WhyForm
from reputation.viewing import confirm, stamp, visible

MOST: Final = 20_000  # decided in one go: seconds, not minutes
CHANGED: Final = "The list changed while you were reading: look at the number again."


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person may decide: as the list offers it, as the page asks it, as it is told afterwards."""

    offer: str
    question: str
    done: str


CHOICES: Final[Mapping[Word, Choice]] = {
    Word.SEND_AGAIN: Choice(
        "Send again",
        "Whoever has it already gets it twice. Suppression and stops are asked again on the way.",
        "queued again",
    ),
    Word.ARRIVED: Choice(
        "It arrived: count as delivered",
        "Nothing is sent. Say where you saw it: the provider's log, the recipient, a relay.",
        "counted as delivered",
    ),
    Word.LOST: Choice(
        "It did not arrive, and is not sent again: count as bounced",
        "Nothing is sent, and nobody is suppressed for it.",
        "counted as bounced",
    ),
}


class UncertainCodeFilter(ClosedListFilter):
    title = parameter_name = "code"
    values = tuple(sorted(CODES[Status.UNCERTAIN]))


def _offered(word: Word) -> Callable[..., HttpResponse | None]:
    @admin.action(description=CHOICES[word].offer, permissions=["settle"])
    def act(site: "UncertainAdmin", request: HttpRequest, found: QuerySet[Any]) -> HttpResponse | None:
        return site.decide(request, found, word)

    act.__name__ = str(word)
    return act


@admin.register(Uncertain)
class UncertainAdmin(Told):
    named = staticmethod(searching.delivery_query)
    tell = staticmethod(telling.of_delivery)
    told_with = ("lane__agent", "lane__stream", "lane__run")
    search_help_text = "A dlv_ or msg_ id, a Message-ID, or a recipient's address."
    list_display = ("name", "to", "doubt", "agent", "provider", "times")
    list_filter = (PeriodFilter, UncertainCodeFilter, "lane__stream")
    list_select_related = ("lane__agent",)
    actions = [_offered(word) for word in Word]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Uncertain]:
        rows: QuerySet[Uncertain] = super().get_queryset(request)
        return rows.filter(status=Status.UNCERTAIN)

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """Asked by Django for each action that names it."""
        return request.user.has_perm("outbox.settle_uncertain")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A list is read within its patience; what is decided takes transactions of its own."""
        if request.method == "POST":
            return ModelAdmin.changelist_view(self, request, extra_context)
        return super().changelist_view(request, extra_context)

    def decide(self, request: HttpRequest, found: QuerySet[Any], word: Word) -> HttpResponse | None:
        """Ask; or do what was asked about, if that is still what was chosen."""
        chosen = list(found.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
        asked = request.POST.get("chosen")
        form = WhyForm(request.POST if asked else None)
        if asked != _digest(chosen) or not form.is_valid():
            changed = asked is not None and asked != _digest(chosen)
            return self._ask(request, chosen[:MOST], word, form, CHANGED if changed else "")
        moved = doubt.decide(
            chosen[:MOST], word, actor=request.user.get_username(), note=form.cleaned_data["why"]
        )
        left = len(chosen[:MOST]) - moved
        self.message_user(request, f"{moved:,} {CHOICES[word].done}." + (_left(left, word) if left else ""))
        return None

    def _ask(
        self, request: HttpRequest, chosen: Sequence[UUID], word: Word, form: WhyForm, warning: str
    ) -> TemplateResponse:
        choice = CHOICES[word]
        late = Uncertain.objects.filter(pk__in=chosen, expires_at__lte=RawSQL("ao_now()", ())).count()
        outlived = f" {late:,} of them are past their life and stay as they are." if late else ""
        return confirm(
            self,
            request,
            title=f"{choice.offer}: {len(chosen):,} uncertain deliveries",
            form=form,
            question=f"{choice.question}{outlived if word is Word.SEND_AGAIN else ''} {warning}".strip(),
            kept=_kept(request, word, _digest(chosen)),
            button=f"{choice.offer.partition(':')[0]}: {len(chosen):,}",
            back=reverse("admin:outbox_uncertain_changelist", query=request.GET.dict()),
        )

    @admin.display(description="delivery")
    def name(self, delivery: Uncertain) -> str:
        return ids.printed("dlv", delivery.pk)

    @admin.display(description="recipient")
    def to(self, delivery: Uncertain) -> str:
        return visible(delivery.recipient)

    @admin.display(description="why it is uncertain")
    def doubt(self, delivery: Uncertain) -> str:
        return delivery.code.replace("_", " ")

    @admin.display(description="agent")
    def agent(self, delivery: Uncertain) -> str:
        return delivery.lane.agent.name

    @admin.display(description="provider")
    def provider(self, delivery: Uncertain) -> str:
        return delivery.lane.provider

    @admin.display(description="cleared, and its life")
    def times(self, delivery: Uncertain) -> str:
        cleared = f"cleared {stamp(delivery.cleared_at)}" if delivery.cleared_at else "never cleared here"
        return f"{cleared}, expires {stamp(delivery.expires_at)}"


def _digest(chosen: Sequence[UUID]) -> str:
    """Names exactly these."""
    return hashlib.sha256(b"".join(key.bytes for key in chosen)).hexdigest()


def _kept(request: HttpRequest, word: Word, digest: str) -> list[tuple[str, str]]:
    """What the list had sent, to be sent again with the reason."""
    boxes = [(ACTION_CHECKBOX_NAME, key) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)]
    across = request.POST.get("select_across", "0")
    return [("action", str(word)), ("select_across", across), ("chosen", digest), *boxes]


def _left(left: int, word: Word) -> str:
    past = " or past their life" if word is Word.SEND_AGAIN else ""
    return f" {left:,} were settled meanwhile{past}, and are as they were."
