"""The HTTP door, over a real database: what agents and their programmers can rely on."""

import io
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.core.cache import caches
from django.db import connections
from django.test import Client

from outbox import api, ledger, openapi, sessions, story, waiting
from outbox.models import Agent, ApiKey
from outbox.problems import CODES
from outbox.waiting import Bell
from reputation import outlook, sql
from reputation.models import SendingDomain
from tests import factories

POST = {"to": "grace@example.org", "subject": "Your question", "text": "Hi Grace"}


@dataclass
class Caller:
    """A client with a key; answers come as (response, parsed body)."""

    key: str
    agent: Any = None

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        response = Client(raise_request_exception=False).generic(
            method,
            path,
            orjson.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.key}", **headers},
        )
        response.data = orjson.loads(response.content) if response.content[:1] in b"{[" else None
        return response

    def post(self, **fields: Any) -> Any:
        return self("POST", "/v1/messages", POST | fields)


@pytest.fixture
def ada(live_db: Any) -> Caller:
    agent = factories.agent("ada")
    return Caller(factories.key(agent), agent)


@pytest.fixture
def bob(ada: Caller) -> Caller:
    agent = factories.agent("bob")
    return Caller(factories.key(agent), agent)


def refused(response: Any, code: str) -> Any:
    """The problem in a refusal: well formed, of this code, and with its code's status."""
    assert response["Content-Type"] == "application/problem+json"
    problem = openapi.Problem.model_validate_json(response.content)
    assert (problem.code, response.status_code) == (code, CODES[code].status)
    assert problem.type.endswith(f"/v1/errors/{code}")
    assert problem.request_id == response["X-Request-Id"]
    return problem


# -- sending -------------------------------------------------------------------------------------------------


def test_a_post_is_accepted_as_the_contract_says(ada: Caller) -> None:
    response = ada.post(agent={"run_id": "r-81"})
    assert response.status_code == 202
    body = openapi.MessageAccepted.model_validate_json(response.content)
    assert (body.status, body.stream, body.run_id) == ("queued", "agents-support", "r-81")
    assert [(each.to, each.status) for each in body.deliveries] == [("grace@example.org", "queued")]
    assert body.links.self == f"/v1/messages/{body.id}"
    assert body.message_id.endswith("@agents.acme.test>")


def test_the_same_key_and_body_get_the_first_answer_again(ada: Caller) -> None:
    first, again = (
        ada("POST", "/v1/messages", POST, **{"Idempotency-Key": "k-1"}),
        ada("POST", "/v1/messages", dict(reversed(POST.items())), **{"Idempotency-Key": "k-1"}),
    )
    assert first.status_code == again.status_code == 202
    assert first.content == again.content
    assert (first.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert len(ada("GET", "/v1/messages").data["data"]) == 1


def test_the_same_key_with_another_body_is_refused(ada: Caller) -> None:
    ada("POST", "/v1/messages", POST, **{"Idempotency-Key": "k-1"})
    other = ada("POST", "/v1/messages", POST | {"subject": "x"}, **{"Idempotency-Key": "k-1"})
    refused(other, "idempotency_key_reused")


def test_two_agents_may_use_the_same_key(ada: Caller, bob: Caller) -> None:
    first = ada("POST", "/v1/messages", POST, **{"Idempotency-Key": "k-1"})
    second = bob("POST", "/v1/messages", POST | {"subject": "x"}, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, second.status_code) == (202, 202)


@pytest.mark.parametrize("key", ["", "x" * 257, "schl\u00fcssel", "a\tb"])
def test_an_unusable_idempotency_key_is_refused(ada: Caller, key: str) -> None:
    refused(ada("POST", "/v1/messages", POST, **{"Idempotency-Key": key}), "idempotency_key_invalid")


def test_a_post_with_many_faults_names_them_all_at_once(ada: Caller) -> None:
    response = ada("POST", "/v1/messages", {"to": ["a@b", "c@example.org"], "stream": "x", "text": "\0"})
    found = {(each.pointer, each.code) for each in refused(response, "validation_failed").violations}
    assert found == {
        ("/to/0", "bad_address"),
        ("/stream", "unknown_field"),
        ("/text", "control_character"),
        ("/subject", "missing"),
    }


def test_a_sender_outside_the_lane_is_refused_by_the_rules(ada: Caller) -> None:
    refused(ada.post(**{"from": "billing@acme.test"}), "sender_not_in_lane")


def test_a_batch_answers_each_item_in_order_and_a_bad_one_fails_alone(ada: Caller) -> None:
    items = [POST, POST | {"to": "nobody"}, POST | {"from": "x@evil.test"}, POST | {"subject": "second"}]
    response = ada("POST", "/v1/messages/batch", {"messages": items})
    assert response.status_code == 200
    good, invalid, foreign, last = openapi.BatchAnswer.model_validate_json(response.content).data
    assert [good.status, invalid.status, foreign.status, last.status] == [202, 422, 403, 202]
    assert (invalid.code, foreign.code) == ("validation_failed", "sender_not_in_lane")
    assert invalid.violations[0].pointer == "/messages/1/to"
    assert good.id == good.message.id != last.id
    assert len(ada("GET", "/v1/messages").data["data"]) == 2


def test_a_batch_item_shares_its_idempotency_key_with_single_posts(ada: Caller) -> None:
    first = ada("POST", "/v1/messages", POST, **{"Idempotency-Key": "k-1"}).data
    items = [POST | {"idempotency_key": "k-1"}, POST | {"idempotency_key": "k-2"}]
    results = ada("POST", "/v1/messages/batch", {"messages": items}).data["data"]
    assert [(each["id"] == first["id"], each["replayed"]) for each in results] == [
        (True, True),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ({}, "missing"),  # no messages
        ({"messages": []}, "missing"),  # none in it
        ({"messages": [POST] * 1001}, "too_many"),
        ({"messages": [POST], "all": True}, "unknown_field"),
        ([POST], "missing"),  # a bare list is not a batch
    ],
)
def test_what_is_no_batch_is_refused_whole(ada: Caller, batch: Any, code: str) -> None:
    problem = refused(ada("POST", "/v1/messages/batch", batch), "validation_failed")
    assert [each.code for each in problem.violations] == [code]


