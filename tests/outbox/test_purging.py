"""What waited behind a stop is thrown away: set aside, put back, or gone for good after an hour."""

from collections import Counter
from typing import Any

import pytest

from outbox import ledger, purging, recheck, sessions
from outbox.ledger import Settlement
from outbox.models import Agent, Delivery, Event
from reputation import reopening
from reputation.models import Purge
from tests import factories
from tests.clocks import later
from tests.outbox.reopened import ask, backlog, due_at_once, killed_in, put_off, reopened, stopped
from tests.pages.desk import posted

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def bob(live_db: Any) -> Agent:
    return factories.agent("bob", exempt=False)


def statuses() -> Counter[tuple[str, str]]:
    return Counter(Delivery.objects.values_list("status", "code"))


def purged(scope: str = "agent:bob", why: str = "a loop") -> Purge:
    return purging.advance(purging.begin(stopped(scope), who="rita", why=why).pk, 60)


def used(live_db: Any) -> set[int]:
    statement = "SELECT used FROM outbox_budget WHERE kind NOT IN ('root_runs', 'run_domains')"
    return {each for (each,) in ask(live_db, statement)}


def test_what_waits_is_set_aside_and_after_an_hour_gone_with_its_budget(bob: Agent, live_db: Any) -> None:
    backlog(bob, gmail=6, yahoo=6)
    row = purged()
    assert (row.state, row.deliveries) == ("aside", 12)
    assert statuses() == {("held", "set_aside"): 12}
    later(live_db, "59 minutes")
    purging.tend(60)
    assert (statuses(), used(live_db)) == ({("held", "set_aside"): 12}, {12})
    later(live_db, "1 minute")
    purging.tend(60)
    assert (statuses(), used(live_db)) == ({("cancelled", "purged_after_stop"): 12}, {0})
    assert Purge.objects.get().state == "done"
    told = Event.objects.filter(kind="cancelled").values_list("actor", "code", "note").distinct()
    assert list(told) == [("rita", "purged_after_stop", f"purge {row.pk}")]


def test_what_workers_give_back_after_the_stop_is_thrown_away_too(bob: Agent, live_db: Any) -> None:
    backlog(bob, gmail=6)
    session = sessions.begin("w")
    held = ledger.claim(session, tier=1, limit=2)
    assert len(held) == 2
    row = purged()
    assert (row.state, row.deliveries) == ("setting", 4)
    ledger.settle(session, [Settlement(one.id, one.attempt, "queued", "") for one in held])
    row = purging.advance(row.pk, 60)
    assert (row.state, row.deliveries) == ("aside", 6)
    assert statuses() == {("held", "set_aside"): 6}


def test_undone_within_the_hour_everything_waits_as_before(bob: Agent, live_db: Any) -> None:
    backlog(bob, gmail=12)
    row = purged()
    assert purging.undo(row, who="omar")
    row = purging.advance(row.pk, 60)
    assert (row.state, row.undone_by) == ("undone", "omar")
    assert (statuses(), used(live_db)) == ({("queued", ""): 12}, {12})
    assert not purging.undo(row, who="omar")
    later(live_db, "2 hours")
    purging.tend(60)
    assert statuses() == {("queued", ""): 12}
    reopened("agent:bob")
    assert due_at_once() == {"gmail": 5}


def test_undone_in_a_scope_that_is_open_again_it_waits_like_the_others(bob: Agent) -> None:
    backlog(bob, gmail=12)
    row = purged()
    reopened("agent:bob")
    purging.undo(row, who="omar")
    purging.advance(row.pk, 60)
    assert due_at_once() == {}
    assert put_off()[0] > 29


def test_it_cannot_be_undone_after_the_hour(bob: Agent, live_db: Any) -> None:
    backlog(bob, gmail=1)
    row = purged()
    later(live_db, "60 minutes")
    assert not purging.undo(row, who="omar")


