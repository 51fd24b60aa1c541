//! What the head of a request says of its body: the version of the protocol, and from 2026-07-28 on
//! the method and the name, so that a proxy can route without reading. They are a client's word, so
//! they are held against the body and never trusted (SEP-2243, *Trusting Header Values*).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Body, Kind, Message, Method, Subject};

/// The first version without sessions, whose requests mirror their body in the head.
const MIRRORING: &str = "2026-07-28";

/// The versions that have batches. A request without a version is of 2025-03-26.
const WITH_BATCHES: [&str; 2] = ["2024-11-05", "2025-03-26"];

/// One field of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'h> {
    /// It isn't there.
    Absent,
    /// Its value.
    One(&'h [u8]),
    /// It is there more than once: two readers would take two values.
    Several,
}

/// The fields that speak of the body.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'h> {
    /// `MCP-Protocol-Version`
    pub version: Line<'h>,
    /// `Mcp-Method`
    pub method: Line<'h>,
    /// `Mcp-Name`
    pub name: Line<'h>,
}

impl<'h> Heads<'h> {
    /// Whether the request is of a version that mirrors the body in the head, and has no sessions.
    pub fn mirror(&self) -> bool {
        matches!(self.version, Line::One(version) if is_mirroring(version))
    }

    /// Whether the version has batches.
    pub fn have_batches(&self) -> bool {
        match self.version {
            Line::Absent => true,
            Line::One(version) => WITH_BATCHES.iter().any(|with| with.as_bytes() == version),
            Line::Several => false,
        }
    }

    /// Whether the head says of the body what the body says itself (2026-07-28, *Server
    /// Validation*). An older version has to say nothing, and may not say anything else.
    pub fn agree_with(&self, body: &Body) -> bool {
        let silent = self.method == Line::Absent && self.name == Line::Absent;
        match body {
            Body::One(message) => self.agree_on_version(message) && self.agree_on_call(message),
            Body::Batch(messages) => {
                silent && messages.iter().all(|message| self.agree_on_version(message))
            }
        }
    }

    fn agree_on_version(&self, message: &Message) -> bool {
        let said = message.version.as_ref().map(|version| version.as_str().as_bytes());
        match (self.version, said) {
            (Line::Several, _) => false,
            (Line::One(version), Some(said)) => version == said,
            // Nobody can go by what the head doesn't say. Python's SDK leaves it out on the legacy transport; a
            // server that wants it in both refuses it itself, and a body without it is no mismatch
            // but -32602 there.
            (Line::Absent, _) | (Line::One(_), None) => true,
        }
    }

    fn agree_on_call(&self, message: &Message) -> bool {
        let required = self.mirror() && message.kind == Kind::Request;
        let method = match self.method {
            Line::Absent => !required,
            Line::One(method) => method == message.method_text().as_bytes(),
            Line::Several => false,
        };
        let name = match self.name {
            Line::Absent => !(required && has_mirrored_name(message)),
            Line::One(name) => agree_on_name(name, message),
            Line::Several => false,
        };
        method && name
    }
}

/// Versions are dates, so they are ordered as texts.
fn is_mirroring(version: &[u8]) -> bool {
    let digit_or_dash = |(at, byte): (usize, &u8)| {
        if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() }
    };
    let is_date = version.len() == MIRRORING.len() && version.iter().enumerate().all(digit_or_dash);
    is_date && version >= MIRRORING.as_bytes()
}

/// Whether the name has to be in the head.
fn has_mirrored_name(message: &Message) -> bool {
    match message.method {
        Method::ToolsCall | Method::PromptsGet => true,
        // No version that mirrors has it any more (SEP-2663).
        Method::Task(name) => name != "tasks/result",
        Method::Resource(name) => name == "resources/read",
        _ => false,
    }
}

