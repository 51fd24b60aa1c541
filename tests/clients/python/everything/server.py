"""A server that has everything the official conformance suite asks of one, in both of its eras.

    KEY=... python server.py

It listens at `/mcp/KEY` on a port of the system's choice, tells the address on standard output, and
ends with its parent. What the protocol itself demands is the SDK's part; what the scenarios want to
find behind it stands in the files beside this one.
"""

import asyncio
import json
import os
import socket
import sys
import threading
import warnings

import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import EmptyResult

import library
import tools
from events import Events

NAME = "everything"
CACHED = [
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "server/discover",
]


async def accept(_context, _params):
    """For what is only asked to be taken: a subscription, its end, a level of logging."""
    return EmptyResult()


def everything():
    server = Server(
        NAME,
        version="1.0.0",
        cache_hints={method: CacheHint(ttl_ms=60_000, scope="private") for method in CACHED},
        on_list_tools=tools.listed,
        on_call_tool=tools.called,
        on_list_prompts=library.prompts,
        on_get_prompt=library.prompt,
        on_list_resources=library.resources,
        on_list_resource_templates=library.templates,
        on_read_resource=library.resource,
        on_completion=library.completion,
        on_subscribe_resource=accept,
        on_unsubscribe_resource=accept,
        on_set_logging_level=accept,
        on_subscriptions_listen=ListenHandler(tools.CHANGES),
    )
    # What a client carries from round to round is sealed, so that it can't be another's or changed.
    seal = RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME)
    server.middleware.append(seal)
    return server


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


def main():
    # What 2026-07-28 has deprecated is what the clients of 2025-11-25 come for.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    listener = socket.create_server(("127.0.0.1", 0))
    app = everything().streamable_http_app(
        streamable_http_path=f"/mcp/{os.environ['KEY']}",
        event_store=Events(),
        retry_interval=100,
    )
    threading.Thread(target=end_with_parent, daemon=True).start()
    address, port = listener.getsockname()
    print(json.dumps({"event": "listening", "address": f"{address}:{port}"}), flush=True)
    http = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    asyncio.run(http.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
