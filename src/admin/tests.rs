use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::observe::LogSink;

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
    let metrics = Metrics::new(&LogSink::memory());
    let shutdown = async { stopped.await.unwrap_or_default() };
    let served = tokio::spawn(serve(listener, metrics, ready.clone(), shutdown));
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
    for method in ["POST", "DELETE", "OPTIONS", "PUT"] {
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
