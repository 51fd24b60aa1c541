//! A process that runs short of descriptors or of memory sheds, and goes on serving.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Instant,
};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::{PATIENCE, Process, config, free, starting::wrapped};

/// How many descriptors the gateway may have: some for each of its threads, and some.
fn most() -> usize {
    200 + 6 * std::thread::available_parallelism().unwrap().get()
}

/// The gateway with no more descriptors than that.
fn with_few_descriptors(upstream: SocketAddr) -> Process {
    let config = |listener: &str| {
        config(listener, &upstream.to_string())
            .replace("[limits]\n", "[limits]\nstreams_per_address = 1000\n")
            .replace("head = \"1s\"", "head = \"30s\"")
    };
    Process::start_with(TempDir::new().unwrap(), config, |command| {
        command.env("RUST_LOG", "info");
        let inner = std::mem::replace(command, Command::new("true"));
        *command = wrapped(&["prlimit", &format!("--nofile={}", most())], inner);
    })
}

fn metric(process: &Process, series: &str) -> u64 {
    let metrics = process.ask_admin("/metrics").expect("the admin address answers");
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

fn connection(process: &Process, from: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&process.http.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// An upstream that answers the requests whose head has a text, and never any other.
fn answering(text: &'static str, answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let mut head = vec![0; 4096];
            let count = socket.read(&mut head).unwrap_or(0);
            if memchr::memmem::find(&head[..count], text.as_bytes()).is_some() {
                let _ = socket.write_all(answer.as_bytes());
            }
            held.push(socket);
        }
    });
    address
}

const ELSEWHERE: &str = "GET /elsewhere HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
const DESCRIPTORS: &str = "portcullis_limits_reached_total{limit=\"limits.descriptors\"}";
const SHED: &str = "portcullis_connections_total{listener=\"http\",outcome=\"shed\"}";
const OVERLOAD: &str = "portcullis_connections_total{listener=\"http\",outcome=\"overload\"}";

#[test]
fn silent_connections_beyond_the_share_of_descriptors_make_way_for_new_ones() {
    let process = with_few_descriptors(free());
    let silent: Vec<_> =
        (0..most() + 50).map(|_| connection(&process, Ipv4Addr::LOCALHOST)).collect();
    let answer = process.send(ELSEWHERE.as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", answer.escape_ascii());
    assert!(metric(&process, SHED) > 20 && metric(&process, DESCRIPTORS) > 0);
    let open = metric(&process, "process_open_fds");
    assert!(usize::try_from(open).unwrap() < most(), "{open}");
    drop(silent);
    let (out, _) = process.end();
    // In a burst it may run out before those that are shed are gone; that is said once.
    let out = String::from_utf8(out).unwrap();
    assert!(out.lines().filter(|line| line.contains("can't accept")).count() <= 1, "{out}");
}

#[test]
fn where_all_descriptors_are_in_use_new_connections_are_closed_and_streams_live_on() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n";
    let process = with_few_descriptors(answering("GET", head));
    let mut streams = Vec::new();
    let refused = loop {
        let mut socket = connection(&process, Ipv4Addr::LOCALHOST);
        let key = format!("key-{}", streams.len());
        let request = format!(
            "GET /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {key}\r\n\
             accept: text/event-stream\r\n\r\n"
        );
        let _ = socket.write_all(request.as_bytes());
        let mut answer = [0; 12];
        match socket.read(&mut answer) {
            Ok(count @ 1..) if answer[..count].ends_with(b"200") => streams.push(socket),
            refused => break (refused.unwrap_or(0), answer),
        }
        assert!(streams.len() < most(), "nothing is ever refused");
    };
    assert!(refused.0 == 0 || refused.1.ends_with(b"503"), "{refused:?}");
    assert!(streams.len() > 40, "only {} streams", streams.len());
    assert!(metric(&process, DESCRIPTORS) > 0);
    if refused.0 == 0 {
        assert!(metric(&process, OVERLOAD) > 0);
    }
    let open = metric(&process, "portcullis_streams_open{consumer=\"\",route=\"mcp\"}");
    assert_eq!(usize::try_from(open).unwrap(), streams.len());
    assert!(!process.has_said("can't accept"), "it never ran out");
    drop(streams);
    process.end();
}

#[test]
fn where_memory_is_short_requests_are_told_and_new_connections_closed() {
    let upstream =
        answering("kept", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    let config = |listener: &str| {
        config(listener, &upstream.to_string())
            .replace("[limits]\n", "[limits]\nmemory = \"64MiB\"\n")
            .replace("body = \"50ms\"", "body = \"30s\"")
    };
    let process = Process::start_with(TempDir::new().unwrap(), config, |command| {
        command.env("RUST_LOG", "info");
    });
    // One that has shown a key, so that it isn't shed itself.
    let mut kept = connection(&process, Ipv4Addr::LOCALHOST);
    let ask = |target: &str| {
        format!("DELETE {target} HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer kept\r\n\r\n")
    };
    kept.write_all(ask("/api/mcp").as_bytes()).unwrap();
    let count = kept.read(&mut [0; 4096]).unwrap();
    assert!(count > 0);
    let body =
        format!("{}{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}}", " ".repeat(4_000_000));
    let held: Vec<_> = (0..16_u8)
        .map(|turn| {
            let mut socket = connection(&process, Ipv4Addr::new(127, 0, 0, 2 + turn / 4));
            let head = format!(
                "POST /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer key-{turn}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(head.as_bytes());
            let _ = socket.write_all(body.as_bytes());
            socket
        })
        .collect();
    let begun = Instant::now();
    loop {
        kept.write_all(ask("/elsewhere").as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let count = kept.read(&mut answer).unwrap();
        let answer = std::str::from_utf8(&answer[..count]).unwrap();
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains("\"reason\":\"overload\"") && answer.contains("retry-after"));
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "memory is never short: {answer}");
    }
    drop(kept);
    while metric(&process, OVERLOAD) == 0 {
        assert!(begun.elapsed() < PATIENCE, "new connections are let in");
        drop(connection(&process, Ipv4Addr::LOCALHOST));
    }
    assert!(metric(&process, "portcullis_limits_reached_total{limit=\"limits.memory\"}") > 1);
    assert!(process.says("memory is short"));
    drop(held);
    process.end();
}
