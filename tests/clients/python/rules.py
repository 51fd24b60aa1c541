"""The official Python client whose key has rules; each line on standard output is what it saw.

    python rules.py sse|streamable

PLACES: where to connect, and with what, by name; `{url, bearer?}`. At `ruled` the tool that reports
progress may not be used, at `other` is another's key. TOOLS: what the tools are called. Runs on both
generations of `mcp`.
"""

import asyncio
import json
import os
import sys

from connecting import Presenting, connected
from telling import failure, saw, tell

KIND = sys.argv[1]
PLACES = json.loads(os.environ["PLACES"])
TOOLS = json.loads(os.environ["TOOLS"])


async def call(session, name):
    async with asyncio.timeout(5):
        result = await session.call_tool(name, {"platform": "x"})
    return result.content[0].text


async def usurp(session):
    """Another's client says that this session is its own, and then goes back to its own."""
    presenting = Presenting()
    async with connected(KIND, PLACES["other"], presenting) as (_, client):
        presenting.another = session
        saw("session", await failure(call(client, TOOLS["steps"])))
        presenting.another = None
        saw("anew", await call(client, TOOLS["quick"]))


async def story():
    presenting = Presenting()
    async with connected(KIND, PLACES["ruled"], presenting) as (_, client):
        saw("listed", [tool.name for tool in (await client.list_tools()).tools])
        saw("unknown", await failure(call(client, TOOLS["steps"])))
        saw("alive", await call(client, TOOLS["quick"]))
        if presenting.session:
            await usurp(presenting.session)
            saw("kept", await call(client, TOOLS["quick"]))
    saw("closed")


tell(story())
