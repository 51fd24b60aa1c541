"""The official Python client, driven through one story; each line on standard output is what it saw.

    python client.py sse|streamable

PLACES: where to connect, and with what; `{url, bearer?}` by name. TOOLS: what the tools are called
that answer at once, report progress, and never end. CALLS: give up on being refused after so many.
Where the test has a part in the story, the client asks for it and waits for a line on its standard
input. Runs on both generations of `mcp`; `connecting.py` holds what they have apart.
"""

import asyncio
import json
import os
import sys
import time

from connecting import cancellation, connected
from telling import failure, saw, tell

KIND = sys.argv[1]
CALLS = int(os.environ["CALLS"])
PLACES = json.loads(os.environ["PLACES"])
TOOLS = json.loads(os.environ["TOOLS"])
PATIENCE_SECONDS = 5
RECOVERY_SECONDS = 10
WAITED_FOR = []


async def ask(what):
    """Asks the test for its part, and waits until it is done."""
    saw(what)
    await asyncio.to_thread(sys.stdin.readline)


async def call(session, name=TOOLS["quick"], patience=PATIENCE_SECONDS, **options):
    async with asyncio.timeout(patience):
        result = await session.call_tool(name, {"platform": "x"}, **options)
    return result.content[0].text


async def connection(place):
    async with connected(KIND, place):
        pass


async def progress(session):
    steps = []

    async def step(done, _total, _message):
        steps.append(done)

    await call(session, TOOLS["steps"], progress_callback=step)
    return steps


async def cancel(session):
    """Cancels a call once the server has it."""
    pending = asyncio.create_task(call(session, TOOLS["endless"], patience=None))
    await ask("calling")
    pending.cancel()
    await cancellation(session)
    try:
        await pending
    except asyncio.CancelledError:
        return "cancelled"


async def first_refusal(session):
    """Calls without a pause until one fails: the error, or None if none of them failed."""
    for _ in range(CALLS):
        refusal = await failure(call(session))
        if refusal:
            return refusal
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


async def first_session():
    async with connected(KIND, PLACES["right"]) as (server, session):
        saw("connected", server)
        saw("listed", [tool.name for tool in (await session.list_tools()).tools])
        saw("called", await call(session))
        saw("progress", await progress(session))
        saw("cancelled", await cancel(session))
        saw("refused", await failure(connection(PLACES["unknown"])))
        saw("expired", await failure(connection(PLACES["expired"])))
        await outlives_session(ask("restart"))
        saw("restarted", await failure(call(session, patience=PATIENCE_SECONDS / 2)))


async def second_session():
    async with connected(KIND, PLACES["right"]) as (_, session):
        saw("reconnected", await call(session))
        # Its answer will never come; the test wants to see that the server learns of the leaving.
        pending = asyncio.create_task(failure(call(session, TOOLS["endless"], patience=None)))
        await ask("pending")
        saw("limited", await first_refusal(session))
        saw("alive", await recovered(session))
    pending.cancel()


async def outlives_session(part):
    """Waits for a part of the test's; if the session breaks meanwhile, `story` goes on waiting."""
    task = asyncio.create_task(part)
    WAITED_FOR.append(task)
    await asyncio.shield(task)


async def story():
    # With v1 one answer of 5xx ends the whole session, whatever it is doing.
    broken = await failure(first_session())
    await asyncio.gather(*WAITED_FOR)
    if broken:
        saw("broken", broken)
    await second_session()
    saw("closed")


tell(story())
