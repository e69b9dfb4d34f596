"""Runs and stopping oneself, over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.db import transaction

from outbox import answers, ledger, runs, sessions
from outbox.models import Agent, Delivery
from reputation import killswitch
from reputation.models import OpenStop, SendingDomain, SigningKey
from tests import factories
from tests.outbox.test_api import Caller, refused
from tests.outbox.test_budgets import WAITING, elsewhere

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def ada(live_db: Any) -> Caller:
    return Caller(factories.key(factories.agent()))


@pytest.fixture
def bob(ada: Caller) -> Caller:
    return Caller(factories.key(factories.agent("bob")))


def family(ada: Caller) -> None:
    """root - child - grandchild, and a stranger to them: two recipients each."""
    for run, parent in (("root", None), ("child", "root"), ("grandchild", "child"), ("other", None)):
        context = {"run_id": run} | ({"parent_run_id": parent} if parent else {})
        answer = ada.post(to=[f"a.{run}@example.org", f"b.{run}@example.org"], agent=context)
        assert answer.status_code == 202


def test_a_run_is_shown_with_everything_below_it(ada: Caller) -> None:
    family(ada)
    run = ada("GET", "/v1/runs/root").data
    assert run["counts"] == {"queued": 6}
    assert [(each["run_id"], each["parent_run_id"]) for each in run["descendants"]] == [
        ("child", "root"),
        ("grandchild", "child"),
    ]
    below = ada("GET", "/v1/runs/grandchild").data
    assert (below["parent_run_id"], below["root_run_id"], below["counts"]) == ("child", "root", {"queued": 2})


def test_a_run_that_would_be_too_deep_is_told_what_helps(ada: Caller) -> None:
    names = [f"r{depth}" for depth in range(runs.MAX_DEPTH + 1)]
    contexts = [{"run_id": name, "parent_run_id": above} for above, name in pairwise(names)]
    ada.post(agent={"run_id": names[0]})
    *fit, last = (ada.post(agent=context) for context in contexts)
    assert {answer.status_code for answer in fit} == {202}
    problem = refused(last, "run_parent_unknown")
    assert problem.remedy == [runs.TOO_DEEP], "its parent is known: posting with it would not help"


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/runs/root"), ("POST", "/v1/runs/root/cancel")])
def test_another_agents_run_does_not_exist(ada: Caller, bob: Caller, method: str, path: str) -> None:
    family(ada)
    refused(bob(method, path), "not_found")
    assert set(Delivery.objects.values_list("status", flat=True)) == {"queued"}


def test_cancelling_a_run_cancels_what_is_not_cleared_below_it_too(ada: Caller) -> None:
    family(ada)
    session = sessions.begin("test")
    claimed = ledger.claim(session, tier=1, limit=100)
    mine = [one for one in claimed if one.recipient == "a.child@example.org"]
    ledger.clear(session, [(one.id, one.attempt) for one in mine])
    run = ada("POST", "/v1/runs/root/cancel").data
    assert run["counts"] == {"cancelled": 5, "sending": 1}
    assert all(each["cancelled_at"] for each in [run, *run["descendants"]])
    others = Delivery.objects.filter(recipient__endswith="other@example.org")
    assert set(others.values_list("status", flat=True)) == {"sending"}


@pytest.mark.parametrize("context", [{"run_id": "child"}, {"run_id": "new", "parent_run_id": "child"}])
def test_a_cancelled_run_and_what_would_be_below_it_sends_nothing_more(
    ada: Caller, context: dict[str, str]
) -> None:
    family(ada)
    ada("POST", "/v1/runs/root/cancel")
    refused(ada.post(agent=context), "run_cancelled")
    assert ada.post(agent={"run_id": "other"}).status_code == 202


def test_a_run_of_many_pages_is_cancelled_whole(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outbox.lineage.PAGE", 2)
    for number in range(5):
        ada.post(to=f"p{number}@example.org", agent={"run_id": "r"})
    assert ada("POST", "/v1/runs/r/cancel").data["counts"] == {"cancelled": 5}
    assert ada("POST", "/v1/runs/r/cancel").data["counts"] == {"cancelled": 5}


@pytest.mark.parametrize("run", ["root", "child", "grandchild", "new"])
def test_what_is_judged_while_its_run_is_cancelled_is_judged_again(
    ada: Caller, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    family(ada)
    Agent.objects.update(exempt=False)
    keep = answers.keep

    def cancelled_meanwhile(*given: Any) -> None:
        monkeypatch.setattr(answers, "keep", keep)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(elsewhere, ada, "POST", "/v1/runs/root/cancel").result().status_code == 200
        keep(*given)

    monkeypatch.setattr(answers, "keep", cancelled_meanwhile)
    context = {"run_id": run} | ({"parent_run_id": "grandchild"} if run == "new" else {})
    refused(ada.post(agent=context), "run_cancelled")
    assert ada("GET", "/v1/runs/root").data["counts"] == {"cancelled": 6}


def test_what_is_being_accepted_when_its_run_is_cancelled_is_cancelled_too(ada: Caller, live_db: Any) -> None:
    family(ada)
    Agent.objects.update(exempt=False)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            for run in ("grandchild", "new"):
                context = {"run_id": run, "parent_run_id": "child"}
                assert ada.post(to=f"{run}@example.org", agent=context).status_code == 202
            cancelled = pool.submit(elsewhere, ada, "POST", "/v1/runs/root/cancel")
            with psycopg.connect(live_db.superuser, autocommit=True) as superuser:
                while not cancelled.done() and superuser.execute(WAITING).fetchone() == (0,):
                    pass
        run = cancelled.result().data
    assert run["counts"] == {"cancelled": 8}
    assert len(run["descendants"]) == 3
    assert all(each["cancelled_at"] for each in [run, *run["descendants"]])


# -- stopping


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        ({"scope": "agent", "reason": "I loop"}, "agent:ada"),
        ({"scope": "run", "run_id": "root", "reason": "I loop"}, "run:ada/root"),
    ],
)
def test_an_agent_stops_itself_and_cannot_go_on(ada: Caller, body: dict[str, str], scope: str) -> None:
    family(ada)
    answer = ada("POST", "/v1/stop", body)
    assert (answer.status_code, answer.data["scope"]) == (200, scope)
    stop = OpenStop.objects.get()
    assert (stop.scope, stop.who, stop.why, stop.epoch) == (
        scope,
        "agent:ada",
        "I loop",
        answer.data["epoch"],
    )
    refused(ada.post(agent={"run_id": "child"}), "stopped")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"scope": "all", "reason": "x"}, "insufficient_scope"),
        ({"scope": "agent", "key": "bob", "reason": "x"}, "insufficient_scope"),
        ({"scope": "run", "key": "bob/root", "reason": "x"}, "insufficient_scope"),
        ({"scope": "stream", "key": "agents-support", "reason": "x"}, "insufficient_scope"),
        ({"scope": "run", "run_id": "nobodys", "reason": "x"}, "not_found"),
        ({"scope": "run", "reason": "x"}, "validation_failed"),
        ({"scope": "agent"}, "validation_failed"),
        ({"scope": "agent", "reason": ""}, "validation_failed"),
        ({"scope": "agent", "reason": "x", "until": "noon"}, "validation_failed"),
    ],
)
def test_what_an_agent_may_not_stop(ada: Caller, body: dict[str, str], code: str) -> None:
    family(ada)
    refused(ada("POST", "/v1/stop", body), code)
    assert not OpenStop.objects.exists()


def test_a_key_without_the_stop_scope_stops_nothing(ada: Caller) -> None:
    key = factories.key(Agent.objects.get(), "send", "read")
    refused(Caller(key)("POST", "/v1/stop", {"scope": "agent", "reason": "x"}), "insufficient_scope")


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        ({"scope": "all", "reason": "pager"}, "all"),
        ({"scope": "stream", "key": "agents-support", "reason": "pager"}, "stream:agents-support"),
    ],
)
def test_an_operators_key_stops_any_scope_and_does_nothing_else(
    ada: Caller, body: dict[str, str], scope: str
) -> None:
    operator = Caller(factories.key(None, kind="operator"))
    assert operator("POST", "/v1/stop", body).data["scope"] == scope
    refused(operator("GET", "/v1/whoami"), "insufficient_scope")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"scope": "stream", "key": "no-such", "reason": "x"}, "not_found"),
        ({"scope": "source", "key": "127.0.0.1", "reason": "x"}, "not_found"),
        ({"scope": "source", "key": "fe80::1%eth0", "reason": "x"}, "not_found"),
        ({"scope": "cluster", "key": "no-such", "reason": "x"}, "not_found"),
        ({"scope": "planet", "key": "earth", "reason": "x"}, "validation_failed"),
    ],
)
def test_a_stop_of_what_does_not_exist_is_no_stop(ada: Caller, body: dict[str, str], code: str) -> None:
    refused(Caller(factories.key(None, kind="operator"))("POST", "/v1/stop", body), code)
    assert not OpenStop.objects.exists()


def test_a_returns_key_stops_nothing(ada: Caller) -> None:
    returns = Caller(factories.key(None, kind="returns"))
    refused(returns("POST", "/v1/stop", {"scope": "all", "reason": "x"}), "insufficient_scope")


@pytest.mark.parametrize("path", ["/v1/runs/%00", "/v1/runs/a%20b", "/v1/runs/" + "r" * 129])
def test_a_name_that_no_run_can_have_is_not_found(ada: Caller, path: str) -> None:
    refused(ada("GET", path), "not_found")
    refused(ada("POST", f"{path}/cancel"), "not_found")


def test_who_cannot_send_is_told_why(ada: Caller) -> None:
    domain = SendingDomain.objects.get()
    SigningKey.objects.all().delete()
    told = ada("GET", "/v1/whoami").data
    assert (told["open"], told["stops"]) == (False, [])
    assert "has no key to sign with" in told["why"]
    domain.state = SendingDomain.State.ENROLLED
    domain.save()
    assert "has no sending domain that is verified" in ada("GET", "/v1/whoami").data["why"]
    killswitch.trip("agents", who="rita", why="loops")
    told = ada("GET", "/v1/whoami").data
    assert (told["open"], told["why"]) == (False, "Sending is stopped for agents; see stops.")


def test_a_stopped_run_shows_in_whoami_and_the_agent_stays_open(ada: Caller) -> None:
    family(ada)
    ada("POST", "/v1/stop", {"scope": "run", "run_id": "root", "reason": "I loop"})
    told = ada("GET", "/v1/whoami").data
    assert ([stop["scope"] for stop in told["stops"]], told["open"]) == (["run:ada/root"], True)
    assert told["why"] is None
    refused(ada("POST", "/v1/stop", {"scope": "agent", "run_id": "root", "reason": "x"}), "validation_failed")
