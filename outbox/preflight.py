"""What would happen to a message, a batch or a plan if it were posted now: every rule's word, and the forecast.

Nothing is written, reserved or remembered: the answer is as good as the moment it was given.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from outbox import intake
from outbox.intake import Preview
from outbox.keys import Caller
from outbox.limits import shown
from outbox.payloads import Draft, Estimate
from outbox.problems import Problem, body_of, instant
from reputation.outlook import Outlook

# Of a plan's days, so many are shown for each provider: a month.
SHOWN_DAYS: Final = 31


def answer(
    asked: Draft | list[Draft | Problem] | Estimate, caller: Caller, request_id: str, base_url: str
) -> dict[str, Any]:
    """The body of the answer; a refusal that a post would meet is part of it."""
    if isinstance(asked, Estimate):
        preview, parts = intake.preview_plan(asked, caller)
        providers = [_provider(name, count, outlook) for name, (count, outlook) in sorted(parts.items())]
        plan = {"recipients": asked.recipients, "providers": providers, "deliveries": []}
        return _body(preview, request_id, base_url) | plan
    if isinstance(asked, Draft):
        return _body(intake.preview([asked], caller)[0], request_id, base_url)
    previews = intake.preview(asked, caller)
    ends = [end for preview in previews for end in preview.forecasts.values()]
    data = [_body(preview, request_id, base_url) for preview in previews]
    budget = shown(previews[-1].budgets)
    return {"data": data, "forecast_at": _instant(_last(ends)), "budget": budget}


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
        "expires_at": _instant(preview.expires_at),
        "forecast_at": _instant(_last(preview.forecasts.values())),
        "deliveries": _deliveries(preview.forecasts),
        "refused": [dict(each) for each in preview.refused],
        "budget": shown(preview.budgets),
    }


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
