//! The audit of the real process: what is left of it after kill -9, and on a disk that is full.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, Process, config, starting::wrapped};

const BODY: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}"#;

fn call() -> String {
    format!(
        "POST /api/mcp/k HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

/// An upstream that answers every call.
fn answering() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let _ = socket.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                  content-length: 2\r\n\r\n{}",
            );
        }
    });
    address
}

/// A gateway with an audit, and where that is.
fn start(
    upstream: SocketAddr,
    (audit, level): (&str, &str),
    alter: impl FnOnce(&mut Command),
) -> (Process, PathBuf) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("audit.jsonl");
    let config = |at: &str| {
        let text = config(at, &upstream.to_string());
        let level = format!("kind = \"mcp\"\naudit = \"{level}\"\nunknown_keys");
        format!("{}[audit]\n{audit}\n", text.replacen("unknown_keys", &level, 1))
    };
    let process = Process::start_with(dir, config, |command| {
        command.env("RUST_LOG", "info");
        alter(command);
    });
    (process, file)
}

fn passes(process: &Process) {
    let answer = process.send(call().as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", answer.escape_ascii());
}

fn metric(process: &Process, name: &str) -> u64 {
    let metrics = process.ask_admin("/metrics").unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

fn becomes(process: &Process, name: &str, value: u64) {
    let begun = Instant::now();
    while metric(process, name) != value {
        assert!(begun.elapsed() < PATIENCE, "{name} is {}, not {value}", metric(process, name));
        std::thread::yield_now();
    }
}

fn is_said(process: &Process, text: &str) {
    let begun = Instant::now();
    while !process.has_said(text) {
        assert!(begun.elapsed() < PATIENCE, "{text} isn't in the log");
        std::thread::yield_now();
    }
}

#[test]
fn after_kill_9_a_call_that_was_sent_on_has_its_record() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let files = ("file = \"audit.jsonl\"", "required");
    let (mut process, file) = start(upstream.local_addr().unwrap(), files, |_| {});
    let mut client = TcpStream::connect(process.http).unwrap();
    client.write_all(call().as_bytes()).unwrap();
    let (asked, _) = upstream.accept().unwrap();
    let mut line = String::new();
    BufReader::new(asked).read_line(&mut line).unwrap();
    assert!(line.starts_with("POST "), "{line}");
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&record["event"], &record["tool"]), (&"begun".into(), &"a".into()), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_full_disk_is_said_and_counted_and_holds_no_call() {
    let files = ("file = \"audit.jsonl\"\nsize = \"1MiB\"", "on");
    let (process, file) = start(answering(), files, |command| {
        // The system stops a file there. Its signal is ignored, or it would end the process.
        let inner = std::mem::replace(command, Command::new("true"));
        let limited = wrapped(&["prlimit", "--fsize=16384"], inner);
        *command = wrapped(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"], limited);
    });
    let failing = |process: &Process| metric(process, "portcullis_audit_failing");
    let mut sent = 0;
    while failing(&process) == 0 {
        passes(&process);
        sent += 1;
        assert!(sent < 500, "it is never full");
    }
    for _ in 0..10 {
        passes(&process);
    }
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 16384);
    is_said(&process, "audit records can't be written");
    // There is room again.
    let full = file.with_extension("full");
    std::fs::rename(&file, &full).unwrap();
    becomes(&process, "portcullis_audit_records_total", sent + 10);
    becomes(&process, "portcullis_audit_failing", 0);
    assert_eq!(metric(&process, "portcullis_audit_records_dropped_total"), 0);
    let text = [full, file].map(|file| std::fs::read_to_string(file).unwrap()).join("\n");
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!(u64::try_from(whole.count()).unwrap(), sent + 10, "{text}");
    is_said(&process, "audit records are written again");
    process.end();
}

#[test]
fn what_is_lost_at_the_end_is_said_and_holds_the_end_for_no_longer_than_a_second() {
    let audit = ("file = \"audit.jsonl\"", "on");
    let (process, file) = start(answering(), audit, |_| {});
    // What has the name is no file any more, and none can be made.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    passes(&process);
    becomes(&process, "portcullis_audit_failing", 1);
    let (out, _) = process.end();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("the last audit records can't be written"), "{out}");
    assert!(out.contains("not a plain file"), "{out}");
}

/// A gateway whose standard output is a FIFO that nobody reads and that is full, and its other end.
fn stuck(level: &str) -> (Process, File) {
    /// As Linux has it.
    const O_NONBLOCK: i32 = 0o4000;
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut ends = File::options();
    let mut ends = ends.read(true).write(true).custom_flags(O_NONBLOCK).open(&fifo).unwrap();
    let (process, _) = start(answering(), ("file = \"stdout\"", level), |command| {
        let inner = std::mem::replace(command, Command::new("true"));
        let script = format!("exec \"$@\" > {}", fifo.display());
        *command = wrapped(&["sh", "-c", &script, "sh"], inner);
    });
    while ends.write(b"\n").is_ok() {}
    (process, ends)
}

/// Reads on, and ends it.
fn unstuck(process: Process, mut ends: File) {
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let reader = std::thread::spawn(move || {
        while !is_done.load(Ordering::Relaxed) {
            if ends.read(&mut [0; 65536]).is_err() {
                std::thread::yield_now();
            }
        }
    });
    process.end();
    done.store(true, Ordering::Relaxed);
    reader.join().unwrap();
}

#[test]
fn a_place_that_takes_nothing_holds_no_call() {
    let (process, ends) = stuck("on");
    let begun = Instant::now();
    for _ in 0..20 {
        passes(&process);
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    unstuck(process, ends);
}

#[test]
fn a_record_that_comes_too_late_is_none_and_a_client_that_leaves_waits_for_none() {
    let (process, ends) = stuck("required");
    let mut leaves = TcpStream::connect(process.http).unwrap();
    leaves.write_all(call().as_bytes()).unwrap();
    drop(leaves);
    let begun = Instant::now();
    let answer = process.send(call().as_bytes());
    let waited = begun.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", answer.escape_ascii());
    assert!(waited >= Duration::from_secs(5), "{waited:?}");
    let gone =
        "portcullis_requests_total{consumer=\"\",method=\"POST\",route=\"mcp\",status=\"other\"}";
    becomes(&process, gone, 1);
    unstuck(process, ends);
}

#[test]
fn on_standard_output_records_and_log_lines_are_lines_of_their_own() {
    let (process, _) = start(answering(), ("file = \"stdout\"", "required"), |_| {});
    for _ in 0..20 {
        passes(&process);
    }
    let (out, _) = process.end();
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in ["begun", "call", "exchange"] {
        assert_eq!(lines.iter().filter(|line| line["event"] == event).count(), 20, "{event}");
    }
}
