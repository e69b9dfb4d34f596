"""SIGSTOP past the lease, then SIGCONT (F16, F35): a worker that lost its lease cannot send its dot.

The zombie wakes up with an open connection, a body already transmitted, and perhaps a clearance in its pocket. It is
frozen where a lock or a slow server holds it, so that it is certain how far it came.
"""

from collections import Counter

from outbox.delivery import clock
from outbox.dispatch import CLEARANCE_SECONDS
from tests.walks.harness.installation import Accepted, Installation
from tests.walks.harness.processes import Worker, frozen, thaw
from tests.walks.harness.waiting import until

COUNT = 10
SLOW = "late-1500ms-rcpt"  # long enough to be found under way, before the clearance
ALL_ROWS = "SELECT FROM outbox_delivery FOR UPDATE"


def test_frozen_before_its_clearance_it_gets_none(here: Installation) -> None:
    zombie, child, deliveries = frozen_under_way(here)
    here.beat()
    here.worker()
    here.until_status(deliveries, "delivered", 40)
    assert len(here.oracle()) == COUNT
    wake(here, zombie, child)
    assert here.check_invariants().dots == COUNT
    # it asked, and the fence held: it was the second attempt that delivered each of them
    assert delivered_by_attempt(here) == {2}


def test_frozen_while_its_session_is_ended_it_gets_none_even_before_the_rescue(here: Installation) -> None:
    zombie, child, deliveries = frozen_under_way(here)
    here.ask("UPDATE outbox_session SET ended_at = clock_timestamp()")
    wake(here, zombie, child)
    # its conversations come to the clearance and back; then it takes back itself what it held, and claims it anew
    here.until_status(deliveries, "delivered", 30)
    assert here.check_invariants().dots == COUNT
    assert delivered_by_attempt(here) == {2}


def test_frozen_while_another_worker_is_half_way_it_does_not_get_that_ones_clearance(
    here: Installation,
) -> None:
    zombie, child, deliveries = frozen_under_way(here, "late-8s-rcpt")
    answered = clock() + 8
    here.beat()
    here.worker()
    again = "SELECT count(*) AS n FROM outbox_delivery WHERE status = 'sending' AND attempt = 2"
    until(lambda: here.ask(again)[0].n == COUNT, 30, "the other one has them", here.statuses)
    until(lambda: clock() > answered, 10, "the zombie's servers have answered")
    wake(here, zombie, child)
    here.until_status(deliveries, "delivered", 30)
    assert here.check_invariants().dots == COUNT
    assert delivered_by_attempt(here) == {2}


def test_frozen_after_its_clearance_it_hangs_up_and_says_that_no_dot_was_written(here: Installation) -> None:
    zombie, child, deliveries = frozen_under_way(here)
    cleared = clear_while_frozen(here, zombie, child)
    here.beat()
    here.worker()
    # the rescuer cannot know: what was cleared is uncertain, and nobody sends it again
    until(lambda: here.statuses()["uncertain"] == cleared, 40, "rescued", here.statuses)
    here.until_quiet()
    assert len(here.oracle()) == COUNT - cleared
    wake(here, zombie, child)
    # the zombie alone knows, and says so: they go out, once
    here.until_status(deliveries, "delivered")
    assert here.check_invariants().dots == COUNT


def test_frozen_with_a_clearance_while_everything_is_stopped_it_sends_no_dot(here: Installation) -> None:
    zombie, child, deliveries = frozen_under_way(here)
    cleared = clear_while_frozen(here, zombie, child)
    since = clock()
    here.trip("all")
    until(lambda: clock() > since + CLEARANCE_SECONDS, CLEARANCE_SECONDS + 5, "the clearance is stale")
    until(lambda: not here.sessions(), 10, "the lease is lost")
    here.inside.run_task("outbox.rescue")
    assert here.statuses() == Counter(queued=COUNT - cleared, uncertain=cleared)
    wake(here, zombie, child)
    here.until_status(deliveries, "queued")
    assert not here.oracle()
    here.resume("all")
    here.until_status(deliveries, "delivered", 30)
    assert here.check_invariants().dots == COUNT


def test_frozen_inside_its_clearance_the_trip_still_commits(here: Installation) -> None:
    zombie, child, deliveries = frozen_under_way(here)
    with here.holding(ALL_ROWS):
        thaw(child)
        here.until_blocked("ao_clear")
        zombie.freeze()
        done = here.trip("all")
    print(f"\nthe trip committed after {done.seconds:.2f} s")
    assert done.seconds < 3
    thaw(child)
    here.until_status(deliveries, "queued", 30)
    assert not here.oracle()
    here.resume("all")
    here.until_status(deliveries, "delivered", 30)
    assert here.check_invariants().dots == COUNT


def frozen_under_way(here: Installation, slow: str = SLOW) -> tuple[Worker, int, list[Accepted]]:
    """A worker, frozen when the servers have answered all its MAILs and not yet its RCPTs."""
    deliveries = here.load(COUNT, slow)
    worker = here.worker(crash=f"mail:{COUNT}:SIGSTOP", ready=False)
    child = until(worker.child, 30, "a child", worker.tail)
    until(lambda: frozen(child), 30, "frozen", worker.tail)
    assert here.statuses() == {"sending": COUNT}
    return worker, child, deliveries


def clear_while_frozen(here: Installation, zombie: Worker, child: int) -> int:
    """Let it ask for its clearance and freeze it before the answer, which PostgreSQL then gives; to how many."""
    with here.holding(ALL_ROWS):
        thaw(child)
        here.until_blocked("ao_clear")
        zombie.freeze()
    cleared = "SELECT count(cleared_at) AS n FROM outbox_delivery"
    return until(lambda: here.ask(cleared)[0].n, 10, "cleared")


def wake(here: Installation, zombie: Worker, child: int) -> None:
    """SIGCONT, and wait until it has noticed that its session was lost and opened another."""
    before = here.ask("SELECT max(id) AS id FROM outbox_session")[0].id
    thaw(child)

    def again() -> bool:
        assert zombie.child() == child, zombie.tail()
        return any(key > before and pid == child for key, pid in here.sessions().items())

    until(again, 20, "a new session", zombie.tail)


def delivered_by_attempt(here: Installation) -> set[int]:
    rows = here.ask("SELECT DISTINCT number FROM outbox_attempt WHERE outcome = 'delivered'")
    return {row.number for row in rows}
