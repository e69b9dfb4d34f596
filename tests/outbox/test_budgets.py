"""Budgets on a real database: charged once, all or none, and given back to the window they were charged to."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from django.db import connection, transaction
from django.urls import reverse

from outbox import budgets, intake, ledger, runs, sessions
from outbox.limits import Load
from outbox.models import Agent, Budget, Delivery, Organisation, Run, RunDomain
from reputation import sql
from reputation.models import Stream
from tests import factories
from tests.clocks import shifted
from tests.outbox.test_api import Caller, refused
from tests.pages.desk import root

pytestmark = pytest.mark.usefixtures("live_db")

PRODUCT = {
    "recipients_per_message": 5,
    "recipients_per_hour": 20,
    "recipients_per_day": 100,
    "recipients_per_run": 50,
    "domains_per_run": 30,
    "exempt": False,
}

MIB = 1 << 20
WAITING: LiteralString = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'"
)


@pytest.fixture
def ada(live_db: Any) -> Caller:
    """An agent with the product's own limits."""
    return Caller(factories.key(factories.agent("ada", **PRODUCT)))


def people(count: int, name: str = "p") -> list[str]:
    return [f"{name}{number}@example.org" for number in range(count)]


def limits(**fields: int) -> None:
    Agent.objects.update(**{f"recipients_per_{name}": value for name, value in fields.items()})


def elsewhere(act: Callable[..., Any], *given: Any) -> Any:
    """Do something on a thread and a connection of its own."""
    try:
        return act(*given)
    finally:
        connection.close()


def used(kind: str) -> list[int]:
    return list(Budget.objects.filter(kind=kind).order_by("key").values_list("used", flat=True))


