"""Evidence against its limits, for pages: what rules remember of scopes, as pictures and figures, and what they said.

Read only. Nothing is judged here: the counts are the rules' own (``rules.counted``), by the numbers of the scope's
stream, and a judgement is told in the words and with the arithmetic that it was stored with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q
from django.utils.safestring import SafeString, mark_safe

from reputation import judging, models, pictures, rates, rules, windows
from reputation.pictures import Share

ROWS: Final = 24  # watches looked at
SHOWN: Final = 8
JUDGEMENTS: Final = 5
LINE: Final[Mapping[int, str]] = {1: "line"}


@dataclass(frozen=True, slots=True)
class Watched:
    """One signal of one scope: its share against its line, and since when it is weak evidence."""

    scope: str
    signal: str
    share: Share
    told: str
    weak_since: datetime | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is remembered of some scopes, worst first, as a picture and in words."""

    watched: Sequence[Watched]
    picture: SafeString


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement with its arithmetic as (name, value) pairs, nested ones with their parent's name."""

    row: models.Judgement
    figures: Sequence[tuple[str, str]]


def against_limits(scopes: Iterable[str]) -> Evidence:
    """What rules remember of these scopes, and of all whose evidence is weak."""
    wanted = Q(scope__in=list(scopes)) | Q(weak_since__isnull=False)
    rows = models.Watch.objects.filter(wanted).order_by("-touched_at")[:ROWS]
    own, rest = judging.numbers()
    watched = sorted((_watched(row, own.get(row.stream, rest)) for row in rows), key=_by_weight)
    found = watched[:SHOWN]
    drawn = pictures.shares([one.share for one in found], "Evidence against limits", LINE)
    return Evidence(found, mark_safe(drawn))  # noqa: S308  made of numbers and escaped names


def latest() -> list[Judged]:
    """What rules concluded last."""
    return [_judged(row) for row in models.Judgement.objects.order_by("-pk")[:JUDGEMENTS]]


def behind(epoch: int) -> list[Judged]:
    """The judgements that a trip followed from."""
    return [_judged(row) for row in models.Judgement.objects.filter(epoch=epoch).order_by("pk")[:JUDGEMENTS]]


def _watched(row: models.Watch, numbers: rules.Numbers) -> Watched:
    watch = windows.restored(row.scope, row.signal, row.trials, row.stretches)
    found = rules.counted(watch, numbers)
    high = rates.upper(found.events, found.trials)
    name = rules.worded(row.signal)
    share = Share(f"{row.scope}: {name}", found.events, found.trials, found.lower, high, found.line)
    return Watched(row.scope, name, share, pictures.told(share), row.weak_since)


def _by_weight(one: Watched) -> tuple[bool, float, str]:
    return one.weak_since is None, -one.share.low / one.share.line, one.share.name


def _judged(row: models.Judgement) -> Judged:
    return Judged(row, list(_flat(row.arithmetic)))


def _flat(figures: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    for name, value in figures.items():
        called = f"{above}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{called}: ")
        else:
            yield called, f"{value:.6g}" if isinstance(value, float) else str(value)
