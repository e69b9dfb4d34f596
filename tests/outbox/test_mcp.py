"""The tools' door: a key, a rate, one post at a time; and what tools make of their arguments."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.core.cache import caches
from django.test import Client

from outbox import toolbox
from outbox.models import Agent, ApiKey, Message
from outbox.toolbox import TOOLS
from reputation.models import OpenStop
from tests import factories

DRAFT = {"to": "grace@example.org", "subject": "Your question", "text": "Hi Grace"}
POWERS = ("approve", "release", "resume", "raise", "limit", "key", "refuse")


@pytest.fixture
def ada(live_db: Any) -> str:
    caches["default"].clear()
    return factories.key(factories.agent("ada"))


def post(key: str, said: Any, **headers: str) -> Any:
    body = said if isinstance(said, bytes) else orjson.dumps(said)
    given = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream", **headers}
    return Client().post("/mcp", body, content_type="application/json", headers=given)


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def call(key: str, tool: str, /, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    """Whether it was refused, and the answer."""
    answer = post(key, request("tools/call", name=tool, arguments=arguments))
    assert answer.status_code == 200, answer.content
    result = orjson.loads(answer.content)["result"]
    assert orjson.loads(result["content"][0]["text"]) == result["structuredContent"]
    return result["isError"], result["structuredContent"]


# -- the door ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [request("tools/list"), request("tools/call", name="whoami"), b"{"])
def test_whoever_has_no_key_learns_nothing(ada: str, said: Any) -> None:
    for key in ("", "x", ada[:-1]):
        answer = post(key, said)
        assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert b"send_email" not in answer.content


def test_a_key_of_no_agent_has_no_tools(ada: str) -> None:
    key = factories.key(None, kind=ApiKey.Kind.RETURNS)
    assert post(key, request("tools/list")).status_code == 403
    refused, problem = call(key, "send_email", **DRAFT)
    assert refused
    assert problem["code"] == "insufficient_scope"


@pytest.mark.parametrize("method", ["get", "delete", "put"])
def test_there_is_no_stream_to_open_and_no_session_to_end(ada: str, method: str) -> None:
    answer = getattr(Client(), method)("/mcp", headers={"Authorization": f"Bearer {ada}"})
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_slash_too_many_finds_the_same_door(ada: str) -> None:
    body = orjson.dumps(request("tools/list"))
    given = {"Authorization": f"Bearer {ada}", "Accept": "application/json"}
    answer = Client().post("/mcp/", body, content_type="application/json", headers=given)
    assert len(orjson.loads(answer.content)["result"]["tools"]) == len(TOOLS)


def test_a_client_of_an_earlier_age_is_greeted(ada: str) -> None:
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    answer = post(ada, request("initialize", **about))
    result = orjson.loads(answer.content)["result"]
    assert result["protocolVersion"] == "2025-06-18"
    assert result["serverInfo"]["name"] == "agent-outbox"
    assert "tools" in result["capabilities"]
    assert "Mcp-Session-Id" not in answer
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert post(ada, told).status_code == 202


@pytest.mark.parametrize("said", [b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff", b'{"jsonrpc":"2.0","id":1}'])
def test_what_is_no_request_is_refused_and_not_a_failure_of_ours(ada: str, said: bytes) -> None:
    assert post(ada, said).status_code == 400


def test_an_endless_conversation_is_not_begun(ada: str) -> None:
    """It would hold a thread of the server for as long as the client likes."""
    version = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    answer = post(ada, request("subscriptions/listen", _meta=meta, notifications={}), **version)
    assert answer.status_code >= 400, answer.content


def test_every_request_is_counted_once(ada: str) -> None:
    Agent.objects.update(requests_per_minute=5)
    caches["default"].clear()
    assert post(ada, request("tools/list"))["RateLimit"].startswith('"requests";r=4;')
    for left in (3, 2, 1, 0):
        answer = post(ada, request("tools/call", name="get_email", arguments={"id": f"msg_{'0' * 26}"}))
        meta = orjson.loads(answer.content)["result"]["_meta"]
        assert meta["agent-outbox/ratelimit"].startswith(f'"requests";r={left};')
    refused, problem = call(ada, "whoami")
    assert (refused, problem["code"]) == (True, "request_rate_limited")
    assert post(ada, request("tools/list")).status_code == 429


@pytest.mark.parametrize(
    ("tool", "arguments"), [("get_email", {}), ("send_email", {"idempotency_key": 7}), ("x", {})]
)
def test_what_is_refused_before_it_is_a_request_is_counted_too(ada: str, tool: str, arguments: Any) -> None:
    Agent.objects.update(requests_per_minute=2)
    caches["default"].clear()
    for _ in range(2):
        assert post(ada, request("tools/call", name=tool, arguments=arguments)).status_code in (200, 400)
    assert post(ada, request("tools/list")).status_code == 429


# -- tools ---------------------------------------------------------------------------------------------------


def test_no_tool_does_what_only_people_do() -> None:
    assert not [name for name in TOOLS if any(power in name for power in POWERS)]
    assert "key" not in TOOLS["stop"].takes["properties"]  # of operators: another scope than one's own
    assert all(tool.takes["type"] == "object" for tool in TOOLS.values())


def test_what_only_reads_is_marked_so_and_nothing_else() -> None:
    writes = {name for name, tool in TOOLS.items() if not tool.reads}
    assert writes == {"send_email", "send_batch", "cancel_email", "stop"}


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_an_argument_nobody_knows_is_refused(ada: str, tool: str) -> None:
    given = {"messages": [DRAFT]} if tool == "send_batch" else {}
    refused, problem = call(ada, tool, colour="red", **given)
    assert refused
    assert problem["code"] == "validation_failed"
    assert ("/colour", "unknown_field") in {(v["pointer"], v["code"]) for v in problem["violations"]}
    assert not Message.objects.exists()
    assert not OpenStop.objects.exists()


@pytest.mark.parametrize("name", ["", "x/../../stop", f"msg_{'0' * 26}/cancel", f"msg_{'0' * 26}?wait=9", 7])
def test_a_name_leads_nowhere_else(ada: str, name: Any) -> None:
    for tool in ("get_email", "cancel_email", "wait_for_outcome"):
        refused, problem = call(ada, tool, id=name)
        assert (refused, problem["code"]) == (True, "validation_failed")


def test_sent_twice_is_sent_once(ada: str) -> None:
    first, again = call(ada, "send_email", **DRAFT), call(ada, "send_email", **DRAFT)
    assert not first[0]
    assert first == again
    assert Message.objects.count() == 1
    other = call(ada, "send_email", **DRAFT, idempotency_key="another")
    assert other[1]["id"] != first[1]["id"]


def test_each_message_of_a_batch_is_sent_once(ada: str) -> None:
    drafts = [DRAFT | {"to": f"grace{n}@example.org"} for n in range(3)]
    _, first = call(ada, "send_batch", messages=drafts)
    _, again = call(ada, "send_batch", messages=list(reversed(drafts)))
    assert [each["id"] for each in first["data"]] == [each["id"] for each in reversed(again["data"])]
    assert Message.objects.count() == 3


def test_what_is_no_message_is_refused_like_any_other(ada: str) -> None:
    for tool, arguments in (
        ("send_email", {"idempotency_key": 7, **DRAFT}),
        ("send_email", {"agent": "x", **DRAFT}),
        ("send_email", {}),
        ("send_batch", {"messages": "x"}),
        ("send_batch", {}),
    ):
        refused, problem = call(ada, tool, **arguments)
        assert (refused, problem["code"]) == (True, "validation_failed"), tool
    assert not Message.objects.exists()


def _key(draft: Mapping[str, Any], day: int = 1) -> str | None:
    return toolbox._key_of(draft, datetime(2026, 12, day, tzinfo=UTC))


def test_a_key_is_made_of_run_and_content() -> None:
    of_run = {**DRAFT, "agent": {"run_id": "r1"}}
    assert _key(of_run) == _key({"agent": {"run_id": "r1"}, **DRAFT}, day=2)
    assert _key(of_run) != _key({**DRAFT, "agent": {"run_id": "r2"}})
    assert _key(of_run) != _key({**of_run, "text": "Hi Bob"})
    # a run that is not named is that of the day
    assert _key(DRAFT) == _key(dict(reversed(DRAFT.items())))
    assert _key(DRAFT) != _key(DRAFT, day=2)


def test_an_agent_stops_itself_and_no_one_else(ada: str) -> None:
    other = factories.key(factories.agent("bob"))
    key = factories.key(Agent.objects.get(name="ada"))
    assert call(key, "stop", scope="stream", reason="x", run_id=None)[0]
    refused, told = call(key, "stop", scope="agent", reason="it loops")
    assert (refused, told["scope"]) == (False, "agent:ada")
    assert call(key, "send_email", **DRAFT)[1]["code"] == "stopped"
    assert not call(other, "send_email", **DRAFT)[0]


def test_a_budget_is_shown_without_the_rest(ada: str) -> None:
    _, told = call(ada, "get_budget")
    assert set(told) == {"agent", "limits", "budget"}
    assert call(ada, "get_budget", run_id="unseen")[1]["code"] == "not_found"


def test_a_plan_is_judged_and_nothing_written(ada: str) -> None:
    assert not call(ada, "preflight_email", recipients=80_000)[0]
    assert not call(ada, "preflight_email", **DRAFT)[0]
    assert not call(ada, "preflight_email", messages=[DRAFT])[0]
    assert not Message.objects.exists()
