use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::{config, observe::LogSink};

const ONE: &str = "listeners = [{ name = \"http\", address = \"127.0.0.1:0\" }]\n\
                   upstreams.postiz.endpoints = [\"http://127.0.0.1:1\"]\n\
                   routes = [{ name = \"mcp\", paths = [\"/mcp\"], upstream = \"postiz\" }]\n";

/// What a configuration says.
fn world(text: &str) -> Arc<ArcSwap<World>> {
    let around = config::Surroundings {
        base_dir: std::path::Path::new("."),
        environment: &|_| None,
        now: std::time::SystemTime::UNIX_EPOCH,
    };
    World::alone(config::compile_text(text, around).snapshot.unwrap())
}

/// The plane on a port of its own.
struct Plane {
    address: std::net::SocketAddr,
    ready: Readiness,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

async fn plane() -> Plane {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ready, (stop, stopped)) = (Readiness::default(), oneshot::channel::<()>());
    let app = monitor(Metrics::new(&LogSink::memory()), ready.clone(), world(ONE));
    let shutdown = async { stopped.await.unwrap_or_default() };
    let served = tokio::spawn(async {
        serve(Listening::Address(listener), app, (&TaskTracker::new(), shutdown)).await;
    });
    Plane { address, ready, stop, served }
}

impl Plane {
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap_or_default().1
}

