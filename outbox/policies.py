"""May this be sent: release, hold or refuse. Pure rules over a draft and the facts, in one ordered list.

A rule sees what it needs and answers with a verdict or nothing; the first refusal wins, holds add up. A rule
reads no clock, no table and no settings, so that yesterday's traffic can be judged again under other rules. The rules
that refuse are here, those that hold in ``holds``; the numbers of both are the stream's ``Policy``.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

from outbox import content_rules, holds, ids
from outbox.limits import refusal
from outbox.payloads import Draft
from outbox.policy_numbers import ONE_TIME_CODE, REMINDER
from outbox.problems import Problem, Violation, reading
from outbox.verdicts import PASSING, Facts, Finding, Hold, Rule, Verdict, spoken

__all__ = ["PASSING", "Facts", "Finding", "Hold", "Rule", "Verdict", "duplicates", "judge", "loop", "survey"]


def judge(draft: Draft, facts: Facts) -> Verdict:
    """All rules in order; the first refusal ends it. Then, if it is held, whether anybody would look at it in time."""
    waits = []
    for rule in _rules(facts).values():
        finding = rule(draft, facts)
        if isinstance(finding, Problem):
            return Verdict(refusal=finding)
        if finding:
            waits.append(finding)
    verdict = Verdict(holds=tuple(waits))
    late = _nobody_in_time(verdict, facts)
    return Verdict(refusal=late) if late else verdict


def survey(draft: Draft, facts: Facts) -> Mapping[str, Finding]:
    """What each rule says by itself, by its name, in their order: for whoever wants to know all that is in the way."""
    found = {name: rule(draft, facts) for name, rule in _rules(facts).items()}
    waits = tuple(each for each in found.values() if isinstance(each, Hold))
    return {**found, "approval_wait_past_expiry": _nobody_in_time(Verdict(holds=waits), facts)}


def duplicates(draft: Draft, facts: Facts) -> frozenset[str]:
    """Who of a draft's recipients had nearly the same lately, and may not have it again: all their addresses in it."""
    if not facts.policy.duplicate_hours:
        return frozenset()
    people = {
        mailbox.canonical
        for mailbox in draft.recipients
        if mailbox.addr in facts.likeness.earlier and not _may_repeat(draft, mailbox.addr, facts)
    }
    everybody = (*draft.to, *draft.cc, *draft.bcc)
    return frozenset(mailbox.addr for mailbox in everybody if mailbox.canonical in people)


def loop(facts: Facts) -> str | None:
    """Why the run of a draft must be stopped: it writes the same to one person again and again. None if it does not."""
    bound = facts.policy.loop_repeats
    if facts.exempt or not bound or not facts.policy.duplicate_hours:
        return None
    most = max((each.within_hour for each in facts.likeness.earlier.values()), default=0) + 1
    return (
        f"the same person was to get nearly the same message {most} times within an hour"
        if most >= bound
        else None
    )


def _may_repeat(draft: Draft, addr: str, facts: Facts) -> bool:
    """A copy that a person waits for: a one-time code, or a reminder that comes late enough. Never one of a loop."""
    earlier, policy = facts.likeness.earlier[addr], facts.policy
    if policy.loop_repeats and earlier.within_hour + 1 >= policy.loop_repeats:
        return False
    kinds = {tag["value"] for tag in draft.tags if tag["name"] == "kind"} & set(policy.repeats)
    if ONE_TIME_CODE in kinds and content_rules.code_in(draft):
        return True
    return REMINDER in kinds and facts.now - earlier.at >= timedelta(hours=policy.reminder_hours)


def _nobody_in_time(verdict: Verdict, facts: Facts) -> Problem | None:
    """What would only lapse in a long queue is refused at the door."""
    wait = facts.projected_wait
    if (
        verdict.code in ("", *PASSING)
        or wait is None
        or facts.now + timedelta(seconds=wait) < facts.expires_at
    ):
        return None
    return Problem(
        "approval_wait_past_expiry",
        f"It has to wait for a person ({verdict.code}), which takes about {spoken(wait)} now, and expires before.",
        scope=f"stream:{facts.stream}",
    )


def _rules(facts: Facts) -> Mapping[str, Rule]:
    return ALWAYS if facts.exempt else RULES


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


def run_is_open(_draft: Draft, facts: Facts) -> Finding:
    """A cancelled run stays cancelled."""
    if not facts.run_cancelled:
        return None
    return Problem("run_cancelled", "This run, or one above it, was cancelled; it sends nothing more.")


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
    wrong = _pointed(draft, facts.suppressed, "This recipient may not be mailed.")
    if not wrong or (not draft.all_or_nothing and draft.without(facts.suppressed).recipients):
        return None
    which = "Not every" if draft.all_or_nothing else "No"
    return Problem("recipient_suppressed", f"{which} recipient may be mailed.", violations=wrong)


