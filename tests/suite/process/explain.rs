//! `explain` says of a request what the running gateway says, and which line of the file does it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::{PATIENCE, Process};
use crate::harness::Key;

/// A request, and what has to be said of it.
struct Row {
    from: u8,
    method: &'static str,
    target: &'static str,
    key: bool,
    tool: Option<&'static str>,
    origin: Option<&'static str>,
    /// The gate that refuses and a text of the line that does it; none where the request passes.
    refused: Option<(&'static str, &'static str, &'static str)>,
}

const CALL: Row = Row {
    from: 1,
    method: "POST",
    target: "/api/mcp",
    key: true,
    tool: Some("integrationList"),
    origin: None,
    refused: None,
};

const ROWS: [Row; 15] = [
    CALL,
    Row { target: "/api/mcp/{key}", ..CALL },
    Row { from: 9, refused: Some(("connection", "address", "\"127.0.0.9\"")), ..CALL },
    Row { from: 8, refused: Some(("address", "address", "deny = [\"127.0.0.8\"]")), ..CALL },
    Row { from: 7, refused: Some(("consumer", "address", "allow = [\"127.0.0.0/30\"]")), ..CALL },
    Row { target: "/nowhere", refused: Some(("route", "no_route", "")), ..CALL },
    Row { target: "/api/mcp/%2e%2e/x", refused: Some(("path", "malformed", "")), ..CALL },
    Row {
        target: "/.well-known/oauth-protected-resource",
        refused: Some(("route", "discovery", "")),
        ..CALL
    },
    Row { method: "PUT", refused: Some(("method", "method", "")), ..CALL },
    Row { key: false, refused: Some(("credential", "key_missing", "")), ..CALL },
    Row {
        target: "/api/mcp?key=1",
        refused: Some(("credential", "credential_ambiguous", "")),
        ..CALL
    },
    Row {
        target: "/api/other",
        refused: Some(("key", "key_unknown", "routes = [\"mcp\"]")),
        ..CALL
    },
    Row {
        tool: Some("postsDelete"),
        refused: Some(("rules", "tool", "deny = [\"posts*\"]")),
        ..CALL
    },
    Row {
        tool: Some("other"),
        refused: Some(("rules", "tool", "allow = [\"integration*\"")),
        ..CALL
    },
    Row { origin: Some("https://evil.test"), refused: Some(("origin", "origin", "")), ..CALL },
];

fn file(listener: &str, upstream: SocketAddr, digest: &str) -> String {
    format!(
        "[[listeners]]\nname = \"http\"\naddress = \"{listener}\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [access]\ndeny = [\n  \"127.0.0.9\",\n]\n\
         [upstreams.postiz]\nendpoints = [\"http://{upstream}\"]\nstrip_prefix = \"/api\"\n\
         [[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\n\
         paths = [\"/api/mcp/{{key}}\", \"/api/mcp\"]\ndeny = [\"127.0.0.8\"]\n\
         [[routes]]\nname = \"other\"\nupstream = \"postiz\"\npaths = [\"/api/other\"]\n\
         [[consumers]]\nname = \"agent\"\nkey_sha256 = \"{digest}\"\nroutes = [\"mcp\"]\n\
         allow = [\"127.0.0.0/30\"]\n\
         tools = {{ allow = [\"integration*\", \"postsDelete\"],\n deny = [\"posts*\"] }}\n"
    )
}

/// A server that answers every call.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n";
            let _ = write!(socket, "{head}content-length: {length}\r\n\r\n{body}");
        }
    });
    address
}

