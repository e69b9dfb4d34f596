"""Requests for a reviewer to look at: held mail of an agent, as accepting would have left it. Plain functions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from outbox import ids
from outbox.models import Agent, Approval, Decision, Delivery, Held, Run
from tests.pages.desk import posted


def asked(
    agent: Agent, *messages: dict[str, Any], run: str = "nightly", ago: timedelta | None = None, **fields: Any
) -> Approval:
    """A request with these messages, held; opened so long ago."""
    opened = datetime.now(UTC) - (ago or timedelta())
    told = {"run_id": run, "purpose": "answer tickets", "on_behalf_of": "user:grace"}
    keys = posted(agent, *({"agent": told, **one} for one in messages)) if messages else []
    reasons = fields.pop("reasons", ["first_contact"])
    root = Run.objects.filter(agent=agent, name=run).first() or Run.objects.create(
        agent=agent, name=run, lineage=[run]
    )
    made = Approval.objects.create(
        **{
            "id": ids.new_id(int(opened.timestamp() * 1000)),
            "agent": agent,
            "stream": agent.stream,
            "run": root,
            "cluster": Approval.objects.count() + 1,
            "reasons": reasons,
            "opened_at": opened,
            "expires_at": opened + timedelta(days=1),
            **fields,
        }
    )
    held(made, keys)
    return made


def held(request: Approval, keys: Sequence[UUID]) -> None:
    """These messages wait in the request."""
    for key in keys:
        Delivery.objects.filter(pk__gt=key, pk__lte=ids.last_delivery_of(key)).update(
            status="held", code=request.reasons[0]
        )
    Held.objects.bulk_create(Held(approval=request, message_id=key, digest=bytes(32)) for key in keys)


def said(request: Approval, who: str, kind: str = "release", looked: float = 60, **fields: Any) -> Decision:
    """A word of somebody about it, after they had looked at it for so many seconds."""
    at = fields.pop("at", datetime.now(UTC))
    last = Held.objects.filter(approval=request).order_by("-message_id").first()
    return Decision.objects.create(
        **{
            "approval": request,
            "kind": kind,
            "who": who,
            "at": at,
            "version": request.version,
            "upto": last.message_id if last else None,
            "shown_at": at - timedelta(seconds=looked),
            "policy_version": 1,
            **fields,
        }
    )


def name_of(request: Approval) -> str:
    """As addresses have it."""
    return ids.printed("apr", request.pk)