def _pointed(draft: Draft, addresses: Collection[str], words: str) -> tuple[Violation, ...]:
    return tuple(
        Violation(f"/{field}/{place}", "bad_value", words)
        for field in ("to", "cc", "bcc")
        for place, mailbox in enumerate(getattr(draft, field))
        if mailbox.addr in addresses
    )


def recipients_are_few(_draft: Draft, facts: Facts) -> Finding:
    """So many people at once are a campaign; an agent that needs more asks its person."""
    most = facts.recipients_per_message
    if most is None or facts.recipients <= most:
        return None
    wrong = Violation("/to", "too_many", f"This agent's messages have at most {most} recipients.")
    return Problem("validation_failed", "There are too many recipients.", violations=(wrong,))


def budget_is_left(draft: Draft, facts: Facts) -> Finding:
    """Budgets count what is accepted; a refusal costs nothing."""
    return refusal(facts.budgets, message=bool(draft.recipients))


def forecast_is_within_its_life(_draft: Draft, facts: Facts) -> Finding:
    """What would only expire behind a ramp is refused at the door, while the agent can still do something else."""
    if facts.exempt or (facts.forecast_at and facts.forecast_at < facts.expires_at):
        return None
    when = f"on {facts.forecast_at:%Y-%m-%d %H:%M} UTC" if facts.forecast_at else "not within three years"
    return Problem(
        "forecast_past_expiry",
        f"At the present ramp of {facts.domain} it would leave {when}, after it expires.",
        scope=f"domain:{facts.domain}",
        forecast_at=facts.forecast_at,
    )


def content_is_new(draft: Draft, facts: Facts) -> Finding:
    """Who had nearly the same lately gets nothing, and the others their mail; nobody left, or all or nothing: refused.

    What another agent wrote is not this one's to know: of that only the age is told.
    """
    again = duplicates(draft, facts)
    if not again or (not draft.all_or_nothing and draft.without(again | facts.suppressed).recipients):
        return None
    wrong = _pointed(draft, again, "This recipient had nearly the same.")
    likeness = facts.likeness.earlier
    latest = max((likeness[addr] for addr in again if addr in likeness), key=lambda earlier: earlier.at)
    mine = ids.printed("msg", latest.message_id) if latest.message_id else ""
    which = f"as {mine}, " if mine else ""
    age = spoken((facts.now - latest.at).total_seconds())
    words = f"The recipient had nearly the same content {which}{age} ago."
    seen = reading("duplicate_content", f"/v1/messages/{mine}") if mine else ()
    return Problem("duplicate_content", words, violations=wrong, remedy=seen)


def content_is_harmless(draft: Draft, facts: Facts) -> Finding:
    """Secrets and what acts by itself leave with nobody's approval: once sent they cannot be taken back."""
    if facts.policy.refuse_secrets and (words := content_rules.secret(draft)):
        return Problem("content_refused", f"The message holds {words}; take it out.")
    if facts.policy.content_lint and (words := content_rules.active(draft)):
        return Problem("content_refused", f"The HTML holds {words[:60]}; mail shows things and runs nothing.")
    return None


# What holds for every agent, also for one that is for trying and loading.
ALWAYS: Final[Mapping[str, Rule]] = {
    "stopped": scope_is_open,
    "lane_not_ready": lane_is_ready,
    "test_names": names_are_of_this_world,
    "run_cancelled": run_is_open,
    "sender_not_in_lane": sender_is_in_lane,
    "recipient_suppressed": somebody_may_be_mailed,
    "recheck": holds.records_are_right,
}

# By the name under which a preflight shows them; a rule that answers with one code is called so.
RULES: Final[Mapping[str, Rule]] = {
    "stopped": scope_is_open,
    "lane_not_ready": lane_is_ready,
    "test_names": names_are_of_this_world,
    "run_cancelled": run_is_open,
    "sender_not_in_lane": sender_is_in_lane,
    "recipient_suppressed": somebody_may_be_mailed,
    "duplicate_content": content_is_new,
    "recipients_per_message": recipients_are_few,
    "budget": budget_is_left,
    "forecast_past_expiry": forecast_is_within_its_life,
    "content_refused": content_is_harmless,
    "recheck": holds.records_are_right,
    "weak_evidence": holds.evidence_is_fine,
    "policy": holds.everything_is_seen,
    "first_contact": holds.recipients_are_known,
    "new_agent": holds.agent_is_known,
    "run_recipients": holds.run_is_slow,
    "cluster_size": holds.content_is_of_few,
    "attachment_type": holds.attachments_are_of_the_list,
    "lookalike_domain": holds.names_are_their_own,
    "content_lint": holds.words_are_finished,
    "link_mismatch": holds.links_say_where_they_lead,
    "quiet_hours": holds.people_are_awake,
}
