"""Budgets on a real database: charged once, all or none, and given back to the window they were charged to."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from outbox import budgets, ledger, sessions
from outbox.models import Agent, Budget, Delivery
from reputation import sql
from tests import factories
from tests.outbox.test_api import Caller, refused

pytestmark = pytest.mark.usefixtures("live_db")

PRODUCT = {
    "recipients_per_message": 5,
    "recipients_per_hour": 20,
    "recipients_per_day": 100,
    "recipients_per_run": 50,
    "exempt": False,
}


@pytest.fixture
def ada(live_db: Any) -> Caller:
    """An agent with the product's own limits."""
    return Caller(factories.key(factories.agent("ada", **PRODUCT)))


def people(count: int, name: str = "p") -> list[str]:
    return [f"{name}{number}@example.org" for number in range(count)]


def limits(**fields: int) -> None:
    Agent.objects.update(**{f"recipients_per_{name}": value for name, value in fields.items()})


def used(kind: str) -> list[int]:
    return list(Budget.objects.filter(kind=kind).order_by("key").values_list("used", flat=True))


def test_an_answer_shows_what_is_left(ada: Caller) -> None:
    ada.post(to=people(3), agent={"run_id": "r"})
    budget = ada.post(to=people(2, "q"), agent={"run_id": "r"}).data["budget"]
    assert budget == {
        "run": {"limit": 50, "used": 5, "remaining": 45},
        "agent_hour": {"limit": 20, "used": 5, "remaining": 15},
        "agent_day": {"limit": 100, "used": 5, "remaining": 95},
    }


@pytest.mark.parametrize(
    ("bound", "code", "scope"),
    [
        ({"hour": 6}, "agent_hour_limit", "agent_hour"),
        ({"day": 6}, "agent_day_limit", "agent_day"),
        ({"run": 6}, "run_budget_exhausted", "run"),
        ({"run": 6, "hour": 6}, "run_budget_exhausted", "run"),  # what waiting does not help comes first
    ],
)
def test_what_is_more_than_what_is_left_is_refused_and_costs_nothing(
    ada: Caller, bound: dict[str, int], code: str, scope: str
) -> None:
    limits(**bound)
    ada.post(to=people(4), agent={"run_id": "r"})
    answer = ada.post(to=people(3, "q"), agent={"run_id": "r"})
    problem = refused(answer, code)
    assert (problem.scope, problem.limit, problem.used, problem.remaining) == (scope, 6, 4, 2)
    assert (problem.retry_at is not None) == (problem.status == 429) == ("Retry-After" in answer)
    assert ada.post(to=people(2, "q"), agent={"run_id": "r"}).status_code == 202


def test_a_message_to_more_people_than_an_agent_may_have_in_one_is_refused(ada: Caller) -> None:
    problem = refused(ada.post(to=people(6)), "validation_failed")
    assert [each.code for each in problem.violations] == ["too_many"]


def test_a_batch_is_accepted_in_order_until_the_budget_is_spent(ada: Caller) -> None:
    limits(hour=6)
    items = [{"to": people(4, f"m{n}"), "subject": "Hi", "text": "Hi"} for n in range(3)]
    results = ada("POST", "/v1/messages/batch", {"messages": items}).data["data"]
    assert [each["status"] for each in results] == [202, 429, 429]
    assert used("agent_hour") == [4]


def test_a_child_draws_on_its_root(ada: Caller) -> None:
    limits(run=5)
    ada.post(to=people(3), agent={"run_id": "root"})
    refused(
        ada.post(to=people(3, "q"), agent={"run_id": "child", "parent_run_id": "root"}),
        "run_budget_exhausted",
    )
    answer = ada.post(to=people(2, "q"), agent={"run_id": "child", "parent_run_id": "root"})
    assert answer.data["budget"]["run"] == {"limit": 5, "used": 5, "remaining": 0}
    refused(ada.post(to="r@example.org", agent={"run_id": "root"}), "run_budget_exhausted")


def test_new_keys_of_an_agent_share_its_budget(ada: Caller) -> None:
    limits(hour=2)
    other = Caller(factories.key(Agent.objects.get()))
    assert ada.post(to=people(2)).status_code == 202
    refused(other.post(to="q@example.org"), "agent_hour_limit")


def test_an_exempt_agent_has_no_budget(ada: Caller) -> None:
    Agent.objects.update(exempt=True)
    limits(hour=1, message=1)
    answer = ada.post(to=people(4))
    assert (answer.status_code, answer.data["budget"]) == (202, {})
    assert not Budget.objects.exists()


def test_sixteen_at_once_do_not_pass_the_limit(ada: Caller) -> None:
    limits(hour=10)

    def post(number: int) -> int:
        try:
            return int(ada.post(to=people(2, f"m{number}")).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(32)))
    assert (answers.count(202), answers.count(429)) == (5, 27)
    assert used("agent_hour") == [10]
    assert Delivery.objects.count() == 10