# -- who may -------------------------------------------------------------------------------------------------


def test_every_answer_tells_what_is_left_of_the_rate(ada: Caller) -> None:
    ada.agent.requests_per_minute = 2
    ada.agent.save()
    answers = [ada("GET", "/v1/whoami") for _ in range(3)]
    assert answers[0]["RateLimit-Policy"] == '"requests";q=2;w=60'
    assert [each["RateLimit"].partition(";t=")[0] for each in answers] == [
        '"requests";r=1',
        '"requests";r=0',
        '"requests";r=0',
    ]
    problem = refused(answers[2], "request_rate_limited")
    assert (problem.limit, problem.used, problem.remaining) == (2, 3, 0)
    assert 1 <= int(answers[2]["Retry-After"]) <= 60


def test_who_asks_too_much_can_still_stop_itself(ada: Caller) -> None:
    ada.agent.requests_per_minute = 1
    ada.agent.save()
    assert ada("GET", "/v1/whoami").status_code == 200
    refused(ada("GET", "/v1/whoami"), "request_rate_limited")
    answer = ada("POST", "/v1/stop", {"scope": "agent", "reason": "I write in a loop"})
    assert (answer.status_code, answer.data["scope"]) == (200, "agent:ada")
    assert '"requests";r=0' in answer["RateLimit"]


def test_what_was_scheduled_for_the_past_lives_from_now(ada: Caller) -> None:
    body = ada.post(scheduled_at="2020-01-01T00:00:00Z").data
    left = datetime.fromisoformat(body["expires_at"]) - datetime.fromisoformat(body["created_at"])
    assert left == timedelta(days=5)


def test_refusals_tell_the_rate_to_whoever_is_known(ada: Caller) -> None:
    absent = ada("GET", "/v1/messages/msg_x")
    refused(absent, "not_found")
    assert '"requests"' in absent["RateLimit"]
    stranger = Client().get("/v1/whoami", headers={"Authorization": "Bearer nothing"})
    assert stranger.status_code == 401
    assert "RateLimit" not in stranger


def test_all_keys_of_an_agent_share_its_rate(ada: Caller) -> None:
    ada.agent.requests_per_minute = 1
    ada.agent.save()
    second = Caller(factories.key(ada.agent))
    assert ada("GET", "/v1/whoami").status_code == 200
    refused(second("GET", "/v1/whoami"), "request_rate_limited")