#[tokio::test]
async fn metrics_and_health_are_there_and_nothing_else() {
    let plane = plane().await;
    let metrics = plane.get("/metrics").await;
    assert_eq!(status(&metrics), "200");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(body(&metrics).contains("\nportcullis_build_info{version="), "{metrics}");
    assert_eq!(body(&plane.get("/livez").await), "ok");
    for path in ["/", "/metrics/", "/debug", "/livez/x"] {
        let answer = plane.get(path).await;
        assert_eq!(status(&answer), "404", "{path}");
        assert_eq!(body(&answer), r#"{"error":{"reason":"no_route"}}"#);
    }
}

#[tokio::test]
async fn readiness_follows_the_gateways_life() {
    let plane = plane().await;
    for (stage, code, word) in [
        (Stage::Starting, "503", "starting"),
        (Stage::Ready, "200", "ready"),
        (Stage::Draining, "503", "draining"),
    ] {
        plane.ready.set(stage);
        let answer = plane.get("/readyz").await;
        assert_eq!((status(&answer), body(&answer)), (code, word));
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_what_is_allowed() {
    let plane = plane().await;
    for method in ["POST", "DELETE", "OPTIONS", "PUT", "HEAD"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let answer = plane.ask(&request).await;
        assert_eq!(status(&answer), "405", "{method}");
        assert!(answer.contains("allow: GET"), "{answer}");
    }
}

#[tokio::test]
async fn what_a_web_page_could_send_is_refused() {
    let plane = plane().await;
    for (target, fields) in [
        ("/metrics", "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"),
        ("/metrics", "Host: 127.0.0.1\r\nOrigin: null\r\n"),
        ("/metrics", "Host: rebound.example.com\r\n"),
        ("/metrics", "Host: rebound.example.com:9464\r\n"),
        ("/metrics", "Host: localhost.example.com\r\n"),
        ("/metrics", "Host: 127.0.0.1.example.com\r\n"),
        ("/metrics", "Host: 127.0.0.1\r\nHost: rebound.example.com\r\n"),
        ("/metrics", "Host:\r\n"),
        ("/metrics", ""),
        ("http://rebound.example.com/metrics", "Host: 127.0.0.1\r\n"),
    ] {
        let answer = plane.ask(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n")).await;
        assert_eq!(status(&answer), "403", "{target} {fields}");
        assert!(!body(&answer).contains("portcullis_"));
    }
    for host in ["localhost", "LOCALHOST:9464", "[::1]:9464", "192.0.2.1", "127.0.0.1:1"] {
        let answer = plane.ask(&format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(status(&answer), "200", "{host}");
    }
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let plane = plane().await;
    let fields = "Host: localhost\r\nContent-Length: 1000000";
    let answer = plane.ask(&format!("GET /livez HTTP/1.1\r\n{fields}\r\n\r\nx")).await;
    assert_eq!((status(&answer), body(&answer)), ("200", "ok"));
}

#[tokio::test]
async fn beyond_its_room_a_connection_waits_until_another_ends() {
    let plane = plane().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(plane.address).await.unwrap());
    }
    let mut last = TcpStream::connect(plane.address).await.unwrap();
    last.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    drop(held.pop());
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn it_ends_when_told_even_with_a_connection_that_says_nothing() {
    let plane = plane().await;
    let _silent = TcpStream::connect(plane.address).await.unwrap();
    assert_eq!(status(&plane.get("/livez").await), "200");
    plane.stop.send(()).unwrap();
    plane.served.await.unwrap();
    assert!(TcpStream::connect(plane.address).await.is_err());
}

/// A request of one field more.
fn with(field: &str) -> String {
    format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\n\r\n")
}

#[tokio::test]
async fn what_a_server_was_made_to_fetch_is_refused() {
    let plane = plane().await;
    for field in [
        "Sec-Fetch-Mode: cors",
        "sec-fetch-site: none",
        "Referer: http://127.0.0.1/",
        "User-Agent: node",
        "User-Agent: Node/20",
        "User-Agent: undici",
        "User-Agent: axios/1.7.9",
        "User-Agent: node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "User-Agent: node-fetch",
        "User-Agent: got (https://github.com/sindresorhus/got)",
        "User-Agent: x/1 (axios/1.0)",
    ] {
        let answer = plane.ask(&with(field)).await;
        assert_eq!(status(&answer), "403", "{field}");
        assert_eq!(body(&answer), r#"{"error":{"reason":"fetched"}}"#, "{field}");
    }
    for monitor in [
        "Prometheus/2.53.0",
        "curl/8.5.0",
        "Wget/1.21.4",
        "kube-probe/1.31",
        "Grafana/11.0",
        "nodejs_exporter/1.0",
    ] {
        let answer = plane.ask(&with(&format!("User-Agent: {monitor}"))).await;
        assert_eq!(status(&answer), "200", "{monitor}");
    }
}

/// What Postiz runs on, as it is.
#[tokio::test]
async fn nodes_own_fetch_gets_nothing() {
    let plane = plane().await;
    let script = format!(
        "fetch('http://{}/metrics').then(async (a) => console.log(a.status, await a.text()))",
        plane.address
    );
    let node = move || std::process::Command::new("node").args(["-e", &script]).output();
    let output = tokio::task::spawn_blocking(node).await.unwrap().expect("node, which tests need");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "403 {\"error\":{\"reason\":\"fetched\"}}\n");
}

#[tokio::test]
async fn a_machine_of_the_servers_behind_gets_nothing_and_this_machine_does() {
    let text = "listeners = [{ name = \"http\", address = \"127.0.0.1:0\" }]\n\
                upstreams.postiz.endpoints = [\"http://198.51.100.7:3000\"]\n\
                upstreams.local.endpoints = [\"http://127.0.0.1:3000\"]\n\
                routes = [{ name = \"mcp\", paths = [\"/mcp\"], upstream = \"postiz\" },\
                { name = \"local\", paths = [\"/local\"], upstream = \"local\" }]\n";
    let app = monitor(Metrics::new(&LogSink::memory()), Readiness::default(), world(text));
    for (peer, code) in [
        ("198.51.100.7", "403"),
        ("::ffff:198.51.100.7", "403"),
        ("198.51.100.8", "200"),
        ("127.0.0.1", "200"),
    ] {
        let (mut client, gateway) = tokio::io::duplex(1 << 20);
        let app = app.0.clone().layer(Extension(Peer(peer.parse().unwrap())));
        let served = tokio::spawn(converse(gateway, app));
        client.write_all(with("User-Agent: curl/8.5.0").as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        served.await.unwrap();
        assert_eq!(status(&answer), code, "{peer}");
    }
}
