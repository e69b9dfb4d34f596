"""Who may open a stopped scope again: one person, or two where a rule had stopped it.

A rule has seen evidence; one tired person at 4 a.m. does not outvote it. The first writes down why it is safe, another
confirms within the hour, and both names stay with the resume. Refuses: a resume without a reason, a person who confirms
what they proposed themselves, and the end of any other stop than the one that was looked at.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import ExpressionWrapper, F, QuerySet, fields
from django.db.models.functions import Now

from reputation import killswitch
from reputation.killswitch import Switched
from reputation.models import OpenStop, ResumeProposal, SwitchEvent
from reputation.switchlog import MOST, RULE

VALID: Final = timedelta(hours=1)


class SecondPersonNeeded(PermissionError):
    """The same person cannot propose and confirm."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one person has said for the end of a stop, not yet too old to be confirmed."""

    who: str
    why: str
    at: datetime
    until: datetime


def needs_two(stop: OpenStop) -> bool:
    """Whether a rule made this stop, or would have if it had not been made already."""
    return _trips(stop).filter(who__startswith=RULE).exists()


def proposal(stop: OpenStop) -> Proposal | None:
    """The newest proposal to end this stop that can still be confirmed: whoever trips it again refutes it."""
    age = ExpressionWrapper(Now() - F("at"), output_field=fields.DurationField())
    tripped = _trips(stop).order_by("-pk").values("at")[:1]
    found = ResumeProposal.objects.annotate(age=age).filter(event=stop.epoch, age__lt=VALID, at__gt=tripped)
    row = found.order_by("-pk").first()
    return Proposal(row.who, row.why, row.at, row.at + VALID) if row else None


def resume(stop: OpenStop, *, who: str, why: str) -> Switched | None:
    """End this stop; or propose to, if it needs two and nobody has (then there is no answer).

    Raises:
        ValueError: no reason was given.
        SecondPersonNeeded: this person has proposed it already; another one has to confirm.
        NotTripped: the stop has ended meanwhile.
    """
    why = why.strip()[:MOST]
    if not needs_two(stop):
        return killswitch.resume(stop.scope, who=who, why=why, epoch=stop.epoch)
    first = proposal(stop)
    if first is None:
        _propose(stop, who, why)
        return None
    if first.who == who:
        raise SecondPersonNeeded("You have proposed this yourself; another person has to confirm it.")
    reason = f"{first.why}\n\nConfirmed by {who}{': ' if why else '.'}{why}"
    return killswitch.resume(stop.scope, who=f"{first.who} and {who}"[:200], why=reason, epoch=stop.epoch)


def _trips(stop: OpenStop) -> QuerySet[SwitchEvent]:
    return SwitchEvent.objects.filter(scope=stop.scope, pk__gte=stop.epoch, action="trip")


def _propose(stop: OpenStop, who: str, why: str) -> None:
    if not why:
        raise ValueError("Say why it is safe to resume.")
    ResumeProposal.objects.create(event_id=stop.epoch, who=who, why=why)
