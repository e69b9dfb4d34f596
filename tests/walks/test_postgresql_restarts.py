"""PostgreSQL stopped at once and started again in the middle of a claim, a clearance and a settle (F17).

What was answered 202 survives, what was not may not; the workers live on and settle what they know.
"""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import throwaway
from tests.walks.conftest import make_template
from tests.walks.harness.inside import NotAccepted
from tests.walks.harness.installation import Installation, Template
from tests.walks.harness.waiting import until

COUNT = 10
ALL_ROWS = "SELECT FROM outbox_delivery FOR UPDATE"


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A cluster of this file's own, since it is going to be pulled away from under everybody."""
    with throwaway() as cluster:
        yield make_template(cluster, None, tmp_path_factory.mktemp("fragile"))


@pytest.fixture
def here(fragile: Template, tmp_path: Path) -> Iterator[Installation]:
    with Installation.of(fragile, tmp_path) as here:
        yield here


# step -> a lock that holds it up, its words, how slow the servers are, and when to take the lock
STEPS = {
    "claim": ("SELECT FROM outbox_session FOR UPDATE", "FROM ao_claim", "ok", "queued"),
    "clear": (ALL_ROWS, "ao_clear", "late-1500ms-rcpt", "sending"),
    "settle": (ALL_ROWS, "AS .id uuid, attempt smallint, status", "late-1500ms-dot", "cleared"),
}


@pytest.mark.parametrize("step", STEPS)
def test_restarted_in_the_middle_of_a_statement_nothing_is_lost_or_doubtful(
    here: Installation, step: str
) -> None:
    lock, words, local_part, when = STEPS[step]
    worker = here.worker()
    child = worker.child()
    if when == "queued":
        with here.holding(lock):
            deliveries = here.load(COUNT, local_part)
            restart_in_the_middle(here, words)
    else:
        deliveries = here.load(COUNT, local_part)
        until(lambda: cleared(here) if when == "cleared" else here.statuses()[when], 15, when, here.statuses)
        with here.holding(lock):
            restart_in_the_middle(here, words)
    here.beat()
    here.until_status(deliveries, "delivered", 40)
    assert worker.child() == child, "the worker did not survive"
    assert here.check_invariants().dots == COUNT


def test_restarted_under_load_every_202_survives(here: Installation) -> None:
    here.beat()
    workers = [here.worker(), here.worker()]
    children = [worker.child() for worker in workers]
    ending, refused = threading.Event(), []

    def post() -> None:
        while not ending.is_set():
            try:
                here.load(20)
            except NotAccepted as error:
                refused.append(error)

    poster = threading.Thread(target=post)
    poster.start()
    try:
        for _ in range(3):
            before = delivered(here)
            wanted = before + random.randint(50, 150)
            until(lambda wanted=wanted: delivered(here) > wanted, 60, "load", here.statuses)
            here.template.cluster.restart("immediate")
    finally:
        ending.set()
        poster.join()
    until(here.sessions, 20, "sessions")
    here.until_quiet(90)
    assert [worker.child() for worker in workers] == children, "a worker did not survive"
    print(f"\n{len(refused)} posts were refused while it was away")
    assert refused
    assert not here.check_invariants().statuses["uncertain"]


def restart_in_the_middle(here: Installation, words: str) -> None:
    here.until_blocked(words)
    here.template.cluster.restart("immediate")


def cleared(here: Installation) -> int:
    return here.ask("SELECT count(cleared_at) AS n FROM outbox_delivery")[0].n


def delivered(here: Installation) -> int:
    return here.statuses()["delivered"]
