"""What a server asks its client: on the stream of the call up to 2025-11-25, in the result since."""

import mcp_types as types
from mcp.shared.message import ServerMessageMetadata
from pydantic import TypeAdapter

REQUEST = TypeAdapter(types.InputRequest)
ROOTS = {"method": "roots/list", "params": {}}


def elicitation(message, required=(), **properties):
    schema = {"type": "object", "properties": properties, "required": list(required)}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def question(message, name, kind="string"):
    """An elicitation of one answer."""
    return elicitation(message, [name], **{name: {"type": kind}})


def sampling(prompt, tokens=100):
    message = {"role": "user", "content": {"type": "text", "text": prompt}}
    return {
        "method": "sampling/createMessage",
        "params": {"messages": [message], "maxTokens": tokens},
    }


async def ask(context, request, result_type):
    """Sends the request on the stream of the call, and waits for the client's answer."""
    metadata = ServerMessageMetadata(related_request_id=context.request_id)
    request = REQUEST.validate_python(request)
    return await context.session.send_request(request, result_type, metadata=metadata)


def needs(state=None, **requests):
    """The result that asks: the client comes again, with answers and with the state."""
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def answers(params, *names):
    """The client's answers by these names, or None if one is missing."""
    given = params.input_responses or {}
    return [given[name] for name in names] if all(name in given for name in names) else None
