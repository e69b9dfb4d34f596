"""After a stop, beside its proof: why a rule made it, who still knocks, and what can be recalled from others.

Read only; each part by itself and within a moment, or not known now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outbox import knocks, recipients, scopes
from outbox.knocks import Knocking
from outbox.panels import bars, glance
from outbox.recipients import HOURS, Relayed
from reputation import evidence
from reputation.evidence import Judged
from reputation.switchlog import Happening, by_rule

AGENTS: Final = 200


@dataclass(frozen=True, slots=True)
class Followup:
    """What follows a stop; None where it is not known now. ``knocking``: only of scopes that are made of agents."""

    by_rule: bool
    judged: Sequence[Judged] | None
    names_agents: bool
    knocking: Knocking | None
    relayed: Sequence[Relayed] | None

    @property
    def bars(self) -> list[tuple[int, int, int, int]]:
        """The refused posts of each minute as bars."""
        return bars(self.knocking.minutes) if self.knocking else []

    @property
    def hours(self) -> Sequence[int]:
        """The windows before a stop that the list of recipients is offered for."""
        return HOURS


def followup_of(happening: Happening) -> Followup:
    """What follows the stop that a trip or resume belongs to."""
    first = happening.first
    agents = glance(lambda: _agents(first.scope), "agents")
    return Followup(
        by_rule=by_rule(first.who),
        judged=glance(lambda: evidence.behind(first.pk), "judgements"),
        names_agents=agents != [],
        knocking=glance(lambda: knocks.knocking(agents), "refused posts") if agents else None,
        relayed=glance(lambda: recipients.relayed(first.scope, first.at, happening.ended_at), "relayed"),
    )


def _agents(scope: str) -> list[int]:
    """The keys of the agents that a scope is made of; none where it names no agents."""
    found = scopes.agents_of(scope)
    return [] if found is None else list(found.order_by("pk").values_list("pk", flat=True)[:AGENTS])
