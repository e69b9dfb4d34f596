"""A worker that is cut off from the database while everything is stopped sends no dot (F35): nobody's ear is needed.

It still talks to its mail servers, with bodies transmitted up to the dot. Cut off altogether it cannot ask; with only
its listening line cut it does not know of the stop, asks, and is refused.
"""

import psutil

from tests.walks.harness.installation import Accepted, Installation
from tests.walks.harness.processes import Worker
from tests.walks.harness.severed import Line
from tests.walks.harness.waiting import until

COUNT = 10
SLOW = "late-3s-rcpt"  # time enough to be cut off between the claim and the clearance


def test_cut_off_from_the_database_it_sends_no_dot(here: Installation) -> None:
    with Line.to(here.urls.app) as line:
        worker, deliveries = under_way(here, line)
        assert line.sever() > 0
        here.trip("all")
        until(lambda: not speaking(here, worker), 30, "hung up", worker.tail)
        assert not here.oracle()
        taken_back(here, line, deliveries)


def test_deaf_to_the_stop_it_is_refused_its_clearance(here: Installation) -> None:
    with Line.to(here.urls.app) as line:
        worker, deliveries = under_way(here, line)
        assert line.sever(lambda said: b"LISTEN ao_switch" in said) >= 1
        here.trip("all")
        until(lambda: not speaking(here, worker), 30, "hung up", worker.tail)
        assert not here.oracle()
        refused = "SELECT count(*) AS n FROM outbox_event WHERE kind = 'returned' AND note = 'not_cleared'"
        until(lambda: here.ask(refused)[0].n == COUNT, 20, "refused", here.statuses)
        taken_back(here, line, deliveries)


def under_way(here: Installation, line: Line) -> tuple[Worker, list[Accepted]]:
    """A worker on that line in the middle of its conversations, and what they are about."""
    deliveries = here.load(COUNT, SLOW)
    worker = here.worker(DATABASE_URL=line.url)
    until(
        lambda: here.statuses()["sending"] == COUNT and speaking(here, worker), 30, "under way", worker.tail
    )
    return worker, deliveries


def speaking(here: Installation, worker: Worker) -> int:
    """How many conversations with mail servers it has open."""
    port = int(here.env["AO_SMTP_PORT"])
    child = psutil.Process(worker.child())
    return sum(bool(one.raddr) and one.raddr.port == port for one in child.net_connections("tcp"))


def taken_back(here: Installation, line: Line, deliveries: list[Accepted]) -> None:
    """Nothing of it was lost: when the line is mended and the stop lifted, everything goes out once."""
    line.mend()
    here.worker()
    here.until_status(deliveries, "queued", 40)
    here.resume("all")
    here.until_status(deliveries, "delivered", 60)
    assert here.check_invariants().dots == COUNT
