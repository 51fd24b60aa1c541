//! Sessions as servers mistake them.

use std::borrow::Cow;

use serde::Deserialize;

/// The code that servers on the official SDKs give to a request that their transport refuses.
const TRANSPORT_ERROR: i64 = -32000;

/// Whether the body of a 400 says that the session isn't known, as `@mastra/mcp` 0.13 does where the
/// specification wants 404: an error of the transport that speaks of a session.
pub fn denies_session(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|Refusal { error: Error { code, message } }| {
        code == TRANSPORT_ERROR && message.to_ascii_lowercase().contains("session")
    })
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Error<'a>,
}

#[derive(Deserialize)]
struct Error<'a> {
    code: i64,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_denied_by_an_error_of_the_transport_that_speaks_of_it() {
        let denies = |text: &str| denies_session(text.as_bytes());
        for message in [
            "Bad Request: No valid session ID provided for non-initialize request",
            "Bad Request: GET request requires a valid session ID",
            r"Bad Request: Mcp-Session-Id \u2026 unknown",
        ] {
            let text = format!(
                r#"{{"jsonrpc":"2.0","error":{{"code":-32000,"message":"{message}"}},"id":null}}"#
            );
            assert!(denies(&text), "{text}");
            assert!(!denies(&text.replace("-32000", "-32600")));
            assert!(!denies(&format!("[{text}]")));
        }
        for other in [
            r#"{"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
            r#"{"error":{"code":-32000,"message":["session"]}}"#,
            r#"{"code":-32000,"message":"session"}"#,
            "No transport found for sessionId 7",
            "",
        ] {
            assert!(!denies(other), "{other}");
        }
    }
}
