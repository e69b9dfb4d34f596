"""What bounds how much is accepted: budgets in their windows, and what is said of one that is spent. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from outbox.problems import Problem, Violation


class Kind(StrEnum):
    """What a budget bounds, in the order in which they are charged: what only a person can raise comes first, what
    most others wait for comes last."""

    RUN = "run"
    RUN_DOMAINS = (
        "run_domains"  # distinct domains of recipients in a tree of runs; seen is seen, nothing goes back
    )
    RUN_BYTES = "run_bytes"  # attachments as they leave: once for each recipient
    AGENT_HOUR = "agent_hour"
    AGENT_DAY = "agent_day"
    AGENT_DAY_BYTES = "agent_day_bytes"
    ROOT_RUNS = "root_runs"  # trees of runs begun in a day, or budgets would be minted by renaming
    PRINCIPAL_DAY = "principal_day"  # of one stream
    STREAM_DAY = "stream_day"
    ORGANISATION_DAY = "organisation_day"


DAY: Final = timedelta(days=1)
WINDOWS: Final[Mapping[Kind, timedelta]] = {
    Kind.AGENT_HOUR: timedelta(hours=1),
    Kind.AGENT_DAY: DAY,
    Kind.AGENT_DAY_BYTES: DAY,
    Kind.ROOT_RUNS: DAY,
    Kind.PRINCIPAL_DAY: DAY,
    Kind.STREAM_DAY: DAY,
    Kind.ORGANISATION_DAY: DAY,
}

# Windows that one message alone can be too large for.
_OF_ALL: Final[Mapping[Kind, str]] = {
    Kind.AGENT_HOUR: "the agent may have in an hour",
    Kind.AGENT_DAY: "the agent may have in a UTC day",
    Kind.PRINCIPAL_DAY: "may be had in a UTC day on behalf of one principal",
    Kind.STREAM_DAY: "all agents of the stream may have in a UTC day",
    Kind.ORGANISATION_DAY: "all agents may have in a UTC day",
}
_LEFT: Final = "left: {left}, in this: {wanted}."
_REFUSALS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.RUN: ("run_budget_exhausted", f"The run may have {{limit}} recipients; {_LEFT}"),
    Kind.RUN_DOMAINS: (
        "run_budget_exhausted",
        "The run may write to recipients at {limit} domains; left: {left}, new in this: {wanted}.",
    ),
    Kind.RUN_BYTES: (
        "run_budget_exhausted",
        f"The run may have {{limit}} bytes of attachments, counted for each recipient; {_LEFT}",
    ),
    Kind.AGENT_HOUR: ("agent_hour_limit", f"The agent may have {{limit}} recipients in an hour; {_LEFT}"),
    Kind.AGENT_DAY: ("agent_day_limit", f"The agent may have {{limit}} recipients in a UTC day; {_LEFT}"),
    Kind.AGENT_DAY_BYTES: (
        "agent_day_limit",
        f"The agent may have {{limit}} bytes of attachments in a UTC day, counted for each recipient; {_LEFT}",
    ),
    Kind.ROOT_RUNS: ("agent_day_limit", "The agent may begin {limit} runs without a parent in a UTC day."),
    Kind.PRINCIPAL_DAY: (
        "principal_limit",
        f"What is sent on behalf of one principal may have {{limit}} recipients in a UTC day; {_LEFT}",
    ),
    Kind.STREAM_DAY: (
        "stream_limit",
        f"All agents of the stream together may have {{limit}} recipients in a UTC day; {_LEFT}",
    ),
    Kind.ORGANISATION_DAY: (
        "organisation_limit",
        f"All agents together may have {{limit}} recipients in a UTC day; {_LEFT}",
    ),
}


@dataclass(frozen=True, slots=True)
class Load:
    """What one message asks of the budgets.

    ``lineage``: the names from the root of its tree of runs down to its own; ``new_root``: it begins that tree.
    ``principal``: on whose behalf, where it says so. ``octets``: of its attachments, which each recipient gets.
    """

    lineage: tuple[str, ...] = ()
    new_root: bool = False
    principal: str = ""
    recipients: int = 0
    domains: frozenset[str] = frozenset()
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit in its present window, what was used of it when it was read, and what the message at hand wants."""

    kind: Kind
    key: str
    opens_at: datetime
    limit: int
    used: int
    wanted: int = 0

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)

    @property
    def closes_at(self) -> datetime | None:
        """When the next window opens; a run has none."""
        length = WINDOWS.get(self.kind)
        return self.opens_at + length if length else None


def refusal(budgets: Iterable[Budget], *, message: bool = True) -> Problem | None:
    """Why what is wanted is more than what is left, if it is; of a plan and no ``message`` it can be sent in pieces."""
    over = next((budget for budget in budgets if budget.wanted > budget.left), None)
    if over is None:
        return None
    return (_too_large(over) if message else None) or _spent(over)


def narrowest(budgets: Iterable[Budget]) -> list[Budget]:
    """One of each kind; of several runs in a tree the one that leaves least."""
    found: dict[Kind, Budget] = {}
    for budget in budgets:
        found[budget.kind] = min(found.get(budget.kind, budget), budget, key=lambda each: each.left)
    return list(found.values())


def shown(budgets: Iterable[Budget]) -> dict[str, dict[str, int]]:
    """Budgets as answers show them, by kind."""
    return {
        str(budget.kind): {"limit": budget.limit, "used": budget.used, "remaining": budget.left}
        for budget in narrowest(budgets)
        if budget.kind is not Kind.ROOT_RUNS
    }


def _too_large(budget: Budget) -> Problem | None:
    """One message that wants more than there ever is at once: waiting would not help."""
    if budget.kind not in _OF_ALL or not 0 < budget.limit < budget.wanted:
        return None
    words = f"At most {budget.limit} recipients: that is all that {_OF_ALL[budget.kind]}."
    return Problem("validation_failed", words, violations=(Violation("/to", "too_many", words),))


def _spent(budget: Budget) -> Problem:
    code, words = _REFUSALS[budget.kind]
    return Problem(
        code,
        words.format(limit=budget.limit, left=budget.left, wanted=budget.wanted),
        retry_at=budget.closes_at,
        scope=str(budget.kind),
        limit=budget.limit,
        used=budget.used,
        remaining=budget.left,
    )
