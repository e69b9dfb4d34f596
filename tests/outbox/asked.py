"""Mail that waits for people in tests, and people: requests as an accept that holds makes them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from django.contrib.auth.models import Group, User
from django.db import transaction

from outbox import approvals, deciding, facts, intake, keys, releasing
from outbox.deciding import Shown
from outbox.models import Agent, Approval, Delivery
from outbox.payloads import Draft, parse_draft
from tests import factories


def reviewer(name: str = "rita", group: str = "reviewers") -> User:
    made, new = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    if new:
        made.groups.add(Group.objects.get(name=group))
    return User.objects.get(pk=made.pk)


def draft(body: dict[str, Any]) -> Draft:
    given = {"to": "grace@example.org", "subject": "Hello", "text": "Hi", "agent": {"run_id": "r1"}, **body}
    return parse_draft(given, now=datetime.now(UTC), idempotency_key=None)


def held(
    live_db: Any, agent: Agent, *bodies: dict[str, Any], code: str = "first_contact", cluster: int | None = 7
) -> list[UUID]:
    """Messages of these bodies, accepted, held for this reason, and in the request of this cluster."""
    drafts = [draft(body) for body in bodies]
    messages = accepted(agent, drafts)
    hold(live_db, messages, code)
    join(agent, list(zip(messages, drafts, strict=True)), code, cluster)
    return messages


def accepted(agent: Agent, drafts: Sequence[Draft]) -> list[UUID]:
    """Accepted as of an agent that no rule holds, which it is no more afterwards."""
    Agent.objects.filter(pk=agent.pk).update(exempt=True)
    caller = keys.authenticate(f"Bearer {factories.key(agent)}")
    answers = intake.accept(list(drafts), caller, request_id="r", base_url="https://ao.test")
    Agent.objects.filter(pk=agent.pk).update(exempt=False)
    assert {answer.status for answer in answers} == {202}, answers
    return [answer.message_id for answer in answers if answer.message_id]


def hold(live_db: Any, messages: Sequence[UUID], code: str = "first_contact") -> None:
    with psycopg.connect(live_db.owner, autocommit=True) as owner:
        owner.execute(
            "UPDATE outbox_delivery SET status = 'held', code = %s WHERE message_id = ANY (%s)",
            [code, list(messages)],
        )


def join(
    agent: Agent, made: Sequence[tuple[UUID, Draft]], code: str = "first_contact", cluster: int | None = 7
) -> list[approvals.Request | None]:
    """These messages join requests, in one transaction, as an accept does it."""
    caller = keys.authenticate(f"Bearer {factories.key(agent)}")
    names = {one.run_id for _, one in made if one.run_id}
    with transaction.atomic():
        picture = facts.read(agent.pk, agent.stream_id, names)
        requests = approvals.read(caller, picture.place)
        answers = [
            requests.join(message, one, picture.known[one.run_id or ""], cluster, [code], _end())
            for message, one in made
        ]
        requests.keep()
    return answers


def _end() -> datetime:
    return datetime(2100, 1, 1, tzinfo=UTC)


def request() -> Approval:
    """The only one there is."""
    return Approval.objects.get()


def shown(approval: Approval | None = None) -> Shown:
    found = deciding.show((approval or request()).pk)
    assert found
    return Shown.parsed(str(found))


def carried(approval: Approval | None = None) -> None:
    assert releasing.advance((approval or request()).pk, 60)


def statuses() -> dict[str, str]:
    """Recipient -> status and code."""
    return {one.recipient: f"{one.status} {one.code}".strip() for one in Delivery.objects.all()}


def counts() -> dict[str, int]:
    found: dict[str, int] = {}
    for status in Delivery.objects.values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def to(*names: str, **more: Any) -> list[dict[str, Any]]:
    """A body to each of these people."""
    return [{"to": f"{name}@example.org", **more} for name in names]


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    return to(*(f"n{n}" for n in range(count)), **more)
