"""The tools: each is a function of the call's context and parameters, and what it returns is said."""

import asyncio
import inspect

import mcp_types as types
from mcp.server.subscriptions import InMemorySubscriptionBus, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError

import rounds
import schemas
from asking import ask, elicitation, sampling
from content import audio, embedded, image, text

# Where those are told that listen for changes of the lists.
CHANGES = InMemorySubscriptionBus()
PAUSE_SECONDS = 0.05


def simple(_context, _params):
    return "This is a simple text response for testing."


def picture(_context, _params):
    return [image()]


def sound(_context, _params):
    return [audio()]


def resource(_context, _params):
    words = "This is an embedded resource content."
    return [embedded("test://embedded-resource", "text/plain", words)]


def mixture(_context, _params):
    data = '{"test":"data","value":123}'
    return [
        text("Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", "application/json", data),
    ]


def failure(_context, _params):
    return types.CallToolResult.model_validate(
        {
            "isError": True,
            "content": [text("This tool intentionally returns an error for testing")],
        }
    )


async def talk(context, _params):
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", words, related_request_id=context.request_id)
        await asyncio.sleep(PAUSE_SECONDS)
    return "It has said all that it had to say."


async def progress(context, _params):
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await asyncio.sleep(PAUSE_SECONDS)
    return "It is done."


async def sample(context, params):
    answer = await ask(context, sampling(params.arguments["prompt"]), types.CreateMessageResult)
    return f"LLM response: {answer.content.text}"


async def elicit(context, params):
    words = {"type": "string", "description": "What the user says"}
    request = elicitation(
        params.arguments["message"], ["username", "email"], username=words, email=words
    )
    return f"User response: {told(await ask(context, request, types.ElicitResult))}"


async def elicit_defaults(context, _params):
    request = elicitation("Is this right?", **schemas.DEFAULTS)
    return f"Elicitation completed: {told(await ask(context, request, types.ElicitResult))}"


async def elicit_choices(context, _params):
    request = elicitation("Which of these?", **schemas.CHOICES)
    return f"Elicitation completed: {told(await ask(context, request, types.ElicitResult))}"


def told(answer):
    return f"action={answer.action}, content={answer.content}"


async def reconnection(context, _params):
    """Leaves its client in the middle of the call, which comes again for the rest."""
    await context.close_sse_stream()
    await asyncio.sleep(PAUSE_SECONDS)
    return "The client came again."


def missing_capability(context, _params):
    if context.session.client_capabilities.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        code = types.MISSING_REQUIRED_CLIENT_CAPABILITY
        raise MCPError(code, "The client has to be capable of sampling", needed)
    return "The client is capable of sampling."


async def change_tools(_context, _params):
    await CHANGES.publish(ToolsListChanged())
    return "Those who listen are told of the tools."


async def change_prompts(_context, _params):
    await CHANGES.publish(PromptsListChanged())
    return "Those who listen are told of the prompts."


def received(_context, params):
    return f"Received: {params.arguments}"


# The first is called without arguments by what tests the heads of calls.
TOOLS = {
    "test_simple_text": simple,
    "test_image_content": picture,
    "test_audio_content": sound,
    "test_embedded_resource": resource,
    "test_multiple_content_types": mixture,
    "test_error_handling": failure,
    "test_tool_with_logging": talk,
    "test_logging_tool": talk,
    "test_tool_with_progress": progress,
    "test_sampling": sample,
    "test_elicitation": elicit,
    "test_elicitation_sep1034_defaults": elicit_defaults,
    "test_elicitation_sep1330_enums": elicit_choices,
    "test_reconnection": reconnection,
    "test_missing_capability": missing_capability,
    "test_trigger_tool_change": change_tools,
    "test_trigger_prompt_change": change_prompts,
    "json_schema_2020_12_tool": received,
    "test_mirrored_argument": received,
    **rounds.TOOLS,
}


async def listed(_context, _params):
    tools = [
        {
            "name": name,
            "description": name.replace("_", " "),
            "inputSchema": schemas.ARGUMENTS.get(name, schemas.NO_ARGUMENTS),
        }
        for name in TOOLS
    ]
    return types.ListToolsResult.model_validate({"tools": tools})


async def called(context, params):
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    result = TOOLS[params.name](context, params)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, str):
        result = [text(result)]
    if isinstance(result, list):
        result = types.CallToolResult.model_validate({"content": result})
    return result
