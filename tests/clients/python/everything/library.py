"""Prompts, resources and the completion of their arguments."""

import json
import re

import mcp_types as types
from mcp.shared.exceptions import MCPError

from content import PNG, embedded, image, text
from rounds import context_of_prompt

PROMPTS = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}
RESOURCES = {
    "test://static-text": ("text/plain", "text", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", "blob", PNG),
    "test://watched-resource": ("text/plain", "text", "This is the content of the watched resource."),
}
TEMPLATE = "test://template/{id}/data"


async def prompts(_context, _params):
    listed = [
        {
            "name": name,
            "description": name.replace("_", " "),
            "arguments": [{"name": argument, "required": True} for argument in arguments],
        }
        for name, arguments in PROMPTS.items()
    ]
    return types.ListPromptsResult.model_validate({"prompts": listed})


async def prompt(_context, params):
    given = params.arguments or {}
    missing = [name for name in PROMPTS.get(params.name, ["name"]) if name not in given]
    if missing:
        raise MCPError(types.INVALID_PARAMS, f"{params.name}: without {', '.join(missing)}")
    match params.name:
        case "test_simple_prompt":
            said = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            named = ", ".join(f"{name}='{given[name]}'" for name in ("arg1", "arg2"))
            said = [text(f"Prompt with arguments: {named}")]
        case "test_prompt_with_embedded_resource":
            words = "Embedded resource content for testing."
            said = [
                embedded(given["resourceUri"], "text/plain", words),
                text("Please process the embedded resource above."),
            ]
        case "test_prompt_with_image":
            said = [image(), text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            answer, ask = context_of_prompt(params)
            if ask:
                return ask
            said = [text(f"A prompt in the context of {answer}.")]
    messages = [{"role": "user", "content": content} for content in said]
    return types.GetPromptResult.model_validate({"messages": messages})


async def resources(_context, _params):
    listed = [
        {"uri": uri, "name": uri, "description": f"What is at {uri}", "mimeType": kind}
        for uri, (kind, _, _) in RESOURCES.items()
    ]
    return types.ListResourcesResult.model_validate({"resources": listed})


async def templates(_context, _params):
    template = {"uriTemplate": TEMPLATE, "name": "data", "description": "The data of an id"}
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": [template]})


async def resource(_context, params):
    uri = str(params.uri)
    if found := re.fullmatch("test://template/([^/]+)/data", uri):
        data = {"id": found[1], "templateTest": True, "data": f"Data for ID: {found[1]}"}
        kind, form, content = "application/json", "text", json.dumps(data)
    elif uri in RESOURCES:
        kind, form, content = RESOURCES[uri]
    else:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    read = {"uri": uri, "mimeType": kind, form: content}
    return types.ReadResourceResult.model_validate({"contents": [read]})


async def completion(_context, params):
    words = ["paris", "park", "party", "test"]
    values = [word for word in words if word.startswith(params.argument.value)]
    found = {"values": values, "total": len(values), "hasMore": False}
    return types.CompleteResult.model_validate({"completion": found})
