"""What rules are told and what they answer: facts, holds, verdicts. Pure values."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outbox.fingerprints import NOTHING, Likeness
from outbox.limits import Budget
from outbox.payloads import Draft
from outbox.policy_numbers import DEFAULT, MOST, Policy
from outbox.problems import Problem

# Held for these alone, mail goes on by itself when what was wrong is right again; for all else a person decides.
PASSING: Final = frozenset({"recheck", "weak_evidence"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules may know about a draft at the moment of its judgement."""

    now: datetime
    stream: str
    stream_kind: str
    policy_version: int
    domain: str | None
    signed: bool
    stopped_scope: str | None
    weak_scope: str | None
    run_cancelled: bool
    expires_at: datetime
    forecast_at: datetime | None  # when the last recipient would be through; None: not within years
    degraded: bool
    exempt: bool
    recipients: int  # who would get a delivery
    recipients_per_message: int | None
    budgets: tuple[Budget, ...]
    suppressed: frozenset[str]  # those of the draft's addresses that may not be mailed
    test_names: bool  # names under .test exist here: a simulated world
    policy: Policy = DEFAULT
    likeness: Likeness = NOTHING
    first_contacts: frozenset[str] = frozenset()  # those of the addresses that nothing was ever let go to
    run_recent: int = 0  # recipients of the tree of runs within the policy's minutes, without this draft's
    accepted_before: int = MOST  # messages of the agent; counted no further than a policy can ask
    own_domains: frozenset[str] = frozenset()  # the organisation's names
    projected_wait: float | None = None  # seconds until half of what asks now would be decided


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason to wait for a person: a code of the closed list and a sentence for the agent."""

    code: str
    detail: str


Finding = Problem | Hold | None
Rule = Callable[[Draft, Facts], Finding]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all rules together say: refused, or held for these reasons, or (with none) released."""

    refusal: Problem | None = None
    holds: tuple[Hold, ...] = ()

    @property
    def word(self) -> str:
        """The verdict in the contract's word."""
        return "refuse" if self.refusal else "hold" if self.holds else "release"

    @property
    def code(self) -> str:
        """What its deliveries are held for: the first hold that a person must decide, or one that passes by itself."""
        codes = [hold.code for hold in self.holds]
        return next((code for code in codes if code not in PASSING), codes[0] if codes else "")


def spoken(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{max(seconds / 60, 1):.0f} min"