impl Row {
    /// What the running gateway answers; nothing where it closes the connection.
    fn send(&self, to: SocketAddr, key: &Key) -> String {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, self.from), 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = self.tool.unwrap_or_default();
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\
             \"params\":{{\"name\":\"{name}\",\"arguments\":{{}}}}}}"
        );
        let in_path = self.target.contains("{key}");
        let mut fields = String::new();
        if self.key && !in_path {
            fields.push_str(&format!("authorization: Bearer {}\r\n", key.text()));
        }
        if let Some(origin) = self.origin {
            fields.push_str(&format!("origin: {origin}\r\n"));
        }
        let target = self.target.replace("{key}", &key.encoded());
        let request = format!(
            "{} {target} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n{fields}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.method,
            body.len()
        );
        let _ = socket.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    }

    /// What is explained of it.
    fn describe(&self, config: &Path, key_file: &Path) -> (String, Option<i32>) {
        let mut command = explain(config);
        command.args(["--from", &format!("127.0.0.{}", self.from)]);
        if self.key {
            command.arg("--key-file").arg(key_file);
        }
        if let Some(tool) = self.tool.filter(|_| self.method == "POST") {
            command.args(["--tool", tool]);
        }
        if let Some(origin) = self.origin {
            command.args(["--origin", origin]);
        }
        command.args([self.method, &format!("http://a.test{}", self.target)]);
        told(command, "")
    }

    /// Holds an explanation to the gate, the reason and the line.
    fn holds(&self, said: &str, config: &str) {
        let refusing = said.lines().find(|line| line.starts_with("  refuses"));
        let Some((gate, reason, cause)) = self.refused else {
            assert_eq!(refusing, None, "{said}");
            return;
        };
        let refusing = refusing.unwrap_or_else(|| panic!("nothing refuses: {said}"));
        assert!(refusing.contains(&format!("refuses  {gate} ")), "{gate}: {said}");
        assert!(said.contains(&format!("refused as `{reason}`")), "{reason}: {said}");
        if cause.is_empty() {
            return;
        }
        let line = config.lines().position(|line| line.contains(cause)).unwrap() + 1;
        assert!(refusing.contains(&format!("portcullis.toml:{line}:")), "line {line}: {said}");
    }
}

fn explain(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["explain", "--config"]).arg(config);
    command
}

fn told(mut command: Command, input: &str) -> (String, Option<i32>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who doesn't read it closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (text, output.status.code())
}

/// The id in the body of a refusal.
fn request_id(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: Value = serde_json::from_str(body).ok()?;
    body["error"]["data"]["request_id"].as_str().map(str::to_owned)
}

