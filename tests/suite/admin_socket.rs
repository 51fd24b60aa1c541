//! The admin socket: who may ask, what it answers, and the commands that ask it.

use std::{
    io::{Read, Write},
    net::Ipv4Addr,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, Call, Gateway, Key, Setup, Upstream, tool_call};

/// A gateway with an admin socket.
struct Asked {
    gateway: Gateway,
    upstream: Upstream,
    socket: PathBuf,
    _dir: TempDir,
}

async fn boot(lines: &str) -> Asked {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("admin.sock");
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).admin(&format!("socket = {socket:?}"));
    Asked { gateway: setup.also(lines).start(), upstream, socket, _dir: dir }
}

/// Sends a request, and gives status and body of its answer.
fn ask(socket: &Path, line: &str, (fields, body): (&str, &str)) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    let request = format!("{line} HTTP/1.1\r\ncontent-length: {length}\r\n{fields}\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}")))
}

impl Asked {
    fn get(&self) -> Vec<Value> {
        let (status, mut body) = ask(&self.socket, "GET /bans", ("", ""));
        assert_eq!(status, 200);
        body["bans"].take().as_array().unwrap().clone()
    }

    fn post(&self, body: &Value) -> (u16, Value) {
        ask(&self.socket, "POST /bans", ("", &body.to_string()))
    }

    async fn from(&self, client: Ipv4Addr) -> Answer {
        let call = Call::new("POST", "/api/mcp").bearer(&Key::new()).field("content-type", "x/y");
        self.gateway.client_of("http", client).await.ask(&call).await
    }

    fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("ban").args(words).arg("--socket").arg(&self.socket);
        command.output().unwrap()
    }
}

const GUESSER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);

#[tokio::test]
async fn the_socket_is_for_the_gateways_user_and_goes_with_the_gateway() {
    let Asked { mut gateway, socket, _dir, .. } = boot("").await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    gateway.begin_to_stop().ended();
    assert!(!socket.exists());
}

#[tokio::test]
async fn an_operator_bans_a_net_and_lifts_the_ban() {
    let mut asked = boot("").await;
    assert!(asked.get().is_empty());
    let (status, ban) = asked.post(&json!({ "net": "127.0.0.0/29", "for": "48h" }));
    assert_eq!(
        (status, &ban["net"], &ban["cause"]),
        (200, &json!("127.0.0.0/29"), &json!("operator"))
    );
    assert!((172_790..=172_800).contains(&ban["left_seconds"].as_u64().unwrap()), "{ban}");
    assert!(ban["until"].as_str().unwrap().ends_with('Z'), "{ban}");
    let refused = asked.from(GUESSER).await;
    refused.refused(403, "banned");
    assert!(refused.field("retry-after").unwrap().parse::<u64>().unwrap() > 172_000);
    asked.from(Ipv4Addr::new(127, 0, 0, 8)).await.refused(415, "media_type");
    assert_eq!(asked.get().len(), 1);
    asked.gateway.metric_becomes("portcullis_bans_total", &["cause=\"operator\""], 1.0).await;
    for (status, lifted) in [(200, "lifted"), (404, "error")] {
        let (found, answer) = ask(&asked.socket, "DELETE /bans/127.0.0.0%2F29", ("", ""));
        assert!(found == status && answer.get(lifted).is_some(), "{answer}");
    }
    asked.from(GUESSER).await.refused(415, "media_type");
    let (_, endless) = asked.post(&json!({ "net": "2001:db8::/32" }));
    assert_eq!((&endless["until"], &endless["left_seconds"]), (&Value::Null, &Value::Null));
    asked.upstream.saw_nothing(&asked.gateway).await;
}

#[tokio::test]
async fn a_ban_for_wrong_keys_is_listed_and_lifted() {
    let mut asked = boot("[bans]\nwrong_keys = \"1/day\"").await;
    let mut client = asked.gateway.client_of("http", GUESSER).await;
    for _ in 0..2 {
        client.send(&Call::post("/api/mcp", &tool_call(7)).bearer(&Key::new())).await;
        asked.upstream.next().await.respond(401, &[], "").await;
        client.answer().await;
    }
    asked.gateway.metric_becomes("portcullis_bans_total", &["wrong_keys"], 1.0).await;
    let bans = asked.get();
    let ban = (&bans[0]["net"], &bans[0]["strikes"], &bans[0]["cause"]);
    assert_eq!(ban, (&json!("127.0.0.7"), &json!(1), &json!("wrong_keys")));
    assert_eq!(ask(&asked.socket, "DELETE /bans/127.0.0.7", ("", "")).0, 200);
    asked.from(GUESSER).await.refused(415, "media_type");
}

