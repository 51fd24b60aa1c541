use std::{borrow::Cow, ops::Range};

use super::{Subject, is_variant};
use crate::{
    mcp::{
        Method,
        json::{Fault, Json, Sort},
    },
    types::Untrusted,
};

/// The member of `_meta` that names the protocol version, from 2026-07-28 on.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The most resources of one subscription.
const MAX_SUBSCRIPTIONS: usize = 1024;

/// The longest text that is judged, in bytes.
pub(super) const MAX_JUDGED: usize = 8 * 1024;

/// What `params` holds that could be judged. Which of it counts, the method says, and that may stand
/// behind.
#[derive(Default)]
pub(super) struct Params<'a> {
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    task: Option<Cow<'a, str>>,
    reference: Reference<'a>,
    subscribes: Subscribes<'a>,
    /// Where its arguments stand.
    pub(super) arguments: Option<Range<usize>>,
    /// The protocol version.
    pub(super) version: Option<Cow<'a, str>>,
    /// A member is one that is judged, but for its case.
    pub(super) disguised: bool,
}

/// What `subscriptions/listen` subscribes to.
enum Subscribes<'a> {
    /// These.
    To(Vec<Cow<'a, str>>),
    /// What one server may take for something and another for nothing.
    Oddly,
}

impl Default for Subscribes<'_> {
    fn default() -> Self {
        Self::To(Vec::new())
    }
}

/// `params.ref` of `completion/complete`.
#[derive(Default)]
struct Reference<'a> {
    sort: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
}

impl<'a> Params<'a> {
    /// Reads `params`, which may be by position as JSON-RPC has it; MCP has no such method.
    pub(super) fn read(json: &mut Json<'a>) -> Result<Self, Fault> {
        let mut params = Self::default();
        match json.sort()? {
            Sort::Object => json.object(|json, name| params.take(json, name))?,
            Sort::Array => {
                json.skip()?;
            }
            Sort::Text | Sort::Number => return Err(Fault::Doubtful),
            Sort::Word => {
                let word = json.skip()?;
                if json.at(word) != "null" {
                    return Err(Fault::Doubtful);
                }
            }
        }
        Ok(params)
    }

    fn take(&mut self, json: &mut Json<'a>, name: &str) -> Result<(), Fault> {
        match name {
            "name" => self.name = judged(json)?,
            "uri" => self.uri = judged(json)?,
            "arguments" => self.arguments = Some(json.skip()?),
            "taskId" => self.task = judged(json)?,
            "ref" => json.object_or_skip(|json, name| {
                let reference = &mut self.reference;
                match name {
                    "type" => reference.sort = json.text_or_skip()?,
                    "name" => reference.name = judged(json)?,
                    "uri" => reference.uri = judged(json)?,
                    _ => self.disguised |= skip_other(json, name, &["type", "name", "uri"])?,
                }
                Ok(())
            })?,
            "_meta" => json.object_or_skip(|json, name| {
                match name {
                    VERSION => self.version = judged(json)?,
                    _ => self.disguised |= skip_other(json, name, &[VERSION])?,
                }
                Ok(())
            })?,
            "notifications" if json.sort()? != Sort::Object => {
                json.skip()?;
                self.subscribes = Subscribes::Oddly;
            }
            "notifications" => json.object(|json, name| {
                match name {
                    "resourceSubscriptions" => {
                        self.subscribes = texts(json)?;
                    }
                    _ => self.disguised |= skip_other(json, name, &["resourceSubscriptions"])?,
                }
                Ok(())
            })?,
            _ => {
                let judged =
                    ["name", "uri", "taskId", "ref", "_meta", "notifications", "arguments"];
                self.disguised |= skip_other(json, name, &judged)?;
            }
        }
        Ok(())
    }

    /// What a message of that method asks for.
    pub(super) fn subject(self, method: Method) -> Subject {
        let untrusted = |text: Option<Cow<'_, str>>| text.map(|text| Untrusted::new(&text));
        let subject = match method {
            Method::ToolsCall => untrusted(self.name).map(Subject::Tool),
            Method::PromptsGet => untrusted(self.name).map(Subject::Prompt),
            Method::Resource(_) => untrusted(self.uri).map(Subject::Resource),
            Method::Task(_) => untrusted(self.task).map(Subject::Task),
            Method::Complete => match self.reference.sort.as_deref() {
                Some("ref/prompt") => untrusted(self.reference.name).map(Subject::Prompt),
                Some("ref/resource") => untrusted(self.reference.uri).map(Subject::Template),
                _ => None,
            },
            Method::Listen => match self.subscribes {
                Subscribes::To(uris) => {
                    Some(Subject::Resources(uris.iter().map(|uri| Untrusted::new(uri)).collect()))
                }
                Subscribes::Oddly => None,
            },
            _ => None,
        };
        subject.unwrap_or(Subject::Nothing)
    }
}

/// Reads over a member; returns whether it is one of those that are judged, but for its case.
fn skip_other(json: &mut Json<'_>, name: &str, judged: &[&str]) -> Result<bool, Fault> {
    json.skip()?;
    Ok(is_variant(name, judged))
}

/// A text that is judged. It is kept whole until then, so it has a bound of its own: no head that
/// mirrors it could hold more.
fn judged<'a>(json: &mut Json<'a>) -> Result<Option<Cow<'a, str>>, Fault> {
    let text = json.text_or_skip()?;
    let too_long = text.as_ref().is_some_and(|text| text.len() > MAX_JUDGED);
    if too_long { Err(Fault::Doubtful) } else { Ok(text) }
}

/// The texts of a list, or nothing for `null`. It isn't known what a server would take anything else
/// for.
fn texts<'a>(json: &mut Json<'a>) -> Result<Subscribes<'a>, Fault> {
    let mut texts = Vec::new();
    if json.sort()? != Sort::Array {
        let value = json.skip()?;
        let none = json.at(value) == "null";
        return Ok(if none { Subscribes::default() } else { Subscribes::Oddly });
    }
    json.array(|json| {
        // An empty text in a megabyte of them takes ten times its bytes.
        if texts.len() == MAX_SUBSCRIPTIONS {
            return Err(Fault::Doubtful);
        }
        texts.push(judged(json)?.ok_or(Fault::Doubtful)?);
        Ok(())
    })?;
    Ok(Subscribes::To(texts))
}
