//! The line of a log that tells of a request.

use std::{
    io::{self, BufRead},
    net::IpAddr,
    sync::Arc,
};

use serde_json::Value;

use super::{chain::Case, lines};
use crate::{
    config::Outline,
    observe::{Syntax, redact},
    policy::Consumer,
    snapshot::{Route, Snapshot},
    types::Untrusted,
};

/// What can't be found, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfound {
    #[error("a request id is 16 hex digits: `request_id` in the log and in the answer")]
    Id,
    #[error(
        "no line of that request came on standard input: portcullis explain ... < portcullis.log"
    )]
    Line,
    #[error("the log can't be read: {0}")]
    Log(#[from] io::Error),
}

/// What a line says, field by field.
pub(super) struct Line(Vec<(String, String)>);

/// Finds the line in a log of either format. Of a stream there are two; the last tells how it ended.
pub(super) fn find(log: impl BufRead, id: &str) -> Result<Line, Unfound> {
    let id = id.to_ascii_lowercase();
    if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Unfound::Id);
    }
    let mut found = None;
    for line in lines(log) {
        let line = line?;
        if line.contains(&id)
            && let Some(line) = Line::read(&line)
            && line.field("request_id") == Some(&id)
        {
            found = Some(line);
        }
    }
    found.ok_or(Unfound::Line)
}

/// A text of a line as a terminal may have it: anybody may have written it, into this log or another.
fn shown(text: &str) -> String {
    let text = redact(text.as_bytes(), Syntax::Text, |_| false).line;
    Untrusted::new(std::str::from_utf8(&text).unwrap_or_default()).shown().into_owned()
}

/// What stands between blanks. A client may have put some into a text, which then has quotes.
fn words(line: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(|c| {
        (quoted, escaped) = match c {
            _ if escaped => (quoted, false),
            '\\' if quoted => (quoted, true),
            '"' => (!quoted, false),
            _ => (quoted, false),
        };
        c == ' ' && !quoted
    })
    .collect()
}

impl Line {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim_end();
        // What comes before the object may be the service manager's: journalctl, docker.
        let json = text.find('{').and_then(|at| serde_json::from_str(text.get(at..)?).ok());
        let Some(Value::Object(fields)) = json else { return Some(Self::read_text(text)) };
        let plain = |value: Value| match value {
            Value::String(text) => shown(&text),
            other => shown(&other.to_string()),
        };
        Some(Self(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()))
    }

    fn read_text(text: &str) -> Self {
        let parts = words(text);
        let fields = parts.iter().filter_map(|part| part.split_once('='));
        let unquoted = |value: &str| {
            let read = serde_json::from_str::<String>(value);
            shown(&read.unwrap_or_else(|_| value.to_owned()))
        };
        Self(fields.map(|(name, value)| (name.to_owned(), unquoted(value))).collect())
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The request as the configuration has it now.
    pub(super) fn case<'c>(&self, snapshot: &'c Snapshot, outline: &'c Outline) -> Case<'c> {
        let text = |name| self.field(name).unwrap_or_default().to_owned();
        let is_named = |name: &str, field: &str| self.field(field) == Some(name);
        let mut routes = snapshot.routes.iter();
        let route = routes.find(|route| is_named(route.name.as_str(), "route"));
        let mut consumers = snapshot.consumers.iter();
        let consumer = consumers.find(|consumer| is_named(consumer.name.as_str(), "consumer"));
        let client = self.field("client").and_then(|client| client.parse().ok());
        Case {
            snapshot,
            outline,
            peer: None,
            client: client.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            path: text("path"),
            method: text("method"),
            tool: self.field("tool").map(str::to_owned),
            has_origin: is_named("origin", "reason"),
            has_key: self.field("key").is_some() || is_named("credential_ambiguous", "reason"),
            route: route.map(|route: &Arc<Route>| &**route),
            consumer: consumer.map(|consumer: &Arc<Consumer>| &**consumer),
            meant: None,
            reason: self.field("reason").map(str::to_owned),
        }
    }
}