@pytest.mark.parametrize("broken", ["raises", "loses the count"])
def test_a_cache_that_does_not_count_means_no_mail(
    ada: Caller, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    kind = type(caches["default"])
    monkeypatch.setattr(kind, "add", _down if broken == "raises" else lambda *_, **__: False)
    monkeypatch.setattr(kind, "incr", lambda *_, **__: None)
    response = ada.post()
    refused(response, "undecidable")
    assert int(response["Retry-After"]) > 0


def _down(*_: Any, **__: Any) -> Any:
    raise ConnectionError("no cache")


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer ao_live_x_y", "Bearer a b"])
def test_without_a_key_nothing_is_told(header: str) -> None:
    response = Client().get("/v1/whoami", headers={"Authorization": header})
    refused(response, "unauthenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_an_expired_and_a_disabled_key_stop_at_once(ada: Caller) -> None:
    assert ada("GET", "/v1/whoami").status_code == 200
    ApiKey.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    refused(ada("GET", "/v1/whoami"), "key_expired")
    ApiKey.objects.update(revoked_at=datetime.now(UTC))
    refused(ada("GET", "/v1/whoami"), "unauthenticated")
    ApiKey.objects.update(revoked_at=None, expires_at=None)
    ada.agent.enabled = False
    ada.agent.save()
    refused(ada("GET", "/v1/whoami"), "agent_disabled")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/messages", "read"),
        ("POST", "/v1/messages/batch", "read"),
        ("POST", "/v1/messages/msg_x/cancel", "read"),
        ("GET", "/v1/messages", "send"),
        ("GET", "/v1/messages/msg_x", "send"),
        ("GET", "/v1/messages/msg_x/events", "send"),
    ],
)
def test_a_key_does_what_its_scopes_say_and_no_more(ada: Caller, method: str, path: str, scope: str) -> None:
    refused(Caller(factories.key(ada.agent, scope))(method, path, POST), "insufficient_scope")


@pytest.mark.parametrize("kind", ["returns", "operator"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/whoami"])
def test_keys_of_no_agent_are_not_for_agents_paths(live_db: Any, kind: str, path: str) -> None:
    refused(Caller(factories.key(None, kind=kind))("GET", path), "insufficient_scope")


def test_a_strangers_message_and_a_message_of_nobody_get_the_same_answer(ada: Caller, bob: Caller) -> None:
    theirs = bob.post().data["id"]
    nobodys = f"msg_{'0' * 26}"
    paths = [("GET", "{}"), ("GET", "{}/events"), ("POST", "{}/cancel"), ("GET", "{}?wait=50")]
    for method, path in paths:
        first, second, third = (
            refused(ada(method, "/v1/messages/" + path.format(name)), "not_found").model_dump(
                exclude={"request_id"}
            )
            for name in (theirs, nobodys, "msg_nonsense")
        )
        assert first == second == third
    assert bob("GET", f"/v1/messages/{theirs}").data["status"] == "queued"
    assert ada("GET", "/v1/messages?run_id=" + bob("GET", "/v1/messages").data["data"][0]["run_id"]).data == {
        "data": [],
        "has_more": False,
    }


def test_whoami_tells_what_is_closed_and_why(ada: Caller) -> None:
    before = openapi.Whoami.model_validate_json(ada("GET", "/v1/whoami").content)
    assert (before.agent, before.stream, before.open, before.stops) == ("ada", "agents-support", True, [])
    assert before.sender == "ada@agents.acme.test"
    sql.count(
        "INSERT INTO reputation_openstop (scope, epoch, tripped_at, who, why) "
        "VALUES ('agent:ada', 1, now(), 'eve', 'too eager'), ('agent:bob', 2, now(), 'eve', '')"
    )
    after = openapi.Whoami.model_validate_json(ada("GET", "/v1/whoami").content)
    assert (after.open, [(each.scope, each.why) for each in after.stops]) == (
        False,
        [("agent:ada", "too eager")],
    )


# -- reading -------------------------------------------------------------------------------------------------


def test_a_message_is_read_back_with_its_story(ada: Caller) -> None:
    posted = ada.post(to=["grace@example.org", "alan@example.net"]).data
    body = openapi.Message.model_validate_json(ada("GET", f"/v1/messages/{posted['id']}").content)
    same = openapi.MessageAccepted.model_validate(posted).model_dump(exclude={"deliveries"})
    assert body.model_dump(exclude={"deliveries", "version", "refusal"}) == same
    assert [each.to for each in body.deliveries] == ["grace@example.org", "alan@example.net"]
    assert all(each.next_attempt_at and not each.finished_at for each in body.deliveries)
    story_ = openapi.EventList.model_validate_json(ada("GET", f"/v1/messages/{posted['id']}/events").content)
    assert [(each.type, each.status, each.actor) for each in story_.data] == [
        ("accepted", "queued", "agent:ada")
    ] * 2
    assert body.version == len(story_.data)


def test_a_story_can_be_read_in_pages_both_ways(ada: Caller) -> None:
    path = (
        f"/v1/messages/{ada.post(to=['a@example.org', 'b@example.net', 'c@example.com']).data['id']}/events"
    )
    whole = ada("GET", path).data
    names = [each["id"] for each in whole["data"]]
    assert (len(names), whole["has_more"]) == (3, False)

    def page(query: str) -> tuple[list[str], bool]:
        answer = ada("GET", f"{path}?{query}").data
        return [each["id"] for each in answer["data"]], answer["has_more"]

    assert page("limit=2") == (names[:2], True)
    assert page(f"limit=2&after={names[1]}") == (names[2:], False)
    assert page(f"limit=1&before={names[2]}") == (names[1:2], True)
    assert page(f"before={names[2]}") == (names[:2], False)
    assert page(f"after={names[2]}") == ([], False)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "after=msg_x", "before=", "status=sending", "wait=1"]
)
def test_a_page_of_a_story_is_asked_for_as_strictly_as_a_list(ada: Caller, query: str) -> None:
    path = f"/v1/messages/{ada.post().data['id']}/events"
    problem = refused(ada("GET", f"{path}?{query}"), "validation_failed")
    assert [each.pointer for each in problem.violations] == ["/" + query.partition("=")[0]]


