"""A run that was sent long ago: deliveries with attempts, as the ledger leaves them."""

from datetime import UTC, datetime

from outbox import ids
from outbox.models import Agent, Attempt, Delivery, Lane, Run
from reputation.allowance import ramp_of
from reputation.models import SendingDomain


def bounced_run(agent: Agent, *, bad: int, good: int, name: str = "r1") -> Lane:
    """One lane with so many unknown users, then so many who took it."""
    domain = SendingDomain.objects.get(stream=agent.stream)
    run = Run.objects.create(agent=agent, name=name, lineage=[name])
    scopes = [f"stream:{agent.stream.name}", f"agent:{agent.name}", f"run:{agent.name}/{name}"]
    now = datetime.now(UTC)
    lane = Lane.objects.create(
        stream=agent.stream, domain=domain, provider="gmail", agent=agent, run=run, scopes=scopes, tier=1,
        state="asleep", wake_at=now, ramp_id=ramp_of(domain.name, "gmail"),
    )  # fmt: skip
    for place in range(bad + good):
        status, code = (
            ("bounced", "recipient_unknown") if place < bad else ("delivered", "accepted_by_server")
        )
        message = ids.new_id(int(now.timestamp() * 1000))
        delivery = Delivery.objects.create(
            id=ids.delivery_id(message, 1), message_id=message, lane=lane, recipient=f"x@d{place}.example",
            next_attempt_at=now, expires_at=now, finished_at=now, status=status, code=code,
        )  # fmt: skip
        Attempt.objects.create(
            id=ids.new_id(int(now.timestamp() * 1000) + place), delivery=delivery, number=1, session_id=1,
            ended_at=now, phase="replied", host="", address="", tls="", reply="", fault="", selectors="",
            outcome=status, code=code,
        )  # fmt: skip
    return lane