def test_an_answer_shows_what_is_left(ada: Caller) -> None:
    ada.post(to=people(3), agent={"run_id": "r"})
    message = ada.post(to=people(2, "q"), agent={"run_id": "r"}).data
    budget = message["budget"]
    assert ada("GET", message["links"]["self"]).data["budget"] == budget
    assert budget == {
        "run": {"limit": 50, "used": 5, "remaining": 45},
        "run_domains": {"limit": 30, "used": 1, "remaining": 29},
        "run_bytes": {"limit": 100 * MIB, "used": 0, "remaining": 100 * MIB},
        "agent_hour": {"limit": 20, "used": 5, "remaining": 15},
        "agent_day": {"limit": 100, "used": 5, "remaining": 95},
        "agent_day_bytes": {"limit": 200 * MIB, "used": 0, "remaining": 200 * MIB},
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


# -- domains, attachments, principals, streams, the organisation


def domains(*names: str) -> list[str]:
    return [f"p@{name}.example.org" for name in names]


def test_a_tree_of_runs_sees_so_many_domains_and_each_once(ada: Caller) -> None:
    Agent.objects.update(domains_per_run=3)
    first = ada.post(to=[*domains("a", "b"), "q@b.example.org"], agent={"run_id": "r"})
    assert first.data["budget"]["run_domains"] == {"limit": 3, "used": 2, "remaining": 1}
    below = {"run_id": "below", "parent_run_id": "r"}
    problem = refused(ada.post(to=domains("a", "c", "d"), agent=below), "run_budget_exhausted")
    assert (problem.scope, problem.limit, problem.used, problem.remaining) == ("run_domains", 3, 2, 1)
    assert ada.post(to=domains("a", "c"), agent=below).status_code == 202
    refused(ada.post(to=domains("d"), agent={"run_id": "r"}), "run_budget_exhausted")
    assert ada.post(to=domains("a", "b", "c"), agent={"run_id": "r"}).status_code == 202
    assert ada.post(to=domains("d"), agent={"run_id": "other"}).status_code == 202
    assert used("run_domains") == [1, 3]


def test_the_domains_of_a_batch_are_counted_in_its_order(ada: Caller) -> None:
    Agent.objects.update(domains_per_run=2)
    wanted = [domains("a", "b"), domains("c"), domains("b")]
    items = [{"to": to, "subject": "Hi", "text": "Hi", "agent": {"run_id": "r"}} for to in wanted]
    results = ada("POST", "/v1/messages/batch", {"messages": items}).data["data"]
    assert [each["status"] for each in results] == [202, 403, 202]
    assert used("run_domains") == [2]


def test_a_domain_that_two_see_at_once_is_charged_once(ada: Caller) -> None:
    Agent.objects.update(domains_per_run=1)
    ada.post(to="p@seen.example.org", agent={"run_id": "r"})
    Agent.objects.update(domains_per_run=2)
    load = Load(("r",), recipients=1, domains=frozenset({"new.example.org"}))
    both = [budgets.read(Agent.objects.get().pk, [load]) for _ in range(2)]
    for purchase in both:
        purchase.draw(load)
        purchase.spend()
    assert (used("run_domains"), used("run")) == ([2], [3])


def test_a_run_that_somebody_else_has_seen_meanwhile_is_its_parents(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two posts of a new run at once, of which one says what it is part of: a tree of its own would be minted."""
    limits(run=3)
    ada.post(to=people(2), agent={"run_id": "root"})
    open_run = runs.open_run

    def too_late(*given: Any) -> bool:
        monkeypatch.setattr(runs, "open_run", open_run)
        with ThreadPoolExecutor(1) as pool:
            below = {"run_id": "new", "parent_run_id": "root"}
            assert pool.submit(elsewhere, lambda: ada.post(agent=below)).result().status_code == 202
        return open_run(*given)

    monkeypatch.setattr(runs, "open_run", too_late)
    refused(ada.post(to="q@example.org", agent={"run_id": "new"}), "run_budget_exhausted")
    assert used("run") == [3]
    assert used("root_runs") == [1]


def test_a_domain_once_seen_stays_seen(ada: Caller) -> None:
    Agent.objects.update(domains_per_run=1)
    message = ada.post(to=domains("a"), agent={"run_id": "r"}).data["id"]
    assert ada("POST", f"/v1/messages/{message}/cancel").status_code == 200
    assert (used("run"), used("run_domains")) == ([0], [1])
    refused(ada.post(to=domains("b"), agent={"run_id": "r"}), "run_budget_exhausted")
    assert ada.post(to=domains("a"), agent={"run_id": "r"}).status_code == 202


@pytest.mark.parametrize(
    ("field", "code", "scope"),
    [
        ("attachment_mib_per_run", "run_budget_exhausted", "run_bytes"),
        ("attachment_mib_per_day", "agent_day_limit", "agent_day_bytes"),
    ],
)
def test_attachments_are_counted_as_they_leave(ada: Caller, field: str, code: str, scope: str) -> None:
    Agent.objects.update(**{field: 1})
    part = {"filename": "a.bin", "content": base64.b64encode(bytes(MIB // 4)).decode()}
    post = {"attachments": [part], "agent": {"run_id": "r"}}
    message = ada.post(to=people(3), **post)
    assert message.data["budget"][scope] == {"limit": MIB, "used": MIB * 3 // 4, "remaining": MIB // 4}
    problem = refused(ada.post(to=people(2, "q"), **post), code)
    assert (problem.scope, problem.remaining) == (scope, MIB // 4)
    assert ada.post(to=people(2, "q"), agent={"run_id": "r"}).status_code == 202
    assert ada("POST", f"/v1/messages/{message.data['id']}/cancel").status_code == 200
    assert (used("run_bytes"), used("agent_day_bytes")) == ([0], [0])


def test_what_is_sent_on_behalf_of_one_principal_is_bounded_over_runs_and_agents(ada: Caller) -> None:
    Stream.objects.update(recipients_per_principal=3)
    eve = Caller(factories.key(factories.agent("eve", **PRODUCT)))
    for_grace = {"run_id": "r", "on_behalf_of": "user:grace"}
    budget = ada.post(to=people(2), agent=for_grace).data["budget"]
    assert budget["principal_day"] == {"limit": 3, "used": 2, "remaining": 1}
    problem = refused(eve.post(to=people(2, "q"), agent=for_grace), "principal_limit")
    assert (problem.scope, problem.retry_at is not None) == ("principal_day", True)
    unsaid = {"run_id": "below", "parent_run_id": "r"}  # on behalf of whom the run above it is
    refused(ada.post(to=people(2, "q"), agent=unsaid), "principal_limit")
    assert ada.post(to=people(2, "q"), agent=unsaid | {"on_behalf_of": "user:eve"}).status_code == 202
    assert ada.post(to=people(2, "q"), agent={"run_id": "s"}).status_code == 202
    assert used("principal_day") == [2, 2]


def test_agents_of_a_stream_share_its_limit_and_all_agents_the_organisations(ada: Caller) -> None:
    Stream.objects.update(recipients_per_day=4)
    Organisation.objects.create(recipients_per_day=6)
    eve = Caller(factories.key(factories.agent("eve", **PRODUCT)))
    elsewhere = factories.stream("agents-sales", "sales.acme.test")
    sam = Caller(factories.key(factories.agent("sam", stream=elsewhere, **PRODUCT)))
    assert ada.post(to=people(3)).status_code == 202
    assert refused(eve.post(to=people(2)), "stream_limit").scope == "stream_day"
    assert refused(sam.post(to=people(4)), "organisation_limit").scope == "organisation_day"
    budget = sam.post(to=people(3)).data["budget"]
    assert budget["organisation_day"] == {"limit": 6, "used": 6, "remaining": 0}
    assert "stream_day" not in budget
    refused(eve.post(), "organisation_limit")


def test_a_limit_that_is_not_set_has_no_counter(ada: Caller) -> None:
    Stream.objects.update(recipients_per_principal=None)
    ada.post(agent={"run_id": "r", "on_behalf_of": "user:grace"})
    kinds = set(Budget.objects.values_list("kind", flat=True))
    assert kinds == {"run", "run_domains", "agent_hour", "agent_day", "root_runs"}


def test_a_limit_set_at_noon_counts_the_morning(ada: Caller, live_db: Any) -> None:
    boss = root()

    def set_to(row: Stream | Organisation, limit: str) -> None:
        fields = {"resend_uncertain": "", "time_zone": "UTC", "opens_hour": "0", "closes_hour": "24"}
        fields |= {
            "sending_days": list("1234567"),
            "recipients_per_principal": "",
            "second_person_above": "200",
        }
        page = reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])
        answer = boss.post(page, fields | {"recipients_per_day": limit})
        assert answer.status_code == 302, answer.content.decode()

    stream, everybody = Stream.objects.get(), Organisation.objects.create()
    resets = factories.stream("transactional", "accounts.acme.test", "transactional")
    callers = {
        name: Caller(factories.key(factories.agent(name, **given)))
        for name, given in (("free", {}), ("auth", PRODUCT | {"stream": resets}))
    }
    with shifted(live_db, timedelta(days=-1)):
        ada.post(to=people(2, "y"))
    kept, dropped = (ada.post(to=people(count, name)).data["id"] for count, name in ((3, "p"), (2, "q")))
    assert ada("POST", f"/v1/messages/{dropped}/cancel").status_code == 200
    for caller in callers.values():
        assert caller.post(to=people(4, "r")).status_code == 202
    set_to(stream, "5")
    set_to(everybody, "6")
    assert (used("stream_day"), used("organisation_day")) == ([3], [3])
    assert refused(ada.post(to=people(3, "s")), "stream_limit").used == 3
    assert ada.post(to=people(2, "t")).status_code == 202
    set_to(stream, "")  # what is accepted meanwhile counts, too
    ada.post(to=["meanwhile@example.org"])
    set_to(stream, "6")
    refused(ada.post(to=["last@example.org"]), "stream_limit")
    assert ada("POST", f"/v1/messages/{kept}/cancel").status_code == 200
    assert used("stream_day") == [6], "what was not charged to it does not go back"


def test_transactional_mail_is_not_held_up_by_what_others_used(ada: Caller) -> None:
    Stream.objects.update(recipients_per_principal=1)
    Organisation.objects.create(recipients_per_day=1)
    assert ada.post(agent={"on_behalf_of": "user:grace"}).status_code == 202
    resets = factories.stream("transactional", "accounts.acme.test", "transactional")
    Stream.objects.filter(pk=resets.pk).update(recipients_per_principal=1)
    auth = Caller(factories.key(factories.agent("auth", stream=resets, **PRODUCT)))
    for number in range(3):
        post = auth.post(to=f"p{number}@example.org", agent={"on_behalf_of": "user:grace"})
        assert post.status_code == 202
    assert (used("principal_day"), used("organisation_day")) == ([1], [1])


# -- given back


def test_what_was_not_charged_is_not_given_back(ada: Caller) -> None:
    """A limit that was set when the message had long been accepted, and an agent that had none."""
    free = Caller(factories.key(factories.agent("free")))
    early = [caller.post(to=people(3), agent={"on_behalf_of": "x"}).data["id"] for caller in (ada, free)]
    Stream.objects.update(recipients_per_day=10)
    Organisation.objects.create(recipients_per_day=10)
    ada.post(to=people(4, "q"), agent={"on_behalf_of": "x"})
    for message, caller in zip(early, (ada, free), strict=True):
        assert caller("POST", f"/v1/messages/{message}/cancel").status_code == 200
    assert (used("stream_day"), used("organisation_day"), used("principal_day")) == ([4], [4], [4])
    assert used("agent_hour") == [4]


def test_everything_goes_back_to_the_windows_it_was_charged_to(ada: Caller, live_db: Any) -> None:
    Stream.objects.update(recipients_per_day=10)
    Organisation.objects.create(recipients_per_day=10)
    with shifted(live_db, timedelta(days=3)):
        message = ada.post(to=people(3), agent={"on_behalf_of": "x"}).data["id"]
    ada.post(to=people(2, "q"), agent={"on_behalf_of": "x"})
    assert ada("POST", f"/v1/messages/{message}/cancel").status_code == 200
    windows = Budget.objects.filter(kind__endswith="_day").order_by("kind", "-opens_at")
    assert {row.kind: row.used for row in windows} == {
        "agent_day": 2,
        "organisation_day": 2,
        "principal_day": 2,
        "stream_day": 2,
    }
    assert sorted(windows.values_list("used", flat=True)) == [0] * 4 + [2] * 4


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


def test_a_preflight_of_domains_and_principals_charges_nothing(ada: Caller) -> None:
    Agent.objects.update(domains_per_run=2)
    Stream.objects.update(recipients_per_principal=2, recipients_per_day=50)
    body = {"to": domains("a", "b", "c"), "subject": "Hi", "text": "Hi", "agent": {"on_behalf_of": "x"}}
    answer = ada("POST", "/v1/messages/preflight", body).data
    assert (answer["problem"]["code"], answer["problem"]["scope"]) == ("run_budget_exhausted", "run_domains")
    assert answer["budget"]["principal_day"] == {"limit": 2, "used": 0, "remaining": 2}
    batch = ada("POST", "/v1/messages/preflight", {"messages": [body | {"to": [to]} for to in body["to"]]})
    assert [each["status"] for each in batch.data["data"]] == [202, 202, 403]
    assert batch.data["data"][1]["budget"]["run_domains"]["remaining"] == 0
    assert not Budget.objects.exists()
    assert not RunDomain.objects.exists()


def test_a_runs_page_shows_its_domains_and_bytes_and_whoami_the_streams_day(ada: Caller) -> None:
    Stream.objects.update(recipients_per_day=50)
    ada.post(to=domains("a", "b"), agent={"run_id": "r"})
    budget = ada("GET", "/v1/runs/r").data["budget"]
    assert set(budget) == {"run", "run_domains", "run_bytes"}
    assert budget["run_domains"] == {"limit": 30, "used": 2, "remaining": 28}
    answer = ada("GET", "/v1/whoami")
    assert answer.data["budget"]["stream_day"] == {"limit": 50, "used": 2, "remaining": 48}
    assert answer.data["limits"]["domains_per_run"] == 30
    assert '"stream-day";r=48;t=' in answer["RateLimit"]
    assert "bytes" not in answer["RateLimit"]


def test_whoami_and_the_headers_say_what_is_left(ada: Caller) -> None:
    ada.post(to=people(3))
    answer = ada("GET", "/v1/whoami")
    assert answer.data["budget"]["agent_hour"] == {"limit": 20, "used": 3, "remaining": 17}
    assert '"agent-hour";r=17;t=' in answer["RateLimit"]
    assert '"agent-day";r=97;t=' in answer["RateLimit"]
    assert '"agent-hour";q=20;w=3600' in answer["RateLimit-Policy"]


def test_one_message_that_no_window_is_large_enough_for_is_told_so_and_not_to_wait(ada: Caller) -> None:
    limits(hour=4)
    problem = refused(ada.post(to=people(5)), "validation_failed")
    [violation] = problem.violations
    assert (violation.pointer, violation.code) == ("/to", "too_many")
    assert "4 recipients" in violation.detail
    assert ada.post(to=people(4)).status_code == 202
    refused(ada.post(to=people(1, "q")), "agent_hour_limit")


def test_the_headers_tell_what_is_left_of_the_run(ada: Caller) -> None:
    posted = ada.post(to=people(3), agent={"run_id": "r"})
    path = posted.data["links"]["self"]
    for answer in (posted, ada("GET", "/v1/runs/r"), ada("GET", path)):
        assert '"run";q=50,' in answer["RateLimit-Policy"]
        assert '"run";r=47,' in answer["RateLimit"]
    item = {"to": "g@example.org", "subject": "x", "text": "y"}
    for second, told in (("r", True), ("s", False)):
        messages = [item | {"agent": {"run_id": run}} for run in ("r", second)]
        answer = ada("POST", "/v1/messages/batch", {"messages": messages})
        assert ('"run"' in answer["RateLimit"]) is told
    assert '"run"' not in ada("GET", "/v1/whoami")["RateLimit"]


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


def test_a_childs_lowered_budget_is_not_raised_to_its_roots(ada: Caller) -> None:
    below = {"run_id": "child", "parent_run_id": "root"}
    ada.post(to=people(5), agent={"run_id": "root"})
    ada.post(to="b@example.org", agent=below)
    ada("POST", "/v1/runs/root/budget", {"recipients": 8})
    ada("POST", "/v1/runs/child/budget", {"recipients": 4})  # the root, with 2 left, is narrower
    refused(ada("POST", "/v1/runs/child/budget", {"recipients": 8}), "validation_failed")
    assert Run.objects.get(name="child").recipients_limit == 4


def test_lowering_twice_at_once_leaves_the_lower(ada: Caller) -> None:
    ada.post(agent={"run_id": "r"})
    run = Run.objects.get(name="r").pk
    budgets.lower(run, 4)
    budgets.lower(run, 6)  # asked for before the other was answered
    assert Run.objects.get(name="r").recipients_limit == 4


def test_a_child_that_is_lowered_while_it_is_accepted_is_judged_again(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.post(agent={"run_id": "root"})
    ada.post(agent={"run_id": "child", "parent_run_id": "root"})
    keep = intake.answers.keep

    def lowered_meanwhile(*given: Any) -> None:
        monkeypatch.setattr(intake.answers, "keep", keep)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(elsewhere, budgets.lower, Run.objects.get(name="child").pk, 1).result()
        keep(*given)

    monkeypatch.setattr(intake.answers, "keep", lowered_meanwhile)
    answer = ada.post(to="q@example.org", agent={"run_id": "child"})
    refused(answer, "run_budget_exhausted")
    assert used("run") == [1, 2]


def test_what_is_accepted_beside_a_lowering_is_counted(ada: Caller, live_db: Any) -> None:
    ada.post(agent={"run_id": "root"})
    ada.post(agent={"run_id": "child", "parent_run_id": "root"})
    child = Run.objects.get(name="child").pk
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert ada.post(to="q@example.org", agent={"run_id": "child"}).status_code == 202
            lowered = pool.submit(elsewhere, budgets.lower, child, 5)
            with psycopg.connect(live_db.superuser, autocommit=True) as superuser:
                while not lowered.done() and superuser.execute(WAITING).fetchone() == (0,):
                    pass
        lowered.result()
    assert ada("GET", "/v1/runs/child").data["budget"]["run"] == {"limit": 5, "used": 2, "remaining": 3}


def test_a_preflight_shows_the_budget_and_charges_nothing(ada: Caller) -> None:
    limits(hour=4)
    answer = ada("POST", "/v1/messages/preflight", {"to": people(5), "subject": "Hi", "text": "Hi"}).data
    assert answer["problem"]["code"] == "validation_failed"
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


def run(name: str, parent: str | None = None) -> dict[str, Any]:
    return {"agent": {"run_id": name, **({"parent_run_id": parent} if parent else {})}}


def mail(to: str = "grace@example.org", **more: Any) -> dict[str, Any]:
    return {"to": to, "subject": "Your question", "text": "Hi", **more}


def test_a_run_that_a_batch_opened_below_another_sends_on(ada: Caller) -> None:
    batch = [mail(**run("a")), mail("b@example.org", **run("b", "a")), mail("c@example.org", **run("c", "b"))]
    answer = ada("POST", "/v1/messages/batch", {"messages": batch})
    assert [each["status"] for each in answer.data["data"]] == [202, 202, 202]
    for name, used in (("b", 4), ("c", 5), ("a", 6)):
        posted = ada.post(to=f"{name}2@example.org", **run(name))
        assert (posted.status_code, posted.data["budget"]["run"]["used"]) == (202, used), posted.content
    lowered = ada("POST", "/v1/runs/b/budget", {"recipients": 5}).data["budget"]["run"]
    assert lowered == {"limit": 5, "used": 4, "remaining": 1}


def test_a_root_is_bounded_though_a_later_message_of_its_batch_names_a_parent(ada: Caller) -> None:
    Agent.objects.update(recipients_per_run=2)
    assert ada.post(**run("p")).status_code == 202
    batch = [mail(person, **run("a")) for person in people(3)]
    answer = ada("POST", "/v1/messages/batch", {"messages": [*batch, mail(**run("a", "p"))]})
    assert [each.get("code") for each in answer.data["data"]] == [
        None,
        None,
        "run_budget_exhausted",
        "run_parent_conflict",
    ]
