"""What would happen to a message, a batch or a plan if it were posted now: every rule's word, and the forecast.

Nothing is written, reserved or remembered: the answer is as good as the moment it was given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from outbox import cases, facts, policies, runs
from outbox.cases import Call
from outbox.entries import expiry
from outbox.facts import KnownRun
from outbox.fingerprints import NOTHING, Likeness
from outbox.keys import Caller
from outbox.limits import Budget, shown
from outbox.payloads import Draft, Estimate
from outbox.policies import Finding, Verdict
from outbox.problems import Problem, body_of, instant
from outbox.queueing import Queue
from reputation.outlook import Outlook, outlooks
from reputation.ramps import spread

# Of a plan's days, so many are shown for each provider: a month.
SHOWN_DAYS: Final = 31

# Nothing leaves there, today or later: no ramp can say when.
SHUT: Final = frozenset({"stopped", "lane_not_ready", "run_cancelled"})

# The message that a draft would be: it has no key yet.
UNBORN: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen to a draft if it were posted now.

    ``forecasts`` by recipient, None beyond three years and where nothing leaves; ``rules``: what each says by itself;
    ``wait``: seconds until half of what is held now would be decided.
    """

    verdict: Verdict
    policy_version: int
    expires_at: datetime | None = None
    forecasts: Mapping[str, datetime | None] = field(default_factory=dict)
    refused: tuple[Mapping[str, str], ...] = ()
    budgets: tuple[Budget, ...] = ()
    rules: Mapping[str, Finding] = field(default_factory=dict)
    likeness: Likeness = NOTHING
    wait: float | None = None


def answer(
    asked: Draft | list[Draft | Problem] | Estimate, caller: Caller, request_id: str, base_url: str
) -> dict[str, Any]:
    """The body of the answer; a refusal that a post would meet is part of it."""
    if isinstance(asked, Estimate):
        preview, parts = preview_plan(asked, caller)
        providers = [_provider(name, count, outlook) for name, (count, outlook) in sorted(parts.items())]
        plan = {"recipients": asked.recipients, "providers": providers, "deliveries": []}
        return _body(preview, request_id, base_url) | plan
    if isinstance(asked, Draft):
        return _body(previews([asked], caller)[0], request_id, base_url)
    found = previews(asked, caller)
    ends = [end for preview in found for end in preview.forecasts.values()]
    data = [_body(preview, request_id, base_url) for preview in found]
    budget = shown(found[-1].budgets)
    return {"data": data, "forecast_at": _instant(_last(ends)), "budget": budget}


def previews(drafts: list[Draft | Problem], caller: Caller) -> list[Preview]:
    """What the rules would say of these drafts now, in order and each behind those before it."""
    call = cases.read([draft for draft in drafts if isinstance(draft, Draft)], caller)
    return [_preview(call, draft) for draft in drafts]


def preview_plan(plan: Estimate, caller: Caller) -> tuple[Preview, dict[str, tuple[int, Outlook]]]:
    """What the rules would say of so many recipients, spread over mailbox providers as lists are.

    With how many would go to each provider, and its outlook; of a stream without a ramp there is none.
    """
    draft = plan.draft
    names = cases.run_names([draft])
    picture = facts.read(caller.agent_id, caller.stream_id, names, judged=not caller.exempt)
    place, parts = picture.place, {}
    if place.warming and place.domain_id is not None:
        counts = spread(plan.recipients)
        parts = {name: (counts[name], look) for name, look in outlooks(place.domain_id, counts).items()}
    ends = [look.at(count) for count, look in parts.values()]
    end = max((each for each in ends if each), default=place.now) if all(ends) else None
    call = cases.call_of([draft], caller, picture, {}, Queue({}, {}, {}))
    told = replace(
        cases.facts_of(call, draft),
        forecast_at=end,
        recipients=plan.recipients,
        recipients_per_message=None,
        budgets=call.budgets.of(replace(cases.load(call, draft), recipients=plan.recipients)),
    )
    verdict = policies.judge(draft, told)
    if verdict.refusal and verdict.refusal.code in SHUT:
        end, parts = None, {}
    preview = Preview(
        verdict,
        place.policy_version,
        told.expires_at,
        {"": end},
        (),
        told.budgets,
        policies.survey(draft, told),
        NOTHING,
        call.projected_wait,
    )
    return preview, parts


