"""Release, refuse, cancel, an edited policy, a trip and a late join at once: one winner each, every time.

Real threads and connections. Nothing is queued that its page did not show, nothing is cleared that was not approved as
it is, and each delivery leaves ``held`` once.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import F
from django.test import override_settings

from outbox import deciding, ledger, press, releasing, sessions
from outbox.deciding import Overtaken, Shown
from outbox.delivery import Envelope
from outbox.models import Agent, Approval, Decision, Delivery, Event, Held
from reputation import killswitch, signing
from reputation.models import SigningKey, Stream, SwitchEvent
from reputation.vault import new_master_key, vault
from tests import factories
from tests.outbox.asked import accepted, draft, held, hold, join, reviewer, shown, to

LEAVES = {"released", "refused", "cancelled", "expired", "suppressed"}


@dataclass(frozen=True, slots=True)
class Round:
    """One request, and those who come at once."""

    agent: Agent
    run: str
    approval: Approval
    messages: list[UUID]
    late: UUID
    page: Shown
    rita: User
    omar: User


@pytest.fixture
def ada(live_db: Any) -> Iterator[Agent]:
    with override_settings(AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=["0123456789abcdef"]):
        press._verp_key.cache_clear()
        made = factories.agent("ada")
        pair = signing.generate(signing.Algorithm.RSA)
        SigningKey.objects.update(
            private_sealed=vault().seal(pair.private_pem), public_record=pair.public_record
        )
        yield made
        press._verp_key.cache_clear()


def a_round(live_db: Any, ada: Agent, number: int) -> Round:
    run = {"agent": {"run_id": f"r{number}"}}
    messages = held(live_db, ada, *to("a", "b", "c", **run), cluster=number)
    late = accepted(ada, [draft({"to": "late@example.org", **run})])[0]
    hold(live_db, [late])
    approval = Approval.objects.get(cluster=number)
    people = reviewer("rita"), reviewer("omar")
    assert all(each.has_perm(deciding.RIGHT) for each in people), "and it is known: they are quick"
    return Round(ada, f"r{number}", approval, messages, late, shown(approval), *people)


def release(one: Round) -> None:
    deciding.release(one.page, one.rita, "fine")
    releasing.advance(one.approval.pk)


def refuse(one: Round) -> None:
    deciding.refuse(one.page, one.omar, "no")
    releasing.advance(one.approval.pk)


def cancel(one: Round) -> None:
    ledger.cancel_message(one.messages[0], "by_agent", "agent:ada")


def edit(_: Round) -> None:
    Stream.objects.update(policy_version=F("policy_version") + 1)


def trip(one: Round) -> None:
    killswitch.trip(f"run:ada/{one.run}", who="resi", why="a race")


def late(one: Round) -> None:
    join(
        one.agent,
        [(one.late, draft({"to": "late@example.org", "agent": {"run_id": one.run}}))],
        cluster=int(one.run[1:]),
    )


def work(one: Round) -> None:
    """A worker that takes whatever is queued to its dot."""
    for _ in range(3):
        to_the_dot()


def to_the_dot() -> set[UUID]:
    session = sessions.begin("race")
    jobs = press.gather(session, ledger.claim(session, tier=1, limit=50))
    ready = [job for job in jobs if isinstance(press.pressed(job), Envelope)]
    if not ready:
        return set()
    return ledger.clear(session, [(job.claimed.id, job.claimed.attempt) for job in ready])


ALL: tuple[Callable[[Round], None], ...] = (release, refuse, cancel, edit, trip, late, work)


def at_once(pool: ThreadPoolExecutor, one: Round) -> None:
    acts = random.sample(ALL, random.randint(2, len(ALL)))
    barrier = Barrier(len(acts))

    def go(act: Callable[[Round], None]) -> None:
        barrier.wait(10)
        with contextlib.suppress(Overtaken):
            act(one)

    for each in [pool.submit(go, act) for act in acts]:
        each.result(60)


def check(one: Round) -> str:
    """What must hold afterwards; who won."""
    made = Decision.objects.filter(approval=one.approval, kind__in=["release", "refuse"])
    assert made.count() <= 1, "two decided on one page"
    decision = made.first()
    for delivery in Delivery.objects.filter(message_id__in=one.messages):
        left = Event.objects.filter(delivery_id=delivery.pk, kind__in=LEAVES).values_list("kind", flat=True)
        went = [kind for kind in left if kind != "cancelled"]
        assert len(went) <= 1, f"{delivery} left twice: {list(left)}"
        assert ("released" in left) <= (decision is not None and decision.kind == "release")
        assert ("refused" in left) <= (decision is not None and decision.kind == "refuse")
        if delivery.status in {"queued", "sending"} or delivery.cleared_at:
            assert decision, f"{delivery} goes, and nobody said so"
            assert Held.objects.get(message_id=delivery.message_id).decision == decision
            assert decision.policy_version == one.page.policy_version
    assert Delivery.objects.get(message_id=one.late).status == "held", "what joined late was not shown"
    return decision.kind if decision else "neither"


def settled(one: Round) -> None:
    """Everything that was begun is done, by whoever comes."""
    while not releasing.advance(one.approval.pk):
        pass


def run_rounds(live_db: Any, ada: Agent, rounds: int) -> dict[str, int]:
    winners: dict[str, int] = {}
    with ThreadPoolExecutor(len(ALL), initializer=connections.close_all) as pool:
        for number in range(1, rounds + 1):
            one = a_round(live_db, ada, number)
            at_once(pool, one)
            settled(one)
            winner = check(one)
            winners[winner] = winners.get(winner, 0) + 1
            to_the_dot()
            cleared_after_the_trip(one)
        for _ in range(len(ALL)):
            pool.submit(connections.close_all)
    return winners


def cleared_after_the_trip(one: Round) -> None:
    for stop in SwitchEvent.objects.filter(scope=f"run:ada/{one.run}"):
        cleared = Delivery.objects.filter(message_id__in=one.messages, cleared_at__gt=stop.at)
        assert not cleared.exists(), "a dot after the stop"


def test_of_all_that_come_at_once_one_wins(live_db: Any, ada: Agent) -> None:
    winners = run_rounds(live_db, ada, 12)
    assert sum(winners.values()) == 12


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_of_all_that_come_at_once_one_wins_a_thousand_times(live_db: Any, ada: Agent) -> None:
    winners = run_rounds(live_db, ada, 1000)
    print(winners)
    assert winners["release"] > 50
    assert winners["refuse"] > 50
