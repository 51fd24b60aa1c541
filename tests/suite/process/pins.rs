//! Pinned tools outlive the worst end of a process, and a change is said in its log.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use tempfile::TempDir;

use super::{PATIENCE, Process, config};

/// A server that lists one tool, described as the texts say, one after the other.
fn lists(descriptions: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for text in descriptions {
            let (mut socket, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"}}") {
                let mut bytes = [0; 4096];
                let count = socket.read(&mut bytes).unwrap();
                assert!(count > 0, "the request ends early");
                asked.extend_from_slice(&bytes[..count]);
            }
            let tools = format!(r#"{{"tools":[{{"name":"post","description":"{text}"}}]}}"#);
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{tools}}}"#);
            let length = body.len();
            write!(
                socket,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    address
}

fn start(dir: TempDir, upstream: SocketAddr) -> Process {
    let state = format!("[state]\ndir = {:?}\n", dir.path());
    let text = |at: &str| {
        let text = config(at, &upstream.to_string()) + &state;
        text.replace("strip_prefix", "pin = \"enforce\"\nstrip_prefix")
    };
    Process::start_with(dir, text, |_| {})
}

/// Asks for the list, and says whether the tool is in it.
fn has_the_tool(process: &Process) -> bool {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    let length = body.len();
    let request = format!(
        "POST /api/mcp HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let answer = String::from_utf8(process.send(request.as_bytes())).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.contains("\"post\"")
}

#[test]
fn a_pin_outlives_a_kill_and_a_change_behind_it_is_noticed() {
    let upstream = lists(&["Posts.", "Posts all."]);
    let (dir, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let kept = dir.path().join("pins");
    let mut process = start(dir, upstream);
    assert!(has_the_tool(&process));
    let begun = Instant::now();
    while !kept.exists() {
        assert!(begun.elapsed() < PATIENCE, "the pin isn't written");
        std::thread::yield_now();
    }
    fs::copy(&kept, state.path().join("pins")).unwrap();
    process.signal("KILL");
    process.child.wait().unwrap();
    let process = start(state, upstream);
    assert!(!has_the_tool(&process));
    let out = String::from_utf8(process.end().0).unwrap();
    let said = out.lines().find(|line| line.contains("a tool isn't described as it was")).unwrap();
    for part in [
        "\"level\":\"warn\"",
        "\"upstream\":\"postiz\"",
        "\"tool\":\"post\"",
        "\"hidden\":\"true\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