def test_an_attempt_stands_in_the_story_with_the_servers_words(ada: Caller) -> None:
    posted = ada.post().data
    attempt = _settled(ada, status="bounced", code="recipient_unknown", reply_code=550, reply="5.1.1 who?")
    body = ada("GET", f"/v1/messages/{posted['id']}").data
    delivery = body["deliveries"][0]
    assert (body["status"], delivery["reason"], delivery["attempts"]) == ("bounced", "recipient_unknown", 1)
    assert delivery["finished_at"]
    assert delivery["next_attempt_at"] is None
    events = openapi.EventList.model_validate_json(
        ada("GET", f"/v1/messages/{posted['id']}/events").content
    ).data
    assert [each.type for each in events] == ["accepted", "claimed", "bounced"]
    assert [each.attempt is None for each in events] == [True, True, False]
    said = events[2].attempt
    assert said is not None
    assert (said.host, said.reply_code, said.reply, said.phase) == (
        attempt.host,
        550,
        "5.1.1 who?",
        "replied",
    )


def _settled(_ada: Caller, **words: Any) -> ledger.Settlement:
    """Whatever is due, claimed and settled as a worker would."""
    session = sql.one(
        "INSERT INTO outbox_session (name, lease_until, epoch_seen) "
        "VALUES ('w', now() + interval '1 minute', 0) RETURNING id"
    )
    assert session is not None
    claimed = ledger.claim(session.id, tier=1, limit=10)[0]
    settlement = ledger.Settlement(
        claimed.id, claimed.attempt, spoke=True, seconds=0.1, phase="replied", host="mx.example.org", **words
    )
    ledger.settle(session.id, [settlement])
    return settlement


def test_lists_go_from_new_to_old_and_back(ada: Caller, bob: Caller) -> None:
    names = [ada.post(subject=str(number)).data["id"] for number in range(5)][::-1]
    bob.post()
    first = openapi.MessageList.model_validate_json(ada("GET", "/v1/messages?limit=2").content)
    assert ([each.id for each in first.data], first.has_more) == (names[:2], True)
    second = ada("GET", f"/v1/messages?limit=3&after={names[1]}").data
    assert ([each["id"] for each in second["data"]], second["has_more"]) == (names[2:], False)
    back = ada("GET", f"/v1/messages?limit=2&before={names[3]}").data
    assert ([each["id"] for each in back["data"]], back["has_more"]) == (names[1:3], True)


