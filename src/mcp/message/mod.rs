//! A JSON-RPC message, as far as the gateway has to know it.

mod params;

use std::{num::NonZeroU32, ops::Range};

use params::{MAX_JUDGED, Params};

use super::{
    Method,
    json::{Bounds, Fault, Json, Sort},
};
use crate::types::{Denial, Untrusted, fold};

/// The most elements of one batch. Above it the array itself is the attack: a megabyte of `[{},{},…]`.
const MAX_BATCH: usize = 64;

/// How much of a name outlives its judgement, in characters: an exchange takes hours perhaps, and
/// no account of memory has the name. What is longer is the name of no tool.
const MAX_KEPT: usize = 256;

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
    /// The name of a method that no version has.
    unheard_of: Option<Untrusted>,
    /// What it asks for by name.
    pub subject: Subject,
    /// The protocol version that `params._meta` names, from 2026-07-28 on.
    pub version: Option<Untrusted>,
    /// Where `params.arguments` stands in the body.
    pub arguments: Option<Range<usize>>,
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

/// What a message asks for by name. A method that has to name something and doesn't asks for
/// `Nothing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing that has a name.
    Nothing,
    /// `params.name` of `tools/call`.
    Tool(Untrusted),
    /// `params.name` of `prompts/get`, and a prompt that is to be completed.
    Prompt(Untrusted),
    /// `params.uri`.
    Resource(Untrusted),
    /// The template of resources that is to be completed.
    Template(Untrusted),
    /// `params.notifications.resourceSubscriptions` of `subscriptions/listen`.
    Resources(Vec<Untrusted>),
    /// `params.taskId`.
    Task(Untrusted),
}

/// A request's `id` as JSON text: a string or a number of at most 256 bytes, else `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcId(Option<Box<str>>);

impl RpcId {
    /// The longest id that is echoed, in bytes of JSON.
    pub(crate) const MAX_BYTES: usize = 256;

    /// The id where none could be read.
    pub const NULL: Self = Self(None);

    pub(crate) fn new(raw: &str) -> Self {
        Self((raw.len() <= Self::MAX_BYTES).then(|| raw.into()))
    }

    /// The id as JSON text.
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }
}

impl Body {
    /// How many calls the body is charged for.
    pub fn cells(&self) -> NonZeroU32 {
        let count = u32::try_from(self.messages().len()).unwrap_or(u32::MAX);
        NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
    }

    /// Every message of the body.
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }

    /// The method, from a closed list; of a batch `batch`.
    pub fn method(&self) -> &'static str {
        self.single().map_or("batch", |message| message.method.as_str())
    }

    /// The one message; `None` for a batch.
    pub fn single(&self) -> Option<&Message> {
        match self {
            Self::One(message) => Some(message),
            Self::Batch(_) => None,
        }
    }

    /// Lets go of what was only there to be judged.
    pub fn settle(&mut self) {
        let messages = match self {
            Self::One(message) => std::slice::from_mut(message),
            Self::Batch(messages) => messages.as_mut_slice(),
        };
        messages.iter_mut().for_each(Message::settle);
    }
}

impl Message {
    /// The name of its method, as it was written.
    pub fn method_text(&self) -> &str {
        self.unheard_of.as_ref().map_or(self.method.as_str(), Untrusted::as_str)
    }

    /// The tool that it calls.
    pub const fn tool(&self) -> Option<&Untrusted> {
        match &self.subject {
            Subject::Tool(name) => Some(name),
            _ => None,
        }
    }

    /// Its arguments, in the body that it was read from.
    pub fn arguments_in<'b>(&self, body: &'b [u8]) -> Option<&'b str> {
        std::str::from_utf8(body.get(self.arguments.clone()?)?).ok()
    }

    /// The tool or the prompt that it names.
    pub const fn named(&self) -> Option<&Untrusted> {
        match &self.subject {
            Subject::Tool(name) | Subject::Prompt(name) => Some(name),
            _ => None,
        }
    }

    fn settle(&mut self) {
        self.version = None;
        self.unheard_of = None;
        match &mut self.subject {
            Subject::Tool(name) | Subject::Prompt(name) => {
                if let Some((end, _)) = name.as_str().char_indices().nth(MAX_KEPT) {
                    *name = Untrusted::new(name.as_str().get(..end).unwrap_or_default());
                }
            }
            subject => *subject = Subject::Nothing,
        }
    }
}

/// Reads a body.
///
/// # Errors
/// `NotJson` for what isn't one JSON text in UTF-8; `NotRpc` for JSON that isn't a JSON-RPC message
/// or a batch of 1 to 64 of them, and for what two readers could read differently: a member that
/// stands twice, or in another case; a number, a depth or an object beyond every need.
pub fn read(bytes: &[u8]) -> Result<Body, Denial> {
    // The whole of it: what is passed over is passed on.
    let text = std::str::from_utf8(bytes).map_err(|_| Denial::NotJson)?;
    read_text(text).map_err(|fault| match fault {
        Fault::NotJson => Denial::NotJson,
        Fault::Doubtful => Denial::NotRpc,
    })
}