#[tokio::test]
async fn what_can_not_be_done_says_why() {
    let asked = boot("[bans]\nexempt = [\"192.0.2.0/24\"]").await;
    for (body, status, reason, word) in [
        (json!({ "net": "300.1.2.3" }), 400, "net", "no address"),
        (json!({ "net": "192.0.2.7/24" }), 400, "net", "192.0.2.0/24"),
        (json!({ "net": "198.51.100.7", "for": "soon" }), 400, "for", "no duration"),
        (json!({ "net": "198.51.100.7", "for": "9000h" }), 400, "for", "a year"),
        (json!({ "net": "198.51.100.7", "until": "1h" }), 400, "body", "for"),
        (json!("198.51.100.7"), 400, "body", "for"),
        (json!({ "net": "192.0.2.7" }), 409, "exempt", "never banned"),
    ] {
        let (found, answer) = asked.post(&body);
        assert_eq!((found, &answer["error"]["reason"]), (status, &json!(reason)), "{body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(word), "{answer}");
    }
    let large = ask(&asked.socket, "POST /bans", ("", &"x".repeat(5000)));
    assert_eq!((large.0, &large.1["error"]["reason"]), (413, &json!("body_too_large")));
    let reason = |line: &str, fields: &str| {
        let (status, answer) = ask(&asked.socket, line, (fields, ""));
        (status, answer["error"]["reason"].as_str().unwrap().to_owned())
    };
    for (line, fields, refused) in [
        ("PUT /bans", "", (405, "method")),
        ("GET /metrics", "", (404, "no_route")),
        ("GET /bans", "origin: http://localhost\r\n", (403, "origin")),
        ("GET /bans", "Sec-Fetch-Mode: cors\r\n", (403, "fetched")),
        ("GET /bans", "referer: http://localhost/\r\n", (403, "fetched")),
    ] {
        assert_eq!(reason(line, fields), (refused.0, refused.1.to_owned()), "{line} {fields}");
    }
    assert!(asked.get().is_empty());
}

#[tokio::test]
async fn the_commands_ask_it() {
    let asked = boot("").await;
    let lines = |output: &Output| {
        assert!(output.status.success(), "{}", output.stderr.escape_ascii());
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert!(lines(&asked.command(&["list"])).is_empty());
    let added = lines(&asked.command(&["add", "192.0.2.0/24", "--for", "1h"]));
    assert_eq!(added[0]["net"], "192.0.2.0/24");
    lines(&asked.command(&["add", "2001:db8::7"]));
    let listed = lines(&asked.command(&["list"]));
    let nets: Vec<_> = listed.iter().map(|ban| ban["net"].as_str().unwrap()).collect();
    assert_eq!(nets, ["192.0.2.0/24", "2001:db8::7"]);
    assert_eq!(lines(&asked.command(&["lift", "192.0.2.0/24"]))[0]["lifted"], true);
    for (words, said) in [
        (["lift", "192.0.2.0/24"], "no ban is of exactly this net"),
        (["lift", "192.0.2.0/33"], "no address and no net"),
        (["add", "example.com"], "no address and no net"),
    ] {
        let output = asked.command(&words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(said), "{words:?}: {error}");
    }
}

#[test]
fn a_command_without_a_socket_says_what_is_missing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("portcullis.toml");
    let said = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = command.args(["ban", "list", "--config"]).arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said().contains("there is no such file"));
    std::fs::write(&file, "[admin]\naddress = \"127.0.0.1:0\"\n").unwrap();
    assert!(said().contains("add to [admin]: socket"), "{}", said());
    // Whatever else is wrong with the file.
    std::fs::write(&file, "[admin]\nsocket = \"admin.sock\"\n[upstreams]\n").unwrap();
    let error = said();
    assert!(error.contains("admin.sock: there is no socket"), "{error}");
}
