use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

const KEY: &str = "5f0c7a9be1d24f6885ac3d90b7e6142f5f0c7a9be1d24f6885ac3d90b7e6142f";

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let served = tokio::spawn(serve(listener, KEY.to_owned(), shutdown));
    Running { address, stop, served }
}

impl Running {
    async fn send(&self, request: String) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }

    async fn get(&self, path: &str) -> TcpStream {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    async fn post(&self, path: &str, fields: &str, body: &str) -> String {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}");
        let length = body.len();
        let mut connection =
            self.send(format!("{head}Content-Length: {length}\r\n\r\n{body}")).await;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn call(&self, message: &Value) -> String {
        let path = format!("/mcp/{KEY}");
        self.post(&path, "Content-Type: application/json\r\n", &message.to_string()).await
    }
}

async fn read_until(connection: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        let length = connection.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "the stream ended before {text:?}: {seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    seen
}

#[tokio::test]
async fn the_legacy_stream_starts_with_an_absolute_endpoint_that_shows_the_key() {
    let postiz = start().await;
    let mut stream = postiz.get(&format!("/mcp/{KEY}/sse")).await;
    let endpoint =
        format!("\nevent: endpoint\nid: 1\ndata: http://localhost:5000/api/mcp/{KEY}/messages\n\n");
    let head = read_until(&mut stream, &endpoint).await.to_lowercase();
    for field in ["text/event-stream", "no-transform", "x-accel-buffering: no", "express"] {
        assert!(head.contains(field), "{head}");
    }
}

