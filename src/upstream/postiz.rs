//! Which Postiz is there, told by how it refuses: no question has a key, so none can do anything.

use std::time::Duration;

use http::StatusCode;

use super::{Bounds, NoReply, Question, Reply, Server};
use crate::{
    snapshot::{Dialect, Endpoint},
    types::Method,
};

/// What one answer may cost: each is a line of text or a small document.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), body: 4 * 1024 };

/// A key that no Postiz has: they are 64 hexadecimal digits.
const GET_STREAM: &str = "/mcp/portcullis-asks-which-version-this-is/sse";
const POST_MCP: &str = "/mcp";
const ROOT_METADATA: &str = "/.well-known/oauth-authorization-server";
const OWN_METADATA: &str = "/.well-known/oauth-authorization-server/mcp-oauth";

/// A call that does nothing, for a server that would take it without a key.
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Versions of Postiz that can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Postiz {
    UpTo2_7,
    From2_8,
    From2_19,
    From2_21_5,
    From2_23,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A Postiz.
    Is(Postiz),
    /// Something else: this answer fits no Postiz.
    Unknown { asked: &'static str, status: StatusCode },
}

/// Why nothing can be said yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotNow {
    /// There is no answer.
    #[error(transparent)]
    NoReply(#[from] NoReply),
    /// It answers for something that isn't there yet, or is busy.
    #[error("it answers {0}")]
    Status(StatusCode),
}

impl Postiz {
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::UpTo2_7 => Dialect::LegacySse,
            Self::From2_8 | Self::From2_19 | Self::From2_21_5 => Dialect::Session,
            Self::From2_23 => Dialect::Stateless,
        }
    }

    /// For an operator to read.
    pub(super) const fn versions(self) -> &'static str {
        match self {
            Self::UpTo2_7 => "v2.7.0 or older",
            Self::From2_8 => "v2.8.0 or newer, older than v2.19.0",
            Self::From2_19 => "v2.19.0 or newer, older than v2.21.5",
            Self::From2_21_5 => "v2.21.5 or newer, older than v2.23.0",
            Self::From2_23 => "v2.23.0 or newer",
        }
    }

    /// Whether it reads `Authorization`.
    pub(super) const fn knows_bearer(self) -> bool {
        !matches!(self, Self::UpTo2_7 | Self::From2_8)
    }
}

impl Finding {
    pub(super) const fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Is(postiz) => Some(postiz.dialect()),
            Self::Unknown { .. } => None,
        }
    }
}

/// Asks until the version is clear. Paths are those of the backend itself, whatever stands before
/// them in public.
pub(super) async fn find(server: &Server) -> Result<Finding, NotNow> {
    // All questions to one endpoint: during an update two may be of two versions.
    let asked = Asked { server, endpoint: server.first_in() };
    let reply = asked.get(GET_STREAM).await?;
    let refused = |words: &[u8]| {
        reply.status == StatusCode::BAD_REQUEST
            && memchr::memmem::find(&reply.body, words).is_some()
    };
    if refused(b"Invalid url") && reply.is_of("application/json") {
        return Ok(Finding::Is(Postiz::UpTo2_7));
    }
    if !refused(b"Invalid API Key") {
        return Ok(unknown("GET /mcp/{key}/sse", &reply));
    }
    let reply = asked.post().await?;
    match reply.status {
        StatusCode::NOT_FOUND => return Ok(Finding::Is(Postiz::From2_8)),
        StatusCode::UNAUTHORIZED => {}
        _ => return Ok(unknown("POST /mcp", &reply)),
    }
    let reply = asked.get(ROOT_METADATA).await?;
    if is_metadata(&reply) {
        return Ok(Finding::Is(Postiz::From2_21_5));
    }
    if reply.status != StatusCode::NOT_FOUND {
        return Ok(unknown(ROOT_METADATA, &reply));
    }
    let reply = asked.get(OWN_METADATA).await?;
    match reply.status {
        _ if is_metadata(&reply) => Ok(Finding::Is(Postiz::From2_23)),
        StatusCode::NOT_FOUND => Ok(Finding::Is(Postiz::From2_19)),
        _ => Ok(unknown(OWN_METADATA, &reply)),
    }
}

fn is_metadata(reply: &Reply) -> bool {
    reply.status == StatusCode::OK && reply.is_of("application/json")
}

const fn unknown(asked: &'static str, reply: &Reply) -> Finding {
    Finding::Unknown { asked, status: reply.status }
}

/// Who is asked.
struct Asked<'s> {
    server: &'s Server,
    endpoint: &'s Endpoint,
}

impl Asked<'_> {
    async fn get(&self, path: &str) -> Result<Reply, NotNow> {
        let path = path.as_bytes();
        self.answered(&Question { method: Method::Get, path, fields: &[], body: None }).await
    }

    async fn post(&self) -> Result<Reply, NotNow> {
        let question = Question {
            method: Method::Post,
            path: POST_MCP.as_bytes(),
            fields: &[("content-type", b"application/json")],
            body: Some(PING),
        };
        self.answered(&question).await
    }

    async fn answered(&self, question: &Question<'_>) -> Result<Reply, NotNow> {
        let reply = self.server.ask(self.endpoint, question, BOUNDS).await?;
        // What stands before a server that starts says 502; one that is busy says 429 or 503.
        let busy = reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS;
        if busy { Err(NotNow::Status(reply.status)) } else { Ok(reply) }
    }
}

