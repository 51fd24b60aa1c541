//! No key is in anything that the process writes, whatever becomes of a request.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use tempfile::TempDir;

use super::{Process, config, free};
use crate::harness::{Authority, tls_before};

/// A core of 32 letters whose every part is recognized, in keys of unusual shape.
const CORE: &str = "qQxJzWvKqYxZwVjQkXzJqWvYxKzQjVwX";

fn keys() -> Vec<String> {
    let long = CORE.repeat(128);
    let encoded: String = CORE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    vec![
        CORE.to_owned(),
        long,
        encoded,
        format!("{CORE};{CORE}"),
        format!("{CORE}={CORE}"),
        format!("a%3D{CORE}"),
        format!("{CORE}%2F{CORE}"),
        format!("{CORE}/../{CORE}"),
        format!("{CORE}\u{7f}"),
    ]
}

/// Requests with the key in every place where one can stand.
fn requests(key: &str) -> Vec<String> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let post = |target: &str, fields: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\ncontent-type: application/json\r\n\
             {fields}content-length: {length}\r\n\r\n{body}"
        )
    };
    let whole = body.len();
    let path = format!("/api/mcp/{key}");
    let mut all = vec![
        post(&path, "", whole),
        post(&format!("/api/mcp/{key}/sse"), "", whole),
        post(&format!("/api/sse/{key}?a=1"), "", whole),
        post("/api/mcp", &format!("authorization: Bearer {key}\r\n"), whole),
        post("/api/mcp", &format!("authorization: {key}\r\n"), whole),
        post(&format!("/api/mcp?key={key}"), "", whole),
        post(&format!("/api/mcp?x={key}"), "authorization: Bearer x\r\n", whole),
        post(&path, &format!("referer: https://a.test/api/mcp/{key}\r\n"), whole),
        post(&path, &format!("cookie: k={key}\r\n"), whole),
        post(&format!("/nowhere/{key}"), "", whole),
        post(&format!("/api/mcp//{key}"), "", whole),
        post(&path, "", whole + 9),
        post(&path, "content-encoding: gzip\r\n", whole),
        post(&path, "bad field\r\n", whole),
        post(&path, "authorization: Bearer other\r\n", whole),
        format!(
            "GET {path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\naccept: text/event-stream\r\n\r\n"
        ),
        format!("GET {path} HTTP/9.9\r\nhost: a.test\r\nconnection: close\r\n\r\n"),
        format!(
            "GET http://{key}@a.test{path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"
        ),
        format!("{key} / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: {key}\r\nconnection: close\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n{key}: x\r\n\r\n"),
    ];
    all.push(post(&path, "", whole).replace(body, &format!("{{\"x\":\"{key}\"}}")));
    all
}

/// An upstream that quotes what it got, each time in another kind of answer.
fn quoting_upstream(listener: TcpListener) {
    for (turn, socket) in listener.incoming().enumerate() {
        let Ok(mut socket) = socket else { return };
        let mut bytes = vec![0; 64 * 1024];
        let count = socket.read(&mut bytes).unwrap_or(0);
        let head = bytes[..count].split(|byte| *byte == b'\r').next().unwrap_or_default();
        let quoted: String = head.iter().map(|byte| char::from(*byte)).collect();
        let path = quoted.split(' ').nth(1).unwrap_or("/").to_owned();
        let whole = |status: &str, fields: &str, body: &str| {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\n{fields}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            )
        };
        let answer = match turn % 9 {
            0 => whole("200 OK", "content-type: application/json\r\n", "{}"),
            1 => whole("404 Not Found", "", &format!("Cannot POST {path}")),
            2 => whole("307 Temporary Redirect", &format!("location: http://evil{path}\r\n"), ""),
            3 => whole("500 Oops", &format!("x-path: {path}\r\n"), &quoted),
            4 => format!("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{path}"),
            5 => format!("{quoted}\r\n\r\n"),
            6 => format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                 event: endpoint\ndata: {path}\n\n"
            ),
            7 => format!("HTTP/1.1 200 OK\r\nx y: {path}\r\n\r\n"),
            _ => String::new(),
        };
        let _ = socket.write_all(answer.as_bytes());
    }
}

/// Any eight characters of the core, as they are or percent-encoded.
fn shows(bytes: &[u8]) -> Option<String> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let lower = text.to_ascii_lowercase();
    let core = CORE.to_ascii_lowercase();
    let windows = core
        .as_bytes()
        .windows(8)
        .map(|window| window.iter().map(|byte| char::from(*byte)).collect::<String>());
    let encoded = CORE
        .as_bytes()
        .windows(8)
        .map(|window| window.iter().map(|byte| format!("%{byte:02x}")).collect::<String>());
    let at = windows.chain(encoded).find_map(|window| lower.find(&window))?;
    let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
    Some(text[line..].chars().take(600).collect())
}

#[test]
fn no_key_is_in_anything_that_the_process_writes_whatever_becomes_of_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let quoting = listener.local_addr().unwrap();
    std::thread::spawn(move || quoting_upstream(listener));
    for upstream in [quoting, free()] {
        let process = Process::start(upstream);
        for key in keys() {
            for request in requests(&key) {
                let answer = process.send(request.as_bytes());
                if memchr::memmem::find(&answer, b"\"request_id\"").is_some() {
                    assert_eq!(shows(&answer), None, "a refusal shows a key: {request}");
                }
            }
        }
        let metrics = process.ask_admin("/metrics").unwrap();
        assert_eq!(shows(metrics.as_bytes()), None, "a metric shows a key");
        assert!(
            metrics.contains("portcullis_redactions_total{sink=\"log\"} 0"),
            "the second net had to help"
        );
        let (out, err) = process.end();
        let reasons = ["upstream_down", "malformed", "timeout", "credential_ambiguous", "no_route"];
        let answered = ["upstream_bad", "upstream_gone", "stream_open", "\"status\":500"];
        let quotes = upstream == quoting;
        for outcome in reasons.iter().chain(answered.iter().filter(|_| quotes)) {
            let found = memchr::memmem::find(&out, outcome.as_bytes()).is_some();
            assert!(found, "{outcome} never happened, so it wasn't tried");
        }
        assert_eq!(shows(&out), None, "the log shows a key");
        assert_eq!(shows(&err), None, "standard error shows a key");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_key_is_in_anything_that_the_process_writes_of_a_tls_failure() {
    let (authority, other) = (Authority::new(), Authority::new());
    for server in [other.server("localhost"), authority.server("other.test")] {
        let port = tls_before(free(), server).await;
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let endpoint = format!("https://localhost:{port}\"]\nca = \"ca.pem\"");
        let config = |at: &str| config(at, "HERE").replace("http://HERE\"]", &endpoint);
        let process = Process::start_with(dir, config, |_| {});
        for request in keys().iter().flat_map(|key| requests(key)) {
            let answer = process.send(request.as_bytes());
            assert_eq!(shows(&answer), None, "an answer shows a key: {request}");
        }
        let metrics = process.ask_admin("/metrics").unwrap();
        assert_eq!(shows(metrics.as_bytes()), None, "a metric shows a key");
        let (out, err) = process.end();
        for said in ["invalid peer certificate", "\"reason\":\"upstream_down\""] {
            let found = memchr::memmem::find(&out, said.as_bytes()).is_some();
            assert!(found, "{said} isn't in the log, so it wasn't tried");
        }
        assert_eq!(shows(&out), None, "the log shows a key");
        assert_eq!(shows(&err), None, "standard error shows a key");
    }
}
