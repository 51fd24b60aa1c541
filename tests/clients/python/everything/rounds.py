"""What needs its client's answers, and takes them in a later round of the same call (2026-07-28)."""

from asking import ROOTS, answers, elicitation, needs, question, sampling


def greeting(_context, params):
    given = answers(params, "user_name")
    if given is None:
        return needs(user_name=question("What is your name?", "name"))
    return f"Hello, {given[0].content['name']}!"


def capital(_context, params):
    given = answers(params, "capital_question")
    if given is None:
        return needs(capital_question=sampling("What is the capital of France?"))
    return given[0].content.text


def roots(_context, params):
    given = answers(params, "client_roots")
    if given is None:
        return needs(client_roots=ROOTS)
    return f"Roots: {', '.join(str(root.uri) for root in given[0].roots)}"


def confirmed(_context, params):
    if answers(params, "confirm") is None or params.request_state != "to be confirmed":
        return needs("to be confirmed", confirm=question("Please confirm", "ok", "boolean"))
    return "state-ok"


def several(_context, params):
    if answers(params, "user_name", "greeting", "client_roots") is None:
        return needs(
            "asked all three",
            user_name=question("What is your name?", "name"),
            greeting=sampling("Generate a greeting", 50),
            client_roots=ROOTS,
        )
    return "All three were answered."


def steps(_context, params):
    if params.request_state == "second" and answers(params, "step2"):
        return "Both steps were answered."
    if params.request_state == "first" and answers(params, "step1"):
        return needs("second", step2=question("Step 2: What is your favorite color?", "color"))
    return needs("first", step1=question("Step 1: What is your name?", "name"))


def capable(context, _params):
    """Asks only for what the client said that it can do."""
    can = context.session.client_capabilities
    requests = {}
    if can.sampling is not None:
        requests["sample"] = sampling("Say something")
    if can.elicitation is not None:
        requests["choice"] = elicitation("Choose something")
    return needs(**requests) if requests else "There is nobody to ask."


def context_of_prompt(params):
    """The answer that a prompt asks for, or the result that asks for it."""
    given = answers(params, "user_context")
    if given is None:
        asked = question("What context should the prompt use?", "context")
        return None, needs(user_context=asked)
    return given[0].content["context"], None


TOOLS = {
    "test_input_required_result_elicitation": greeting,
    "test_input_required_result_sampling": capital,
    "test_input_required_result_list_roots": roots,
    "test_input_required_result_request_state": confirmed,
    "test_input_required_result_tampered_state": confirmed,
    "test_input_required_result_multiple_inputs": several,
    "test_input_required_result_multi_round": steps,
    "test_input_required_result_capabilities": capable,
    "test_streaming_elicitation": greeting,
}
