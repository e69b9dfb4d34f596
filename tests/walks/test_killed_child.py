"""kill -9 of the prefork child alone (F13, an OOM kill): Celery forks another, and the worker goes on working.

What the dead child held must be rescued by the same worker. On pgmq Celery's blocking pool leaves its lock with the
dead child, so that no task runs there again: the worker makes beat's rounds itself.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.walks.harness.brokers import running
from tests.walks.harness.installation import Installation, Template
from tests.walks.harness.waiting import until


@pytest.fixture(params=["pgmq", "valkey"])
def here(request: pytest.FixtureRequest, template: Template, tmp_path: Path) -> Iterator[Installation]:
    if request.param == "pgmq":
        with Installation.of(template, tmp_path) as here:
            yield here
    else:
        with (
            running(request.param, tmp_path) as broker,
            Installation.of(template, tmp_path, CELERY_BROKER_URL=broker.url) as here,
        ):
            yield here


def test_the_new_child_delivers_and_the_dead_ones_work_is_taken_back(here: Installation) -> None:
    here.beat()
    worker = here.worker()
    lost = here.load(10, "late-1500ms-rcpt")
    until(lambda: here.statuses()["sending"] == 10, 15, "under way", here.statuses)
    child = worker.child()
    assert child is not None
    os.kill(child, signal.SIGKILL)
    until(lambda: worker.child() not in {None, child}, 20, "a new child", worker.tail)
    here.until_status(here.load(10), "delivered")
    here.until_status(lost, "delivered", 20)
    assert here.check_invariants().dots == 20
