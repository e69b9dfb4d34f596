"""Who may open a stopped scope again, and how: in steps, by one person, by two, or through the glass.

A rule has seen evidence; one tired person at 4 a.m. does not outvote it. The first writes down why it is safe, another
confirms within the hour, and both names stay with the resume. One person alone can break the glass: little goes out,
and the scope closes again after an hour unless another confirms it.

A reopening is one row: while it is ``checking`` the stop stands and ``outbox`` looks at what waits; then the resume and
the row's ``open`` are one commit. Refuses: a resume without a reason, a person who confirms what they proposed
themselves, the end of any other stop than the one that was looked at, and to open what was tripped again meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

from django.db import IntegrityError, transaction
from django.db.models import ExpressionWrapper, F, Q, QuerySet, fields
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from reputation import killswitch, sql
from reputation.killswitch import NotTripped, Switched
from reputation.models import OpenStop, Reopening, ResumeProposal, SwitchEvent
from reputation.switchlog import MOST, RULE

VALID: Final = timedelta(hours=1)
WITHDRAWN: Final = timedelta(minutes=5)  # so fresh a stop is taken back whole by who made it
GLASS: Final[LiteralString] = "60 minutes"
UNCONFIRMED: Final = f"{RULE}unconfirmed"

# The resume's own transaction holds the lock of every trip: one that came since the reopening began is seen here.
OPENED: Final[LiteralString] = """
UPDATE reputation_reopening AS r SET state = 'open', opened_at = %(at)s, resumed_epoch = %(epoch)s,
    closes_at = CASE WHEN glass THEN ao_now() + %(glass)s::interval END
WHERE id = %(id)s AND state = 'checking'
  AND NOT EXISTS (SELECT FROM reputation_switchevent AS e
                  WHERE e.scope = r.scope AND e.action = 'trip' AND e.epoch > r.event_id)
"""

# What follows a confirmed glass ends in a scope that is open already.
ENDED: Final[LiteralString] = """
UPDATE reputation_reopening SET state = 'open', opened_at = clock_timestamp() WHERE id = %s AND state = 'checking'
"""

# Tripped again since it began; or opened by other hands, which leaves nothing to do.
REFUTE: Final[LiteralString] = """
UPDATE reputation_reopening AS r SET state = 'abandoned' WHERE state = 'checking' AND (
    EXISTS (SELECT FROM reputation_switchevent AS e
            WHERE e.scope = r.scope AND e.action = 'trip' AND e.epoch > r.event_id)
    OR resumed_epoch IS NULL AND NOT EXISTS (SELECT FROM reputation_openstop AS o
                                             WHERE o.scope = r.scope AND o.epoch <= r.event_id))
"""

CONFIRMED: Final[LiteralString] = """
UPDATE reputation_reopening SET state = 'confirmed', confirmed_by = %(who)s
WHERE id = %(id)s AND state = 'open' AND glass AND closes_at > ao_now() RETURNING resumed_epoch
"""

OVERDUE: Final[LiteralString] = """
SELECT id, scope, who FROM reputation_reopening WHERE state = 'open' AND glass AND closes_at <= ao_now() ORDER BY id
"""

SHUT: Final[LiteralString] = """
UPDATE reputation_reopening SET state = 'closed' WHERE id = %s AND state = 'open' AND glass AND closes_at <= ao_now()
"""


class SecondPersonNeeded(PermissionError):
    """The same person cannot propose and confirm."""


class UnderWay(ValueError):
    """The scope is being reopened already."""


class TrippedAgain(NotTripped):
    """It was tripped again before it opened."""


class _NotDue(Exception):
    """Somebody else closed or confirmed it first."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one person has said for the end of a stop, not yet too old to be confirmed."""

    who: str
    why: str
    at: datetime
    until: datetime
    whole: bool


def needs_two(stop: OpenStop) -> bool:
    """Whether a rule made this stop, or would have if it had not been made already."""
    return _trips(stop).filter(who__startswith=RULE).exists()


def proposal(stop: OpenStop) -> Proposal | None:
    """The newest proposal to end this stop that can still be confirmed: whoever trips it again refutes it."""
    tripped = _trips(stop).order_by("-pk").values("at")[:1]
    found = ResumeProposal.objects.annotate(age=_age("at")).filter(
        event=stop.epoch, age__lt=VALID, at__gt=tripped
    )
    row = found.order_by("-pk").first()
    return Proposal(row.who, row.why, row.at, row.at + VALID, row.whole) if row else None


def withdrawn(stop: OpenStop, who: str) -> bool:
    """Whether this person takes back what only they have stopped, within minutes: nothing was learned meanwhile."""
    trips = _trips(stop)
    fresh = trips.annotate(age=_age("at")).filter(pk=stop.epoch, age__lt=WITHDRAWN)
    return fresh.exists() and not trips.exclude(who=who).exists()


def ask(stop: OpenStop, *, who: str, why: str, whole: bool = False) -> Reopening | None:
    """Begin to end this stop; or propose to, if it needs two and nobody has (then there is no answer).

    ``whole``: it was a false alarm, say two people; what waits goes out as it would have.

    Raises:
        ValueError: no reason was given, or it is being reopened already.
        SecondPersonNeeded: this person has proposed it already; another one has to confirm.
        NotTripped: the stop has ended meanwhile.
    """
    why = why.strip()[:MOST]
    if not needs_two(stop):
        return _begin(stop, who=who, why=why, whole=withdrawn(stop, who))
    first = proposal(stop)
    if first is None:
        _propose(stop, who, why, whole)
        return None
    if first.who == who:
        raise SecondPersonNeeded("You have proposed this yourself; another person has to confirm it.")
    reason = f"{first.why}\n\nConfirmed by {who}{': ' if why else '.'}{why}"
    return _begin(stop, who=f"{first.who} and {who}", why=reason, whole=first.whole and whole)