def test_lists_are_filtered_by_what_was_asked(ada: Caller) -> None:
    first = ada.post(to="grace@example.org", agent={"run_id": "r-1"}).data
    second = ada.post(to=["alan@example.net", "Kurt@Example.net"], agent={"run_id": "r-2"}).data
    ada("POST", f"/v1/messages/{first['id']}/cancel")
    one, two, none = [first["id"]], [second["id"]], []
    far = "2100-01-01T00:00:00Z"
    for query, expected in [
        ("run_id=r-1", one),
        ("run_id=r-3", none),
        ("status=queued", two),
        ("status=cancelled", one),
        ("status=held", none),
        ("to=alan@example.net", two),
        ("to=Kurt@EXAMPLE.net", two),
        ("to=eve@example.net", none),
        (f"since={first['created_at']}", two + one),
        (f"since={far}", none),
        (f"until={far}&run_id=r-2", two),
        (f"until={first['created_at']}", none),
        ("since=2020-01-01T00:00:00+01:00", two + one),  # a plus that nobody escaped
    ]:
        assert [each["id"] for each in ada("GET", f"/v1/messages?{query}").data["data"]] == expected, query


@pytest.mark.parametrize(
    ("query", "violation"),
    [
        ("limit=0", ("/limit", "bad_value")),
        ("limit=101", ("/limit", "bad_value")),
        ("limit=x", ("/limit", "bad_value")),
        ("state=queued", ("/state", "unknown_field")),
        ("status=sent", ("/status", "bad_value")),
        ("to=nobody", ("/to", "bad_address")),
        ("since=yesterday", ("/since", "bad_value")),
        ("after=42", ("/after", "bad_value")),
        ("limit=1&limit=2", ("/limit", "too_many")),
        (
            "after=msg_00000000000000000000000000&before=msg_00000000000000000000000000",
            ("/before", "bad_value"),
        ),
    ],
)
def test_a_bad_query_is_refused_not_ignored(ada: Caller, query: str, violation: tuple[str, str]) -> None:
    problem = refused(ada("GET", f"/v1/messages?{query}"), "validation_failed")
    assert [(each.pointer, each.code) for each in problem.violations] == [violation]


def test_a_page_takes_as_many_statements_for_many_messages_as_for_one(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = sql.rows
    monkeypatch.setattr(sql, "rows", lambda *args, **more: asked.append(args[0]) or real(*args, **more))

    def statements() -> int:
        asked.clear()
        story.page(ada.agent.pk, story.Filter())
        return len(asked)

    ada.post(to=["a@example.org", "b@example.org"])
    of_one = statements()
    for _ in range(4):
        ada.post(to=["a@example.org", "b@example.org"])
    assert statements() == of_one == 2


# -- cancelling and waiting ----------------------------------------------------------------------------------


def test_what_has_not_left_is_cancelled_once(ada: Caller) -> None:
    posted = ada.post(scheduled_at=(datetime.now(UTC) + timedelta(days=1)).isoformat()).data
    first = ada("POST", f"/v1/messages/{posted['id']}/cancel")
    assert first.status_code == 200
    body = openapi.Message.model_validate_json(first.content)
    assert (body.status, body.deliveries[0].reason) == ("cancelled", "by_agent")
    refused(ada("POST", f"/v1/messages/{posted['id']}/cancel"), "not_cancellable")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"{}", None),
        (b'{"reason": "spam"}', "validation_failed"),  # would seem to be heard
        (b"[]", "validation_failed"),
        (b"null", "validation_failed"),
        (b"{", "malformed_json"),
    ],
)
def test_a_cancel_takes_nothing_and_what_says_something_cancels_nothing(
    ada: Caller, body: bytes, code: str | None
) -> None:
    posted = ada.post(
        agent={"run_id": "r-81"}, scheduled_at=(datetime.now(UTC) + timedelta(days=1)).isoformat()
    )
    for path in (f"/v1/messages/{posted.data['id']}", "/v1/runs/r-81"):
        answer = Client().generic(
            "POST", f"{path}/cancel", body, headers={"Authorization": f"Bearer {ada.key}"}
        )
        if code:
            refused(answer, code)
        else:
            assert answer.status_code == 200
    status = ada("GET", f"/v1/messages/{posted.data['id']}").data["status"]
    assert status == ("queued" if code else "cancelled")


