"""Holding: what a post costs that joins a flood of held mail, beside one that nothing holds.

Both are posts of an agent that all rules judge; the stream's policy alone tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.accept import CALM
from bench.backlog import accept, draft, recipient_of, text_of
from bench.http import Load, posted
from bench.line import Line, below, note, percentile
from bench.stand import Stand

FLOOD, BATCH, ROUNDS = 80_000, 200, 3
LIMIT = 1.3
FIRST_OF_FLOOD = 10_000_000  # recipients that no load writes to


def flooded(stand: Stand) -> Iterator[Line]:
    """80,000 held messages of one run first, then calm streams of posts by turns."""
    stand.backlog.empty()
    key = _strict()
    _hold(True)
    numbers = range(FIRST_OF_FLOOD, FIRST_OF_FLOOD + FLOOD)
    for first in range(0, FLOOD, BATCH):
        some = numbers[first : first + BATCH]
        accept([draft(recipient_of(n), text=text_of(n)) for n in some], key)
    requests, held = _counted()
    note(f"  {held:,} held messages are {requests} request(s)")
    stand.backlog.settle_down()
    load = Load(stand.installation.web_port, "/v1/messages", key, **CALM)  # type: ignore[arg-type]
    took: dict[bool, list[float]] = {True: [], False: []}
    with stand.installation.web():
        posted(load, stand.installation.folder)
        for _ in range(ROUNDS):
            for holding in (False, True):
                _hold(holding)
                took[holding] += posted(load, stand.installation.folder).latencies
    value, yardstick = (percentile(took[holding], 0.99) for holding in (True, False))
    more: dict[str, Any] = {"p50": percentile(took[True], 0.5), "accepted_p50": percentile(took[False], 0.5)}
    more |= {"held_before": held, "requests": requests}
    n = len(took[True])
    line = Line("accept_held_p99", value, "ms", n, "accepted and not held, p99", yardstick, more=more)
    yield below(line, LIMIT * yardstick)
    stand.backlog.empty()


def _strict() -> str:
    """The key of an agent that is judged, on the bench's stream, with room for all of it."""
    from outbox import keys
    from outbox.models import Agent, ApiKey
    from reputation.models import Stream

    many = 100_000_000
    limits = {f"recipients_per_{name}": many for name in ("hour", "day", "run")}
    agent = Agent.objects.create(
        name="held", stream=Stream.objects.get(), requests_per_minute=many, domains_per_run=many, **limits
    )
    return keys.issue(agent, ApiKey.Kind.AGENT, keys.SCOPES, "held")[1]


def _hold(everything: bool) -> None:
    """A new version of the stream's policy: all is compared; all is held, or nothing."""
    from django.db.models import F

    from outbox import policy_numbers
    from outbox.models import Policy
    from reputation.models import Stream

    Stream.objects.update(policy_version=F("policy_version") + 1)
    stream = Stream.objects.get()
    compared = replace(
        policy_numbers.LENIENT, cluster_size=1_000_000, refuse_secrets=True, hold_everything=everything
    )
    Policy.objects.create(
        stream=stream, version=stream.policy_version, numbers=policy_numbers.stored(compared), who="bench"
    )


def _counted() -> tuple[int, int]:
    from outbox.models import Approval, Held

    return Approval.objects.count(), Held.objects.count()
