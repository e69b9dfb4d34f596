"""What a worker does about what it hears: lost mailboxes, our speed, providers that are confused."""

import asyncio
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import OperationalError
from django.test import override_settings
from django.utils import timezone

from outbox import worker
from outbox.delivery import Envelope
from outbox.outcomes import Phase, Reply
from outbox.press import Job
from outbox.room import Room
from outbox.worker import Dispatcher
from reputation import signing, valves
from reputation.models import Incident, Judgement, OpenStop, Ramp, Suppression
from reputation.resolver import Answer, Problem, Resolver
from reputation.vault import new_master_key


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
        dispatcher._hearing.met(job, reply)
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
    dispatcher._loop.run_until_complete(dispatcher._hearing.refresh())
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


NOBODY = Reply(Phase.RCPT, 550, "5.1.1 User unknown", "5.1.1", host="gmail-smtp-in.l.google.com")


def incident(provider: str = "gmail", **lasts: float) -> None:
    now = timezone.now()
    Incident.objects.create(provider=provider, began_at=now, until=now + timedelta(**lasts), why="five times")


def one_round(dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does by itself every few seconds, once."""
    monkeypatch.setattr(worker, "ROUNDS_SECONDS", 0)

    async def made() -> None:
        done = asyncio.Event()

        async def concluded() -> None:
            done.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(dispatcher._hearing, "conclude", concluded)
        rounds = asyncio.ensure_future(dispatcher._make_rounds())
        await asyncio.wait([rounds, asyncio.ensure_future(done.wait())], return_when=asyncio.FIRST_COMPLETED)
        rounds.cancel()

    dispatcher._loop.run_until_complete(made())


@pytest.mark.parametrize(
    ("confused", "suppressed"),
    [
        ("", True),
        ("gmail", False),
        ("yahoo", True),  # another provider's trouble
    ],
)
def test_a_confused_provider_makes_nobody_unknown(
    live_db: Any, monkeypatch: pytest.MonkeyPatch, confused: str, suppressed: bool
) -> None:
    if confused:
        incident(confused, hours=1)
    dispatcher = Dispatcher()
    one_round(dispatcher, monkeypatch)
    with override_settings(AO_MASTER_KEYS=[new_master_key()]):
        meet(dispatcher, job(), NOBODY)
    assert Suppression.objects.exists() is suppressed


def test_each_round_looks_again_who_is_confused(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = Dispatcher()
    one_round(dispatcher, monkeypatch)
    assert not dispatcher._hearing.doubts("gmail")
    incident(hours=1)
    one_round(dispatcher, monkeypatch)
    assert dispatcher._hearing.doubts("gmail")
    Incident.objects.update(until=timezone.now() - timedelta(seconds=1))
    one_round(dispatcher, monkeypatch)
    assert not dispatcher._hearing.doubts("gmail")


def test_a_worker_asks_its_own_ear_whom_to_doubt(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(worker, "Pipeline", lambda *parts: asked.extend(parts))
    dispatcher = Dispatcher()
    dispatcher._draining = True
    dispatcher._loop.run_until_complete(dispatcher._work())
    assert dispatcher._hearing.doubts in asked
    assert dispatcher._hearing.met in asked


BLOCKED = Reply(
    Phase.RCPT, 550, "5.7.1 Client host blocked using zen.spamhaus.org", "5.7.1", host="mx.example.org"
)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One record by name: all that the DNS knows."""
    known: dict[str, str] = {}

    async def records(_self: object, name: str, rdtype: str) -> Answer:
        if name in known:
            return Answer(name, rdtype, (known[name],), None, 60.0, name)
        return Answer(name, rdtype, (), Problem.NO_SUCH_DOMAIN, 60.0, name)

    monkeypatch.setattr(Resolver, "records", records)
    return known


@pytest.mark.parametrize(
    ("record", "exempt", "closed"),
    [
        ("127.0.0.2", False, ["domain:agents.acme.test"]),
        ("127.0.0.2", True, []),  # an agent for trying
        ("127.255.255.254", False, []),
        ("", False, []),
    ],
)
def test_a_block_list_closes_when_it_says_so_itself(
    live_db: Any, zone: dict[str, str], record: str, exempt: bool, closed: list[str]
) -> None:
    if record:
        zone["7.2.0.192.zen.spamhaus.org"] = record
    with override_settings(AO_SENDING_ADDRESSES=["192.0.2.7"]):
        meet(Dispatcher(), job(exempt=exempt), BLOCKED)
    assert list(OpenStop.objects.values_list("scope", flat=True)) == closed
    assert [one.rule for one in Judgement.objects.exclude(epoch=None)] == ["block_list"] * len(closed)


def test_what_is_closed_is_not_closed_again_for_a_block_list(live_db: Any, zone: dict[str, str]) -> None:
    zone["7.2.0.192.zen.spamhaus.org"] = "127.0.0.2"
    with override_settings(AO_SENDING_ADDRESSES=["192.0.2.7"]):
        meet(Dispatcher(), job(), BLOCKED)
        meet(Dispatcher(), job(), BLOCKED)  # another process
    assert Judgement.objects.count() == 1


PAIR = signing.generate(signing.Algorithm.RSA)
SIGNER = signing.load("agents.acme.test", "s1", signing.Algorithm.RSA, PAIR.private_pem)


def sample(dispatcher: Dispatcher, exempt: bool = False, ahead: timedelta = timedelta()) -> None:
    """What a worker does with a message before it sends it, through its own dispatch."""
    headers, body = [(b"From", b"ada@agents.acme.test")], b"Hi\r\n"
    signed = signing.sign(headers, body, [SIGNER], 1_700_000_000)
    raw = signed + b"From: ada@agents.acme.test\r\n\r\n" + body
    envelope = Envelope(
        "a@agents.acme.test", "grace@gmail.test", raw, needs_smtputf8=False, domain="gmail.test"
    )
    claimed = SimpleNamespace(id=1, exempt=exempt, now=timezone.now() + ahead)
    held = cast(Job, SimpleNamespace(claimed=claimed, signers=(SIGNER,), standing=None))

    async def sent() -> None:
        async def dispatch(*_: object) -> None:
            pass

        dispatcher._pipeline = cast(Any, SimpleNamespace(dispatch=dispatch))
        room = Room(1)
        await dispatcher._dispatch(held, envelope, room, room.enter())
        await asyncio.gather(*dispatcher._tasks)

    dispatcher._loop.run_until_complete(sent())


@pytest.mark.parametrize(
    ("tampered", "exempt", "ahead", "closed"),
    [
        (True, False, 0, ["domain:agents.acme.test"]),
        (False, False, 0, []),
        (True, True, 0, []),  # an agent for trying
        (True, False, 40, []),  # days by which the database's clock is ahead
    ],
)
def test_a_signature_that_does_not_hold_closes_its_domain(
    live_db: Any, zone: dict[str, str], tampered: bool, exempt: bool, ahead: int, closed: list[str]
) -> None:
    shown = signing.generate(signing.Algorithm.RSA) if tampered else PAIR
    zone["s1._domainkey.agents.acme.test"] = shown.public_record
    sample(Dispatcher(), exempt, timedelta(days=ahead))
    assert list(OpenStop.objects.values_list("scope", flat=True)) == closed
    assert [one.rule for one in Judgement.objects.exclude(epoch=None)] == ["dkim_self_check"] * len(closed)
