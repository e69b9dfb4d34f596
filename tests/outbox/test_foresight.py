"""A preflight and the post behind it say the same: verdict, codes, what is left, when it would be through."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outbox import openapi, policy_numbers
from outbox.models import Policy
from reputation import killswitch
from reputation.models import SendingDomain, SigningKey, Stream
from tests import factories
from tests.outbox.test_api import Caller, ramp, refused
from tests.outbox.test_budgets import PRODUCT, limits, people

pytestmark = pytest.mark.usefixtures("live_db")

ALIKE = ("status", "decision", "problem", "refused", "budget")


@pytest.fixture
def ada(live_db: Any) -> Caller:
    return Caller(factories.key(factories.agent("ada", **PRODUCT)))


def mail(to: Any = "grace@example.org", **more: Any) -> dict[str, Any]:
    return {"to": to, "subject": "Your question", "text": "Hi", **more}


def run(name: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    return {"agent": {"run_id": name, **({"parent_run_id": parent} if parent else {}), **more}}


def foreseen(caller: Caller, body: dict[str, Any]) -> Any:
    response = caller("POST", "/v1/messages/preflight", body)
    assert response.status_code == 200, response.content
    openapi.PreflightAnswer.model_validate_json(response.content)
    return response.data


def in_advance_and_then(caller: Caller, *messages: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """What a preflight of a batch said, and what its post was answered, in the same words."""
    before = foreseen(caller, {"messages": list(messages)})["data"]
    posted = caller("POST", "/v1/messages/batch", {"messages": list(messages)}).data["data"]
    return [_told(each) for each in before], [_told(each.get("message", each)) for each in posted]


def _told(answer: dict[str, Any]) -> dict[str, Any]:
    problem = answer.get("problem") if "rules" in answer else answer if "code" in answer else None
    if problem:
        return {name: problem.get(name) for name in ("code", "detail", "scope", "limit", "used", "remaining")}
    days = [each["forecast_at"] and each["forecast_at"][:10] for each in answer["deliveries"]]
    return {name: answer[name] for name in ("decision", "refused", "budget")} | {"days": days}


def policy(**numbers: Any) -> None:
    """Let the stream's policy do nothing but what is said."""
    row = policy_numbers.stored(policy_numbers.LENIENT) | numbers
    stream = Stream.objects.get(name="agents-support")
    Policy.objects.create(stream=stream, version=stream.policy_version + 1, numbers=row, who="dora")
    Stream.objects.update(policy_version=stream.policy_version + 1)


# -- runs that come to be in a batch -------------------------------------------------------------------------


def test_a_tree_that_a_batch_opens_is_foreseen(ada: Caller) -> None:
    tree = [run("a"), run("b", "a"), run("c", "b"), run("b", "c"), run("x", "unknown")]
    before, after = in_advance_and_then(
        ada, *(mail(f"p{n}@example.org", **each) for n, each in enumerate(tree))
    )
    assert before == after
    assert [each.get("code") for each in after] == [
        None,
        None,
        None,
        "run_parent_conflict",
        "run_parent_unknown",
    ]


def test_a_new_run_begins_one_tree_however_many_messages_a_batch_has_for_it(ada: Caller) -> None:
    limits(hour=100)
    messages = [mail(person, **run(f"r{n % 19}")) for n, person in enumerate(people(20))]
    before, after = in_advance_and_then(
        ada, *messages, *(mail("x@example.org", **run(f"s{n}")) for n in range(2))
    )
    assert before == after
    assert [each.get("code") for each in after[-2:]] == [None, "agent_day_limit"]


def test_a_batch_counts_a_new_runs_principal_like_its_messages_one_by_one(ada: Caller) -> None:
    Stream.objects.update(recipients_per_principal=2)
    first = mail("p0@example.org", **run("a", on_behalf_of="user:grace"))
    before, after = in_advance_and_then(ada, first, *(mail(f"p{n}@example.org", **run("a")) for n in (1, 2)))
    assert before == after
    assert [each.get("code") for each in after] == [None, None, "principal_limit"]


def test_the_days_implicit_run_is_on_nobodys_behalf(ada: Caller) -> None:
    Stream.objects.update(recipients_per_principal=1)
    first = ada.post(agent={"on_behalf_of": "user:grace"})
    assert ada.post(to="ada@example.org").status_code == 202
    refused(ada.post(to="bob@example.org", agent={"on_behalf_of": "user:grace"}), "principal_limit")
    assert ada("GET", f"/v1/runs/{first.data['run_id']}").data["on_behalf_of"] is None


def test_a_cancelled_run_is_not_named_where_the_message_named_none(ada: Caller) -> None:
    day = ada.post().data["run_id"]
    ada("POST", f"/v1/runs/{day}/cancel")
    assert "None" not in refused(ada.post(), "run_cancelled").detail


# -- forecasts -----------------------------------------------------------------------------------------------


def test_what_is_held_is_told_when_it_would_be_through_if_it_were_released(ada: Caller) -> None:
    policy(first_contact=True)
    later = (datetime.now().astimezone() + timedelta(days=2)).isoformat()
    before, after = in_advance_and_then(ada, mail(), mail("p@example.org", scheduled_at=later))
    assert before == after
    assert [each["days"] for each in after][1] == [later[:10]]
    for message in ada("GET", "/v1/messages").data["data"]:
        assert message["status"] == "held"
        assert message["deliveries"][0]["forecast_at"] >= message["created_at"]


