"""Which policy holds: kept in the database, refreshed, and never lost to those who stop our fetches."""

import asyncio
from typing import Any

import psycopg
import pytest
from django.db import OperationalError

from reputation import resolver, tlspolicies
from reputation.fetching import Answer, FetchFailed
from reputation.models import TlsPolicy
from reputation.mta_sts import NO_POLICY, Mode, Policy
from reputation.tlspolicies import LOOK_AGAIN, LOOK_SOON, Asked, Holding, TlsPolicies, holding
from tests.outbox.scripted import on_both_loops

ONE, TWO = Policy(Mode.ENFORCE, ("mx.one.test",)), Policy(Mode.ENFORCE, ("mx.two.test",))


def page(host: str = "mx.one.test", mode: str = "enforce", age: int = 86_400) -> Answer:
    text = f"version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: {age}\n"
    return Answer(200, "text/plain", text.encode())


class World:
    """A domain's record and policy file, the database (a table by domain), a clock; and what was asked of them."""

    def __init__(self, policy_id: str | None = "1", answer: Answer | None = None) -> None:
        self.now = 0.0
        self.policy_id = policy_id
        self.problem: resolver.Problem | None = None
        self.answer: Answer | None = answer or page()
        self.rows: dict[str, Holding] = {}
        self.broken = False
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.gate: asyncio.Event | None = None
        self.policies = TlsPolicies(self, self, self.hold, lambda: self.now)

    async def txt(self, name: str) -> resolver.Answer:
        self.texts.append(name)
        records = () if self.policy_id is None else (f"v=STSv1; id={self.policy_id}",)
        return resolver.Answer(name, "TXT", records, self.problem, 60.0, name)

    async def get(self, url: str) -> Answer:
        self.fetched.append(url)
        if self.gate is not None:
            await self.gate.wait()
        if self.answer is None:
            raise FetchFailed("no")
        return self.answer

    async def hold(self, asked: Asked) -> Holding | None:
        if self.broken:
            raise OperationalError("gone")
        if asked.fetched is not None:
            self.rows[asked.domain] = asked.fetched
        return self.rows.get(asked.domain)

    async def look(self, after: float = LOOK_AGAIN) -> Policy:
        self.now += after
        found = await self.policies.policy_for("one.test")
        return Policy(found.mode, found.hosts)


@on_both_loops
async def test_a_policy_is_fetched_kept_and_remembered() -> None:
    world = World()
    assert await world.look() == ONE
    assert await world.look(LOOK_AGAIN - 1) == ONE
    assert world.texts == ["_mta-sts.one.test"]
    assert world.fetched == ["https://mta-sts.one.test/.well-known/mta-sts.txt"]
    assert await world.look(1) == ONE
    assert (len(world.texts), len(world.fetched)) == (
        2,
        1,
    )  # the record is looked at again, its id is the same
    assert world.rows["one.test"].policy_id == "1"


@on_both_loops
async def test_a_domain_without_record_is_not_fetched_from_and_not_asked_again_for_minutes() -> None:
    world = World(policy_id=None)
    assert await world.look() == NO_POLICY
    assert await world.look(LOOK_AGAIN - 1) == NO_POLICY
    assert (len(world.texts), world.fetched) == (1, [])


@on_both_loops
async def test_a_new_id_has_the_policy_fetched_again() -> None:
    world = World()
    await world.look()
    world.policy_id, world.answer = "2", page("mx.two.test")
    assert await world.look() == TWO
    assert world.rows["one.test"].policy_id == "2"


@on_both_loops
async def test_another_workers_fetch_is_used_instead_of_our_own() -> None:
    world = World()
    await world.look()
    world.policy_id, world.rows["one.test"] = "2", Holding("2", TWO)
    assert await world.look() == TWO
    assert len(world.fetched) == 1


@on_both_loops
async def test_a_policy_is_refreshed_when_it_is_a_day_old() -> None:
    world = World()
    world.rows["one.test"] = Holding("1", ONE, fresh=False)
    world.answer = page("mx.two.test")
    assert await world.look() == TWO


BAD_PAGES = [
    None,  # no answer at all
    Answer(404, "text/plain", page().body),
    Answer(301, "text/plain", page().body),
    Answer(200, "text/html", page().body),  # what users may upload is no policy (RFC 8461 3.3)
    Answer(200, "", page().body),
    Answer(200, "text/plain", b"nonsense"),
]


@pytest.mark.parametrize("answer", BAD_PAGES)
@on_both_loops
async def test_a_failed_first_fetch_is_no_policy_and_tried_again_after_minutes(answer: Answer | None) -> None:
    world = World()
    world.answer = answer
    assert await world.look() == NO_POLICY
    assert await world.look(LOOK_AGAIN - 1) == NO_POLICY
    assert len(world.fetched) == 1
    world.answer = page()
    assert await world.look(1) == ONE


