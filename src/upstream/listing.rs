//! What a server offers, asked as a client asks: from `initialize` to the last page of `tools/list`,
//! by streamable HTTP.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Bounds, NoReply, Question, Reply, Server};
use crate::{
    mcp::{Piece, WholeEvents, event_data},
    snapshot::Endpoint,
    types::{Method, Secret},
};

/// What one answer may cost.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(15), body: 4 << 20 };

/// The most pages, and the most tools, that a list may have.
const MAX_PAGES: u64 = 64;
const MAX_TOOLS: usize = 10_000;

/// A version that every server of streamable HTTP knows, or answers with one that it knows.
const PROTOCOL: &str = "2025-06-18";

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoList {
    /// No answer came.
    #[error(transparent)]
    NoReply(#[from] NoReply),
    /// Nothing takes messages there.
    #[error("it has no streamable HTTP at this path ({0}); the legacy transport is out of reach")]
    NotThere(StatusCode),
    /// It refuses.
    #[error("it answers {0}")]
    Status(StatusCode),
    /// It refuses in the protocol's own words.
    #[error("it answers with the error {0}")]
    Refused(i64),
    /// What came is no answer of MCP.
    #[error("its answer is not one of MCP")]
    NotMcp,
    /// The list goes on.
    #[error("its list has no end within bounds")]
    TooLong,
}

/// An answer of JSON-RPC.
#[derive(Deserialize)]
struct Answer {
    id: Option<Value>,
    result: Option<Value>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
}

#[derive(Deserialize)]
struct Page {
    tools: Vec<Tool>,
    #[serde(rename = "nextCursor")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
}

/// A conversation with a server. What it holds is secret, but for the version.
struct Talk<'s> {
    server: &'s Server,
    endpoint: &'s Endpoint,
    path: &'s [u8],
    authorization: Option<String>,
    session: Option<Vec<u8>>,
    version: Option<String>,
}

impl Server {
    /// The names of its tools, in its own order, as the holder of a key sees them. The key stands in
    /// the path, or is given as `bearer`.
    ///
    /// # Errors
    /// Where there is no such list to be had within bounds.
    pub async fn list_tools(
        &self,
        path: &[u8],
        bearer: Option<&Secret>,
    ) -> Result<Vec<String>, NoList> {
        let mut last = Err(NoList::NoReply(NoReply::Unreachable));
        for endpoint in self.upstream.endpoints.iter() {
            last = self.list_tools_at(endpoint, path, bearer).await;
            if !matches!(last, Err(NoList::NoReply(NoReply::Unreachable))) {
                break;
            }
        }
        last
    }

    async fn list_tools_at(
        &self,
        endpoint: &Endpoint,
        path: &[u8],
        bearer: Option<&Secret>,
    ) -> Result<Vec<String>, NoList> {
        let authorization = bearer.map(|key| ["Bearer ", key.expose()].concat());
        let mut talk =
            Talk { server: self, endpoint, path, authorization, session: None, version: None };
        talk.begin().await?;
        let listed = talk.tools().await;
        // A server that keeps sessions keeps them for good unless it is told. What it says to that
        // changes nothing.
        if talk.session.is_some() {
            let _ = talk.send(Method::Delete, None).await;
        }
        listed
    }
}