def test_a_held_message_behind_a_ramp_says_the_same_when_it_is_read(ada: Caller) -> None:
    policy(first_contact=True)
    ramp(1)
    posted = ada("POST", "/v1/messages", mail([f"{name}@gmail.com" for name in "abc"]))
    read = ada("GET", posted.data["links"]["self"]).data["deliveries"]
    ends = {each["forecast_at"][:16] for each in (*posted.data["deliveries"], *read)}
    assert len(ends) == 1
    assert ends.pop() > (datetime.now(UTC) + timedelta(days=1)).isoformat()


def test_what_is_held_stands_in_nobodys_way(ada: Caller) -> None:
    policy(first_contact=True)
    ramp(2)
    life = (datetime.now().astimezone() + timedelta(days=2)).isoformat()
    messages = [mail(f"p{n}@example.org", text=f"Question {n}", expires_at=life) for n in range(12)]
    before, after = in_advance_and_then(ada, *messages)
    assert before == after
    assert all(each["decision"]["verdict"] == "hold" for each in after)


def test_a_forecast_past_expiry_is_told_as_a_date(ada: Caller) -> None:
    ramp(1)
    limits(hour=500, day=500, run=500)
    soon = (datetime.now().astimezone() + timedelta(seconds=30)).isoformat()
    message = mail(people(4), expires_at=soon)
    for asked in ({"recipients": 200}, message):
        before = foreseen(ada, asked)
        assert before["problem"]["code"] == "forecast_past_expiry"
        assert before["forecast_at"] == before["problem"]["forecast_at"] > before["expires_at"]
    assert all(each["forecast_at"] == before["forecast_at"] for each in before["deliveries"])
    posted = refused(ada("POST", "/v1/messages", message), "forecast_past_expiry")
    assert posted.forecast_at
    assert posted.forecast_at > datetime.fromisoformat(before["expires_at"])


@pytest.mark.parametrize("why", ["no domain", "no key", "stopped"])
def test_a_plan_for_where_nothing_leaves_has_no_date(ada: Caller, why: str) -> None:
    ramp(10)
    if why == "no domain":
        SendingDomain.objects.update(state="enrolled")
    elif why == "no key":
        SigningKey.objects.all().delete()
    else:
        killswitch.trip("agent:ada", who="rita", why="looking")
    before = foreseen(ada, {"recipients": 5})
    assert before["problem"]["code"] == ("stopped" if why == "stopped" else "lane_not_ready")
    assert (before["decision"]["verdict"], before["forecast_at"], before["providers"]) == ("refuse", None, [])


# -- one person, several addresses ---------------------------------------------------------------------------


def test_another_address_of_the_same_person_is_told_to_get_no_delivery(ada: Caller) -> None:
    given = {"to": ["grace@example.org", "Grace@EXAMPLE.org"], "cc": ["grace@example.org"]}
    body = mail(given["to"], cc=given["cc"], bcc="grace+work@example.org")
    before, after = in_advance_and_then(ada, body)
    assert before == after
    assert after[0]["refused"] == [
        {"to": "Grace@example.org", "code": "duplicate_recipient"},
        {"to": "grace+work@example.org", "code": "duplicate_recipient"},
    ]
    [message] = ada("GET", "/v1/messages").data["data"]
    assert message["refused"] == after[0]["refused"]
    assert [each["to"] for each in message["deliveries"]] == ["grace@example.org"]


# -- next steps ----------------------------------------------------------------------------------------------


def calls(problem: openapi.Problem) -> list[dict[str, Any]]:
    return [step for step in problem.remedy if isinstance(step, dict)]


def test_next_steps_that_are_calls_can_be_made_as_they_stand(ada: Caller) -> None:
    policy(duplicate_hours=24)
    sent = ada.post(text="The very same words, of which there are enough to compare.", **run("a")).data
    problems = [
        refused(
            ada.post(text="The very same words, of which there are enough to compare."), "duplicate_content"
        ),
        refused(ada.post(**{"from": "ceo@acme.test"}), "sender_not_in_lane"),
        refused(ada.post(**run("a", "b")), "run_parent_conflict"),
        refused(ada("GET", "/v1/runs/unknown"), "not_found"),
    ]
    assert ada("POST", f"{sent['links']['cancel']}").status_code == 200
    problems.append(refused(ada("POST", sent["links"]["cancel"]), "not_cancellable"))
    killswitch.trip("agent:ada", who="rita", why="looking")
    problems.append(refused(ada.post(), "stopped"))
    SigningKey.objects.all().delete()
    killswitch.resume("agent:ada", who="rita", why="seen")
    problems.append(refused(ada.post(), "lane_not_ready"))
    for problem in problems:
        [call] = calls(problem)
        assert isinstance(problem.remedy[0], str)
        assert ada(call["method"], call["href"]).status_code == 200, problem
    assert calls(problems[0])[0]["href"] == calls(problems[4])[0]["href"] == sent["links"]["self"]
