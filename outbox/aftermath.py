"""After a stop: the proof that it holds, in figures and in a sentence to pass on.

Read only. Nothing here needs a worker's word: what was cleared before the commit is known, and nothing after it can be.
Acknowledgements only say who has dropped work early.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings

from outbox import keys, proof
from outbox.models import ApiKey
from outbox.panels import glance
from outbox.proof import Clearances, Worker
from reputation.switchlog import Happening, by_rule
from reputation.viewing import stamp, visible

FATES_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker session, and whether it has told that it knows of the stop."""

    name: str
    alive: bool
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """A stop's proof. ``workers``, ``cleared`` and ``keys`` are None where they are not known now."""

    happening: Happening
    workers: Sequence[Heard] | None
    cleared: Clearances | None
    keys: Sequence[ApiKey] | None

    @property
    def awaited(self) -> bool:
        """Whether somebody has yet to acknowledge, so that looking again soon will show more."""
        behind = self.workers is None or any(each.alive and not each.acknowledged for each in self.workers)
        return self.happening.stop is not None and (behind or self.open_fates > 0)

    @property
    def open_fates(self) -> int:
        """How many of those cleared before are still under way."""
        return sum(fate.status == "sending" for fate in self.cleared.before) if self.cleared else 0

    @property
    def fates(self) -> list[tuple[str, int]]:
        """What became of those cleared before, by status."""
        before = self.cleared.before if self.cleared else ()
        return Counter(fate.status for fate in before).most_common()

    @property
    def shown(self) -> Sequence[proof.Fate]:
        """Those cleared before that a page has room for."""
        return self.cleared.before[:FATES_SHOWN] if self.cleared else ()

    @property
    def knocking(self) -> list[ApiKey]:
        """Keys that were used since the stop."""
        began = self.happening.first.at
        return [key for key in self.keys or () if key.last_used_at and key.last_used_at > began]

    @property
    def knocked_by(self) -> set[str]:
        """Of what kinds the streams of those are: agents' posts are refused, transactional ones wait for the resume."""
        return {key.agent.stream.kind for key in self.knocking if key.agent}

    @property
    def line(self) -> str:
        """The stop in a few sentences, to copy into a channel."""
        return " ".join((*_what(self.happening), *_certainty(self), permalink(self.happening.first.pk)))


def proof_of(happening: Happening) -> Proof:
    """The proof of the stop that a trip or resume belongs to."""
    first = happening.first
    ended = happening.ended_at
    return Proof(
        happening,
        glance(lambda: _heard(first.pk, proof.workers()), "workers"),
        glance(lambda: proof.clearances(first.scope, first.at, ended), "clearances"),
        glance(lambda: keys.of_scope(first.scope), "keys"),
    )


def permalink(epoch: int) -> str:
    """Where a stop is told, for ever."""
    return f"{settings.AO_SWITCH_URL}/killswitch/{epoch}/"


def _heard(epoch: int, workers: Sequence[Worker]) -> list[Heard]:
    return [Heard(each.name, each.alive, each.epoch_seen >= epoch) for each in workers]


def _what(happening: Happening) -> list[str]:
    first, ended = happening.first, happening.resumed
    by = f"a rule ({first.who})" if by_rule(first.who) else first.who
    reason = " ".join(visible(happening.reason).split()).rstrip(".")
    why = f": {reason}" if reason else " (reason to follow)"
    told = [f"{'Was stopped' if ended else 'STOPPED'}: {first.scope}, {_exact(first.at)}, by {by}{why}."]
    return [*told, f"Resumed {stamp(ended.at)} by {ended.who}."] if ended else told


def _certainty(told: Proof) -> list[str]:
    if told.cleared is None:
        return []
    before = len(told.cleared.before)
    fates = ", ".join(f"{number:,} {status}" for status, number in told.fates)
    sentences = [
        f"Cleared before it: {before:,}{f' ({fates})' if fates else ''}.",
        f"Cleared after it: {told.cleared.after:,}.",
    ]
    if told.workers:
        heard = sum(each.acknowledged for each in told.workers)
        sentences.append(f"Acknowledged by {heard} of {len(told.workers)} workers.")
    return sentences


def _exact(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"