/// What every version since v2.8.0 says of a wrong key in the path, and newer ones more at length.
const NO_KEY: &[u8] = b"Invalid API Key";

/// Whether the body of a 400 says that the key is none, as Postiz does it. Any other 400 isn't about
/// the key: an error of JSON-RPC or of a session is one that right keys get too.
pub fn refuses_key(body: &[u8]) -> bool {
    /// Up to v2.7.0.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct InvalidUrl {
        #[serde(rename = "statusCode")]
        status: u16,
        message: String,
    }
    let of_old = || serde_json::from_slice::<InvalidUrl>(body);
    body.starts_with(NO_KEY)
        || of_old().is_ok_and(|said| said.status == 400 && said.message == "Invalid url")
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::upstream::tests::server_at;

    /// Status, content type and body.
    type Answer = (u16, &'static str, &'static str);

    const TEXT: &str = "text/html; charset=utf-8";
    const JSON: &str = "application/json; charset=utf-8";
    const WRONG: Answer = (400, TEXT, "Invalid API Key");
    const NO_BEARER: Answer = (401, TEXT, "Missing Authorization header");
    const NOTHING: Answer = (404, TEXT, "Cannot find it");
    const METADATA: Answer = (200, JSON, "{\"issuer\":\"https://postiz.example.com\"}");

    /// Answers one question after the other, and says what was found, and what was asked.
    async fn find(answers: &[Answer]) -> (Result<Finding, NotNow>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server_at(listener.local_addr().unwrap());
        let serve = async {
            let mut asked = Vec::new();
            for (status, kind, body) in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut bytes = vec![0; 4096];
                let count = socket.read(&mut bytes).await.unwrap();
                let text = String::from_utf8(bytes[..count].to_vec()).unwrap();
                assert!(!text.contains("\nauthorization:"), "{text}");
                asked.push(text.split(" HTTP").next().unwrap().to_owned());
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        };
        tokio::join!(super::find(&server), serve)
    }

    #[test]
    fn only_postizs_own_words_of_a_400_refuse_a_key() {
        for said in [
            "Invalid API Key",
            "Invalid API Key or session expired",
            r#"{"statusCode":400,"message":"Invalid url"}"#,
        ] {
            assert!(refuses_key(said.as_bytes()), "{said}");
        }
        for other in [
            "",
            "Invalid",
            "No session: Invalid API Key",
            r#"{"statusCode":400,"message":"Invalid urls"}"#,
            r#"{"statusCode":401,"message":"Invalid url"}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid API Key"},"id":null}"#,
            r#"{"jsonrpc":"2.0","statusCode":400,"message":"Invalid url"}"#,
            r#"{"error":{"code":-32000,"message":"Bad Request: no valid session"}}"#,
        ] {
            assert!(!refuses_key(other.as_bytes()), "{other}");
        }
    }

    #[tokio::test]
    async fn each_version_is_told_by_how_it_refuses() {
        for (answers, postiz) in [
            (&[(400, JSON, r#"{"statusCode":400,"message":"Invalid url"}"#)][..], Postiz::UpTo2_7),
            (&[WRONG, (404, JSON, "{}")], Postiz::From2_8),
            (&[WRONG, NO_BEARER, NOTHING, NOTHING], Postiz::From2_19),
            (&[WRONG, NO_BEARER, METADATA], Postiz::From2_21_5),
            (&[WRONG, NO_BEARER, NOTHING, METADATA], Postiz::From2_23),
        ] {
            let (found, asked) = find(answers).await;
            assert_eq!(found, Ok(Finding::Is(postiz)));
            let all = [
                format!("GET {GET_STREAM}"),
                format!("POST {POST_MCP}"),
                format!("GET {ROOT_METADATA}"),
                format!("GET {OWN_METADATA}"),
            ];
            assert_eq!(asked, all[..answers.len()], "no more is asked than has to be");
        }
    }

    #[tokio::test]
    async fn what_fits_no_postiz_is_unknown_and_says_where() {
        for (answers, asked) in [
            (&[(200, TEXT, "<html>Invalid API Key")][..], "GET /mcp/{key}/sse"),
            (&[(400, TEXT, "Invalid url")], "GET /mcp/{key}/sse"),
            (&[(302, TEXT, "")], "GET /mcp/{key}/sse"),
            (&[WRONG, (200, JSON, "{}")], "POST /mcp"),
            (&[WRONG, NO_BEARER, (200, TEXT, "<html>")], ROOT_METADATA),
            (&[WRONG, NO_BEARER, NOTHING, (200, TEXT, "<html>")], OWN_METADATA),
        ] {
            let (found, _) = find(answers).await;
            let status = StatusCode::from_u16(answers.last().unwrap().0).unwrap();
            assert_eq!(found, Ok(Finding::Unknown { asked, status }));
        }
    }

    #[tokio::test]
    async fn a_server_that_starts_or_is_busy_is_asked_later() {
        for (answers, status) in [
            (&[(502, TEXT, "Bad Gateway")][..], 502),
            (&[WRONG, (503, TEXT, "")], 503),
            (&[WRONG, NO_BEARER, (429, TEXT, "")], 429),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(find(answers).await.0, Err(NotNow::Status(status)));
        }
    }
}
