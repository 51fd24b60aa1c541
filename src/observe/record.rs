use std::{net::IpAddr, time::Duration};

use super::{
    line::{Line, LogFormat, Opening},
    path::LoggablePath,
    redact::{Syntax, holds_long_secret, redact},
    tools::ToolLabel,
};
use crate::types::{Fingerprint, Method, Name, RequestId, Untrusted, write_address};

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An exchange has ended.
    Exchange,
    /// A stream has been opened; its exchange's own record follows when it ends.
    StreamOpened,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream's answer went out whole.
    Answered,
    /// The gateway refused it.
    Refused,
    /// The client left first.
    ClientGone,
    /// The upstream left in the middle of its answer.
    UpstreamGone,
    /// The gateway ended it: because it ends itself, or for the reason that is told.
    Cut,
}

/// One record of an exchange, from which its log line and its metrics are derived.
///
/// Every field is a configured name, an enum, a number, an address, a fingerprint or text that is
/// escaped and cut: there is no `String`, so no free text can be added in a hurry.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it tells of.
    pub event: Event,
    /// The exchange.
    pub request_id: RequestId,
    /// The listener that it came to. For metrics; not in the line.
    pub listener: Name,
    /// The route, if one was found.
    pub route: Option<Name>,
    /// The consumer, if the key was one's.
    pub consumer: Option<Name>,
    /// The key's fingerprint, if there was a key.
    pub key: Option<Fingerprint>,
    /// The client's address as policy saw it.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: LoggablePath,
    /// The status that the client was sent, if it was sent one.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// The one word of a refusal: `Denial::face().reason`.
    pub reason: Option<&'static str>,
    /// The word of a refusal that rules only observe: it would have been one.
    pub observed: Option<&'static str>,
    /// From the end of the request's head to the end.
    pub duration: Duration,
    /// From the end of the request's head to the head of the answer.
    pub first_byte: Option<Duration>,
    /// Bytes that were read of the request, head and body, as they came.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The MCP method, from a closed list; of a batch, `batch`.
    pub mcp_method: Option<&'static str>,
    /// The messages of a batch. For metrics; the line has no room for them.
    pub batch: Vec<Batched>,
    /// The tool that was called.
    pub tool: Option<Untrusted>,
    /// What the tool is counted as. For metrics; the line has the name that the client wrote.
    pub tool_label: ToolLabel,
    /// The upstream, if it was asked.
    pub upstream: Option<Name>,
}

/// A message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batched {
    /// The MCP method, from a closed list.
    pub method: &'static str,
    /// What the tool that it calls is counted as.
    pub tool: ToolLabel,
}

impl Event {
    /// The log field `event`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::StreamOpened => "stream_open",
        }
    }
}

impl Outcome {
    /// The log field and metric label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::ClientGone => "client_gone",
            Self::UpstreamGone => "upstream_gone",
            Self::Cut => "cut",
        }
    }
}

impl Record {
    /// Appends the record as one JSON object, without a line feed. Absent fields are left out.
    pub fn write_json(&self, out: &mut Vec<u8>, ts: jiff::Timestamp) {
        self.write(out, LogFormat::Json, ts);
    }

    /// Appends the record as one line of text, without a line feed.
    pub fn write_text(&self, out: &mut Vec<u8>, ts: jiff::Timestamp) {
        self.write(out, LogFormat::Text, ts);
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, format: LogFormat, ts: jiff::Timestamp) {
        let opening = Opening { ts, level: "info", event: self.event.as_str() };
        let mut line = Line::open(out, format, &opening);
        self.write_who(&mut line);
        line.plain("method", self.method.as_str());
        line.plain("path", self.path.as_str());
        if let Some(status) = self.status {
            line.number("status", status);
        }
        line.plain("outcome", self.outcome.as_str());
        if let Some(reason) = self.reason {
            line.plain("reason", reason);
        }
        if let Some(observed) = self.observed {
            line.plain("observed", observed);
        }
        line.milliseconds("duration_ms", self.duration);
        if let Some(first_byte) = self.first_byte {
            line.milliseconds("first_byte_ms", first_byte);
        }
        line.number("bytes_in", self.bytes_in);
        line.number("bytes_out", self.bytes_out);
        if let Some(method) = self.mcp_method {
            line.plain("mcp_method", method);
        }
        if let Some(tool) = &self.tool {
            line.field("tool", &tool.shown());
        }
        if let Some(upstream) = &self.upstream {
            line.plain("upstream", upstream.as_str());
        }
        line.close();
    }

    /// What of a line says which exchange it was, and whose.
    pub(super) fn write_who(&self, line: &mut Line<'_>) {
        line.written("request_id", |out| out.extend_from_slice(&self.request_id.digits()));
        if let Some(route) = &self.route {
            line.plain("route", route.as_str());
        }
        if let Some(consumer) = &self.consumer {
            line.plain("consumer", consumer.as_str());
        }
        if let Some(key) = self.key {
            line.written("key", |out| {
                out.extend_from_slice(b"fp:");
                out.extend_from_slice(&key.digits());
            });
        }
        line.written("client", |out| write_address(out, self.client));
    }

    /// Whether the second net has to look at the line closely. Its texts are names, words and
    /// numbers but for the tool, so a look for long runs and at the tool tells.
    pub(super) fn is_suspicious(&self, line: &[u8]) -> bool {
        let tool = self.tool.as_ref().map(Untrusted::as_str).unwrap_or_default();
        // Escapes are read one way in the name and another in the line.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        holds_long_secret(line)
            || !tool.bytes().all(is_plain)
            || redact(tool.as_bytes(), Syntax::Text, |_| false).masked > 0
    }

    /// Whether a text of the line comes from the configuration, so that the second net lets it be:
    /// an operator may well name a route `pos_backend-0123456789`.
    pub(super) fn configured(&self, text: &[u8]) -> bool {
        let names = [&self.route, &self.consumer, &self.upstream];
        names.into_iter().flatten().any(|name| name.as_str().as_bytes() == text)
            || self.path.configured(text)
    }
}

#[cfg(test)]
pub(super) mod tests;
