"""What bounds how much is accepted: budgets in their windows, and what is said of one that is spent. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from outbox.problems import Problem


class Kind(StrEnum):
    """What a budget bounds, in the order in which they are charged: what only a person can raise comes first."""

    RUN = "run"
    AGENT_HOUR = "agent_hour"
    AGENT_DAY = "agent_day"
    ROOT_RUNS = "root_runs"  # trees of runs begun in a day, or budgets would be minted by renaming


WINDOWS: Final[Mapping[Kind, timedelta]] = {
    Kind.AGENT_HOUR: timedelta(hours=1),
    Kind.AGENT_DAY: timedelta(days=1),
    Kind.ROOT_RUNS: timedelta(days=1),
}

_REFUSALS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.RUN: (
        "run_budget_exhausted",
        "The run may have {limit} recipients, {left} are left and this has {wanted}.",
    ),
    Kind.AGENT_HOUR: (
        "agent_hour_limit",
        "The agent may have {limit} recipients in an hour, {left} are left and this has {wanted}.",
    ),
    Kind.AGENT_DAY: (
        "agent_day_limit",
        "The agent may have {limit} recipients in a UTC day, {left} are left and this has {wanted}.",
    ),
    Kind.ROOT_RUNS: ("agent_day_limit", "The agent may begin {limit} runs without a parent in a UTC day."),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit in its present window, and what was used of it when it was read."""

    kind: Kind
    key: str
    opens_at: datetime
    limit: int
    used: int

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)

    @property
    def closes_at(self) -> datetime | None:
        """When the next window opens; a run has none."""
        length = WINDOWS.get(self.kind)
        return self.opens_at + length if length else None


def refusal(budgets: Iterable[Budget], recipients: int) -> Problem | None:
    """Why so many recipients are more than what is left, if they are."""
    for budget in budgets:
        wanted = 1 if budget.kind is Kind.ROOT_RUNS else recipients
        if wanted > budget.left:
            return _spent(budget, wanted)
    return None


def shown(budgets: Iterable[Budget]) -> dict[str, dict[str, int]]:
    """Budgets as answers show them, by kind; of several runs in a tree the narrowest."""
    widest_first = sorted(budgets, key=lambda budget: -budget.left)
    return {
        str(budget.kind): {"limit": budget.limit, "used": budget.used, "remaining": budget.left}
        for budget in widest_first
        if budget.kind is not Kind.ROOT_RUNS
    }


def _spent(budget: Budget, wanted: int) -> Problem:
    code, words = _REFUSALS[budget.kind]
    return Problem(
        code,
        words.format(limit=budget.limit, left=budget.left, wanted=wanted),
        retry_at=budget.closes_at,
        scope=str(budget.kind),
        limit=budget.limit,
        used=budget.used,
        remaining=budget.left,
    )
