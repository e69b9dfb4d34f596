"""A flood that is held: one request, whatever its size, and waves that let go exactly what was approved."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from outbox import approval_statements, deciding, releasing, reviewing
from outbox.models import Agent, Approval, Delivery, Held
from outbox.reviewing import Filters
from reputation import sql
from reputation.models import Stream
from tests import factories
from tests.clocks import later
from tests.outbox.asked import (
    accepted,
    carried,
    counts,
    draft,
    held,
    hold,
    join,
    request,
    reviewer,
    shown,
    to,
)
from tests.outbox.reopened import ask

pytestmark = pytest.mark.usefixtures("live_db")


def flood(live_db: Any, ada: Agent, count: int) -> list[UUID]:
    """So many messages, held in one request; their keys in order."""
    found: list[UUID] = []
    for first in range(0, count, 1000):
        drafts = [draft({"to": f"n{n}@example.org"}) for n in range(first, min(first + 1000, count))]
        messages = accepted(ada, drafts)
        hold(live_db, messages)
        join(ada, list(zip(messages, drafts, strict=True)))
        found += messages
    return sorted(found)


def released() -> list[UUID]:
    queued = Delivery.objects.filter(status__in=["queued", "delivered"])
    return sorted(queued.values_list("message_id", flat=True))


def fine(live_db: Any) -> None:
    """What was let go arrived, and the wave was watched."""
    ask(live_db, "UPDATE outbox_delivery SET status = 'delivered', code = 'accepted_by_server', finished_at = now() "
        "WHERE status = 'queued'")  # fmt: skip
    later(live_db, "16 minutes")


def flooded(live_db: Any, count: int) -> None:
    ada = factories.agent("ada")
    Stream.objects.update(second_person_above=count)
    messages = flood(live_db, ada, count)
    assert Approval.objects.count() == 1
    assert request().version == 1, "no join has written to it"
    deciding.release_in_waves(shown(), reviewer(), "in waves")
    carried()
    assert released() == messages[:20]
    held(live_db, ada, *to("late"))
    fine(live_db)
    releasing.tend(60)
    assert released() == messages[:220]
    fine(live_db)
    releasing.tend(600)
    assert released() == messages
    assert counts()["held"] == 1
    assert Held.objects.filter(decision=None).count() == 1


def test_two_thousand_are_one_request_and_go_in_waves(live_db: Any) -> None:
    flooded(live_db, 2000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_eighty_thousand_are_one_request_and_go_in_waves(live_db: Any) -> None:
    flooded(live_db, 80_000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_eighty_thousand_do_not_slow_the_desk(live_db: Any) -> None:
    flood(live_db, factories.agent("ada"), 80_000)
    ask(live_db, "ANALYZE outbox_held")
    took = {}
    for name, look in {
        "list": lambda: reviewing.listed(Filters()),
        "show": lambda: deciding.show(request().pk),
        "members": lambda: reviewing.members(request().pk),
        "domains": lambda: reviewing.domains(request().pk),
        "tend": releasing.tend,
    }.items():
        began = time.perf_counter()
        look()
        took[name] = round((time.perf_counter() - began) * 1000)
    print(took)
    assert sum(took.values()) < 500, took


def test_each_message_is_looked_up_and_none_is_compared_with_all(live_db: Any) -> None:
    """With fresh statistics a plain join of ranges was planned as every message against every delivery that is held."""
    flood(live_db, factories.agent("ada"), 1000)
    ask(live_db, "ANALYZE outbox_held, outbox_delivery, outbox_lane")
    plan = sql.rows(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {approval_statements.STOPPED}",
        {"approval": request().id, "most": deciding.LOOKED_AT},
    )
    read = sum(node["Actual Rows"] * node["Actual Loops"] for node in nodes(plan[0][0][0]["Plan"]))
    assert read < 20 * deciding.LOOKED_AT


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