#[test]
fn explain_says_what_the_gateway_says_and_which_line_does_it() {
    let (key, beside) = (Key::new(), TempDir::new().unwrap());
    let key_file = beside.path().join("key");
    std::fs::write(&key_file, format!("{}\n", key.text())).unwrap();
    let digest = key.sha256();
    let upstream = server();
    let mut written = String::new();
    let process = Process::start_with(
        TempDir::new().unwrap(),
        |listener| {
            written = file(listener, upstream, &digest);
            written.clone()
        },
        |_| {},
    );
    let config = beside.path().join("portcullis.toml");
    std::fs::write(&config, &written).unwrap();
    let answers: Vec<String> = ROWS.iter().map(|row| row.send(process.http, &key)).collect();
    let (log, _) = process.end();
    let log = String::from_utf8(log).unwrap();
    for (row, answer) in ROWS.iter().zip(&answers) {
        let (said, code) = row.describe(&config, &key_file);
        row.holds(&said, &written);
        assert_eq!(code, Some(if row.refused.is_some() { 3 } else { 0 }), "{said}");
        assert!(!said.contains(key.text()), "{said}");
        let Some(id) = request_id(answer) else {
            let closed = row.refused.is_some_and(|(gate, ..)| gate == "connection");
            assert!(closed && answer.is_empty() || answer.contains("\"result\""), "{answer}");
            continue;
        };
        let mut by_id = explain(&config);
        by_id.args(["--request", &id]);
        let (said, code) = told(by_id, &log);
        // Whose key it was isn't in the log where it didn't count.
        let known = row.target != "/api/other";
        let line = Row {
            refused: row
                .refused
                .map(|(gate, reason, cause)| (gate, reason, if known { cause } else { "" })),
            ..*row
        };
        line.holds(&said, &written);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn what_cant_be_explained_is_an_error_that_says_how_to_mend_it() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("portcullis.toml");
    let upstream = "127.0.0.1:1".parse().unwrap();
    std::fs::write(&config, file("127.0.0.1:0", upstream, &Key::new().sha256())).unwrap();
    for (arguments, says) in [
        (&["--from", "127.0.0.1", "POST", "a.test/api/mcp"][..], "https://HOST/PATH"),
        (&["--from", "127.0.0.1", "POST", "http://a.test/api/mcp/{key}"], "--key-file"),
        (&["--from", "127.0.0.1", "P OST", "http://a.test/"], "GET, POST"),
        (&["--from", "127.0.0.1", "GET", "http://a.test/a b"], "percent-encode"),
        (&["--from", "127.0.0.1", "--consumer", "nobody", "GET", "http://a.test/"], "no consumer"),
        (&["--from", "127.0.0.1", "--key-file", "/nowhere", "GET", "http://a.test/"], "--key-file"),
        (&["--request", "7"], "16 hex digits"),
        (&["--request", "0123456789abcdef"], "standard input"),
    ] {
        let mut command = explain(&config);
        command.args(arguments);
        let (said, code) = told(command, "{\"request_id\":\"ffffffffffffffff\"}\nnonsense\n");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
    }
}

#[test]
fn a_key_that_was_pasted_in_the_wrong_place_is_not_said_back() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("portcullis.toml");
    let (upstream, key) = ("127.0.0.1:1".parse().unwrap(), Key::new());
    std::fs::write(&config, file("127.0.0.1:0", upstream, &key.sha256())).unwrap();
    let text = key.text();
    for arguments in [
        &["--from", text, "GET", "http://a.test/"][..],
        &["--from", "127.0.0.1", "--key-file", text, "GET", "http://a.test/"],
        &["--from", "127.0.0.1", "GET", "http://a.test/", text],
        &["--from", "127.0.0.1", "--consumer", text, "GET", "http://a.test/"],
        &["--from", "127.0.0.1", "GET", text],
        &["--from", "127.0.0.1", "--key", text, "GET", "http://a.test/"],
        &["--request", text],
    ] {
        let mut command = explain(&config);
        command.args(arguments);
        let (said, code) = told(command, "");
        assert!(matches!(code, Some(1 | 2)) && !said.contains(text), "{said}");
        assert!(!said.is_empty());
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg(text);
    let (said, _) = told(command, "");
    assert!(!said.contains(text), "{said}");
}

#[test]
fn a_line_of_text_and_one_behind_a_prefix_are_found_too() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("portcullis.toml");
    let upstream = "127.0.0.1:1".parse().unwrap();
    let written = file("127.0.0.1:0", upstream, &Key::new().sha256());
    std::fs::write(&config, &written).unwrap();
    let json = r#"host portcullis[7]: {"ts":"2026-11-25T10:00:00.000Z","event":"exchange","request_id":"0123456789abcdef","route":"mcp","client":"127.0.0.8","method":"POST","path":"/api/mcp","status":403,"outcome":"refused","reason":"address"}"#;
    let text = "2026-11-25T10:00:00.000Z info exchange request_id=0123456789abcdef route=mcp client=127.0.0.8 method=POST path=/api/mcp status=403 outcome=refused reason=address";
    for log in [json, text] {
        let mut command = explain(&config);
        command.args(["--request", "0123456789ABCDEF"]);
        let (said, code) = told(command, log);
        let row = &ROWS[3];
        row.holds(&said, &written);
        assert_eq!(code, Some(0), "{said}");
    }
}

/// A line may be anybody's.
#[test]
fn what_a_line_says_can_neither_drive_a_terminal_nor_pass_for_another_field() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("portcullis.toml");
    let upstream = "127.0.0.1:1".parse().unwrap();
    std::fs::write(&config, file("127.0.0.1:0", upstream, &Key::new().sha256())).unwrap();
    let of = "\"request_id\":\"0123456789abcdef\",\"route\":\"mcp\",\"client\":\"127.0.0.1\"";
    let key = "qQxJzWvKqYxZwVjQkXzJqWvYxKzQjVwX";
    let escapes =
        format!("{{{of},\"method\":\"\\u001b]0;x\\u0007GET\",\"path\":\"/mcp/ptc_{key}\"}}");
    let forged = "ts info exchange request_id=0123456789abcdef route=mcp client=127.0.0.1 method=POST \
                  path=/api/mcp status=200 outcome=answered tool=\"x reason=banned y=\"";
    let behind = format!("{}{{{of},\"reason\":\"banned\"}}", "a".repeat(256 * 1024));
    for (log, found) in [(escapes.as_str(), true), (forged, true), (&behind, false)] {
        let mut command = explain(&config);
        command.args(["--request", "0123456789abcdef"]);
        let (said, code) = told(command, log);
        assert_eq!(code, Some(if found { 0 } else { 1 }), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{7}']) && !said.contains(key), "{said}");
        assert!(!said.contains("refused as"), "{said}");
    }
}
