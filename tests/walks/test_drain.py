"""SIGTERM in the middle of deliveries (F14, a deploy): conversations end, nothing is left in doubt."""

from tests.walks.harness.installation import Installation
from tests.walks.harness.processes import STOP_SECONDS
from tests.walks.harness.waiting import until

COUNT = 60


def test_a_worker_told_to_end_finishes_what_it_began_and_leaves_the_rest(here: Installation) -> None:
    worker = here.worker()
    deliveries = here.load(COUNT, "late-1500ms")
    until(lambda: here.statuses()["sending"] > 10, 10, "deliveries under way", here.statuses)
    worker.send(15)
    worker.wait(STOP_SECONDS)
    after = here.statuses()
    print(f"\nafter the drain: {dict(after)}")
    assert after.keys() <= {"delivered", "queued"}
    assert after["delivered"] > 10
    assert not here.sessions()
    here.worker()
    here.until_status(deliveries, "delivered")
    assert here.check_invariants().dots == COUNT


def test_two_deploys_under_load_leave_nothing_uncertain(here: Installation) -> None:
    deliveries = here.load(600)
    here.beat()
    old = here.worker()
    for _ in range(2):
        new = here.worker()
        old.send(15)
        old.wait(STOP_SECONDS)
        old = new
    here.until_status(deliveries, "delivered", 60)
    assert here.check_invariants().dots == 600
