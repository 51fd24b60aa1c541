//! Four tools: three in the shape of Postiz's own, and one that takes its time.

use serde_json::{Value, json};

/// The largest `from` of `countdown`: a minute is enough to watch.
const MAX_COUNT: u64 = 200;

/// What a call comes to.
pub(super) struct Call {
    /// Notifications on the way.
    pub(super) steps: Vec<Value>,
    /// The tool's result.
    pub(super) result: Value,
}

/// The result of `tools/list`.
pub(super) fn list() -> Value {
    let text = json!({"type": "string"});
    let post = json!({
        "type": "object",
        "properties": {
            "integrationId": text,
            "type": {"type": "string", "enum": ["draft", "schedule", "now"]},
            "content": text,
        },
        "required": ["integrationId", "type", "content"],
    });
    json!({"tools": [
        {
            "name": "integrationList",
            "description": "Lists the social accounts that are connected.",
            "inputSchema": {"type": "object", "properties": {}},
            "annotations": {"readOnlyHint": true},
        },
        {
            "name": "integrationSchema",
            "description": "Says what a post on one platform may hold.",
            "inputSchema": {
                "type": "object",
                "properties": {"platform": text},
                "required": ["platform"],
            },
            "annotations": {"readOnlyHint": true},
        },
        {
            "name": "integrationSchedulePostTool",
            "description": "Keeps posts as drafts. This server publishes nothing.",
            "inputSchema": {
                "type": "object",
                "properties": {"socialPost": {"type": "array", "items": post}},
                "required": ["socialPost"],
            },
            "annotations": {"destructiveHint": true, "openWorldHint": true},
        },
        {
            "name": "countdown",
            "description": "Counts down, one event each 300 ms, to show that a stream isn't held.",
            "inputSchema": {
                "type": "object",
                "properties": {"from": {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}},
            },
            "annotations": {"readOnlyHint": true},
        },
    ]})
}

/// Calls a tool; `None` where there is none of that name.
pub(super) fn call(params: &Value) -> Option<Call> {
    let nothing = Value::Null;
    let arguments = params.get("arguments").unwrap_or(&nothing);
    match params.get("name").and_then(Value::as_str)? {
        "integrationList" => Some(at_once(&json!([
            {"id": "demo-x", "name": "Example on X", "platform": "x", "disabled": false},
            {"id": "demo-linkedin", "name": "Example on LinkedIn", "platform": "linkedin", "disabled": false},
        ]))),
        "integrationSchema" => Some(schema(arguments)),
        "integrationSchedulePostTool" => Some(draft(arguments)),
        "countdown" => Some(countdown(params, arguments)),
        _ => None,
    }
}

fn at_once(value: &Value) -> Call {
    Call { steps: Vec::new(), result: content(&value.to_string(), false) }
}

fn failed(text: &str) -> Call {
    Call { steps: Vec::new(), result: content(text, true) }
}

fn content(text: &str, is_error: bool) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": is_error})
}

fn schema(arguments: &Value) -> Call {
    let longest = match arguments.get("platform").and_then(Value::as_str) {
        Some("x") => 280,
        Some("linkedin") => 3000,
        _ => return failed("No account of this platform is connected."),
    };
    at_once(&json!({"maxLength": longest, "settings": {"type": "object", "properties": {}}}))
}

fn draft(arguments: &Value) -> Call {
    let posts = arguments.get("socialPost").and_then(Value::as_array);
    let Some(posts) = posts.filter(|posts| !posts.is_empty()) else {
        return failed("socialPost must hold at least one post.");
    };
    let drafts_only = |post: &Value| post.get("type").and_then(Value::as_str) == Some("draft");
    if !posts.iter().all(drafts_only) {
        return failed("This server keeps drafts only: type must be draft.");
    }
    let kept: Vec<_> = (1..=posts.len())
        .map(|number| json!({"postId": format!("draft-{number}"), "state": "DRAFT"}))
        .collect();
    at_once(&Value::Array(kept))
}

/// Progress where the client gave a token for it, else log messages: a notification of progress
/// without a token means nothing.
fn countdown(params: &Value, arguments: &Value) -> Call {
    let from = arguments.get("from").and_then(Value::as_u64).unwrap_or(5).clamp(1, MAX_COUNT);
    let token = params.get("_meta").and_then(|meta| meta.get("progressToken"));
    let step = |left: u64| match token {
        Some(token) => json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {
                "progressToken": token,
                "progress": from - left + 1,
                "total": from,
                "message": left.to_string(),
            },
        }),
        None => json!({
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": "info", "logger": "countdown", "data": left.to_string()},
        }),
    };
    Call { steps: (1..=from).rev().map(step).collect(), result: content("Lift-off.", false) }
}
