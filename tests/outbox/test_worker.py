"""How much a worker takes on at once."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from outbox import worker
from outbox.outcomes import Phase, Reply
from outbox.worker import Dispatcher, Room
from reputation import valves
from reputation.models import Ramp


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_room_counts_what_was_claimed_and_what_has_ended() -> None:
    room = Room(8)
    places = [room.enter() for _ in range(6)]
    assert room.free() == 2
    room.leave(places[3])
    assert room.free() == 3


def test_a_claim_waits_until_a_quarter_is_free() -> None:
    room = Room(8)
    for _ in range(7):
        room.enter()
    assert (room.free(), room.wide()) == (1, False)


def test_a_slow_conversation_gives_its_place_back_before_it_ends() -> None:
    clock = Clock()
    room = Room(4, clock)
    slow = room.enter()
    clock.now = worker.SLOW_SECONDS / 2
    quick = room.enter()
    clock.now = worker.SLOW_SECONDS
    assert (room.free(), room.open) == (3, 2)
    room.leave(slow)
    room.leave(quick)
    assert (room.free(), room.open) == (4, 0)


def test_slow_conversations_cannot_grow_without_bound() -> None:
    clock = Clock()
    room = Room(4, clock)
    for _ in range(worker.OPEN_FOR_ONE_YOUNG):
        for _ in range(4):
            room.enter()
        clock.now += worker.SLOW_SECONDS
    assert room.free() == 0


def job(kind: str = "direct", exempt: bool = False) -> Any:
    """As much of a job as a reply is heard with."""
    return SimpleNamespace(
        claimed=SimpleNamespace(recipient="grace@gmail.test", provider="gmail", exempt=exempt),
        standing=SimpleNamespace(domain="agents.acme.test", source_address=""),
        route=SimpleNamespace(kind=kind),
    )


def meet(dispatcher: Dispatcher, job: Any, reply: Reply) -> None:
    """What the pipeline tells its worker, and all that follows from it."""

    async def met() -> None:
        dispatcher._met(job, reply)
        await asyncio.gather(*dispatcher._tasks)

    dispatcher._loop.run_until_complete(met())


RATED = Reply(
    Phase.RCPT,
    421,
    "4.7.28 Gmail has detected an unusual rate of mail",
    "4.7.28",
    host="gmail-smtp-in.l.google.com",
)
TAKEN = Reply(Phase.REPLIED, 250, "ok", host="gmail-smtp-in.l.google.com", dot_written=True)


def test_what_a_provider_says_of_our_rate_closes_its_valve(live_db: Any) -> None:
    meet(Dispatcher(), job(), RATED)
    assert Ramp.objects.get().valve == "closed"


def test_what_an_agent_for_trying_provokes_shapes_nothing(live_db: Any) -> None:
    meet(Dispatcher(), job(exempt=True), RATED)
    assert not Ramp.objects.exists()


def test_what_a_relay_says_shapes_nothing(live_db: Any) -> None:
    meet(Dispatcher(), job("relay"), RATED)
    assert not Ramp.objects.exists()


def test_a_delivery_that_is_taken_ends_a_trial(live_db: Any) -> None:
    Ramp.objects.create(
        kind="domain", key="agents.acme.test", provider="gmail", valve="trial", per_minute=4, strikes=1
    )
    dispatcher = Dispatcher()
    dispatcher._unsettled = worker._tended_valves()
    meet(dispatcher, job(), TAKEN)
    assert Ramp.objects.get().valve == "slow"


def test_a_database_that_is_away_loses_a_reply_and_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_strikes: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(valves, "apply", gone)
    with caplog.at_level(logging.WARNING):
        meet(Dispatcher(), job(), RATED)
    assert "did not shape our speed" in caplog.text
