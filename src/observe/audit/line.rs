use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::value::RawValue;

use super::{AuditedCall, Named, Noted, Operation};
use crate::observe::{
    line::{Line, LogFormat, Opening},
    record::Record,
    redact::MASK,
};

/// What a record of the audit tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuditEvent {
    /// A call is about to go upstream.
    Begun,
    /// A call has ended, or was refused.
    Call,
}

/// Appends a record as one JSON object, without a line feed. Absent fields are left out.
pub(super) fn write(
    out: &mut Vec<u8>,
    (event, ts): (AuditEvent, jiff::Timestamp),
    record: &Record,
    call: &AuditedCall,
) {
    let word = match event {
        AuditEvent::Begun => "begun",
        AuditEvent::Call => "call",
    };
    let opening = Opening { ts, level: "info", event: word };
    let mut line = Line::open(out, LogFormat::Json, &opening);
    record.write_who(&mut line);
    match &call.named {
        Named::Tool(name) => line.field("tool", &name.shown()),
        Named::Prompt(name) => line.field("prompt", &name.shown()),
        Named::Resource(name) => line.field("resource", &name.shown()),
        Named::Nothing => {}
    }
    line.plain("mcp_method", call.method);
    if let Some(id) = &call.rpc_id {
        line.field("rpc_id", &id.shown());
    }
    if event == AuditEvent::Call {
        line.plain("outcome", record.outcome.as_str());
        if let Some(reason) = record.reason {
            line.plain("reason", reason);
        }
        if let Some(status) = record.status {
            line.number("status", status);
        }
        line.milliseconds("duration_ms", record.duration);
    }
    if !call.arguments.is_empty() {
        line.field("arguments", &Arguments(call));
    }
    if call.is_partial {
        line.field("partial", &true);
    }
    if let Some(digest) = call.digest {
        line.written("digest", |out| out.extend_from_slice(&digest.digits()));
    }
    if let Some(upstream) = &record.upstream {
        line.plain("upstream", upstream.as_str());
    }
    line.close();
}

/// Appends what an operator has done, in the same manner.
pub(super) fn write_operation(out: &mut Vec<u8>, ts: jiff::Timestamp, done: &Operation<'_>) {
    let opening = Opening { ts, level: "info", event: "operator" };
    let mut line = Line::open(out, LogFormat::Json, &opening);
    line.plain("what", done.what);
    line.plain("selector", done.selector);
    line.field("value", &done.value);
    line.number("ended", done.ended);
    line.close();
}

/// The chosen arguments, by pointer; what a `*` leads to is a list.
struct Arguments<'c>(&'c AuditedCall);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = &self.0.arguments;
        let mut map = serializer.serialize_map(None)?;
        for (index, (pointer, noted)) in all.iter().enumerate() {
            if all.iter().take(index).any(|(before, _)| before == pointer) {
                continue;
            }
            if pointer.split('/').any(|part| part == "*") {
                map.serialize_entry(&**pointer, &Each(all, pointer))?;
            } else {
                map.serialize_entry(&**pointer, noted)?;
            }
        }
        map.end()
    }
}

/// All that one pointer led to.
struct Each<'c>(&'c [(std::sync::Arc<str>, Noted)], &'c str);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (_, noted) in self.0.iter().filter(|(pointer, _)| **pointer == *self.1) {
            list.serialize_element(noted)?;
        }
        list.end()
    }
}

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = |serializer: S, kind: &str, size: &[(&str, usize)]| {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("kind", kind)?;
            for (name, size) in size {
                map.serialize_entry(name, size)?;
            }
            map.end()
        };
        match self {
            Self::Text { begins, bytes } if begins.len() == *bytes => {
                serializer.serialize_str(&in_one_line(begins))
            }
            Self::Text { begins, bytes } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("kind", "text")?;
                map.serialize_entry("bytes", bytes)?;
                map.serialize_entry("begins", &in_one_line(begins))?;
                map.end()
            }
            // It was read as JSON, so it is JSON.
            Self::Plain(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(raw) => raw.serialize(serializer),
                Err(_) => serializer.serialize_str(text),
            },
            Self::Array(count) => kind(serializer, "array", &[("items", *count)]),
            Self::Object => kind(serializer, "object", &[]),
            Self::Masked => serializer.serialize_str(MASK),
        }
    }
}

/// A text as it came, but for what JSON leaves alone and readers of lines don't: other ends of lines,
/// what drives a terminal, and what turns the direction of writing round.
fn in_one_line(text: &str) -> String {
    let odd = |c: char| {
        (c.is_control() && c > '\u{1f}')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if odd(c) { '?' } else { c }).collect()
}