fn read_text(text: &str) -> Result<Body, Fault> {
    let mut json = Json::new(text, Bounds::REQUEST);
    let body = match json.sort()? {
        Sort::Object => Message::read(&mut json).map(Body::One)?,
        Sort::Array => Body::Batch(batch(&mut json)?),
        Sort::Text | Sort::Number | Sort::Word => {
            json.skip()?;
            json.end()?;
            return Err(Fault::Doubtful);
        }
    };
    json.end()?;
    Ok(body)
}

fn batch(json: &mut Json<'_>) -> Result<Vec<Message>, Fault> {
    let mut messages = Vec::new();
    json.array(|json| {
        if messages.len() == MAX_BATCH || json.sort()? != Sort::Object {
            return Err(Fault::Doubtful);
        }
        messages.push(Message::read(json)?);
        Ok(())
    })?;
    // 2025-03-26 starts a session outside of batches: what is refused with it would be half a start.
    let starts = messages.iter().any(|message| message.method == Method::Initialize);
    if messages.is_empty() || starts { Err(Fault::Doubtful) } else { Ok(messages) }
}

/// The members of a message (JSON-RPC 2.0, 4 and 5), as they are met.
#[derive(Default)]
struct Members<'a> {
    is_rpc: bool,
    id: Option<&'a str>,
    method: Option<Method>,
    unheard_of: Option<Untrusted>,
    params: Params<'a>,
    has_params: bool,
    has_result: bool,
    has_error: bool,
}

impl<'a> Members<'a> {
    fn take(&mut self, json: &mut Json<'a>, name: &str) -> Result<(), Fault> {
        match name {
            "jsonrpc" => self.is_rpc = json.text_or_skip()?.is_some_and(|text| text == "2.0"),
            "id" => {
                let scalar = matches!(json.sort()?, Sort::Text | Sort::Number);
                let place = json.skip()?;
                let null = json.at(place.clone()) == "null";
                if !scalar && !null {
                    return Err(Fault::Doubtful);
                }
                self.id = Some(json.at(place));
            }
            "method" => {
                let method = json.text_or_skip()?.filter(|method| method.len() <= MAX_JUDGED);
                let method = method.ok_or(Fault::Doubtful)?;
                let read = Method::parse(&method);
                self.unheard_of = (read == Method::Other).then(|| Untrusted::new(&method));
                self.method = Some(read);
            }
            "params" => {
                self.has_params = true;
                self.params = Params::read(json)?;
            }
            "result" => {
                self.has_result = true;
                json.skip()?;
            }
            "error" => {
                self.has_error = true;
                json.skip()?;
            }
            other
                if is_variant(other, &["jsonrpc", "id", "method", "params", "result", "error"]) =>
            {
                return Err(Fault::Doubtful);
            }
            _ => {
                json.skip()?;
            }
        }
        Ok(())
    }

    /// What it is. A message that is a call for one reader and an answer for another is neither.
    fn kind(&self) -> Option<Kind> {
        let answers = self.has_result != self.has_error;
        match (self.method, self.id) {
            _ if !self.is_rpc => None,
            (Some(_), _) if self.has_result || self.has_error => None,
            // MCP: unlike in JSON-RPC, the id of a request is never null.
            (Some(_), Some("null")) => None,
            (Some(_), Some(_)) => Some(Kind::Request),
            (Some(_), None) => Some(Kind::Notification),
            // An error may answer what had no id that could be read.
            (None, Some("null")) if self.has_result => None,
            (None, Some(_)) if answers && !self.has_params => Some(Kind::Response),
            (None, _) => None,
        }
    }
}

/// Whether a name is one of these for a reader who doesn't tell upper case from lower.
fn is_variant(name: &str, judged: &[&str]) -> bool {
    let folded = fold(name);
    judged.iter().any(|judged| *judged != name && folded.eq_ignore_ascii_case(judged))
}

impl Message {
    fn read(json: &mut Json<'_>) -> Result<Self, Fault> {
        let mut members = Members::default();
        json.object(|json, name| members.take(json, name))?;
        let kind = members.kind().ok_or(Fault::Doubtful)?;
        let method = members.method.unwrap_or(Method::Other);
        if method != Method::Other && members.params.disguised {
            return Err(Fault::Doubtful);
        }
        let version = members.params.version.take();
        let arguments = members.params.arguments.take();
        Ok(Self {
            kind,
            id: members.id.filter(|id| *id != "null").map_or(RpcId::NULL, RpcId::new),
            method,
            unheard_of: members.unheard_of,
            subject: members.params.subject(method),
            version: version.map(|version| Untrusted::new(&version)),
            arguments,
        })
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
mod tests;
