"""Edge: the Model Context Protocol, in every version its SDK speaks. Carries calls of tools to the toolbox.

Over HTTP each post is answered by itself, as JSON: no session, no stream, nothing remembered between two of them.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import anyio
import orjson
from asgiref.sync import async_to_sync, sync_to_async
from django.db import close_old_connections
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ToolShown

from outbox.toolbox import TOOLS, Outcome, Tool, use

INSTRUCTIONS = """\
Sends email through Agent Outbox, which keeps the domain's reputation: mail may be released, held for a person, or \
refused. A refusal is a problem whose code is stable: do what its remedy says; retry tells when it may be asked again \
(never, after retry_at, when_changed, ask_human). Nothing here approves, reopens or raises a limit: people do.
"""

VERSION = version("agent-outbox")  # read from a file
Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def answered(headers: Mapping[str, str], body: bytes, authorization: str, peer: str) -> Spoken:
    """The answer to one post. The tool runs in this thread, and so on its database connection."""
    return async_to_sync(_exchange)(headers, body, _server(authorization, peer))


def serve(authorization: str) -> None:
    """Answer on standard input and output until the input ends."""
    anyio.run(_converse, _server(authorization, "", fresh=True))


async def _converse(server: Server[Any]) -> None:
    async with stdio_server() as (said, answers):
        await server.run(said, answers, server.create_initialization_options())


async def _exchange(headers: Mapping[str, str], body: bytes, server: Server[Any]) -> Spoken:
    sent: list[MutableMapping[str, Any]] = []
    manager = StreamableHTTPSessionManager(
        server, json_response=True, stateless=True, max_request_body_size=len(body) + 1
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ],
    }

    posted = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if not posted:
            await anyio.sleep_forever()  # asked again: whether the peer hung up
        return posted.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async with manager.run():
        await manager.handle_request(scope, receive, send)
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Spoken(sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:]), told)


def _server(authorization: str, peer: str, *, fresh: bool = False) -> Server[Any]:
    """One who speaks for the holder of this key."""

    async def listed(_context: Context, _page: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_shown(tool) for tool in TOOLS.values()])

    async def called(_context: Context, wanted: CallToolRequestParams) -> CallToolResult:
        tool = TOOLS.get(wanted.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {wanted.name!r}.")
        run = partial(_used if fresh else use, tool, wanted.arguments or {}, authorization, peer)
        return _result(await sync_to_async(run, thread_sensitive=True)())

    return Server(
        "agent-outbox",
        title="Agent Outbox",
        version=VERSION,
        instructions=INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )


def _used(tool: Tool, arguments: Mapping[str, Any], authorization: str, peer: str) -> Outcome:
    """Where no request begins and ends, connections that broke or grew old are closed here."""
    close_old_connections()
    try:
        return use(tool, arguments, authorization, peer)
    finally:
        close_old_connections()


def _shown(tool: Tool) -> ToolShown:
    return ToolShown(
        name=tool.name,
        title=tool.title,
        description=tool.about,
        input_schema=dict(tool.takes),
        annotations=ToolAnnotations(
            read_only_hint=tool.reads,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.repeatable,
            open_world_hint=tool.name.startswith("send"),
        ),
    )


def _result(outcome: Outcome) -> CallToolResult:
    """A refusal is a result too, so that the agent reads its problem and not only that something failed."""
    return CallToolResult(
        content=[TextContent(type="text", text=orjson.dumps(outcome.body).decode())],
        structured_content=outcome.body,
        is_error=outcome.status >= 400,
        _meta={f"agent-outbox/{name.lower()}": value for name, value in outcome.told.items()},
    )
