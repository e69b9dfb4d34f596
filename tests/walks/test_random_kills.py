"""kill -9 at random times under load (F13): nothing is lost, nothing goes twice.

Without a failure in n kills the rate of failures is below 3/n with 95 % confidence; the counts are printed.
"""

import os
import random
import threading
import time

import pytest

from tests.walks.harness.installation import Installation
from tests.walks.harness.processes import Worker
from tests.walks.harness.waiting import until

WORKERS = 3
BACKLOG = 300  # kept waiting, so that every kill hits work under way

RESCUED = """
SELECT extract(epoch FROM max(ended_at))::float8 AS at, count(*) AS n FROM outbox_attempt
WHERE fault = 'session_lost' AND session_id = %s
"""


def test_six_kills(here: Installation) -> None:
    survive(here, 6)


@pytest.mark.soak
def test_two_hundred_kills_or_as_many_as_asked(here: Installation) -> None:
    survive(here, int(os.environ.get("SOAK_KILLS", "200")))


def survive(here: Installation, kills: int) -> None:
    """Kill that often, then let everything come to rest and count."""
    here.beat()
    workers = [here.worker(ready=False) for _ in range(WORKERS)]
    killed: list[tuple[int, float]] = []
    ending = threading.Event()
    poster = threading.Thread(target=keep_posting, args=(here, ending))
    poster.start()
    try:
        for _ in range(kills):
            killed.append(kill_one(here, workers.pop(random.randrange(WORKERS))))
            workers.append(here.worker(ready=False))
    finally:
        ending.set()
        poster.join()
    here.until_quiet(120)
    report = here.check_invariants()
    print(f"{kills} kills; {recovery(here, killed)}; failures below {3 / kills:.1%} (95 %)")
    # a delivery whose workers died again and again is put before a person, not lost
    assert report.statuses.keys() <= {"delivered", "uncertain", "held"}


def keep_posting(here: Installation, ending: threading.Event) -> None:
    while not ending.is_set():
        if here.statuses()["queued"] < BACKLOG:
            here.load(100)
        else:
            ending.wait(0.05)


def kill_one(here: Installation, worker: Worker) -> tuple[int, float]:
    """SIGKILL to a worker, its child and all, at some moment of its work; its session, and when."""

    def at_work() -> int | None:
        assert worker.alive, worker.tail()
        child = worker.child()
        busy = {row.session_id for row in here.ask("SELECT DISTINCT session_id FROM outbox_delivery")}
        return next((key for key, pid in here.sessions().items() if pid == child and key in busy), None)

    session = until(at_work, 60, "it works", here.statuses)
    time.sleep(random.uniform(0, 0.3))  # any moment: that is the point
    worker.kill()
    return session, time.time()


def recovery(here: Installation, killed: list[tuple[int, float]]) -> str:
    """How many deliveries the rescuer took back, and how long after the kill the last of each session was."""
    rows = [(at, here.ask(RESCUED, session)[0]) for session, at in killed]
    seconds = sorted(row.at - at for at, row in rows if row.n)
    taken = sum(row.n for _, row in rows)
    if not seconds:
        return "nothing to take back"
    p99 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
    return (
        f"{taken} taken back, {seconds[len(seconds) // 2]:.1f} s after the kill (median), {p99:.1f} s (p99)"
    )