def outright(stop: OpenStop, *, who: str, why: str, whole: bool = False) -> Reopening:
    """Begin to end a stop on the word of whoever has the machine: the command line. Raises as ``ask`` does."""
    return _begin(stop, who=who, why=why.strip()[:MOST], whole=whole or withdrawn(stop, who))


def break_glass(stop: OpenStop, *, who: str, why: str) -> Reopening:
    """Begin to open a stop made by a rule on one person's word, a little and for an hour.

    Raises:
        ValueError: no reason was given, it is being reopened already, or no rule had stopped it.
        NotTripped: the stop has ended meanwhile.
    """
    if not needs_two(stop):
        raise ValueError("No rule has stopped this: one person may resume it.")
    return _begin(stop, who=who, why=why.strip()[:MOST], glass=True)


def confirm_glass(glass: Reopening, *, who: str, why: str, whole: bool = False) -> Reopening:
    """Another person agrees with whoever broke the glass: what still waits follows, in steps.

    Raises:
        SecondPersonNeeded: it is the same person.
        NotTripped: it has closed again, or somebody has confirmed it already.
    """
    if glass.who == who:
        raise SecondPersonNeeded("You have broken the glass yourself; another person has to confirm it.")
    said = f"{glass.why}\n\nConfirmed by {who}{': ' if why.strip() else '.'}{why.strip()[:MOST]}"
    with transaction.atomic():
        row = sql.one(CONFIRMED, {"id": glass.pk, "who": who})
        if row is None:
            raise NotTripped("It has closed again, or was confirmed already.")
        return Reopening.objects.create(
            event_id=glass.event_id,
            scope=glass.scope,
            who=f"{glass.who} and {who}"[:200],
            why=said,
            whole=whole,
            resumed_epoch=row.resumed_epoch,
        )


def open_up(row: Reopening) -> Switched | None:
    """Open what was looked at: the resume and the row's word of it in one commit. None: it was open already.

    Raises:
        TrippedAgain: it stays closed.
        NotTripped: somebody else has opened it.
    """
    if row.resumed_epoch is not None:
        sql.count(ENDED, [row.pk])
        return None

    def mark(done: Switched) -> None:
        if not sql.count(OPENED, {"id": row.pk, "at": done.at, "epoch": done.epoch, "glass": GLASS}):
            raise TrippedAgain(f"{row.scope} was stopped again before it opened.")

    stop = OpenStop.objects.filter(scope=row.scope, epoch__lte=row.event_id).first()
    if stop is None:
        raise NotTripped(f"{row.scope} is not stopped.")
    return killswitch.resume(row.scope, who=row.who, why=row.why, epoch=stop.epoch, also=mark)


def refute() -> int:
    """Give up what was tripped again, or opened by other hands, while it was looked at; how many."""
    return sql.count(REFUTE)


def close_unconfirmed() -> int:
    """Trip again what was opened through the glass and nobody confirmed in time; how many scopes."""
    return sum(_closed(row) for row in sql.rows(OVERDUE))


def half_open() -> list[Reopening]:
    """What is open through the glass alone and closes again unless somebody confirms it, soonest first."""
    return list(Reopening.objects.filter(state="open", glass=True).order_by("closes_at"))


def of_scope(scope: str, since: int, upto: int | None) -> Sequence[Reopening]:
    """Every reopening of the stop of a scope that began at one epoch and ended at another, newest first."""
    found = Reopening.objects.filter(scope=scope, event__gte=since)
    if upto is not None:
        found = found.filter(event__lt=upto)
    return list(found.order_by("-pk")[:20])


def behind(row: Reopening) -> Reopening | None:
    """The reopening through the glass that a false alarm takes back: the one confirmed, or the one that closed."""
    ours = Q(state="confirmed", event=row.event_id)
    if row.event.who == UNCONFIRMED:
        ours |= Q(state="closed")
    return Reopening.objects.filter(ours, scope=row.scope, glass=True, pk__lt=row.pk).order_by("-pk").first()


def _closed(row: sql.Row) -> bool:
    def mark(_: Switched) -> None:
        if not sql.count(SHUT, [row.id]):
            raise _NotDue

    why = f"{row.who} had opened it through the glass; nobody confirmed it within {GLASS}."
    try:
        killswitch.trip(row.scope, who=UNCONFIRMED, why=why, also=mark)
    except _NotDue:
        return False
    return True


def _trips(stop: OpenStop) -> QuerySet[SwitchEvent]:
    return SwitchEvent.objects.filter(scope=stop.scope, pk__gte=stop.epoch, action="trip")


def _age(name: str) -> Combinable:
    return ExpressionWrapper(Now() - F(name), output_field=fields.DurationField())


def _propose(stop: OpenStop, who: str, why: str, whole: bool) -> None:
    if not why:
        raise ValueError("Say why it is safe to resume.")
    ResumeProposal.objects.create(event_id=stop.epoch, who=who, why=why, whole=whole)


def _begin(stop: OpenStop, *, who: str, why: str, whole: bool = False, glass: bool = False) -> Reopening:
    if not why:
        raise ValueError("Say why it is safe to resume.")
    newest = _trips(stop).order_by("-pk").first()
    if newest is None or not OpenStop.objects.filter(pk=stop.pk, epoch=stop.epoch).exists():
        raise NotTripped(f"{stop.scope} has been resumed meanwhile.")
    told = {"scope": stop.scope, "who": who[:200], "why": why, "whole": whole, "glass": glass}
    try:
        with transaction.atomic():
            return Reopening.objects.create(event=newest, **told)
    except IntegrityError:
        raise UnderWay("It is being reopened already: see how far that is.") from None
