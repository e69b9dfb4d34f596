"""A trip of `all` under full load: nothing is cleared after its commit, and every later dot was cleared before it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.walks.harness.installation import Installation
from tests.walks.harness.waiting import until

WORKERS = 4
LOAD = 2000
# All of a load is due at once, after the last of it was accepted: or quick workers keep pace with whoever loads.
AHEAD = timedelta(seconds=4)


def test_stopped_three_times(here: Installation) -> None:
    stop_again_and_again(here, 3)


@pytest.mark.soak
def test_stopped_fifty_times(here: Installation) -> None:
    stop_again_and_again(here, 50)


def stop_again_and_again(here: Installation, rounds: int) -> None:
    here.beat()
    for _ in range(WORKERS):
        here.worker()
    for _ in range(rounds):
        started = delivered(here)
        here.load(LOAD, scheduled_at=(datetime.now(UTC) + AHEAD).isoformat())
        until(lambda started=started: delivered(here) > started + 200, 60, "full load", here.statuses)
        assert len(here.sessions()) == WORKERS
        here.trip("all")
        # what was cleared ends, everything else goes back
        until(lambda: "sending" not in here.statuses(), 20, "at rest", here.statuses)
        rest = here.statuses()
        assert rest["queued"] > 0, "the load was over before the stop"
        assert rest.keys() <= {"queued", "delivered"}
        here.resume("all")
    here.until_quiet(30 + rounds * 10)
    report = here.check_invariants()
    dots = [one.dots for one in report.overshoots]
    last = [one.seconds * 1000 for one in report.overshoots]
    commits = [stop.seconds * 1000 for stop, _ in here.stops]
    print(
        f"{rounds} stops of {WORKERS} workers: overshoot at most {max(dots)} dots, the last {max(last):.1f} ms"
    )
    print(f"after the commit; a trip took at most {max(commits):.1f} ms; cleared after a commit: 0")
    assert report.statuses == {"delivered": rounds * LOAD}


def delivered(here: Installation) -> int:
    return here.statuses()["delivered"]
