"""The schemas that scenarios look at: of the tools' arguments, and of what is asked of the client."""

NO_ARGUMENTS = {"type": "object", "properties": {}}

ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}


def strings(*names, **more):
    properties = {name: {"type": "string"} for name in names} | more
    return {"type": "object", "properties": properties}


# By name of the tool; what isn't here takes none.
ARGUMENTS = {
    "test_sampling": strings("prompt") | {"required": ["prompt"]},
    "test_elicitation": strings("message") | {"required": ["message"]},
    # A client of 2026-07-28 repeats it in `Mcp-Param-Region`.
    "test_mirrored_argument": strings(region={"type": "string", "x-mcp-header": "Region"}),
    "json_schema_2020_12_tool": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"address": ADDRESS},
        **strings(
            "name",
            "phone",
            "email",
            address={"$ref": "#/$defs/address"},
            contactMethod={"type": "string", "enum": ["phone", "email"]},
        ),
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {
            "properties": {"contactMethod": {"const": "phone"}},
            "required": ["contactMethod"],
        },
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
}

DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {
        "type": "string",
        "enum": ["active", "inactive", "pending"],
        "default": "active",
    },
    "verified": {"type": "boolean", "default": True},
}

PLAIN = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]

CHOICES = {
    "untitledSingle": {"type": "string", "enum": PLAIN},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": PLAIN}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}
