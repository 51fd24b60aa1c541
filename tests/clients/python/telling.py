"""How a client tells the test what it saw, a line each on standard output."""

import asyncio
import json
import sys


def saw(what, detail=None):
    print(json.dumps({"saw": what, "detail": detail}), flush=True)


def innermost(error):
    """The errors that a user would look for in a group of them."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(innermost(inner) for inner in error.exceptions)
    return str(error) or type(error).__name__


async def failure(attempt):
    """What went wrong, as its user would read it; None if nothing did."""
    try:
        await attempt
    except Exception as error:
        return innermost(error)
    return None


def tell(story):
    """Tells the story, and ends the program where it breaks off."""
    try:
        asyncio.run(story)
    except BaseException as error:
        saw("failed", innermost(error))
        sys.exit(1)