fn agree_on_name(written: &[u8], message: &Message) -> bool {
    let name = match &message.subject {
        Subject::Tool(name) | Subject::Prompt(name) | Subject::Resource(name) => name,
        Subject::Template(name) | Subject::Task(name) => name,
        // Of a method that nobody knows it isn't known what its name would be.
        Subject::Nothing => return message.method == Method::Other,
        Subject::Resources(_) => return false,
    };
    // What no field can hold is in base64 between marks (*Value Encoding*); the marks are exact.
    let encoded = written.strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?="));
    match encoded {
        None => written == name.as_str().as_bytes(),
        Some(encoded) => {
            STANDARD.decode(encoded).is_ok_and(|decoded| decoded == name.as_str().as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp;

    fn heads<'h>(version: &'h str, method: &'h str, name: &'h str) -> Heads<'h> {
        let line = |text: &'h str| match text {
            "" => Line::Absent,
            text => Line::One(text.as_bytes()),
        };
        Heads { version: line(version), method: line(method), name: line(name) }
    }

    fn call(method: &str, params: &str, version: &str) -> Body {
        let meta = match version {
            "" => "{}".to_owned(),
            version => format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{version}"}}"#),
        };
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{meta},{params}}}}}"#
        );
        mcp::read(text.as_bytes()).unwrap()
    }

    const NEW: &str = "2026-07-28";

    #[test]
    fn from_2026_07_28_on_the_head_mirrors_the_body() {
        let tool = call("tools/call", r#""name":"é x""#, NEW);
        let encoded = "=?base64?w6kgeA==?=";
        assert!(heads(NEW, "tools/call", encoded).agree_with(&tool));
        for (version, method, name) in [
            ("2025-11-25", "tools/call", encoded),
            ("2026-07-29", "tools/call", encoded),
            (NEW, "", encoded),
            (NEW, "tools/list", encoded),
            (NEW, "TOOLS/CALL", encoded),
            (NEW, "tools/call", ""),
            (NEW, "tools/call", "other"),
            (NEW, "tools/call", "=?BASE64?w6kgeA==?="),
            (NEW, "tools/call", "=?base64?w6kgeA?="),
            (NEW, "tools/call", "=?base64?w6kgeA==?"),
            (NEW, "tools/call", "=?base64?!?="),
        ] {
            assert!(!heads(version, method, name).agree_with(&tool), "{version} {method} {name}");
        }
        assert!(heads("", "", "").agree_with(&tool), "nothing is said, so nothing else");
        let later = call("resources/read", r#""uri":"a://b""#, "2027-01-01");
        assert!(heads("2027-01-01", "resources/read", "a://b").agree_with(&later));
        let own = call("vendor/x", r#""name":"a""#, NEW);
        assert!(heads(NEW, "vendor/x", "anything").agree_with(&own));
        assert!(!heads(NEW, "vendor/y", "").agree_with(&own));
        let twice = Heads { name: Line::Several, ..heads(NEW, "tools/call", "") };
        assert!(!twice.agree_with(&tool));
    }

    #[test]
    fn an_older_head_need_not_say_anything_and_may_not_say_otherwise() {
        let tool = call("tools/call", r#""name":"a""#, "");
        for version in ["", "2024-11-05", "2025-06-18", "nonsense", "9999-99-9x"] {
            assert!(heads(version, "", "").agree_with(&tool), "{version}");
            assert!(heads(version, "tools/call", "a").agree_with(&tool));
            assert!(!heads(version, "tools/list", "").agree_with(&tool));
            assert!(!heads(version, "tools/call", "b").agree_with(&tool));
        }
        // The server says so, in words of its own: -32602.
        assert!(heads(NEW, "tools/call", "a").agree_with(&tool), "its body names no version");
        assert!(!heads(NEW, "tools/call", "b").agree_with(&tool));
        let removed = call("tasks/result", r#""taskId":"a""#, NEW);
        assert!(heads(NEW, "tasks/result", "").agree_with(&removed), "it mirrors nothing");
        let list = call("tools/list", r#""x":1"#, "");
        assert!(!heads("", "tools/list", "a").agree_with(&list), "a list has no name");
    }

    #[test]
    fn a_single_later_date_mirrors_and_has_no_sessions() {
        for later in ["2026-07-28", "2026-12-01", "2027-01-01"] {
            assert!(heads(later, "", "").mirror(), "{later}");
        }
        let twice = Heads { version: Line::Several, ..heads("", "", "") };
        assert!(!twice.mirror());
        for other in ["2024-11-05", "2026-07-27", "", "DRAFT-2026", "2026-07-28-x", "2026x07x28"] {
            assert!(!heads(other, "", "").mirror(), "{other}");
        }
        let empty = Heads { version: Line::One(b""), ..heads("", "", "") };
        assert!(!empty.mirror());
    }

    #[test]
    fn batches_are_of_two_versions_and_mirror_nothing() {
        let batch = mcp::read(br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#).unwrap();
        for (version, has) in [("", true), ("2024-11-05", true), ("2025-03-26", true)] {
            assert_eq!(heads(version, "", "").have_batches(), has);
            assert!(heads(version, "", "").agree_with(&batch));
            assert!(!heads(version, "ping", "").agree_with(&batch));
        }
        for version in ["2025-06-18", "2025-11-25", NEW, "x"] {
            assert!(!heads(version, "", "").have_batches(), "{version}");
        }
    }
}
