"""Probing: the same refusal again and again makes a run heard ever more rarely, and an accepted message ends it."""

import time
from collections.abc import Callable
from datetime import UTC, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends import base, locmem

from outbox import counting, probing
from outbox.models import Agent, Delivery, RefusedPosts
from tests import factories
from tests.outbox.test_api import Caller, refused

pytestmark = pytest.mark.usefixtures("live_db")

FOREIGN = {"from": "ada@elsewhere.example"}  # sender_not_in_lane: when_changed


@pytest.fixture
def ada(live_db: Any) -> Caller:
    return Caller(factories.key(factories.agent("ada", exempt=False)))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time goes on for the cache, and for whoever asks how long it takes."""
    shift = 0.0

    def go_on(seconds: float) -> None:
        nonlocal shift
        shift += seconds

    class Shifted(probing.datetime):  # type: ignore[misc, name-defined]
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return super().now(zone) + timedelta(seconds=shift)

    for module in (locmem, base):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: time.time() + shift))
    monkeypatch.setattr(probing, "datetime", Shifted)
    return go_on


def probe(caller: Caller, times: int = probing.FEW, code: str = "sender_not_in_lane", **post: Any) -> None:
    for _ in range(times):
        refused(caller.post(**(FOREIGN | post)), code)


def wait_of(answer: Any) -> float:
    problem = refused(answer, "probing")
    assert (problem.scope, "Retry-After" in answer) == ("run", True)
    wait: timedelta = problem.retry_at - probing.datetime.now(UTC)
    return wait.total_seconds()


def test_after_ten_of_one_refusal_the_run_waits_and_other_runs_do_not(ada: Caller) -> None:
    probe(ada, agent={"run_id": "r"})
    assert 25 <= wait_of(ada.post(agent={"run_id": "r"})) <= 30
    assert ada.post(agent={"run_id": "s"}).status_code == 202
    assert ada.post().status_code == 202


def test_whoever_is_not_heard_still_knocks(ada: Caller) -> None:
    probe(ada)
    ada.post()
    item = {"to": "q@example.org", "subject": "Hi", "text": "Hi"}
    ada("POST", "/v1/messages/batch", {"messages": [item] * 3})
    counting.write()
    assert dict(RefusedPosts.objects.values_list("code", "posts")) == {"probing": 4}


def test_new_keys_of_an_agent_do_not_begin_anew_and_another_agents_run_of_that_name_is_another(
    ada: Caller,
) -> None:
    probe(ada, agent={"run_id": "r"})
    wait_of(Caller(factories.key(Agent.objects.get())).post(agent={"run_id": "r"}))
    eve = Caller(factories.key(factories.agent("eve", exempt=False)))
    assert eve.post(agent={"run_id": "r"}).status_code == 202


def test_ten_refusals_of_several_codes_are_no_probing(ada: Caller) -> None:
    probe(ada, probing.FEW - 1, agent={"run_id": "r"})
    unknown = {"run_id": "r", "parent_run_id": "nobody"}
    probe(ada, probing.FEW - 1, "run_parent_unknown", agent=unknown)
    assert ada.post(agent={"run_id": "r"}).status_code == 202


def test_what_waiting_helps_is_no_probing(ada: Caller) -> None:
    Agent.objects.update(recipients_per_hour=1)
    ada.post()
    for _ in range(probing.FEW + 2):
        refused(ada.post(to="q@example.org"), "agent_hour_limit")


def test_each_further_refusal_doubles_the_wait_up_to_an_hour(ada: Caller, passes: Any) -> None:
    probe(ada)
    waits: list[float] = []
    for _ in range(9):
        waits.append(wait_of(ada.post()))
        passes(waits[-1] + 1)
        probe(ada, 1)
    assert [round(wait / 30) for wait in waits] == [1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_an_accepted_message_ends_it(ada: Caller, passes: Any) -> None:
    probe(ada)
    passes(wait_of(ada.post()) + 1)
    assert ada.post().status_code == 202
    probe(ada, probing.FEW - 1)
    assert ada.post(to="q@example.org").status_code == 202


def test_an_old_answer_given_again_does_not_end_it(ada: Caller, passes: Any) -> None:
    accepted = {"to": "q@example.org", "subject": "Hi", "text": "Hi"}
    assert ada("POST", "/v1/messages", accepted, **{"Idempotency-Key": "k"}).status_code == 202
    probe(ada, probing.FEW - 1)
    again = ada("POST", "/v1/messages", accepted, **{"Idempotency-Key": "k"})
    assert again["Idempotent-Replayed"] == "true"
    probe(ada, 1)
    wait_of(ada.post())


def test_time_without_that_refusal_ends_it(ada: Caller, passes: Any) -> None:
    probe(ada)
    passes(wait_of(ada.post()) + probing.WINDOW_SECONDS + 1)
    probe(ada, probing.FEW - 1)
    assert ada.post().status_code == 202


def test_a_batch_counts_once_and_its_probing_runs_are_left_out(ada: Caller) -> None:
    item = {"to": "q@example.org", "subject": "Hi", "text": "Hi"}
    bad = [item | FOREIGN | {"agent": {"run_id": "r"}} for _ in range(probing.FEW)]
    for _ in range(probing.FEW):
        results = ada("POST", "/v1/messages/batch", {"messages": bad}).data["data"]
        assert {each["code"] for each in results} == {"sender_not_in_lane"}
    mixed = [item | {"agent": {"run_id": "r"}}, item | {"agent": {"run_id": "s"}}]
    results = ada("POST", "/v1/messages/batch", {"messages": mixed}).data["data"]
    assert [each.get("code", each["status"]) for each in results] == ["probing", 202]
    assert Delivery.objects.count() == 1


def test_asking_beforehand_counts_by_itself_and_keeps_nobody_from_posting(ada: Caller) -> None:
    body = {"to": "q@example.org", "subject": "Hi", "text": "Hi"}
    for _ in range(probing.FEW):
        answer = ada("POST", "/v1/messages/preflight", body | FOREIGN)
        assert answer.data["problem"]["code"] == "sender_not_in_lane"
    refused(ada("POST", "/v1/messages/preflight", body), "probing")
    [result] = ada("POST", "/v1/messages/preflight", {"messages": [body]}).data["data"]
    assert result["problem"]["code"] == "probing"
    assert ada.post().status_code == 202
    probe(ada)
    wait_of(ada.post())


def test_a_cache_that_is_down_decides_nothing(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise ConnectionError("down")

    monkeypatch.setattr(cache, "get_many", down)
    assert refused(ada.post(), "undecidable").status == 503
    monkeypatch.undo()
    monkeypatch.setattr(cache, "add", down)
    refused(ada.post(**FOREIGN), "undecidable")  # the request rate is counted there first
    assert not Delivery.objects.exists()


def test_what_cannot_be_counted_changes_no_answer(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    probe(ada, 1)

    def down(*_: Any, **__: Any) -> Any:
        raise ConnectionError("down")

    monkeypatch.setattr(cache, "delete_many", down)
    assert ada.post().status_code == 202


def test_agents_for_trying_and_loading_are_not_looked_at(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    Agent.objects.update(exempt=True)

    def asked(*_: Any, **__: Any) -> Any:
        raise AssertionError("the cache was asked")

    monkeypatch.setattr(cache, "get_many", asked)
    probe(ada, probing.FEW + 2)
    assert ada.post().status_code == 202
