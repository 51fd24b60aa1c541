//! What the log says of the server behind, where `dialect = "auto"`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use tempfile::TempDir;

use super::{PATIENCE, Process, config};

/// A server that answers by the beginning of a request, and 404 to any other.
fn server(answers: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut bytes = [0; 4096];
            let count = socket.read(&mut bytes).unwrap_or_default();
            let known =
                answers.iter().find(|(asked, _)| bytes[..count].starts_with(asked.as_bytes()));
            let answer = known.map_or("404 Not Found\r\n\r\n", |(_, answer)| *answer);
            let _ = socket.write_all(format!("HTTP/1.1 {answer}").as_bytes());
        }
    });
    address
}

/// The line of the log that has the word, which has to come, and how many have it.
fn said(upstream: SocketAddr, word: &str) -> (serde_json::Value, usize) {
    let config = |at: &str| {
        let auto = "upstream_auth = \"bearer\"\ndialect = \"auto\"\nstrip_prefix";
        config(at, &upstream.to_string()).replace("strip_prefix", auto)
    };
    let process = Process::start_with(TempDir::new().unwrap(), config, |_| {});
    let begun = Instant::now();
    while !process.has_said(word) {
        assert!(begun.elapsed() < PATIENCE, "{word:?} isn't said");
        std::thread::yield_now();
    }
    let (out, _) = process.end();
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<_> = out.lines().filter(|line| line.contains(word)).collect();
    (serde_json::from_str(lines[0]).unwrap(), lines.len())
}

#[test]
fn which_postiz_it_is_and_that_it_cannot_read_a_bearer_is_said_once() {
    let old = || server(&[("GET /mcp/", "400 Bad Request\r\n\r\nInvalid API Key")]);
    let (line, times) = said(old(), "Postiz found");
    assert_eq!((&line["level"], times), (&"info".into(), 1));
    assert_eq!((&line["upstream"], &line["dialect"]), (&"postiz".into(), &"session".into()));
    assert_eq!(line["version"], "v2.8.0 or newer, older than v2.19.0");
    let (line, times) = said(old(), "looks nowhere else");
    assert_eq!((&line["level"], times), (&"warn".into(), 1));
}

#[test]
fn what_is_no_postiz_is_said_with_what_was_asked_and_without_what_it_says() {
    let other = server(&[("GET /mcp/", "200 OK\r\n\r\n<html>a page of its own")]);
    let (line, times) = said(other, "finds no version of Postiz");
    assert_eq!((&line["level"], times), (&"warn".into(), 1));
    assert_eq!((&line["asked"], &line["status"]), (&"GET /mcp/{key}/sse".into(), &"200".into()));
    assert!(!line.to_string().contains("a page of its own"), "{line}");
}

#[test]
fn a_file_that_takes_keys_out_of_the_path_is_told_of_a_postiz_that_looks_nowhere_else() {
    let old = server(&[("GET /mcp/", "400 Bad Request\r\n\r\nInvalid API Key")]);
    let config = |at: &str| {
        config(at, &old.to_string()).replace("strip_prefix", "dialect = \"auto\"\nstrip_prefix")
    };
    let process = Process::start_with(TempDir::new().unwrap(), config, |_| {});
    assert!(process.says("Postiz found"));
    let file = process._dir.path().join("portcullis.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let auth = "upstream_auth = \"bearer\"\nunknown_keys";
    std::fs::write(&file, text.replace("unknown_keys", auth)).unwrap();
    process.signal("HUP");
    assert!(process.says("looks nowhere else"));
    process.end();
}
