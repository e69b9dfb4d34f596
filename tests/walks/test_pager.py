"""Alarms as somebody is woken by them: by beat while no worker is there, by a worker while beat is gone, each once."""

from tests.outbox.listening import Ear, ear
from tests.walks.harness.installation import Installation
from tests.walks.harness.waiting import until

__all__ = ["ear"]


def test_somebody_is_woken_once_whoever_is_left_to_see_it(here: Installation, ear: Ear) -> None:
    told = {
        "AO_PAGER_URL": f"{ear.url}/page",
        "AO_HEARTBEAT_URL": f"{ear.url}/alive",
        "AO_WATCH_SECONDS": "1",
    }
    here.env |= told
    beat = here.beat()
    until(lambda: "no_worker" in kinds(ear), 20, "beat says that there is no worker", here.tails)
    worker = here.worker()
    until(lambda: open_alarms(here) == set(), 20, "the alarm ends", here.tails)
    beat.kill()
    here.trip("stream:agents-sales")
    until(lambda: "trip" in kinds(ear), 20, "the worker says that it was tripped", here.tails)
    assert worker.alive
    here.resume("stream:agents-sales")
    assert sorted(kinds(ear)) == ["no_worker", "trip"]
    assert ("GET", "/alive", None) in ear.heard
    here.until_status(here.post("ok@corp.test"), "delivered")


def kinds(ear: Ear) -> list[str]:
    return [body["kind"] for method, path, body in list(ear.heard) if path == "/page"]


def open_alarms(here: Installation) -> set[str]:
    return {row.kind for row in here.ask("SELECT kind FROM outbox_alarm WHERE ended_at IS NULL")}
