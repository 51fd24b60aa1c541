use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Method;
use crate::types::{Denial, Untrusted};

/// The most elements of one batch. Above it the array itself is the attack: a megabyte of `[{},{},…]`.
const MAX_BATCH: usize = 64;

/// How much of a tool's name is kept, in characters: a name lives as long as its exchange, perhaps hours,
/// and is in nobody's account. What is longer is the name of no tool.
const MAX_TOOL: usize = 256;

/// What a request body says.
#[derive(Debug)]
pub enum Body {
    /// One message.
    One(Message),
    /// A batch, never empty. Each element counts as a call.
    Batch(Vec<Message>),
}

/// One JSON-RPC message, as far as the gateway has to know it.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its `id`, for the answer to a refusal.
    pub id: RpcId,
    /// Its `method`; `Other` for a response.
    pub method: Method,
    /// `params.name` of a `tools/call`.
    pub tool: Option<Untrusted>,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has a method and an id: someone waits for the answer.
    Request,
    /// Has a method and no id.
    Notification,
    /// Answers a request of the server.
    Response,
}

/// A request's `id` as JSON text: a string or a number of at most 256 bytes, else `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcId(Option<Box<str>>);

impl RpcId {
    /// The longest id that is echoed, in bytes of JSON.
    const MAX_BYTES: usize = 256;

    /// The id of who can't be told apart.
    pub const NULL: Self = Self(None);

    fn read(raw: &str) -> Self {
        let scalar = raw.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
        Self((scalar && raw.len() <= Self::MAX_BYTES).then(|| raw.into()))
    }

    /// The id as JSON text.
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }
}

impl Body {
    /// How many calls the body is charged for.
    pub fn cells(&self) -> std::num::NonZeroU32 {
        let count = u32::try_from(self.messages().len()).unwrap_or(u32::MAX);
        std::num::NonZeroU32::new(count).unwrap_or(std::num::NonZeroU32::MIN)
    }

    /// Every message of the body.
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }

    /// The one message; `None` for a batch.
    pub fn single(&self) -> Option<&Message> {
        match self {
            Self::One(message) => Some(message),
            Self::Batch(_) => None,
        }
    }
}

/// Reads a body.
///
/// # Errors
/// `NotJson` for what isn't one JSON text in UTF-8; `NotRpc` for JSON that isn't a JSON-RPC message
/// or a batch of 1 to 64 of them, and for a member that stands twice, which two readers would
/// resolve differently.
pub fn read(bytes: &[u8]) -> Result<Body, Denial> {
    // The whole of it, because the JSON reader doesn't look into texts that it passes over.
    let text = std::str::from_utf8(bytes).map_err(|_| Denial::NotJson)?;
    let body = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map(|Batch(messages)| Body::Batch(messages))
    } else {
        serde_json::from_str(text).map(Body::One)
    };
    body.map_err(|error| if error.is_data() { Denial::NotRpc } else { Denial::NotJson })
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<MethodText>,
    params: Option<ToolName>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// The `method`, judged where it is read.
struct MethodText(Method);

impl<'de> Deserialize<'de> for MethodText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(Method::parse)).map(Self)
    }
}

/// Reads a text without keeping it.
struct TextVisitor<F>(F);

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for TextVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// Whether a member's name is `name`.
struct IsName(bool);

impl<'de> Deserialize<'de> for IsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(|text: &str| text == "name")).map(Self)
    }
}

/// The `name` in `params`, if there is one that is a text. Whatever else stands there is read over in
/// the same pass.
struct ToolName(Option<Untrusted>);

impl<'de> Deserialize<'de> for ToolName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToolNameVisitor).map(Self)
    }
}

struct ToolNameVisitor;