#[tokio::test]
async fn a_legacy_message_is_answered_on_every_stream_of_the_key() {
    let postiz = start().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = postiz.get(&format!("/mcp/{KEY}/sse")).await;
        read_until(&mut stream, "/messages\n\n").await;
        streams.push(stream);
    }
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
    let answer = postiz.post(&format!("/mcp/{KEY}/messages"), "", &ping).await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.ends_with("\r\n\r\n{}"), "{answer}");
    for mut stream in streams {
        let event = read_until(&mut stream, "}\n\n").await;
        assert!(event.contains("event: message\nid: 2\ndata: {"), "{event}");
        assert!(event.contains(r#""id":7"#), "{event}");
    }
}

#[tokio::test]
async fn a_stream_that_closes_silences_the_others_and_none_that_comes_later() {
    let postiz = start().await;
    let open = || async {
        let mut stream = postiz.get(&format!("/mcp/{KEY}/sse")).await;
        read_until(&mut stream, "/messages\n\n").await;
        stream
    };
    let (mut deaf, closing) = (open().await, open().await);
    drop(closing);
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
    let heard = async {
        // It takes a moment until the server sees it, and whoever comes within that is silenced too.
        loop {
            let mut stream = open().await;
            postiz.post(&format!("/mcp/{KEY}/messages"), "", &ping).await;
            let heard = read_until(&mut stream, "}\n\n");
            if tokio::time::timeout(std::time::Duration::from_millis(200), heard).await.is_ok() {
                return;
            }
        }
    };
    heard.await;
    postiz.stop.send(()).unwrap();
    let mut rest = String::new();
    deaf.read_to_string(&mut rest).await.unwrap();
    assert!(!rest.contains("event: message"), "{rest}");
}

#[tokio::test]
async fn a_wrong_request_gets_the_answer_that_postiz_gives() {
    let postiz = start().await;
    let big = "x".repeat(LEGACY_BODY_BYTES + 1);
    let typed = "Content-Type: application/json\r\n";
    let lower = format!("{typed}Authorization: bearer {KEY}\r\n");
    let cases = [
        ("/mcp/wrong/messages".to_owned(), "", "{}", "400", "Invalid url"),
        (format!("/mcp/{KEY}/messages"), "", "{}", "500", "Internal"),
        (format!("/mcp/{KEY}/messages"), "", &big, "413", ""),
        (format!("/mcp/{KEY}/sse"), "", "{}", "404", KEY),
        ("/elsewhere".to_owned(), "", "{}", "404", "Cannot POST /elsewhere"),
        ("/mcp/wrong".to_owned(), typed, "{}", "400", "Invalid API Key"),
        ("/mcp".to_owned(), typed, "{}", "401", "Missing Authorization header"),
        ("/mcp".to_owned(), &lower, "{}", "401", "Invalid API Key"),
        (format!("/mcp/{KEY}"), "", "{}", "415", "-32000"),
        (format!("/mcp/{KEY}"), typed, "{", "400", "-32700"),
    ];
    for (path, fields, body, status, text) in cases {
        let answer = postiz.post(&path, fields, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains(text), "{path}: {answer}");
    }
}

#[tokio::test]
async fn the_key_is_taken_from_the_path_or_from_authorization() {
    let postiz = start().await;
    let body = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"}).to_string();
    let bearer =
        |value: &str| format!("Content-Type: application/json\r\nAuthorization: {value}\r\n");
    for (path, fields) in [
        (format!("/mcp/{KEY}"), "Content-Type: application/json\r\n".to_owned()),
        ("/mcp".to_owned(), bearer(&format!("Bearer {KEY}"))),
        ("/mcp".to_owned(), bearer(KEY)),
    ] {
        let answer = postiz.post(&path, &fields, &body).await;
        assert!(answer.contains("integrationSchedulePostTool"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn calls_are_answered_and_notifications_are_not() {
    let postiz = start().await;
    let call = |name: &str, arguments: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
               "params": {"name": name, "arguments": arguments}})
    };
    let post = |kind: &str| json!({"socialPost": [{"type": kind}]});
    let cases = [
        (json!({"jsonrpc": "2.0", "method": "notifications/initialized"}), "202 Accepted"),
        (json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]), r#"[{"id":1"#),
        (json!({"jsonrpc": "2.0", "id": 1, "method": "nothing"}), "-32601"),
        (call("nothing", json!({})), "Unknown tool"),
        (call("integrationList", json!({})), "demo-linkedin"),
        (call("integrationSchema", json!({"platform": "x"})), "280"),
        (call("integrationSchedulePostTool", post("draft")), "DRAFT"),
        (call("integrationSchedulePostTool", post("now")), r#""isError":true"#),
    ];
    for (message, text) in cases {
        let answer = postiz.call(&message).await;
        assert!(answer.contains(text), "{message}: {answer}");
    }
}

#[tokio::test]
async fn initialize_keeps_the_version_of_the_client_where_it_is_spoken() {
    for (asked, given) in [("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")] {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
                             "params": {"protocolVersion": asked}});
        let answer = rpc::answer(message.to_string().as_bytes()).unwrap().last.unwrap();
        assert_eq!(answer["result"]["protocolVersion"], given);
    }
}

#[tokio::test]
async fn a_countdown_streams_its_progress_before_its_result() {
    let postiz = start().await;
    let answer = postiz
        .call(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "countdown", "arguments": {"from": 2}, "_meta": {"progressToken": "t"}}}))
        .await;
    let positions: Vec<_> = [r#""progress":1"#, r#""progress":2"#, "Lift-off."]
        .map(|text| answer.find(text).unwrap_or_else(|| panic!("{text} in {answer}")))
        .into();
    assert!(positions.is_sorted(), "{answer}");
    assert!(answer.contains("text/event-stream"), "{answer}");
}

#[tokio::test]
async fn a_stream_is_open_until_the_server_ends() {
    let postiz = start().await;
    let mut idle = postiz.get(&format!("/mcp/{KEY}")).await;
    read_until(&mut idle, "\r\n\r\n").await;
    let mut legacy = postiz.get(&format!("/mcp/{KEY}/sse")).await;
    read_until(&mut legacy, "/messages\n\n").await;
    postiz.stop.send(()).unwrap();
    for mut stream in [idle, legacy] {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
    }
    postiz.served.await.unwrap().unwrap();
}
