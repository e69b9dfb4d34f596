"""How a stop ends, for its page: what a resume wants, how far a reopening is, what was thrown away.

Read only. What cannot be known now is said so, and costs the page nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from django.contrib.auth.models import User

from outbox import purging, second_factor
from outbox.panels import glance
from reputation import reopening, sql
from reputation.models import OpenStop, Purge, Reopening
from reputation.reopening import Proposal
from reputation.switchlog import Happening

LATER: Final = "wait for those that go first"
BEHIND_GLASS: Final = "wait until another person confirms it"
# What became of those looked at again, in the order they are told.
FATES: Final = {
    "expired": "were too old",
    "suppressed": "may not be mailed any more",
    "cancelled": "were of cancelled runs",
    "held": "are held: their domain or agent may not send",
    "later": LATER,
}

OTHERS: Final = 5
# Of what this scope covers, what other stops cover too: it goes when all of them are resumed.
ALSO: Final[LiteralString] = """
SELECT o.scope, o.epoch FROM reputation_openstop AS o
WHERE o.scope <> %(scope)s AND EXISTS (
    SELECT FROM outbox_lane AS l WHERE l.scopes @> ARRAY[%(scope)s, o.scope]::varchar[])
ORDER BY o.epoch LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One reopening as its stop's page tells it."""

    row: Reopening

    @property
    def fates(self) -> list[tuple[int, str]]:
        """How many, and what became of them."""
        found = [(self.row.fates[fate], words) for fate, words in FATES.items() if self.row.fates.get(fate)]
        return [(n, BEHIND_GLASS if words == LATER and self.row.glass else words) for n, words in found]

    @property
    def under_way(self) -> bool:
        return self.row.state == Reopening.State.CHECKING

    @property
    def behind_glass(self) -> bool:
        """Whether it closes again unless somebody confirms it."""
        return self.row.glass and self.row.state == Reopening.State.OPEN


@dataclass(frozen=True, slots=True)
class Ending:
    """What a resume of the open stop wants from this person, and everything that was done to end it."""

    needs_two: bool
    withdrawn: bool
    proposal: Proposal | None
    code_owed: bool
    rows: Sequence[Told]
    purges: Sequence[Purge]
    others: Sequence[sql.Row]  # scope and epoch of stops that cover some of it as well

    @property
    def under_way(self) -> bool:
        """Whether looking again soon will show more."""
        return any(told.under_way for told in self.rows) or any(
            purge.state in purging.STEPS for purge in self.purges
        )

    @property
    def checking(self) -> bool:
        return any(told.under_way for told in self.rows)

    @property
    def glass(self) -> Reopening | None:
        """What was opened through the glass and wants to be confirmed."""
        return next((told.row for told in self.rows if told.behind_glass), None)


def ending_of(happening: Happening, person: User) -> Ending | None:
    """How the stop that this trip or resume belongs to ends, for this person; None where it cannot be said now."""
    return glance(lambda: _read(happening, person), "the reopening")


def _read(happening: Happening, person: User) -> Ending:
    stop: OpenStop | None = happening.stop
    scope, since = happening.first.scope, happening.first.pk
    upto = happening.resumed.pk if happening.resumed else None
    return Ending(
        needs_two=bool(stop and reopening.needs_two(stop)),
        withdrawn=bool(stop and reopening.withdrawn(stop, person.get_username())),
        proposal=reopening.proposal(stop) if stop else None,
        code_owed=second_factor.enrolled(person),
        rows=[Told(row) for row in reopening.of_scope(scope, since, upto)],
        purges=purging.of_scope(scope, since, upto),
        others=glance(lambda: sql.rows(ALSO, {"scope": scope, "most": OTHERS}), "other stops") or (),
    )