def test_what_is_under_way_held_elsewhere_or_comes_later_is_not_touched(bob: Agent) -> None:
    ada = factories.agent("ada")
    backlog(bob, gmail=3)
    backlog(ada, gmail=2)
    session = sessions.begin("w")
    [held] = [one for one in ledger.claim(session, tier=1, limit=10) if one.agent == "bob"][:1]
    mine = [one.id for one in ledger.claim(session, tier=1, limit=10)]
    assert mine == []
    row = purging.begin(stopped("agent:bob"), who="rita", why="a loop")
    settled = [Settlement(held.id, held.attempt, "queued", "stopped", wait=0.0)]
    assert ledger.settle(session, settled)
    assert purging.advance(row.pk, 60).deliveries == 1, "what came back is there, what is still held is not"
    assert statuses()[("sending", "")] == 4
    assert Purge.objects.get().state == "setting", "what workers still hold may come back"


def test_a_password_reset_that_comes_after_the_purge_waits_on(live_db: Any) -> None:
    receipts = factories.stream("receipts", "mail.acme.test", kind="transactional")
    robot = factories.agent("robot", stream=receipts)
    posted(robot, {})
    row = purging.begin(stopped("all"), who="rita", why="a loop")
    posted(robot, {})
    purging.advance(row.pk, 60)
    assert statuses() == {("held", "set_aside"): 1, ("queued", ""): 1}


def test_of_two_purges_each_puts_back_its_own(bob: Agent) -> None:
    ada = factories.agent("ada")
    backlog(bob, gmail=3)
    backlog(ada, gmail=4)
    mine = purged("agent:bob")
    wide = purged("stream:agents-support")
    assert (mine.deliveries, wide.deliveries) == (3, 4)
    purging.undo(wide, who="omar")
    purging.advance(wide.pk, 60)
    assert statuses() == {("queued", ""): 4, ("held", "set_aside"): 3}
    again = purged("stream:agents-support")
    purging.undo(mine, who="omar")
    purging.advance(mine.pk, 60)
    assert again.deliveries == 4
    assert statuses() == {("queued", ""): 3, ("held", "set_aside"): 4}


@pytest.mark.parametrize("step", ["set_aside", "put_back", "throw_away"])
def test_somebody_else_goes_on_where_one_died(bob: Agent, live_db: Any, monkeypatch: Any, step: str) -> None:
    monkeypatch.setattr(purging, "BATCH", 3)
    backlog(bob, gmail=10)
    row = purging.begin(stopped("agent:bob"), who="rita", why="a loop")
    if step != "set_aside":
        purging.advance(row.pk, 60)
    if step == "put_back":
        purging.undo(row, who="omar")
    if step == "throw_away":
        later(live_db, "1 hour")
    with killed_in(monkeypatch, step, at=2):
        purging.tend(60)
    purging.tend(60)
    row.refresh_from_db()
    ends = {
        "set_aside": ("aside", {("held", "set_aside"): 10}, 10),
        "put_back": ("undone", {("queued", ""): 10}, 10),
        "throw_away": ("done", {("cancelled", "purged_after_stop"): 10}, 0),
    }
    assert (row.state, statuses(), row.deliveries) == (*ends[step][:2], 10)
    assert used(live_db) == {ends[step][2]}


def test_who_was_affected_can_be_read_and_no_cell_runs(bob: Agent, live_db: Any) -> None:
    posted(bob, {"to": "=cmd@gmail.test", "subject": '=HYPERLINK("http://evil")'}, {"to": "b@gmail.test"})
    row = purged()
    later(live_db, "1 hour")
    purging.tend(60)
    header, *rest = "".join(purging.affected(row)).splitlines()
    first, second = sorted(rest)
    assert header.startswith("recipient,status,code,accepted_at,subject,agent")
    assert first.startswith("'=cmd@gmail.test,cancelled,purged_after_stop,")
    assert '"\'=HYPERLINK(""http://evil"")"' in first
    assert second.startswith("b@gmail.test,")


def test_a_purge_wants_a_reason(bob: Agent) -> None:
    with pytest.raises(ValueError, match="why"):
        purging.begin(stopped("agent:bob"), who="rita", why="  ")


def test_undone_after_the_glass_was_broken_it_does_not_leave_through_it(bob: Agent) -> None:
    backlog(bob, gmail=6)
    stop = stopped("agent:bob", who="rule:bounces")
    row = purging.advance(purging.begin(stop, who="rita", why="a loop").pk, 60)
    recheck.advance(reopening.break_glass(stop, who="rita", why="payroll").pk, 60)
    assert purging.undo(row, who="omar")
    assert purging.advance(row.pk, 60).state == "undone"
    assert len(put_off()) == 6
    assert put_off()[0] > 60