def test_a_wait_ends_with_the_next_change(ada: Caller) -> None:
    posted = ada.post().data
    path = f"/v1/messages/{posted['id']}"
    waiting, answers = threading.Event(), []
    real = story.pulse

    def pulse(key: Any) -> story.Pulse:
        waiting.set()
        return real(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(story, "pulse", pulse)
        waiter = _in_thread(lambda: answers.append(ada("GET", f"{path}?wait=50")))
        assert waiting.wait(10)
        ada("POST", f"{path}/cancel")
        waiter.join(20)
    assert [answer.data["status"] for answer in answers] == ["cancelled"]


def test_a_wait_for_a_version_already_past_or_a_final_message_ends_at_once(ada: Caller) -> None:
    posted = ada.post().data
    path = f"/v1/messages/{posted['id']}"
    assert ada("GET", f"{path}?wait=50&after_version=0").data["version"] == 1
    ada("POST", f"{path}/cancel")
    assert ada("GET", f"{path}?wait=50").data["status"] == "cancelled"


def test_who_finds_no_place_to_wait_is_answered_at_once(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BELL", Bell(places=0))
    posted = ada.post().data
    assert ada("GET", f"/v1/messages/{posted['id']}?wait=50").data["status"] == "queued"


def test_a_ring_between_reading_and_sleeping_is_not_slept_through(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[bool] = []

    class Watched(threading.Condition):
        def wait_for(self, *args: Any) -> Any:
            woken.append(super().wait_for(*args))

    bell, looks = Bell(places=1), iter([False, True])
    bell._changed, bell._thread = Watched(), threading.current_thread()  # nobody listens: the ring is ours
    monkeypatch.setattr(waiting, "BLIND_LOOK_SECONDS", 0.01)

    def changed() -> bool:
        bell.ring()
        return next(looks)

    bell.hold(changed, 50)
    assert woken == [True]  # by the ring, not by the time


@pytest.mark.parametrize("query", ["wait=56", "wait=-1", "after_version=x", "timeout=3"])
def test_a_bad_wait_is_refused(ada: Caller, query: str) -> None:
    posted = ada.post().data
    refused(ada("GET", f"/v1/messages/{posted['id']}?{query}"), "validation_failed")


def _in_thread(act: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# -- when things go wrong ------------------------------------------------------------------------------------


class Unread:
    """A body that must not be touched."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")

    readline = read


def test_a_body_too_large_is_refused_before_it_is_read(ada: Caller) -> None:
    response = Client().generic(
        "POST",
        "/v1/messages",
        headers={"Authorization": f"Bearer {ada.key}"},
        CONTENT_LENGTH=str(36 * 1024 * 1024 + 1),
        **{"wsgi.input": Unread()},
    )
    refused(response, "payload_too_large")


def chunked(ada: Caller, body: bytes) -> Any:
    """A post whose length nobody said beforehand, as servers hand it on."""
    return Client().generic(
        "POST",
        "/v1/messages",
        headers={"Authorization": f"Bearer {ada.key}", "Transfer-Encoding": "chunked"},
        CONTENT_LENGTH="",
        **{"wsgi.input": io.BytesIO(body)},
    )


def test_a_body_may_come_in_chunks(ada: Caller) -> None:
    assert chunked(ada, orjson.dumps(POST)).status_code == 202


def test_chunks_are_read_to_the_limit_and_no_further(ada: Caller) -> None:
    refused(chunked(ada, b" " * (36 * 1024 * 1024 + 1)), "payload_too_large")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"to": "\xff"}',  # not UTF-8
        b'{"subject": "\\ud800"}',  # a lone surrogate
        b'{"subject": NaN}',
        b"[" * 100_000,  # nested to death
    ],
)
def test_what_is_not_json_is_malformed(ada: Caller, body: bytes) -> None:
    response = Client().generic("POST", "/v1/messages", body, headers={"Authorization": f"Bearer {ada.key}"})
    refused(response, "malformed_json")


def test_a_compressed_body_is_refused_not_unpacked(ada: Caller) -> None:
    refused(ada("POST", "/v1/messages", POST, **{"Content-Encoding": "gzip"}), "malformed_json")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/messages/a/b/c"])
def test_an_unknown_path_is_a_problem_too(path: str) -> None:
    problem = refused(Client().get(path), "not_found")
    assert "path" in problem.remedy[0]
    assert "/v1/openapi.json" in problem.remedy[0]


def test_a_method_that_is_not_there_names_those_that_are() -> None:
    response = Client().put("/v1/messages")
    assert "/v1/openapi.json lists all paths and their methods" in refused(response, "not_found").remedy[0]
    assert response["Allow"] == "GET, POST"


@pytest.fixture
def no_database(live_db: Any) -> Iterator[None]:
    connections["default"].close()
    settings = connections["default"].settings_dict
    port = settings["PORT"]
    settings["PORT"] = "1"
    yield
    settings["PORT"] = port


def test_a_database_that_is_down_means_no_mail_and_no_trace(ada: Caller, no_database: None) -> None:
    response = ada.post()
    refused(response, "undecidable")
    assert int(response["Retry-After"]) > 0


def test_a_bug_of_ours_shows_no_trace(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "page", lambda *_: 1 / 0)
    response = ada("GET", "/v1/messages")
    refused(response, "undecidable")
    assert b"division" not in response.content


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_what_watches_asks_a_process_by_its_address(live_db: Any, path: str) -> None:
    assert Client().get(path, HTTP_HOST="10.1.2.3:8000").status_code == 200
    assert Client().get("/admin/login/", HTTP_HOST="10.1.2.3:8000").status_code == 400


def test_a_database_that_takes_no_writes_is_not_ready(live_db: Any) -> None:
    sql.count("SET default_transaction_read_only = on")
    try:
        response = Client().get("/readyz")
    finally:
        sql.count("RESET default_transaction_read_only")
    assert (response.status_code, response.json()["checks"]["database"]) == (503, "failed")


def test_a_process_is_alive_without_a_database_but_not_ready(live_db: Any, no_database: None) -> None:
    assert Client().get("/livez").status_code == 200
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "failed"


def test_a_process_with_all_it_needs_is_ready(live_db: Any) -> None:
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


# -- explaining ----------------------------------------------------------------------------------------------


def test_openapi_describes_every_operation_and_every_reference_is_there() -> None:
    document = Client().get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    schemes = document["components"]["securitySchemes"]
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len(operations) > 10
    for operation in operations:
        success = next(each for status, each in operation["responses"].items() if status in ("200", "202"))
        assert success["content"]["application/json"]["schema"]["$ref"] in known
        assert operation["responses"]["default"]["content"]["application/problem+json"]
        # a relay service signs its webhooks in its own way
        keys = [] if operation["operationId"].endswith("post_esp") else ["bearer"]
        schemes_ = {schemes[name]["scheme"] for each in operation["security"] for name in each}
        assert sorted(schemes_) == keys
    assert set(_references(document)) <= known


def test_openapi_says_that_agents_stop_themselves_too() -> None:
    document = Client().get("/v1/openapi.json").json()
    taken = document["paths"]["/v1/stop"]["post"]["security"]
    assert sorted(name for each in taken for name in each) == ["Bearer", "Operator"]
    assert all(each["description"] for each in document["components"]["securitySchemes"].values())


def test_openapi_asks_for_a_body_only_where_something_must_be_said() -> None:
    paths = Client().get("/v1/openapi.json").json()["paths"]
    operations = [each for path in paths.values() for each in path.values() if "requestBody" in each]
    free = {each["summary"] for each in operations if not each["requestBody"]["required"]}
    assert free == {"Cancel what has not left", "Cancel a run"}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from _references(each)


def test_the_docs_are_browsable_on_a_phone() -> None:
    response = Client().get("/v1/docs")
    [without_scripts] = re.findall(r"<noscript>.*</noscript>", response.content.decode())
    assert 'href="/v1/openapi.json"' in without_scripts
    assert response.status_code == 200
    assert 'name="viewport"' in response.content.decode()


def test_the_example_in_the_docs_is_accepted_as_it_stands(ada: Caller) -> None:
    schemas = Client().get("/v1/openapi.json").json()["components"]["schemas"]
    assert ada("POST", "/v1/messages", schemas["MessageIn"]["examples"][0]).status_code == 202
    assert ada("POST", "/v1/messages/batch", {"messages": schemas["BatchItemIn"]["examples"]}).data["data"][
        0
    ]["id"]


def test_the_docs_describe_what_a_name_does_not_tell() -> None:
    schemas = Client().get("/v1/openapi.json").json()["components"]["schemas"]
    told = {
        "MessageIn": "headers tags scheduled_at expires_at priority agent all_or_nothing",
        "ContextIn": "run_id parent_run_id on_behalf_of purpose",
    }
    silent = [
        name
        for model, names in told.items()
        for name in names.split()
        if not schemas[model]["properties"][name].get("description")
    ]
    assert silent == []


def test_a_batch_does_not_pretend_to_heed_a_key_in_its_header(ada: Caller) -> None:
    answer = ada("POST", "/v1/messages/batch", {"messages": [POST]}, **{"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.data["code"]) == (400, "idempotency_key_invalid")


# -- preflight


def test_a_preflight_says_what_would_happen_and_writes_nothing(ada: Caller) -> None:
    answer = ada("POST", "/v1/messages/preflight", POST)
    assert answer.status_code == 200
    assert (answer.data["status"], answer.data["decision"]["verdict"]) == (202, "release")
    assert [each["to"] for each in answer.data["deliveries"]] == ["grace@example.org"]
    assert answer.data["problem"] is None
    assert ada("GET", "/v1/messages").data["data"] == []


def test_a_preflight_shows_the_refusal_that_a_post_would_meet(ada: Caller) -> None:
    answer = ada("POST", "/v1/messages/preflight", POST | {"from": "ceo@acme.test"})
    posted = ada("POST", "/v1/messages", POST | {"from": "ceo@acme.test"})
    assert answer.status_code == 200
    assert answer.data["status"] == posted.status_code == 403
    assert answer.data["problem"]["code"] == posted.data["code"] == "sender_not_in_lane"


def test_a_preflight_of_a_batch_answers_each_item_behind_those_before_it(ada: Caller) -> None:
    ramp(10, 20)
    items = [POST | {"to": [f"p{n}.{m}@example.org" for m in range(5)]} for n in range(3)]
    answer = ada("POST", "/v1/messages/preflight", {"messages": [*items, {"to": "no address"}]}).data
    first, second, third, bad = answer["data"]
    assert first["forecast_at"] <= second["forecast_at"] <= third["forecast_at"] == answer["forecast_at"]
    assert first["forecast_at"] < third["forecast_at"]
    assert (bad["status"], bad["problem"]["code"]) == (422, "validation_failed")


def test_a_plan_of_eighty_thousand_is_told_its_days(ada: Caller) -> None:
    ramp(10, 20, 40, 80)
    answer = ada("POST", "/v1/messages/preflight", {"recipients": 8_000, "run_id": "r-1"}).data
    assert answer["recipients"] == sum(each["recipients"] for each in answer["providers"]) == 8_000
    gmail = next(each for each in answer["providers"] if each["provider"] == "gmail")
    assert sorted({day["cap"] for day in gmail["days"]}) == [10, 20, 40, 80]
    assert gmail["forecast_at"] == answer["forecast_at"]


@pytest.mark.parametrize(
    "body",
    [{"recipients": 0}, {"recipients": "5"}, {"recipients": 5, "to": "a@example.org"}, {"recipients": 1e9}],
)
def test_what_is_no_plan_is_refused(ada: Caller, body: dict[str, Any]) -> None:
    refused(ada("POST", "/v1/messages/preflight", body), "validation_failed")


def test_what_would_only_expire_behind_the_ramp_is_refused_at_the_door(ada: Caller) -> None:
    Agent.objects.update(exempt=False)
    ramp(1)
    for number in range(7):
        answer = ada("POST", "/v1/messages", POST | {"to": f"p{number}@example.org"})
        outlook._remembered.clear()  # as after its two seconds
        ledger.tally_waiting()
    refused(answer, "forecast_past_expiry")


def ramp(*steps: int) -> None:
    """The sending domain warms up by these steps."""
    SendingDomain.objects.update(preset="own", own_steps=list(steps))


def test_what_waits_behind_its_ramp_says_when_it_would_be_through(ada: Caller) -> None:
    ramp(3)
    for number in range(9):
        ada.post(to=f"p{number}@example.org")
    session = sessions.begin("test")
    ledger.claim(session, tier=1, limit=50)
    ledger.tally_waiting()
    outlook._remembered.clear()
    waiting = [each["deliveries"][0] for each in ada("GET", "/v1/messages?status=queued").data["data"]]
    assert len(waiting) >= 6
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert all(each["forecast_at"] > tomorrow > each["next_attempt_at"] for each in waiting)
