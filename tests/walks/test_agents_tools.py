"""An agent that speaks MCP, by the protocol's own client, over both transports and both ages of the protocol."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from tests.walks.harness.installation import CHECKOUT, Installation

WAYS = [("http", "auto"), ("http", "legacy"), ("stdio", "auto")]
CONTRACT = {
    "whoami", "preflight_email", "send_email", "send_batch", "get_email", "list_emails", "cancel_email",
    "wait_for_outcome", "get_budget", "stop",
}  # fmt: skip


@asynccontextmanager
async def _client(house: Installation, way: str, mode: str, agent: str) -> AsyncIterator[Client]:
    key = house.template.seed.keys[agent]
    if way == "stdio":
        words = [str(CHECKOUT / "manage.py"), "mcp"]
        told = {**house.env, "AO_API_KEY": key}
        async with Client(StdioServerParameters(command=sys.executable, args=words, env=told)) as client:
            yield client
        return
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http:
        transport = streamable_http_client(f"{house.env['PUBLIC_URL']}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


async def _told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    return answer.structured_content


@pytest.mark.parametrize(("way", "mode"), WAYS)
def test_an_agent_sends_waits_and_reads(house: Installation, way: str, mode: str) -> None:
    run = f"mcp-{way}-{mode}"
    draft = {
        "to": f"ok.{run}@gmail.test",
        "subject": "By a tool",
        "text": "Hello.\n",
        "agent": {"run_id": run, "purpose": "show that tools send"},
    }

    async def walk() -> None:
        async with _client(house, way, mode, "ada") as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == CONTRACT
            first = await client.call_tool("send_email", draft)
            assert not first.is_error, first
            house.note(first.structured_content)
            name = first.structured_content["id"]
            # the answer was lost, and the agent calls again
            again = await client.call_tool("send_email", draft)
            assert again.structured_content["id"] == name
            assert again.meta["agent-outbox/idempotent-replayed"] == "true"
            message: dict[str, Any] = {"status": "queued"}
            while message["status"] != "delivered":
                seen = {"after_version": message["version"]} if "version" in message else {}
                message = await _told(client, "wait_for_outcome", id=name, **seen)
            story = await _told(client, "get_email", id=name, events=True)
            assert {"accepted", "claimed", "delivered"} <= {event["type"] for event in story["data"]}
            listed = await _told(client, "list_emails", run_id=run, limit=5)
            assert [each["id"] for each in listed["data"]] == [name]
            assert (await _told(client, "get_budget", run_id=run)).keys() <= {"run_id", "budget"}

    anyio.run(walk)
    assert [entry.rcpt for entry in house.oracle()].count(draft["to"]) == 1


@pytest.mark.parametrize(("way", "mode"), WAYS)
def test_a_refusal_says_what_to_do(house: Installation, way: str, mode: str) -> None:
    async def walk() -> None:
        async with _client(house, way, mode, "ada") as client:
            answer = await client.call_tool("send_email", {"to": "nobody", "subject": "x", "text": "x"})
            assert answer.is_error
            assert answer.structured_content["code"] == "validation_failed"
            assert answer.structured_content["violations"][0]["pointer"].startswith("/to")
            assert answer.structured_content["remedy"]
            with pytest.raises(Exception, match="no tool"):
                await client.call_tool("approve", {})

    anyio.run(walk)
