use std::collections::BTreeMap;

use portcullis::mcp::{self, Message};
use serde_json::{Value, value::RawValue};

/// What is taken for JSON-RPC is JSON, an id that is echoed stays one JSON scalar, and a reader that
/// keeps the whole tree finds the same method and tool. Compared with the grammar first: a number
/// out of range and half a surrogate pair are JSON (RFC 8259).
pub(crate) fn json_rpc(bytes: &[u8]) {
    let Ok(body) = mcp::read(bytes) else { return };
    assert!(serde_json::from_slice::<&RawValue>(bytes).is_ok(), "taken, but no JSON");
    assert!((1..=64).contains(&body.messages().len()));
    body.messages().iter().for_each(echoes);
    match serde_json::from_slice(bytes) {
        Ok(Value::Array(values)) => {
            assert_eq!(values.len(), body.messages().len());
            values.iter().zip(body.messages()).for_each(|(value, message)| same(value, message));
        }
        Ok(value) => body.messages().iter().for_each(|message| same(&value, message)),
        Err(_) => {}
    }
}

fn echoes(message: &Message) {
    let answer = mcp::error_response(&message.id, 4290, "text", "{}");
    let Ok(answer) = serde_json::from_str::<BTreeMap<&str, &RawValue>>(&answer) else {
        panic!("{} breaks the answer", message.id.as_json());
    };
    let id = answer.get("id").map_or("", |id| id.get());
    assert!(id == "null" || !id.starts_with(['{', '[', 't', 'f', 'n']), "{id}");
    assert_eq!(answer.len(), 3, "an id that adds members");
}

fn same(value: &Value, message: &Message) {
    let method = value.get("method").and_then(Value::as_str);
    assert_eq!(message.method, method.map_or(mcp::Method::Other, mcp::Method::parse));
    let tool = value.pointer("/params/name").and_then(Value::as_str);
    let tool = tool.filter(|_| message.method == mcp::Method::ToolsCall);
    assert_eq!(message.tool().map(portcullis::types::Untrusted::as_str), tool);
    // A number is echoed as it was written; a text may be compared.
    let id = value.get("id").filter(|id| id.is_string());
    if let Some(id) = id.filter(|_| message.id.as_json() != "null") {
        let echoed = serde_json::from_str::<Value>(message.id.as_json());
        assert!(echoed.is_ok_and(|echoed| echoed == *id), "another id than {id}");
    }
}
