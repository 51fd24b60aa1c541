//! One JSON-RPC message, or a batch, becomes its answer. Nothing here knows of a transport.

use std::time::Duration;

use serde_json::{Value, json};

use super::tools;

/// The time between two steps of an answer.
pub(super) const STEP_INTERVAL: Duration = Duration::from_millis(300);

/// Protocol versions that are spoken.
pub(super) const VERSIONS: [&str; 5] =
    ["2024-10-07", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// What a message is answered by.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Notifications that come first, one an interval.
    pub(super) steps: Vec<Value>,
    /// The response; `None` for a notification.
    pub(super) last: Option<Value>,
}

/// The body isn't JSON-RPC.
#[derive(Debug)]
pub(super) struct NotRpc;

/// Answers a body.
pub(super) fn answer(body: &[u8]) -> Result<Answer, NotRpc> {
    match serde_json::from_slice(body).map_err(|_| NotRpc)? {
        Value::Array(batch) => {
            let answers = batch.iter().map(answer_one).collect::<Result<Vec<_>, _>>()?;
            // The steps of a batch have no one place to go to; its answers have.
            let last: Vec<_> = answers.into_iter().filter_map(|answer| answer.last).collect();
            let last = (!last.is_empty()).then_some(Value::Array(last));
            Ok(Answer { steps: Vec::new(), last })
        }
        message => answer_one(&message),
    }
}

fn answer_one(message: &Value) -> Result<Answer, NotRpc> {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    if text("jsonrpc") != Some("2.0") {
        return Err(NotRpc);
    }
    let (Some(method), Some(id)) = (text("method"), message.get("id")) else {
        return Ok(Answer::default());
    };
    let params = message.get("params").unwrap_or(&Value::Null);
    let (steps, outcome) = match method {
        "initialize" => (Vec::new(), Ok(initialize(params))),
        "ping" => (Vec::new(), Ok(json!({}))),
        "tools/list" => (Vec::new(), Ok(tools::list())),
        "tools/call" => match tools::call(params) {
            Some(call) => (call.steps, Ok(call.result)),
            None => (Vec::new(), Err((-32602, "Unknown tool"))),
        },
        _ => (Vec::new(), Err((-32601, "Method not found"))),
    };
    let last = match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, message)) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
        }
    };
    Ok(Answer { steps, last: Some(last) })
}

/// The client's version where it is spoken, else the newest.
fn initialize(params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let version = VERSIONS.into_iter().find(|version| asked == Some(version));
    json!({
        "protocolVersion": version.unwrap_or("2025-11-25"),
        "capabilities": {"tools": {}, "logging": {}},
        "serverInfo": {"name": "Postiz", "version": "2.0.0"},
    })
}
