//! The other rows: what is answered without the upstream, what passes cleaned, and what comes behind
//! the first request. The suite has a test for each; the table of `make strictness` includes this
//! file for the bytes.

use super::rows::{chunked, get, post};

/// A row that isn't simply refused.
pub(super) struct Row {
    pub(super) number: &'static str,
    /// What it is, in a few words: TE is `Transfer-Encoding`, CL is `Content-Length`.
    pub(super) what: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// A body that is a message.
pub(super) const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn row(number: &'static str, what: &'static str, bytes: impl Into<Vec<u8>>) -> Row {
    Row { number, what, bytes: bytes.into() }
}

/// The bytes of the row of that number.
pub(super) fn bytes_of(number: &str) -> Vec<u8> {
    all().into_iter().find(|row| row.number == number).map(|row| row.bytes).unwrap_or_default()
}

/// All of them.
pub(super) fn all() -> Vec<Row> {
    [methods(), bodies(), fields(), behind()].into_iter().flatten().collect()
}

/// Methods that aren't spoken. Answered here, and the connection lives.
pub(super) fn methods() -> Vec<Row> {
    let method = |number, what, line: &str| {
        let bytes = format!("{line} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        row(number, what, bytes)
    };
    vec![
        method("59", "OPTIONS *", "OPTIONS *"),
        method("61", "CONNECT", "CONNECT gateway.test:443"),
        method("62", "TRACE", "TRACE /api/mcp/KEY"),
        method("63", "method get", "get /api/mcp/KEY"),
    ]
}

/// Bodies, and trailers.
fn bodies() -> Vec<Row> {
    let one = format!("28\r\n{PING}\r\n0\r\n");
    let coding = post(&format!("Transfer-Encoding:\tchunked\r\n\r\n{one}\r\n"));
    let trailer = |line: &str| chunked(&format!("{one}{line}\r\n\r\n"));
    let expects = post(&format!("Expect: 100-continue\r\nContent-Length: 40\r\n\r\n{PING}"));
    let never = get("Content-Length: 5\r\n");
    vec![
        row("18", "TAB before TE chunked", coding),
        row("85", "CL trailer", trailer("Content-Length: 3")),
        row("86", "X-Forwarded-For trailer", trailer("X-Forwarded-For: 192.0.2.1")),
        row("95", "Expect: 100-continue", expects),
        row("106", "POST without CL and TE", post("\r\n")),
        row("107", "GET, CL 5, no body", never),
    ]
}

/// Fields that pass cleaned.
fn fields() -> Vec<Row> {
    let mut high = get("X: a~b\r\n").into_bytes();
    for byte in high.iter_mut().filter(|byte| **byte == b'~') {
        *byte = 0xff;
    }
    let h2c = get(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    );
    let spoofed = get("X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n\
         X-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n");
    vec![
        row("34", "0xFF in value", high),
        row("71", "one CRLF before request", format!("\r\n{}", get(""))),
        row("98", "Upgrade: h2c", h2c),
        row("105", "spoofed X-Forwarded-For", spoofed),
    ]
}

/// A request behind another.
fn behind() -> Vec<Row> {
    let second = get("X: second\r\n");
    let upgrade = [get("Connection: Upgrade\r\nUpgrade: foo\r\n"), second.clone()].concat();
    let smuggled = get("X: smuggled\r\n");
    let outer = get(&format!("Content-Length: {}\r\n", smuggled.len()));
    let head = outer.replace("GET", "HEAD") + &smuggled;
    let closing = [get("Connection: close\r\n"), second.clone()].concat();
    let drained = [outer, smuggled, second].concat();
    vec![
        row("99", "Upgrade: foo, second request", upgrade),
        row("100", "GET with body, second request", drained),
        row("101", "HEAD with body", head),
        row("103", "request behind close", closing),
    ]
}
