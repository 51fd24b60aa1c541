"""The official Python client, driven through one story; each line on standard output is what it saw.

    python client.py sse|streamable URL

BEARER: sent as `Authorization: Bearer`, where it is set. CALLS: give up on being refused after so
many calls; 0 leaves that part out (a server without a limit). Runs on both generations of `mcp`.
"""

import asyncio
import contextlib
import json
import os
import sys
import time

from mcp.client.sse import sse_client

try:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client
except ImportError:
    Client = None
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

RECOVERY_SECONDS = 10


def saw(what, detail=None):
    print(json.dumps({"saw": what, "detail": detail}), flush=True)


@contextlib.asynccontextmanager
async def connected(kind, url, headers):
    """The name of the server, and an open session with it."""
    async with contextlib.AsyncExitStack() as stack:
        if Client:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30))
            transport = {
                "sse": lambda: sse_client(url, headers=headers),
                "streamable": lambda: streamable_http_client(url, http_client=http),
            }[kind]()
            client = await stack.enter_async_context(Client(transport))
            yield client.server_info.name, client
        else:
            open_streams = {"sse": sse_client, "streamable": streamablehttp_client}[kind]
            read, write, *_ = await stack.enter_async_context(open_streams(url, headers=headers))
            session = await stack.enter_async_context(ClientSession(read, write))
            initialized = await session.initialize()
            yield initialized.serverInfo.name, session


async def call(session):
    arguments = {"platform": "x"}
    async with asyncio.timeout(5):
        result = await session.call_tool("integrationSchema", arguments)
    return result.content[0].text


async def first_refusal(session, limit):
    """Calls without a pause until one fails: the error, or None if none of `limit` failed."""
    for _ in range(limit):
        try:
            await call(session)
        except Exception as error:
            return str(error)
    return None


async def recovered(session):
    """Calls again on the same session until one passes."""
    end = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            return await call(session)
        except Exception:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)


async def story(kind, url):
    bearer = os.environ.get("BEARER")
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    calls = int(os.environ.get("CALLS", "0"))
    async with connected(kind, url, headers) as (server, session):
        saw("connected", server)
        saw("tools", [tool.name for tool in (await session.list_tools()).tools])
        saw("result", await call(session))
        if calls:
            saw("refused", await first_refusal(session, calls))
            saw("alive", await recovered(session))
    saw("closed")


try:
    asyncio.run(story(sys.argv[1], sys.argv[2]))
except BaseException as error:
    saw("failed", repr(error))
    sys.exit(1)
