"""The book of the switch: every trip and resume with what people added to it afterwards, and the way to find them.

Append-only in the database: a reason that was missing at 4 a.m. is filled in as a note, with its own author and time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from reputation.models import OpenStop, SwitchEvent, SwitchNote

PAGE: Final = 50
MOST: Final = 4_000  # characters of a note or a reason
RULE: Final = "rule:"  # so begins who tripped when nobody did


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which happenings: ``action`` trip or resume, ``by`` rule or person, words in scope, who or why; all if empty.

    ``before``: only epochs below it.
    """

    action: str = ""
    by: str = ""
    words: str = ""
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """A trip or resume, the stop it belongs to if that is still open, and when the next resume ended it if not.

    ``first`` is the epoch of the trip that closed the scope: another one if this trip found it closed already;
    ``reason`` is why, also if it was filled in later.
    """

    event: SwitchEvent
    notes: Sequence[SwitchNote]
    reason: str
    first: SwitchEvent
    stop: OpenStop | None
    resumed: SwitchEvent | None

    @property
    def ended_at(self) -> datetime | None:
        return self.resumed.at if self.resumed else None


def by_rule(who: str) -> bool:
    """Whether a rule did it, and no person."""
    return who.startswith(RULE)


def note(epoch: int, *, who: str, text: str) -> None:
    """Add something to a trip or resume.

    Raises:
        ValueError: there is nothing in the text.
    """
    if not text.strip():
        raise ValueError("Write what there is to add.")
    said = text.strip()[:MOST]
    with transaction.atomic():
        SwitchNote.objects.create(event_id=epoch, who=who, text=said)
        OpenStop.objects.filter(epoch=epoch, why="").update(why=said)  # the reason there was no time for


def happening(epoch: int) -> Happening | None:
    """A trip or resume with what belongs to it, or None if there is none of that epoch."""
    event = SwitchEvent.objects.filter(pk=epoch).first()
    if event is None:
        return None
    of_scope = SwitchEvent.objects.filter(scope=event.scope)
    first = _first(of_scope, event)
    resumed = of_scope.filter(pk__gt=first.pk, action="resume").order_by("pk").first()
    return Happening(
        event=event,
        notes=list(event.notes.order_by("pk")),
        reason=first.why.strip() or (first.notes.order_by("pk").values_list("text", flat=True).first() or ""),
        first=first,
        stop=OpenStop.objects.filter(scope=event.scope, epoch=first.pk).first(),
        resumed=resumed,
    )


def timeline(wanted: Wanted) -> list[SwitchEvent]:
    """The newest happenings that are wanted, at most a page and one: one more says that there are older ones."""
    found = SwitchEvent.objects.order_by("-pk").prefetch_related("notes")
    if wanted.action:
        found = found.filter(action=wanted.action)
    if wanted.by:
        of_rules = Q(who__startswith=RULE)
        found = found.filter(of_rules if wanted.by == "rule" else ~of_rules)
    if wanted.before is not None:
        found = found.filter(pk__lt=wanted.before)
    for word in wanted.words.split():
        found = found.filter(Q(scope__icontains=word) | Q(who__icontains=word) | Q(why__icontains=word))
    return list(found[: PAGE + 1])


def _first(of_scope: QuerySet[SwitchEvent], event: SwitchEvent) -> SwitchEvent:
    """The trip that closed the scope which this event found closed, or closed itself."""
    before = of_scope.filter(pk__lt=event.pk)
    opened = before.filter(action="resume").order_by("-pk").values_list("pk", flat=True).first() or 0
    first = of_scope.filter(pk__gt=opened, pk__lte=event.pk, action="trip").order_by("pk").first()
    return first or event
