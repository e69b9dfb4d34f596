"""Who is judged by the product's own policy: what is held, in which order, and what the agent is told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from outbox import approvals, openapi, policy_numbers
from outbox.models import Agent, Approval, Contact, Delivery, Held, Policy
from outbox.policy_numbers import DEFAULT
from reputation import killswitch, sql
from reputation.models import Stream
from tests import factories
from tests.outbox.test_api import Caller, refused

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture
def strict(live_db: Any) -> Caller:
    """An agent that has the product's defaults, but for how much it may send."""
    agent = factories.agent("strict", exempt=False, stream=factories.stream(policy=None))
    return Caller(factories.key(agent), agent)


def seasoned(**numbers: Any) -> None:
    """Let the stream's policy hold nothing but what is said."""
    wished = policy_numbers.LENIENT
    row = policy_numbers.stored(wished) | numbers
    stream = Stream.objects.get(name="agents-support")
    version = stream.policy_version + 1
    Policy.objects.create(stream=stream, version=version, numbers=row, who="dora")
    Stream.objects.filter(pk=stream.pk).update(policy_version=version)


def reasons(response: Any) -> list[str]:
    assert response.status_code == 202, response.content
    return [each["code"] for each in response.data["decision"]["reasons"]]


def batch(caller: Caller, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    body = {"subject": "Your question", "text": "Hi"}
    response = caller("POST", "/v1/messages/batch", {"messages": [body | each for each in messages]})
    assert response.status_code == 200, response.content
    openapi.BatchAnswer.model_validate_json(response.content)
    return response.data["data"]


def held_in(answered: dict[str, Any]) -> list[str]:
    return [each["code"] for each in answered["message"]["decision"]["reasons"]]


# -- one message ---------------------------------------------------------------------------------------------


def test_a_new_agents_first_message_waits_for_a_person(strict: Caller) -> None:
    response = strict.post()
    body = openapi.MessageAccepted.model_validate_json(response.content)
    assert (response.status_code, body.status, body.decision.verdict) == (202, "held", "hold")
    assert [each.code for each in body.decision.reasons] == ["first_contact", "new_agent"]
    assert [(each.status, each.reason) for each in body.deliveries] == [("held", "first_contact")]
    assert body.approval
    assert Approval.objects.get().reasons == ["first_contact", "new_agent"]
    seen = openapi.Message.model_validate_json(strict("GET", f"/v1/messages/{body.id}").content)
    assert (seen.status, seen.decision, seen.approval) == ("held", body.decision, body.approval)
    assert not Contact.objects.exists()  # nobody has let it go


def test_a_held_message_replays_as_held(strict: Caller) -> None:
    body = {"to": "grace@example.org", "subject": "x", "text": "y"}
    first, again = (strict("POST", "/v1/messages", body, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert reasons(first) == reasons(again) == ["first_contact", "new_agent"]
    assert again["Idempotent-Replayed"] == "true"
    assert first.data["approval"] == again.data["approval"]
    assert Delivery.objects.count() == Held.objects.count() == 1


def test_a_request_is_told_only_while_it_is_open(strict: Caller) -> None:
    body = strict.post().data
    assert strict("POST", f"/v1/messages/{body['id']}/cancel").data["approval"] is None


def test_many_held_messages_are_one_request(strict: Caller) -> None:
    answered = batch(
        strict, *({"to": f"p{each}@example.org", "text": f"Hi P{each}, {LONG}"} for each in range(20))
    )
    assert len({each["message"]["approval"]["id"] for each in answered}) == 1
    assert (Approval.objects.count(), Held.objects.count()) == (1, 20)


def test_what_nobody_would_look_at_in_time_is_refused_at_the_door(
    strict: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "projected_wait", lambda _stream: approvals.Wait(3600.0, 7200.0))
    soon, later = (f"{timezone.now() + timedelta(minutes=each):%Y-%m-%dT%H:%M:%SZ}" for each in (50, 70))
    refused(strict.post(expires_at=soon), "approval_wait_past_expiry")
    assert strict.post(expires_at=later).status_code == 202


def test_whoever_was_written_to_is_a_contact_for_the_whole_organisation(strict: Caller) -> None:
    seasoned()
    assert reasons(strict.post()) == []
    assert Contact.objects.count() == 1
    seasoned(first_contact=True)
    other = factories.agent("other", exempt=False)
    for to in ("grace@example.org", "Grace+x@example.org"):
        assert reasons(Caller(factories.key(other)).post(to=to)) == []
    assert reasons(strict.post(to="bob@example.org")) == ["first_contact"]
    assert Contact.objects.count() == 1


def test_a_transactional_stream_holds_nothing_by_itself(live_db: Any) -> None:
    stream = factories.stream("receipts", "mail.acme.test", kind="transactional", policy=None)
    robot = Caller(factories.key(factories.agent("robot", exempt=False, stream=stream)))
    for _ in range(3):  # the same receipt again is asked for, too
        assert reasons(robot.post(text="Hi {{name}}")) == []


def test_the_first_ten_messages_of_an_agent_are_seen(strict: Caller) -> None:
    seasoned(new_agent=3)
    assert [reasons(strict.post()) for _ in range(4)] == [["new_agent"]] * 3 + [[]]


def test_a_run_that_writes_to_many_at_once_is_held_with_all_below_its_root(strict: Caller) -> None:
    seasoned(run_recipients=3)
    strict.post(agent={"run_id": "root"})
    strict.post(agent={"run_id": "a", "parent_run_id": "root"})
    strict.post(agent={"run_id": "b", "parent_run_id": "root"})
    fourth = strict.post(agent={"run_id": "c", "parent_run_id": "root"})
    assert reasons(fourth) == ["run_recipients"]
    assert reasons(strict.post(agent={"run_id": "another"})) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox_run")
        assert cursor.fetchone() == (5,)


def test_posts_at_once_do_not_pass_the_bound_of_their_run_together(strict: Caller) -> None:
    seasoned(run_recipients=3)

    def post(number: int) -> list[str]:
        try:
            run = {"run_id": f"r{number % 4}", "parent_run_id": "root"}
            return reasons(strict.post(to=f"p{number}@example.org", agent=run))
        finally:
            connection.close()

    strict.post(agent={"run_id": "root"})
    with ThreadPoolExecutor(12) as pool:
        answered = list(pool.map(post, range(24)))
    assert (answered.count([]), answered.count(["run_recipients"])) == (2, 22)


def test_secrets_are_refused_with_a_remedy(strict: Caller) -> None:
    problem = refused(strict.post(text="-----BEGIN PRIVATE KEY-----"), "content_refused")
    assert "private key" in problem.detail
    assert not Delivery.objects.exists()


def test_the_version_that_judged_is_told(strict: Caller) -> None:
    assert strict.post().data["decision"]["policy_version"] == 1
    seasoned()
    assert strict.post().data["decision"]["policy_version"] == 2


# -- the same again ------------------------------------------------------------------------------------------

LONG = (
    "we have looked at your question about the invoice of last month and will send you a corrected copy soon"
)


def test_a_copy_to_the_same_person_is_refused_and_names_the_first(strict: Caller) -> None:
    seasoned(duplicate_hours=168)
    first = strict.post(text=f"Hi Grace, {LONG}").data["id"]
    problem = refused(strict.post(text=f"Hello dear Grace, {LONG}"), "duplicate_content")
    assert first in problem.detail
    other = factories.agent("other", exempt=False)
    told = refused(Caller(factories.key(other)).post(text=f"Hi Grace, {LONG}"), "duplicate_content").detail
    assert "msg_" not in told


def test_the_others_of_a_copy_get_their_mail(strict: Caller) -> None:
    seasoned(duplicate_hours=168)
    strict.post(text=LONG)
    body = strict.post(text=LONG, to=["grace@example.org", "bob@example.org"]).data
    assert body["refused"] == [{"to": "grace@example.org", "code": "duplicate_content"}]
    assert [each["to"] for each in body["deliveries"]] == ["bob@example.org"]
    whole = strict.post(text=LONG, to=["grace@example.org", "eve@example.org"], all_or_nothing=True)
    assert [each.pointer for each in refused(whole, "duplicate_content").violations] == ["/to/0"]


def test_what_the_streams_mail_ends_with_is_no_copy(strict: Caller) -> None:
    said = (
        "Your papers are with the broker in Rotterdam.",
        "Linus is out this week; he knows of the tariff.",
    )
    seasoned(duplicate_hours=24, footers=[LONG])
    assert [strict.post(text=f"{each}\n\n{LONG}").status_code for each in said] == [202, 202]
    refused(strict.post(text=f"{said[0]}\n\n{LONG}"), "duplicate_content")
    seasoned(duplicate_hours=24)
    strict.post(text=f"{said[0]}\n\n{LONG}", to="ada@example.org")
    refused(strict.post(text=f"{said[1]}\n\n{LONG}", to="ada@example.org"), "duplicate_content")


def test_the_fourth_copy_to_one_person_within_an_hour_stops_its_run(strict: Caller) -> None:
    seasoned(duplicate_hours=168, loop_repeats=4)
    for _ in range(3):
        last = strict.post(text=LONG, agent={"run_id": "r"})
    refused(last, "duplicate_content")
    assert not killswitch.open_stops()
    refused(strict.post(text=LONG, agent={"run_id": "r"}), "duplicate_content")
    [stop] = killswitch.open_stops()
    assert (stop.scope, stop.who) == ("run:strict/r", "rule:loop")
    refused(strict.post(text="Something else, never said", agent={"run_id": "r"}), "stopped")
    assert reasons(strict.post(text="Something else, never said", agent={"run_id": "q"})) == []


def test_a_loop_within_one_batch_stops_the_rest_of_it(strict: Caller) -> None:
    seasoned(duplicate_hours=168, loop_repeats=4)
    copy = {"to": "a@example.org", "text": LONG, "agent": {"run_id": "r"}}
    answered = batch(
        strict, *[copy] * 5, {"to": "b@example.org", "text": "Good news", "agent": {"run_id": "r"}}
    )
    assert [each.get("code", each["status"]) for each in answered] == [
        *(202, "duplicate_content", "duplicate_content", "duplicate_content", "stopped", "stopped")
    ]
    assert [stop.scope for stop in killswitch.open_stops()] == ["run:strict/r"]


def test_the_same_to_many_people_is_a_cluster(strict: Caller) -> None:
    seasoned(cluster_size=3)
    answered = batch(
        strict, *({"to": f"p{each}@example.org", "text": f"Hi P{each}, {LONG}"} for each in range(5))
    )
    assert [held_in(each) for each in answered] == [[], [], [], ["cluster_size"], ["cluster_size"]]
    body = {"to": "q@example.org", "subject": "Your question", "text": f"Hi Q, {LONG}"}
    preflight = strict("POST", "/v1/messages/preflight", body).data
    assert preflight["cluster"] == {"people": 6}
    assert preflight["decision"]["reasons"][0]["code"] == "cluster_size"


# -- a batch sees those before it ----------------------------------------------------------------------------


def test_one_person_is_new_for_the_whole_batch(strict: Caller) -> None:
    seasoned(first_contact=True)
    first, second = batch(strict, {"to": "a@example.org"}, {"to": "a@example.org", "text": "and more"})
    assert held_in(first) == held_in(second) == ["first_contact"]


def test_a_batch_is_counted_message_by_message(strict: Caller) -> None:
    seasoned(run_recipients=3, new_agent=2)
    answered = batch(strict, *({"to": f"p{number}@example.org"} for number in range(5)))
    assert [held_in(each) for each in answered] == [
        *(["new_agent"], ["new_agent"], [], ["run_recipients"], ["run_recipients"])
    ]


# -- what it costs -------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement of ours, as it is asked."""
    found: list[str] = []

    def heard(real: Any) -> Any:
        def ask(statement: str, *args: Any, **more: Any) -> Any:
            found.append(" ".join(statement.split())[:60])
            return real(statement, *args, **more)

        return ask

    for name in ("rows", "count"):
        monkeypatch.setattr(sql, name, heard(getattr(sql, name)))
    together = sql.together
    monkeypatch.setattr(
        sql, "together", lambda *asked: [found.append(one[0]) for one in asked] and together(*asked)
    )
    return found


def test_an_exempt_agent_pays_nothing(live_db: Any, asked: list[str]) -> None:
    exempt = Caller(factories.key(factories.agent(stream=factories.stream(policy=None))))
    exempt.post()  # its run and lane exist now
    asked.clear()
    assert reasons(exempt.post(text="Hi {{name}}, ao_live_abcdefgh_0123456789abcdefghij")) == []
    of_the_door = ("SELECT k.id, k.kind", "SELECT pg_notify")
    first, second = (each for each in asked if not each.startswith(of_the_door))
    assert first.startswith("SELECT ao_now() AS now, s.kind AS stream_kind")
    assert second.startswith("WITH messages AS")
    assert not Contact.objects.exists()


def test_a_known_contact_costs_no_write(strict: Caller, asked: list[str]) -> None:
    seasoned(first_contact=True)
    Contact.objects.all().delete()
    seasoned()
    strict.post()
    assert any("outbox_contact" in each for each in asked)
    asked.clear()
    strict.post()
    assert not any("INSERT INTO outbox_contact" in each for each in asked)


# -- before it is sent ---------------------------------------------------------------------------------------


def test_a_preflight_tells_each_rules_word_and_writes_nothing(strict: Caller) -> None:
    body = {"to": "grace@example.org", "subject": "x", "text": "Hi {{name}}, -----BEGIN PRIVATE KEY-----"}
    response = strict("POST", "/v1/messages/preflight", body)
    openapi.PreflightAnswer.model_validate_json(response.content)
    said = {each["rule"]: each["verdict"] for each in response.data["rules"] if each["verdict"] != "release"}
    assert said == {
        "content_refused": "refuse",
        "first_contact": "hold",
        "new_agent": "hold",
        "content_lint": "hold",
    }
    assert response.data["decision"]["verdict"] == "refuse"
    assert not Delivery.objects.exists()
    assert Agent.objects.get().runs.count() == 0


def test_a_preflight_of_a_batch_judges_each_behind_those_before_it(strict: Caller) -> None:
    seasoned(new_agent=1)
    body = {"subject": "x", "text": "y"}
    messages = [body | {"to": f"p{number}@example.org"} for number in range(2)]
    response = strict("POST", "/v1/messages/preflight", {"messages": messages})
    assert [each["decision"]["verdict"] for each in response.data["data"]] == ["hold", "release"]


def test_a_plan_is_told_what_it_would_meet(strict: Caller) -> None:
    response = strict("POST", "/v1/messages/preflight", {"recipients": 80_000})
    openapi.PreflightAnswer.model_validate_json(response.content)
    held = [each["rule"] for each in response.data["rules"] if each["verdict"] == "hold"]
    assert held == ["new_agent", "run_recipients"]
    assert DEFAULT.run_recipients == 10