def _preview(call: Call, draft: Draft | Problem) -> Preview:
    version = call.place.policy_version
    if isinstance(draft, Problem):
        return Preview(Verdict(refusal=draft), version)
    case = cases.judged(call, draft)
    rules = policies.survey(draft, case.facts)
    forecasts: Mapping[str, datetime | None] = {}
    if not case.verdict.refusal:
        name = runs.name_of(draft, call.place)
        if name not in call.known:
            lineage = runs.lineage_of(draft, call.place, call.known)
            cases.opened(call, draft, KnownRun(0, name, lineage, cancelled=False))
        cases.take(call, case, UNBORN)
        forecasts = cases.forecasts(call, case)
    elif case.verdict.refusal.code == "forecast_past_expiry":
        forecasts = call.queue.ends(case.left, call.place)
    return Preview(
        case.verdict,
        version,
        expiry(draft, call.place),
        {mailbox.addr: forecasts.get(mailbox.domain) for mailbox in case.left.recipients},
        case.refused,
        call.budgets.of(case.load),
        rules,
        case.facts.likeness,
        call.projected_wait,
    )


def _body(preview: Preview, request_id: str, base_url: str) -> dict[str, Any]:
    verdict, refusal = preview.verdict, preview.verdict.refusal
    return {
        "status": refusal.status if refusal else 202,
        "decision": {
            "verdict": verdict.word,
            "reasons": [{"code": hold.code, "detail": hold.detail} for hold in verdict.holds],
            "policy_version": preview.policy_version,
        },
        "problem": body_of(refusal, request_id, base_url) if refusal else None,
        "rules": [_rule(name, finding) for name, finding in preview.rules.items()],
        "cluster": _cluster(preview.likeness),
        "projected_wait_seconds": None if preview.wait is None else round(preview.wait),
        "expires_at": _instant(preview.expires_at),
        "forecast_at": _instant(_last(preview.forecasts.values())),
        "deliveries": _deliveries(preview.forecasts),
        "refused": [dict(each) for each in preview.refused],
        "budget": shown(preview.budgets),
    }


def _rule(name: str, finding: Finding) -> dict[str, str | None]:
    if finding is None:
        return {"rule": name, "verdict": "release", "code": None, "detail": None}
    verdict = "refuse" if isinstance(finding, Problem) else "hold"
    return {"rule": name, "verdict": verdict, "code": finding.code, "detail": finding.detail}


def _cluster(likeness: Likeness) -> dict[str, Any] | None:
    """How many people would have nearly the same content; None where it is like nothing."""
    if likeness.cluster_size < 2 and likeness.cluster is None:
        return None
    return {"people": likeness.cluster_size}


def _deliveries(forecasts: Mapping[str, datetime | None]) -> list[dict[str, str | None]]:
    return [{"to": to, "forecast_at": _instant(end)} for to, end in forecasts.items()]


def _provider(name: str, count: int, outlook: Outlook) -> dict[str, Any]:
    days = outlook.days(count)[:SHOWN_DAYS]
    return {
        "provider": name,
        "recipients": count,
        "waiting": outlook.waiting,
        "forecast_at": _instant(outlook.at(count)),
        "days": [
            {"day": day.day.isoformat(), "cap": day.cap, "recipients": day.sent} for day in days if day.sent
        ],
    }


def _last(ends: Iterable[datetime | None]) -> datetime | None:
    known = list(ends)
    return max((end for end in known if end), default=None) if all(known) else None


def _instant(time: datetime | None) -> str | None:
    return instant(time) if time else None
