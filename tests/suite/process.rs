//! The real binary: what it says when it can't start, how it ends, and that no key is in anything
//! that it writes, whatever becomes of a request.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::{Authority, tls_before};

const PATIENCE: Duration = Duration::from_secs(10);

fn portcullis(dir: &TempDir, text: &str) -> Command {
    let file = dir.path().join("portcullis.toml");
    std::fs::write(&file, text).unwrap();
    command(&file)
}

fn command(file: &PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--config"]).arg(file).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn config(listener: &str, upstream: &str) -> String {
    format!(
        "[[listeners]]\nname = \"http\"\naddress = \"{listener}\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.postiz]\nendpoints = [\"http://{upstream}\"]\nstrip_prefix = \"/api\"\n\
         [[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\nunknown_keys = \"forward\"\n\
         paths = [\"/api/mcp/{{key}}\", \"/api/mcp\", \"/api/sse/{{key}}\"]\n\
         [limits]\nunproven_per_address = \"100000/s\"\n\
         [timeouts]\nbody = \"50ms\"\nhead = \"1s\"\n"
    )
}

/// One clear message, an exit code and nothing for programmers.
fn fails(output: &Output, message: &str) {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(error.contains(message), "{message:?} isn't in {error}");
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in ["panicked", "backtrace", "RUST_BACKTRACE", "src/", "Os {"] {
        assert!(!error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_bad_configuration_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let bad = config("127.0.0.1:0", "127.0.0.1:1").replace("endpoints", "endpoint");
    fails(&portcullis(&dir, &bad).output().unwrap(), "portcullis.toml:7:1: error: ");
    fails(&portcullis(&dir, "= nonsense").output().unwrap(), "portcullis.toml:1:1: error: ");
    fails(&command(&dir.path().join("absent.toml")).output().unwrap(), "there is no such file");
    fails(&command(&dir.path().to_owned()).output().unwrap(), "this is a directory");
}

#[test]
fn an_address_that_can_not_be_had_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = config(&holder.local_addr().unwrap().to_string(), "127.0.0.1:1");
    fails(&portcullis(&dir, &in_use).output().unwrap(), "the port is in use");
    let elsewhere = config("192.0.2.1:80", "127.0.0.1:1");
    fails(
        &portcullis(&dir, &elsewhere).output().unwrap(),
        "this machine doesn't have that address",
    );
}

/// The gateway as a process, and where it listens.
struct Process {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
    out: std::thread::JoinHandle<Vec<u8>>,
    err: std::thread::JoinHandle<Vec<u8>>,
    _dir: TempDir,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

impl Process {
    fn start(upstream: SocketAddr) -> Self {
        let config = |listener: &str| config(listener, &upstream.to_string());
        Self::start_with(TempDir::new().unwrap(), config)
    }

    fn start_with(dir: TempDir, config: impl FnOnce(&str) -> String) -> Self {
        // The process can't tell its ports but in its log, so they are asked for beforehand.
        let (http, admin) = (free(), free());
        let text = config(&http.to_string()).replace(
            "[admin]\naddress = \"127.0.0.1:0\"",
            &format!("[admin]\naddress = \"{admin}\""),
        );
        let mut child = portcullis(&dir, &text).spawn().unwrap();
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let process = Self { child, http, admin, out, err, _dir: dir };
        let started = Instant::now();
        while !process.ask_admin("/readyz").is_some_and(|answer| answer.contains("200 OK")) {
            assert!(started.elapsed() < PATIENCE, "it doesn't come up");
            std::thread::yield_now();
        }
        process
    }

    fn ask_admin(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.admin).ok()?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Sends bytes that ask for the connection to be closed, and reads until it is.
    fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.write_all(bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        answer
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Ends it by SIGTERM, and gives what it wrote.
    fn end(mut self) -> (Vec<u8>, Vec<u8>) {
        self.signal("TERM");
        let begun = Instant::now();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "SIGTERM ends it with 0");
        assert!(begun.elapsed() < Duration::from_secs(2), "an idle end took {:?}", begun.elapsed());
        (self.out.join().unwrap(), self.err.join().unwrap())
    }
}

#[test]
fn sighup_does_not_end_it_and_sigterm_ends_it_at_once() {
    let process = Process::start(free());
    process.signal("HUP");
    assert!(process.ask_admin("/livez").unwrap().contains("200 OK"));
    let (out, _) = process.end();
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{out}"
    );
}

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
        post(&format!("/api/sse/{key}?sessionId=1"), "", whole),
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
        let process = Process::start_with(dir, |listener| {
            let endpoint = format!("https://localhost:{port}\"]\nca = \"ca.pem\"");
            config(listener, "HERE").replace("http://HERE\"]", &endpoint)
        });
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
