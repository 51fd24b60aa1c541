use std::borrow::Cow;

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

/// What `params` holds that could be judged. Which of it counts, the method says, and that may stand
/// behind.
#[derive(Default)]
pub(super) struct Params<'a> {
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    task: Option<Cow<'a, str>>,
    reference: Reference<'a>,
    subscriptions: Vec<Cow<'a, str>>,
    /// The protocol version.
    pub(super) version: Option<Cow<'a, str>>,
    /// A member is one that is judged, but for its case.
    pub(super) disguised: bool,
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
            "name" => self.name = json.text_or_skip()?,
            "uri" => self.uri = json.text_or_skip()?,
            "arguments" => {
                json.skip()?;
            }
            "taskId" => self.task = json.text_or_skip()?,
            "ref" => json.object_or_skip(|json, name| {
                let reference = &mut self.reference;
                match name {
                    "type" => reference.sort = json.text_or_skip()?,
                    "name" => reference.name = json.text_or_skip()?,
                    "uri" => reference.uri = json.text_or_skip()?,
                    _ => self.disguised |= skip_other(json, name, &["type", "name", "uri"])?,
                }
                Ok(())
            })?,
            "_meta" => json.object_or_skip(|json, name| {
                match name {
                    VERSION => self.version = json.text_or_skip()?,
                    _ => self.disguised |= skip_other(json, name, &[VERSION])?,
                }
                Ok(())
            })?,
            "notifications" => json.object_or_skip(|json, name| {
                match name {
                    "resourceSubscriptions" => {
                        self.subscriptions = texts(json)?;
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
            Method::Listen => {
                let uris = self.subscriptions.iter().map(|uri| Untrusted::new(uri)).collect();
                Some(Subject::Resources(uris))
            }
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

/// The texts of a list. What else stands there is nothing that could be subscribed to, and it isn't
/// known what a server would take it for.
fn texts<'a>(json: &mut Json<'a>) -> Result<Vec<Cow<'a, str>>, Fault> {
    let mut texts = Vec::new();
    if json.sort()? != Sort::Array {
        json.skip()?;
        return Ok(texts);
    }
    json.array(|json| {
        // An empty text in a megabyte of them takes ten times its bytes.
        if texts.len() == MAX_SUBSCRIPTIONS {
            return Err(Fault::Doubtful);
        }
        texts.push(json.text_or_skip()?.ok_or(Fault::Doubtful)?);
        Ok(())
    })?;
    Ok(texts)
}