impl Talk<'_> {
    async fn begin(&mut self) -> Result<(), NoList> {
        let client = json!({ "name": "portcullis", "version": env!("CARGO_PKG_VERSION") });
        let params =
            json!({ "protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client });
        let message = request(0, "initialize", &params);
        let reply = self.send(Method::Post, Some(&message)).await?;
        if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Err(NoList::NotThere(reply.status));
        }
        let result = result_of(&reply, 0)?;
        self.session = reply.fields.get("mcp-session-id").map(<[u8]>::to_vec);
        let version = result.get("protocolVersion").and_then(Value::as_str);
        let plain = |text: &&str| text.len() <= 32 && text.bytes().all(|b| b.is_ascii_graphic());
        self.version = version.filter(plain).map(str::to_owned);
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
        let reply = self.send(Method::Post, Some(&note)).await?;
        if reply.status.is_success() { Ok(()) } else { Err(NoList::Status(reply.status)) }
    }

    async fn tools(&self) -> Result<Vec<String>, NoList> {
        let (mut names, mut params) = (Vec::new(), json!({}));
        for id in 1..=MAX_PAGES {
            let reply = self.send(Method::Post, Some(&request(id, "tools/list", &params))).await?;
            let page = result_of(&reply, id)?;
            let page: Page = serde_json::from_value(page).map_err(|_| NoList::NotMcp)?;
            names.extend(page.tools.into_iter().map(|tool| tool.name));
            match page.next {
                None => return Ok(names),
                Some(_) if names.len() > MAX_TOOLS => break,
                Some(cursor) => params = json!({ "cursor": cursor }),
            }
        }
        Err(NoList::TooLong)
    }

    async fn send(&self, method: Method, body: Option<&str>) -> Result<Reply, NoList> {
        let mut fields = Vec::new();
        if body.is_some() {
            fields.push(("content-type", &b"application/json"[..]));
        }
        let version = self.version.as_ref().map(|version| version.as_bytes());
        let authorization = self.authorization.as_ref().map(|text| text.as_bytes());
        fields.extend(authorization.map(|value| ("authorization", value)));
        fields.extend(self.session.as_deref().map(|value| ("mcp-session-id", value)));
        fields.extend(version.map(|value| ("mcp-protocol-version", value)));
        let question =
            Question { method, path: self.path, fields: &fields, body: body.map(str::as_bytes) };
        Ok(self.server.ask(self.endpoint, &question, BOUNDS).await?)
    }
}

fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// The result of the request with that id, in an answer as JSON or as a stream of events.
fn result_of(reply: &Reply, id: u64) -> Result<Value, NoList> {
    if !reply.status.is_success() {
        return Err(NoList::Status(reply.status));
    }
    let messages = if reply.is_of("text/event-stream") {
        events(&reply.body)
    } else {
        vec![reply.body.to_vec()]
    };
    for message in messages {
        let Ok(answer) = serde_json::from_slice::<Answer>(&message) else { continue };
        if answer.id != Some(id.into()) {
            continue;
        }
        return match (answer.result, answer.error) {
            (_, Some(error)) => Err(NoList::Refused(error.code)),
            (Some(result), None) => Ok(result),
            // A server's own requests count their ids by themselves.
            (None, None) => continue,
        };
    }
    Err(if reply.whole { NoList::NotMcp } else { NoList::TooLong })
}

/// The data of each event of a stream.
fn events(body: &[u8]) -> Vec<Vec<u8>> {
    let mut events = WholeEvents::default();
    events.feed(body);
    let pieces = std::iter::from_fn(|| events.next_piece());
    let whole = pieces.filter_map(|piece| match piece {
        Piece::Event(event) => Some(event_data(&event)),
        Piece::Between(_) => None,
    });
    whole.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Fields;

    fn reply(kind: &str, body: &[u8]) -> Reply {
        let mut fields = Fields::new();
        fields.push("content-type", kind.as_bytes());
        Reply { status: StatusCode::OK, fields, body: body.to_vec().into(), whole: true }
    }

    #[test]
    fn an_answer_is_found_by_its_id_among_what_else_a_stream_says() {
        let stream = "id: 0\ndata:\n\n: x\n\ndata: {\"method\":\"ping\",\"id\":7}\n\n\
                      data: {\"id\":7,\n\ndata: {\"id\":8,\"result\":{}}\n\n\
                      event: message\r\ndata: {\"id\":7,\r\ndata: \"result\":{\"a\":1}}\r\n\r\n";
        let streamed = reply("text/event-stream; charset=utf-8", stream.as_bytes());
        assert_eq!(result_of(&streamed, 7), Ok(json!({"a": 1})), "a ping answers nothing");
        assert_eq!(result_of(&streamed, 8), Ok(json!({})));
        assert_eq!(result_of(&streamed, 9), Err(NoList::NotMcp));
        let refused = reply("application/json", br#"{"id":1,"error":{"code":-32602}}"#);
        assert_eq!(result_of(&refused, 1), Err(NoList::Refused(-32602)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_answer_makes_it_panic(
            body in prop_oneof![
                any::<Vec<u8>>(),
                "(data: |event: |id: |[{}\\[\\]\":,0-9a-z]{0,6}|\r|\n){0,24}".prop_map(String::into_bytes),
            ],
            kind in prop_oneof!["text/event-stream", "application/json"],
        ) {
            let _ = result_of(&reply(&kind, &body), 0);
        }
    }
}