impl<'de> Visitor<'de> for ToolNameVisitor {
    type Value = Option<Untrusted>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("params by name or by position")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut tool = None;
        while let Some(IsName(is_name)) = members.next_key()? {
            if !is_name {
                members.next_value::<IgnoredAny>()?;
            } else if tool.is_some() {
                return Err(serde::de::Error::duplicate_field("name"));
            } else {
                tool = Some(members.next_value::<Text>()?.0);
            }
        }
        Ok(tool.flatten())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A text, or nothing for any other value.
struct Text(Option<Untrusted>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &RawValue = Deserialize::deserialize(deserializer)?;
        let mut text = serde_json::Deserializer::from_str(raw.get());
        let tool = |text: &str| {
            let end = text.char_indices().nth(MAX_TOOL).map_or(text.len(), |(end, _)| end);
            Untrusted::new(text.get(..end).unwrap_or_default())
        };
        Ok(Self(text.deserialize_str(TextVisitor(tool)).ok()))
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::deserialize(deserializer)?;
        let answers = members.result.is_some() || members.error.is_some();
        let kind = match (&members.method, members.id.is_some()) {
            (Some(_), true) => Kind::Request,
            (Some(_), false) => Kind::Notification,
            (None, true) if answers => Kind::Response,
            (None, _) => return Err(serde::de::Error::custom("neither a call nor an answer")),
        };
        let method = members.method.map_or(Method::Other, |MethodText(method)| method);
        let tool = members.params.and_then(|ToolName(tool)| tool);
        Ok(Self {
            kind,
            id: members.id.map_or(RpcId::NULL, |raw| RpcId::read(raw.get())),
            method,
            tool: tool.filter(|_| method == Method::ToolsCall),
        })
    }
}

struct Batch(Vec<Message>);

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BatchVisitor).map(Self)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Vec<Message>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of JSON-RPC messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<Message>, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = elements.next_element()? {
            if messages.len() == MAX_BATCH {
                return Err(serde::de::Error::custom("too long a batch"));
            }
            messages.push(message);
        }
        if messages.is_empty() {
            return Err(serde::de::Error::custom("an empty batch"));
        }
        Ok(messages)
    }
}

/// A JSON-RPC error response: the id, the error's code and text, and `data` as JSON text.
pub fn error_response(id: &RpcId, code: i32, text: &str, data: &str) -> String {
    // Code and text come from a face, so they need no escaping; a test holds every face to that.
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}","data":{data}}}}}"#,
        id = id.as_json()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Message {
        match read(text.as_bytes()) {
            Ok(Body::One(message)) => message,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_call_is_known_by_its_id_method_and_tool() {
        let call =
            one(r#"{"jsonrpc":"2.0","id":"a\n","method":"tools/call","params":{"name":"x"}}"#);
        assert_eq!((call.kind, call.id.as_json()), (Kind::Request, r#""a\n""#));
        assert_eq!(call.method, Method::ToolsCall);
        assert_eq!(call.tool, Some(Untrusted::new("x")));
        assert_eq!(one(r#"{"method":"notifications/x"}"#).kind, Kind::Notification);
        assert_eq!(one(r#"{"id":1,"result":{}}"#).kind, Kind::Response);
        assert_eq!(one(r#" {"id":-1.5,"method":"tools\/list"}"#).method.as_str(), "tools/list");
    }

    #[test]
    fn of_a_long_tool_name_only_the_beginning_is_kept() {
        let name = "é".repeat(100_000);
        let call =
            one(&format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#));
        assert_eq!(call.tool, Some(Untrusted::new(&"é".repeat(MAX_TOOL))));
    }

    #[test]
    fn an_id_that_is_too_long_or_no_scalar_is_null() {
        let long = format!(r#"{{"id":"{}","method":"x"}}"#, "a".repeat(300));
        assert_eq!(one(&long).id, RpcId::NULL);
        assert_eq!(one(r#"{"id":{"a":1},"method":"x"}"#).id, RpcId::NULL);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "{", "nope", r#"{"method":"x"} {}"#, "\u{feff}{}", "{\"id\":1,}", "\u{0}"]
        {
            assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotJson, "{text}");
        }
        for bytes in [
            &b"{\"method\":\"\xff\"}"[..],
            b"{\"id\":1,\"method\":\"tools/call\",\"params\":{\"arguments\":\"\xff\"}}",
            b"{\"id\":1,\"result\":\"\xff\"}",
        ] {
            assert_eq!(read(bytes).unwrap_err(), Denial::NotJson);
        }
        let twice = r#"{"id":1,"method":"a","method":"b"}"#;
        for text in ["{}", "[]", "1", r#"{"id":1}"#, r#"{"method":1}"#, twice, r#"[{"id":1}]"#] {
            assert_eq!(read(text.as_bytes()).unwrap_err(), Denial::NotRpc, "{text}");
        }
        assert!(read("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
    }

    #[test]
    fn a_batch_is_charged_by_its_elements_and_bounded() {
        let batch = |n: usize| format!("[{}]", vec![r#"{"id":1,"method":"ping"}"#; n].join(","));
        assert_eq!(read(batch(3).as_bytes()).unwrap().cells().get(), 3);
        assert!(read(batch(64).as_bytes()).is_ok());
        assert_eq!(read(batch(65).as_bytes()).unwrap_err(), Denial::NotRpc);
    }
}
