"""A connection with each generation of the official Python client, by what its users would write."""

import contextlib

from mcp.client.sse import sse_client

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    IS_V1 = False
except ImportError:
    import httpx
    from mcp import ClientSession, types
    from mcp.client.streamable_http import streamablehttp_client

    IS_V1 = True


class Presenting(httpx.Auth):
    """Reads which session a client presents; once told of `another`, its calls present that."""

    requires_request_body = True

    def __init__(self):
        self.session = None
        self.another = None

    def auth_flow(self, request):
        self.session = request.headers.get("mcp-session-id", self.session)
        # What a client sends beside its calls comes when it likes.
        if self.another and b"tools/call" in request.content:
            request.headers["mcp-session-id"] = self.another
        yield request


@contextlib.asynccontextmanager
async def connected(kind, place, presenting=None):
    """The name of the server, and an open session with it."""
    url, bearer = place["url"], place.get("bearer")
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with contextlib.AsyncExitStack() as stack:
        connect = connect_v1 if IS_V1 else connect_v2
        yield await connect(stack, kind, (url, headers, presenting))


async def connect_v1(stack, kind, where):
    url, headers, presenting = where
    open_streams = {"sse": sse_client, "streamable": streamablehttp_client}[kind]
    read, write, *_ = await stack.enter_async_context(open_streams(url, headers=headers, auth=presenting))
    session = await stack.enter_async_context(ClientSession(read, write))
    initialized = await session.initialize()
    return initialized.serverInfo.name, session


async def connect_v2(stack, kind, where):
    url, headers, presenting = where
    http = httpx.AsyncClient(headers=headers, timeout=30, auth=presenting)
    await stack.enter_async_context(http)
    transport = {
        "sse": lambda: sse_client(url, headers=headers),
        "streamable": lambda: streamable_http_client(url, http_client=http),
    }[kind]()
    client = await stack.enter_async_context(Client(transport))
    return client.server_info.name, client


async def cancellation(session):
    """Tells the server that the last call is cancelled. v2 does so by itself; with v1 an application
    has to, and the number of the call is not for it to know."""
    if IS_V1:
        params = types.CancelledNotificationParams(requestId=session._request_id - 1)
        note = types.CancelledNotification(method="notifications/cancelled", params=params)
        await session.send_notification(types.ClientNotification(note))
