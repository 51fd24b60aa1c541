//! Budgets as a process has them: what was used outlives its worst end, and no key is in the file.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, Process, config};
use crate::{harness::Key, noon};

/// A server that does whatever it is asked.
fn willing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            std::thread::spawn(move || {
                while let Ok(1..) = socket.read(&mut [0; 4096]) {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                                  content-length: 2\r\n\r\n{}";
                    let _ = socket.write_all(answer.as_bytes());
                }
            });
        }
    });
    address
}

/// The configuration of a gateway with this state.
fn text(at: &str, upstream: SocketAddr, state: &Path, key: &Key) -> String {
    let limits = format!("{}\n", noon::limits());
    config(at, &upstream.to_string()).replace("[limits]\n", &limits).replace(
        "upstream = \"postiz\"\n",
        "upstream = \"postiz\"\nbudgets = { post = \"5/day\" }\n",
    ) + &format!("[state]\ndir = {state:?}\n[[consumers]]\nname = \"one\"\n")
        + &format!("key_sha256 = \"{}\"\n", key.sha256())
}

fn start(upstream: SocketAddr, state: &Path, key: &Key) -> Process {
    let text = |at: &str| text(at, upstream, state, key);
    Process::start_with(TempDir::new().unwrap(), text, |_| {})
}

/// Whether a call of the tool passes.
fn posts(process: &Process, key: &Key) -> bool {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"post"}}"#;
    let request = format!(
        "POST /api/mcp HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\
         authorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        key.text(),
        body.len()
    );
    let answer = String::from_utf8(process.send(request.as_bytes())).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let passed = answer.ends_with("\r\n\r\n{}");
    assert!(passed || answer.contains("\"budget\""), "{answer}");
    passed
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn what_was_used_outlives_a_kill() {
    let (upstream, state, key, stranger) =
        (willing(), TempDir::new().unwrap(), Key::new(), Key::new());
    let mut process = start(upstream, state.path(), &key);
    for _ in 0..3 {
        assert!(posts(&process, &key));
    }
    assert!(posts(&process, &stranger));
    let (file, begun) = (state.path().join("budgets"), Instant::now());
    let kept = loop {
        let lines = lines(&file);
        if lines.len() == 2 {
            break lines;
        }
        assert!(begun.elapsed() < PATIENCE, "{lines:?}");
        std::thread::yield_now();
    };
    process.signal("KILL");
    process.child.wait().unwrap();
    let used: Vec<&str> = kept.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert!(used[0].starts_with("1/5 route mcp key ") && used[0].ends_with(" post"), "{used:?}");
    assert_eq!(used[1], "3/5 route mcp consumer one post");
    for key in [&key, &stranger] {
        let found =
            kept.iter().any(|line| line.contains(key.text()) || line.contains(&key.sha256()));
        assert!(!found, "{kept:?}");
    }
    let process = start(upstream, state.path(), &key);
    let after: Vec<bool> = (0..3).map(|_| posts(&process, &key)).collect();
    assert_eq!(after, [true, true, false], "three of five were used before");
    let after: Vec<bool> = (0..5).map(|_| posts(&process, &stranger)).collect();
    assert_eq!(after, [true, true, true, true, false]);
    process.end();
    assert!(lines(&file).iter().all(|line| line.contains(" 5/5 ")), "{:?}", lines(&file));
}

#[test]
fn a_budget_that_is_nearly_used_up_is_said_once_a_day_whoever_has_it() {
    let (upstream, state, key, stranger) =
        (willing(), TempDir::new().unwrap(), Key::new(), Key::new());
    let mut said = Vec::new();
    // The second process is on the same day.
    for calls in [4, 1] {
        let process = start(upstream, state.path(), &key);
        for _ in 0..calls {
            assert!(posts(&process, &key) && posts(&process, &stranger));
        }
        let out = String::from_utf8(process.end().0).unwrap();
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        said.extend(lines.filter(|line| line["event"] == "a budget is nearly used up"));
    }
    assert_eq!(said.len(), 2, "{said:?}");
    for line in &said {
        for (name, value) in
            [("level", "warn"), ("route", "mcp"), ("budget", "post"), ("used", "4"), ("of", "5")]
        {
            assert_eq!(line[name], value, "{line}");
        }
    }
    assert_eq!((&said[0]["consumer"], &said[0]["key"]), (&"one".into(), &Value::Null));
    assert!(said[1]["key"].as_str().is_some_and(|key| key.starts_with("fp:")), "{said:?}");
}

#[test]
fn explain_goes_by_what_is_used_and_uses_nothing() {
    let (upstream, state, key) = (willing(), TempDir::new().unwrap(), Key::new());
    let process = start(upstream, state.path(), &key);
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("portcullis.toml");
    fs::write(&config, text("127.0.0.1:8080", upstream, state.path(), &key)).unwrap();
    let explain = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["explain", "--from", "127.0.0.1", "--consumer", "one", "--tool", "post"]);
        command.arg("--config").arg(&config).args(["POST", "http://a.test:8080/api/mcp"]);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for _ in 0..5 {
        let (code, said) = explain();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("passes   budget") && said.contains("5/day for \"post\""), "{said}");
        assert!(posts(&process, &key));
    }
    process.end();
    let (code, said) = explain();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("refuses  budget") && said.contains("HTTP 200"), "{said}");
    assert_eq!(lines(&state.path().join("budgets")).len(), 1);
}