# -- given back


@pytest.mark.parametrize("way", ["message", "run"])
def test_what_is_cancelled_goes_back(ada: Caller, way: str) -> None:
    ada.post(to=people(2, "kept"), agent={"run_id": "other"})
    message = ada.post(to=people(3), agent={"run_id": "r"}).data["id"]
    path = f"/v1/messages/{message}/cancel" if way == "message" else "/v1/runs/r/cancel"
    assert ada("POST", path).status_code == 200
    assert (used("agent_hour"), used("agent_day"), used("run")) == ([2], [2], [2, 0])


def test_what_was_sent_does_not_go_back(ada: Caller) -> None:
    message = ada.post(to=people(2)).data["id"]
    session = sessions.begin("test")
    [one, _] = ledger.claim(session, tier=1, limit=10)
    ledger.clear(session, [(one.id, one.attempt)])
    ada("POST", f"/v1/messages/{message}/cancel")
    assert used("agent_hour") == [1]


@pytest.mark.parametrize(("status", "code", "left"), [("held", "recheck", 0), ("queued", "", 1)])
def test_what_lapses_goes_back_and_what_expires_on_its_way_does_not(
    ada: Caller, status: str, code: str, left: int
) -> None:
    ada.post()
    Delivery.objects.update(status=status, code=code)
    sql.count("UPDATE outbox_delivery SET expires_at = ao_now() - interval '1 second'")
    assert ledger.expire() == 1
    assert used("agent_hour") == [left]


# -- shown


def test_whoami_and_the_headers_say_what_is_left(ada: Caller) -> None:
    ada.post(to=people(3))
    answer = ada("GET", "/v1/whoami")
    assert answer.data["budget"]["agent_hour"] == {"limit": 20, "used": 3, "remaining": 17}
    assert '"agent-hour";r=17;t=' in answer["RateLimit"]
    assert '"agent-day";r=97;t=' in answer["RateLimit"]
    assert '"agent-hour";q=20;w=3600' in answer["RateLimit-Policy"]


def test_a_runs_budget_is_shown_and_can_be_lowered_and_not_raised(ada: Caller) -> None:
    ada.post(to=people(3), agent={"run_id": "r"})
    assert ada("GET", "/v1/runs/r").data["budget"]["run"]["remaining"] == 47
    lowered = ada("POST", "/v1/runs/r/budget", {"recipients": 4}).data["budget"]["run"]
    assert lowered == {"limit": 4, "used": 3, "remaining": 1}
    refused(ada.post(to=people(2, "q"), agent={"run_id": "r"}), "run_budget_exhausted")
    refused(ada("POST", "/v1/runs/r/budget", {"recipients": 5}), "validation_failed")
    assert ada("GET", "/v1/runs/r").data["budget"]["run"]["limit"] == 4


def test_a_childs_own_lower_budget_counts_from_then_on(ada: Caller) -> None:
    ada.post(to="a@example.org", agent={"run_id": "root"})
    ada.post(to="b@example.org", agent={"run_id": "child", "parent_run_id": "root"})
    ada("POST", "/v1/runs/child/budget", {"recipients": 2})
    below = {"run_id": "grandchild", "parent_run_id": "child"}
    assert ada.post(to="c@example.org", agent=below).status_code == 202
    refused(ada.post(to="d@example.org", agent=below), "run_budget_exhausted")
    assert ada.post(to="d@example.org", agent={"run_id": "root"}).status_code == 202


def test_a_preflight_shows_the_budget_and_charges_nothing(ada: Caller) -> None:
    limits(hour=4)
    answer = ada("POST", "/v1/messages/preflight", {"to": people(5), "subject": "Hi", "text": "Hi"}).data
    assert answer["problem"]["code"] == "agent_hour_limit"
    plan = ada("POST", "/v1/messages/preflight", {"recipients": 5}).data
    assert plan["problem"]["code"] == "agent_hour_limit"
    assert plan["budget"]["agent_hour"] == {"limit": 4, "used": 0, "remaining": 4}
    assert not Budget.objects.exists()


def test_an_agent_begins_twenty_trees_a_day(ada: Caller) -> None:
    limits(hour=1000)
    for number in range(budgets.ROOTS_A_DAY):
        assert ada.post(to=f"p{number}@example.org", agent={"run_id": f"r{number}"}).status_code == 202
    problem = refused(ada.post(agent={"run_id": "one-more"}), "agent_day_limit")
    assert (problem.scope, problem.limit) == ("root_runs", 20)
    assert ada.post(agent={"run_id": "r3"}).status_code == 202
    assert ada.post(agent={"run_id": "below", "parent_run_id": "r3"}).status_code == 202