@pytest.mark.parametrize("answer", BAD_PAGES)
@on_both_loops
async def test_a_kept_policy_holds_over_failed_fetches_of_a_newer_one(answer: Answer | None) -> None:
    world = World()
    await world.look()
    world.policy_id, world.answer = "2", answer
    assert await world.look() == ONE
    assert len(world.fetched) == 2


@pytest.mark.parametrize("problem", [None, resolver.Problem.NO_SUCH_DOMAIN, resolver.Problem.TEMPORARY])
@on_both_loops
async def test_a_kept_policy_holds_though_its_record_is_gone(problem: resolver.Problem | None) -> None:
    world = World()
    await world.look()
    world.policy_id, world.problem = None, problem
    assert await world.look() == ONE


@on_both_loops
async def test_where_dns_gave_no_answer_it_is_asked_again_soon() -> None:
    world = World(policy_id=None)
    world.problem = resolver.Problem.TEMPORARY
    assert await world.look() == NO_POLICY
    world.policy_id, world.problem = "1", None
    assert await world.look(LOOK_SOON - 1) == NO_POLICY
    assert await world.look(1) == ONE


@on_both_loops
async def test_without_the_database_the_policy_is_fetched_and_the_database_asked_again_soon() -> None:
    world = World()
    world.broken = True
    assert await world.look() == ONE
    world.broken = False
    assert await world.look(LOOK_SOON) == ONE
    assert world.rows["one.test"] == Holding("1", Policy(Mode.ENFORCE, ("mx.one.test",), 86_400))


@on_both_loops
async def test_many_deliveries_look_once_and_one_that_is_cancelled_takes_nothing_away() -> None:
    world = World()
    world.gate = asyncio.Event()
    waiting = [asyncio.create_task(world.policies.policy_for("one.test")) for _ in range(20)]
    while not world.fetched:
        await asyncio.sleep(0)
    waiting[0].cancel()
    world.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert {policy.mode for policy in found[1:] if isinstance(policy, Policy)} == {Mode.ENFORCE}
    assert (len(world.texts), len(world.fetched)) == (1, 1)


@on_both_loops
async def test_what_is_remembered_is_bounded_and_the_least_asked_for_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tlspolicies, "KEEP", 2)
    world = World(policy_id=None)
    for domain in ("a.test", "b.test", "a.test", "c.test", "a.test", "b.test"):
        await world.policies.policy_for(domain)
    assert [name.partition(".")[2] for name in world.texts] == ["a.test", "b.test", "c.test", "b.test"]


# --- the table ------------------------------------------------------------------------------------------------


def _fetched(policy: Policy, policy_id: str = "1") -> Holding:
    return Holding(policy_id, policy)


def test_what_was_fetched_is_kept_in_the_database_and_read_back(live_db: Any) -> None:
    policy = Policy(Mode.ENFORCE, ("mx.one.test", "*.one.test"), 600)
    asked = [Asked("none.test"), Asked("one.test", _fetched(policy)), Asked("one.test")]
    kept = Holding("1", Policy(Mode.ENFORCE, policy.hosts))
    assert holding(asked) == [None, kept, kept]
    row = TlsPolicy.objects.get()
    assert (row.expires_at - row.fetched_at).total_seconds() == 600


def test_two_workers_that_fetched_at_once_leave_one_row(live_db: Any) -> None:
    for policy, policy_id in ((ONE, "1"), (TWO, "2")):
        holding([Asked("one.test", _fetched(Policy(policy.mode, policy.hosts, 600), policy_id))])
    assert holding([Asked("one.test")]) == [Holding("2", TWO)]
    assert TlsPolicy.objects.count() == 1


AGES = [
    # seconds since it was fetched, max_age -> held, and fresh
    (0, 600, True, True),
    (599, 600, True, True),
    (601, 600, False, False),
    (86_401, 604_800, True, False),
]


@pytest.mark.parametrize(("passed", "max_age", "held", "fresh"), AGES)
def test_a_policy_runs_out_by_the_clock_of_the_rules(
    live_db: Any, passed: int, max_age: int, held: bool, fresh: bool
) -> None:
    holding([Asked("one.test", _fetched(Policy(Mode.ENFORCE, ("mx.one.test",), max_age)))])
    with psycopg.connect(live_db.owner) as owner:
        owner.execute("UPDATE outbox_clockshift SET shift = %s * interval '1 second'", [passed])
    found = holding([Asked("one.test")])
    assert found == [Holding("1", ONE, fresh) if held else None]
