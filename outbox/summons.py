"""Reviewers are written to when requests wait that they were not told of: a short digest each, by a stream of our own.

Sent through ``intake`` like any agent's mail, by an agent of the house. What it last wrote to somebody is looked up in
its own messages, so there is nothing else to keep. Guarantees: nobody gets more than one in ``PAUSE``, however many
processes ask; it holds no word of an agent's, and its only link leads to where one logs in. Nothing waits for it.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, LiteralString

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from outbox import alarm, intake, payloads
from outbox.keys import Caller
from outbox.models import Agent
from reputation import sql
from reputation.models import Kind, Stream

logger = logging.getLogger(__name__)

AGENT: Final = "reviewers"
RIGHT: Final = "outbox.decide_approval"
BACKEND: Final = "django.contrib.auth.backends.ModelBackend"
PAUSE: Final = timedelta(minutes=15)
MOST: Final = 50  # reviewers

# One process at a time: what it writes is committed before another looks.
MY_TURN: Final[LiteralString] = "SELECT pg_try_advisory_xact_lock(20559, 8) AS mine, ao_now() AS now"

# Since its last message to each; a day back is as far as anything waits.
TOLD: Final[LiteralString] = """
SELECT p.addr, max(m.created_at) AS at
FROM unnest(%(people)s::text[]) AS p (addr)
JOIN (
    SELECT created_at, addresses FROM outbox_message
    WHERE agent_id = %(agent)s AND id >= ao_uuid_floor(ao_now() - interval '1 day') ORDER BY id DESC LIMIT 5000
) AS m ON p.addr = ANY (m.addresses)
GROUP BY p.addr
"""

WAITING: Final[LiteralString] = """
SELECT opened_at, expires_at FROM outbox_approval WHERE state IN ('open', 'confirming', 'watching')
ORDER BY opened_at LIMIT 10000
"""


def summon() -> int:
    """Write to everybody who has something new to look at; to how many."""
    if not settings.AO_REVIEWERS_STREAM:
        return 0
    with transaction.atomic():
        turn = sql.one(MY_TURN)
        stream = _stream()
        if not turn.mine or stream is None:
            return 0
        waiting = sql.rows(WAITING)
        drafts = _drafts(waiting, stream, turn.now) if waiting else []
        if not drafts:
            return 0
        parsed = [payloads.parse_draft(draft, now=turn.now, idempotency_key=None) for draft in drafts]
        answers = intake.accept(parsed, _caller(_agent(stream)), request_id="", base_url=settings.PUBLIC_URL)
    for answer in answers:
        if answer.status != 202:
            logger.warning("a reviewer was not written to: %s", answer.body.decode())
    alarm.ring()
    return sum(answer.status == 202 for answer in answers)


def _drafts(waiting: Sequence[sql.Row], stream: Stream, now: datetime) -> list[dict[str, object]]:
    """One for each reviewer to whom something of it is new."""
    people = _reviewers()
    told = {row.addr: row.at for row in sql.rows(TOLD, {"people": people, "agent": _agent(stream).pk})}
    found = []
    for person in people:
        last = told.get(person)
        new = sum(last is None or row.opened_at > last for row in waiting)
        if new and (last is None or last <= now - PAUSE):
            found.append(_draft(person, new, waiting, now))
    return found


def _draft(person: str, new: int, waiting: Sequence[sql.Row], now: datetime) -> dict[str, object]:
    left = (min(row.expires_at for row in waiting) - now).total_seconds() / 3600
    lines = (
        f"{new} new request{'s wait' if new > 1 else ' waits'} for a reviewer; {len(waiting)} in all.",
        f"The first lapses in {max(left, 0):.0f} h: what it holds is then never sent.",
        f"Log in to look at {'them' if len(waiting) > 1 else 'it'}: {settings.PUBLIC_URL}/approvals/",
    )
    return {
        "to": [person],
        "subject": f"Approvals: {new} new, {len(waiting)} waiting",
        "text": "\n\n".join(lines) + "\n",
        "agent": {"run_id": f"reviewers-{now:%Y-%m-%d}", "purpose": "tell reviewers what waits"},
    }


def _reviewers() -> list[str]:
    """The addresses of those who may decide and can log in."""
    users = User.objects.with_perm(RIGHT, is_active=True, include_superusers=False, backend=BACKEND)
    found = users.filter(is_staff=True).exclude(email="").order_by("pk")
    return [user.email.lower() for user in found[:MOST]]


def _stream() -> Stream | None:
    stream = Stream.objects.filter(name=settings.AO_REVIEWERS_STREAM).first()
    if stream is None or stream.kind != Kind.TRANSACTIONAL:
        logger.warning("AO_REVIEWERS_STREAM names no transactional stream: reviewers are not written to")
        return None
    return stream


def _agent(stream: Stream) -> Agent:
    """The house's own, one for each stream. Exempt: whether reviewers are told must not depend on their telling."""
    name = f"{AGENT}-{stream.name}"[:63]
    return Agent.objects.get_or_create(name=name, defaults={"stream": stream, "exempt": True})[0]


def _caller(agent: Agent) -> Caller:
    return Caller(
        key_id=0,
        kind="agent",
        scopes=frozenset({"send"}),
        agent_id=agent.pk,
        agent=agent.name,
        stream_id=agent.stream_id,
        stream=agent.stream.name,
        enabled=True,
        exempt=True,
        requests_per_minute=agent.requests_per_minute,
        recipients_per_message=agent.recipients_per_message,
    )
