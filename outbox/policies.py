"""May this be sent: release, hold or refuse. Pure rules over a draft and the facts, in one ordered list.

A rule sees what it needs and answers with a verdict or nothing; the first refusal wins, holds add up. A rule
reads no clock, no table and no settings, so that yesterday's traffic can be judged again under other rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outbox.limits import Budget, refusal
from outbox.payloads import Draft
from outbox.problems import Problem, Violation


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


def judge(draft: Draft, facts: Facts) -> Verdict:
    """All rules in order; the first refusal ends it."""
    holds = []
    for rule in RULES:
        finding = rule(draft, facts)
        if isinstance(finding, Problem):
            return Verdict(refusal=finding)
        if finding:
            holds.append(finding)
    return Verdict(holds=tuple(holds))


def lane_is_ready(_draft: Draft, facts: Facts) -> Finding:
    """A stream without an enabled domain and a usable key sends nothing: never unsigned."""
    if facts.domain and facts.signed:
        return None
    return Problem(
        "lane_not_ready",
        f"Stream {facts.stream} has no sending domain that can sign; a deliverability admin must finish it.",
        scope=f"stream:{facts.stream}",
    )


def scope_is_open(_draft: Draft, facts: Facts) -> Finding:
    """While an agent scope is stopped nothing piles up behind it; transactional mail waits for the resume."""
    if facts.stopped_scope is None or facts.stream_kind == "transactional":
        return None
    return Problem(
        "stopped",
        f"Sending is stopped for {facts.stopped_scope}; a person has to resume it.",
        scope=facts.stopped_scope,
    )


def names_are_of_this_world(draft: Draft, facts: Facts) -> Finding:
    """Names under .test (RFC 6761 §6.2) are for simulators; in the world they only cost reputation."""
    made_up = [mailbox for mailbox in draft.recipients if mailbox.domain.endswith(".test")]
    if facts.test_names or not made_up:
        return None
    wrong = [
        Violation(f"/{field}/{place}", "bad_address", "Names under .test do not exist.")
        for field in ("to", "cc", "bcc")
        for place, mailbox in enumerate(getattr(draft, field))
        if mailbox.domain.endswith(".test")
    ]
    return Problem("validation_failed", "Names under .test do not exist.", violations=tuple(wrong))


def run_is_open(draft: Draft, facts: Facts) -> Finding:
    """A cancelled run stays cancelled."""
    if not facts.run_cancelled:
        return None
    return Problem("run_cancelled", f"Run {draft.run_id} was cancelled; it sends nothing more.")


def sender_is_in_lane(draft: Draft, facts: Facts) -> Finding:
    """The lane follows the credential: From is an address of the stream's own sending domain."""
    if draft.sender is None or draft.sender.domain == facts.domain:
        return None
    return Problem(
        "sender_not_in_lane",
        f"This key sends from {facts.domain}; leave `from` out or use an address there.",
    )


def somebody_may_be_mailed(draft: Draft, facts: Facts) -> Finding:
    """Whoever is suppressed gets nothing, and the others their mail, unless the agent wants all or nothing.

    The words are the same whatever the reason: who bounced, complained or left is not the agent's to know.
    """
    wrong = tuple(
        Violation(f"/{field}/{place}", "bad_value", "This recipient may not be mailed.")
        for field in ("to", "cc", "bcc")
        for place, mailbox in enumerate(getattr(draft, field))
        if mailbox.addr in facts.suppressed
    )
    if not wrong or (not draft.all_or_nothing and draft.without(facts.suppressed).recipients):
        return None
    which = "Not every" if draft.all_or_nothing else "No"
    return Problem("recipient_suppressed", f"{which} recipient may be mailed.", violations=wrong)


def recipients_are_few(_draft: Draft, facts: Facts) -> Finding:
    """So many people at once are a campaign; an agent that needs more asks its person."""
    most = facts.recipients_per_message
    if most is None or facts.recipients <= most:
        return None
    wrong = Violation("/to", "too_many", f"This agent's messages have at most {most} recipients.")
    return Problem("validation_failed", "There are too many recipients.", violations=(wrong,))


def budget_is_left(_draft: Draft, facts: Facts) -> Finding:
    """Budgets count what is accepted; a refusal costs nothing."""
    return refusal(facts.budgets)


def forecast_is_within_its_life(_draft: Draft, facts: Facts) -> Finding:
    """What would only expire behind a ramp is refused at the door, while the agent can still do something else."""
    if facts.exempt or (facts.forecast_at and facts.forecast_at < facts.expires_at):
        return None
    when = f"on {facts.forecast_at:%Y-%m-%d %H:%M} UTC" if facts.forecast_at else "not within three years"
    return Problem(
        "forecast_past_expiry",
        f"At the present ramp of {facts.domain} it would leave {when}, after it expires.",
        scope=f"domain:{facts.domain}",
    )


def records_are_right(_draft: Draft, facts: Facts) -> Finding:
    """New mail of a domain whose records broke waits until they are right again: it would be refused, or worse."""
    if not facts.degraded:
        return None
    return Hold(
        "recheck", f"The DNS records of {facts.domain} are wrong; it goes on when they are right again."
    )


def evidence_is_fine(_draft: Draft, facts: Facts) -> Finding:
    """What may be going wrong goes on only if a person has looked, or when it has turned out to be nothing."""
    if facts.weak_scope is None or facts.exempt or facts.stream_kind == "transactional":
        return None
    return Hold(
        "weak_evidence",
        f"Mail of {facts.weak_scope} may be unwanted or badly addressed; a person looks at it, or it goes on by itself "
        "when the evidence has passed.",
    )


RULES: Final[Sequence[Rule]] = (
    scope_is_open,
    lane_is_ready,
    names_are_of_this_world,
    run_is_open,
    sender_is_in_lane,
    somebody_may_be_mailed,
    recipients_are_few,
    budget_is_left,
    forecast_is_within_its_life,
    records_are_right,
    evidence_is_fine,
)
