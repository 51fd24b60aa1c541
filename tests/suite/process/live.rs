//! `check --live`: the servers behind are asked for what they list.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The key that the server knows.
const KEY: &str = "5ca1ab1e0ddba11c0ffee000decade00feedface0badcafe5eed00000ab5ce55";

/// How a server speaks.
#[derive(Clone, Copy)]
enum Speaks {
    Json,
    /// With sessions, in event streams.
    Sessions,
    /// No streamable HTTP.
    Nothing,
    /// A list that goes on and on.
    Endlessly,
}

/// A server of three tools on two pages, and the request lines and sessions that it saw.
fn server(speaks: Speaks) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            serve(socket, speaks, &record);
        }
    });
    (address, seen)
}

fn serve(mut socket: TcpStream, speaks: Speaks, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let (mut head, mut length) = (Vec::new(), 0);
    for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        head.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let session = head.iter().any(|line| line == "mcp-session-id: s1");
    let method = message["method"].as_str().unwrap_or("none").to_owned();
    let bearer = head.iter().any(|line| *line == format!("authorization: Bearer {KEY}"));
    let target = head[0].replace(KEY, "KEY").replace(" HTTP/1.1", "");
    seen.lock().unwrap().push(format!("{target} {method} {session} {bearer}"));
    let answer = if bearer || head[0].contains(KEY) {
        answer(speaks, &method, &message, session)
    } else {
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned()
    };
    let _ = socket.write_all(answer.as_bytes());
}

fn answer(speaks: Speaks, method: &str, message: &Value, session: bool) -> String {
    let cursor = message["params"]["cursor"].as_str();
    let result = match (method, cursor) {
        _ if matches!(speaks, Speaks::Nothing) => {
            return "HTTP/1.1 404 Not Found\r\n\r\n".to_owned();
        }
        ("initialize", _) => json!({"protocolVersion": "2025-06-18", "capabilities": {}}),
        _ if matches!(speaks, Speaks::Sessions) && !session => {
            return "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned();
        }
        ("tools/list", Some("2")) if !matches!(speaks, Speaks::Endlessly) => {
            json!({"tools": [{"name": "triggerTool"}]})
        }
        ("tools/list", _) => json!({
            "tools": [{"name": "integrationList"}, {"name": "integration\u{1b}[31mSchema"}],
            "nextCursor": "2",
        }),
        _ => return "HTTP/1.1 202 Accepted\r\n\r\n".to_owned(),
    };
    let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    match speaks {
        Speaks::Sessions => format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: s1\r\n\r\n\
             : hello\n\nevent: message\ndata: {text}\n\n"
        ),
        _ => format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{text}"),
    }
}

/// Two consumers, of whom one has a key for the server. The rules of the first are given.
fn check(server: SocketAddr, upstream: &str, rules: &str) -> (Output, String, String) {
    let text = format!(
        "listeners = [{{ name = \"http\", address = \"127.0.0.1:0\" }}]\n\
         [upstreams.postiz]\nendpoints = [\"http://{server}\"]\nstrip_prefix = \"/api\"\n{upstream}\n\
         [[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\npaths = [\"/api/mcp/{{key}}\", \"/api/mcp\"]\n\
         [[consumers]]\nname = \"agent\"\nupstream_key = \"env:POSTIZ_KEY\"\n\
         key_sha256 = \"{}\"\n{rules}\n\
         [[consumers]]\nname = \"own\"\nkey_sha256 = \"{}\"\ntools = {{ allow = [\"nothing\"] }}\n\
         [[consumers]]\nname = \"free\"\nupstream_key = \"env:POSTIZ_KEY\"\nkey_sha256 = \"{}\"\n",
        "ab".repeat(32),
        "cd".repeat(32),
        "ef".repeat(32),
    );
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("a.toml");
    std::fs::write(&file, &text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["check", "--live", "--config"]).arg(file).env("POSTIZ_KEY", KEY);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!out.contains(KEY) && !err.contains(KEY), "{out}{err}");
    (output, out, err)
}

const SOUND: &str = "tools = { allow = [\"integrationList\", \"integration*\", \"triggerTool\"], \
                     deny = [\"triggerTool\"] }";

#[test]
fn what_a_consumer_will_see_is_told_and_every_page_is_read() {
    for (speaks, upstream, target, session) in [
        (Speaks::Json, "", "/mcp/KEY", false),
        (Speaks::Sessions, "", "/mcp/KEY", true),
        (Speaks::Json, "upstream_auth = \"bearer\"", "/mcp", false),
    ] {
        let (address, seen) = server(speaks);
        let (output, out, err) = check(address, upstream, SOUND);
        assert_eq!(output.status.code(), Some(0), "{out}{err}");
        let line = "consumer agent on route mcp sees 2 of 3 tools: integrationList, integration?[31mSchema\n";
        assert!(out.contains(line), "{out}");
        assert!(
            out.contains("consumer own on route mcp isn't asked for: it has no `upstream_key`")
        );
        assert!(!out.contains("free"), "it has no rules: {out}");
        let bearer = target == "/mcp";
        let mut asked = vec![
            format!("POST {target} initialize false {bearer}"),
            format!("POST {target} notifications/initialized {session} {bearer}"),
            format!("POST {target} tools/list {session} {bearer}"),
            format!("POST {target} tools/list {session} {bearer}"),
        ];
        asked.extend(session.then(|| format!("DELETE {target} none true {bearer}")));
        assert_eq!(*seen.lock().unwrap(), asked);
    }
}

#[test]
fn a_name_that_the_server_does_not_list_is_a_problem_with_its_place() {
    let (address, _) = server(Speaks::Json);
    let rules = "tools = { allow = [\"integrationLost\"], deny = [\"zzz\", \"zzz*\"] }";
    let (output, out, err) = check(address, "", rules);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(
        err.contains("a.toml:14:20: error: the server lists no tool \"integrationLost\""),
        "{err}"
    );
    assert!(err.contains("help: did you mean \"integrationList\"?"), "{err}");
    assert!(err.contains("a.toml:14:48: error: the server lists no tool \"zzz\""), "{err}");
    // Neither a pattern, nor a name of who isn't asked for.
    assert_eq!(err.matches("lists no tool").count(), 2, "{err}");
    assert!(out.contains("consumer agent on route mcp sees 0 of 3 tools\n"), "{out}");
}

#[test]
fn a_server_that_can_not_be_asked_is_an_error_and_a_legacy_one_is_said_to_be_out_of_reach() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, why) in [
        (gone, "it can't be reached"),
        (server(Speaks::Nothing).0, "it has no streamable HTTP at this path (404 Not Found)"),
        (server(Speaks::Endlessly).0, "its list has no end within bounds"),
    ] {
        let (output, _, err) = check(address, "", SOUND);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains(&format!("upstream postiz can't be asked: {why}")), "{err}");
        assert!(!err.contains("lists no tool"), "what isn't known isn't judged: {err}");
    }
    let (address, seen) = server(Speaks::Json);
    let (output, out, err) = check(address, "dialect = \"legacy-sse\"", SOUND);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(
        out.contains("agent on route mcp isn't asked for: the legacy transport is out of reach")
    );
    assert!(seen.lock().unwrap().is_empty());
}
