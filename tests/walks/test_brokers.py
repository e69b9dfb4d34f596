"""The broker carries hints only (F21): on any of the three the walk is the same, and without it nothing is lost.

A worker looks for work by itself once a second, and hears the database's own notice of new work; what beat orders
(rescue, expiry) waits until the broker is back.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.walks.harness.brokers import Broker, running
from tests.walks.harness.installation import Installation, Template
from tests.walks.harness.processes import Worker
from tests.walks.harness.waiting import until

KINDS = [
    "valkey",
    "rabbitmq",
]


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as broker:
        yield broker


@pytest.fixture
def here(broker: Broker, template: Template, tmp_path: Path) -> Iterator[Installation]:
    with Installation.of(template, tmp_path, CELERY_BROKER_URL=broker.url) as here:
        yield here


def kicked(here: Installation) -> Worker:
    """A worker to which nobody has spoken before a post over HTTP kicked it through the broker, and delivered that."""
    here.web()
    worker = here.worker(ready=False)
    until(lambda: worker.child() in here.sessions().values(), 30, "a session", worker.tail)
    assert "outbox.dispatch" not in worker.said()
    answer = here.http("/v1/messages", {"to": "ok.web@gmail.test", "subject": "Walk", "text": "Walk."})
    worker.until_said("outbox.dispatch")
    here.until_status(here.note(answer.body), "delivered")
    return worker


def test_the_walk_and_a_broker_that_is_emptied_killed_absent_and_back(
    here: Installation, broker: Broker
) -> None:
    # the walk, kicked by the web process
    worker = kicked(here)
    here.beat()

    # emptied while there is work
    deliveries = here.load(200)
    broker.flush()
    here.until_status(deliveries, "delivered", 30)

    # killed, and absent: accepts go on, and so do deliveries
    broker.kill()
    absent = here.load(50)
    answer = here.http("/v1/messages", {"to": "ok.absent@gmail.test", "subject": "Walk", "text": "Walk."})
    assert answer.status == 202
    absent += here.note(answer.body)
    here.until_status(absent, "delivered", 30)

    # back: beat and worker have found it again, so what is left to beat happens
    rescued = worker.said().count("outbox.rescue")
    broker.start()
    until(lambda: worker.said().count("outbox.rescue") > rescued, 25, "orders again", worker.tail)
    here.until_status(here.load(50), "delivered", 30)
    assert here.check_invariants().dots == 302


def test_the_walk_on_pgmq_which_is_emptied_in_the_middle(template: Template, tmp_path: Path) -> None:
    with Installation.of(template, tmp_path) as here:
        kicked(here)
        here.beat()
        deliveries = here.load(200)
        here.inside.purge_queue()
        here.until_status(deliveries, "delivered", 30)
        assert here.check_invariants().dots == 201
