//! A revocation outlives the worst end of a process.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use tempfile::TempDir;

use super::{Process, config};

/// SHA-256 of `secret`.
const DIGEST: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

fn start(state: &Path) -> Process {
    let socket = state.join("admin.sock");
    let more = format!(
        "[state]\ndir = {state:?}\n[[consumers]]\nname = \"alice\"\nkey_sha256 = \"{DIGEST}\"\n"
    );
    let text = |at: &str| {
        config(at, "127.0.0.1:1")
            .replace("[upstreams.postiz]", &format!("socket = {socket:?}\n[upstreams.postiz]"))
            + &more
    };
    Process::start_with(TempDir::new().unwrap(), text, |_| {})
}

fn call(process: &Process) -> Vec<u8> {
    process.send(
        b"POST /api/mcp HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\nauthorization: Bearer secret\r\n\
          content-type: application/json\r\ncontent-length: 46\r\n\r\n\
          {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
    )
}

fn revoke(state: &Path) -> String {
    let mut socket = UnixStream::connect(state.join("admin.sock")).unwrap();
    let body = "{\"consumer\": \"alice\"}";
    let length = body.len();
    write!(socket, "POST /revocations HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_revocation_that_was_answered_outlives_a_kill_and_its_file_has_no_key() {
    let state = TempDir::new().unwrap();
    let mut process = start(state.path());
    assert!(call(&process).starts_with(b"HTTP/1.1 502"), "nobody is there, but the key is right");
    let answer = revoke(state.path());
    // At once: what was answered is on the disk.
    process.signal("KILL");
    process.child.wait().unwrap();
    assert!(answer.contains("\"kept\":true"), "{answer}");
    let kept = fs::read_to_string(state.path().join("revocations")).unwrap();
    assert!(kept.contains("\nalice ") && kept.lines().count() == 3, "{kept}");
    assert!(!kept.contains(DIGEST) && !kept.contains(&DIGEST[..16]), "{kept}");
    let process = start(state.path());
    assert!(call(&process).starts_with(b"HTTP/1.1 401"));
    assert!(process.says("\"reason\":\"key_revoked\""));
    process.end();
}

/// Whoever is revoked must not come back because a disk lost a byte.
#[test]
fn where_it_cannot_be_read_who_is_revoked_nobody_is_served() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("revocations"), "half a li").unwrap();
    let text = config(&super::free().to_string(), "127.0.0.1:1");
    let text = format!("{text}[state]\ndir = {state:?}\n");
    let ended = super::portcullis(&dir, &text).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("revocations: line 1") && said.contains("revoke again"), "{said}");
    assert!(state.join("revocations").exists(), "nothing is lost");
}

/// By another salt the same key has another mark, and would be let in.
#[test]
fn where_the_salt_is_another_nobody_is_served_until_it_is_said_who_is_revoked() {
    let state = TempDir::new().unwrap();
    let process = start(state.path());
    assert!(revoke(state.path()).contains("\"kept\":true"));
    process.end();
    let salt = state.path().join("fingerprint-salt");
    let kept = fs::read(&salt).unwrap();
    let dir = TempDir::new().unwrap();
    for renew in [|salt: &Path| fs::remove_file(salt), |salt: &Path| fs::write(salt, [7; 32])] {
        renew(&salt).unwrap();
        let text = config(&super::free().to_string(), "127.0.0.1:1");
        let text = format!("{text}[state]\ndir = {:?}\n", state.path());
        let ended = super::portcullis(&dir, &text).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("fingerprint-salt") && said.contains("revoke again"), "{said}");
    }
    fs::write(&salt, kept).unwrap();
    let process = start(state.path());
    assert!(call(&process).starts_with(b"HTTP/1.1 401"));
    assert!(process.says("\"reason\":\"key_revoked\""));
    process.end();
}

/// Empty, cut at the end of a line, or behind a link that leads nowhere it would let everybody in.
#[test]
fn where_a_part_of_the_file_is_missing_nobody_is_served() {
    let state = TempDir::new().unwrap();
    let process = start(state.path());
    assert!(revoke(state.path()).contains("\"kept\":true"));
    process.end();
    let file = state.path().join("revocations");
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let cut = ["".to_owned(), lines[0].to_owned(), lines[..2].concat(), lines[1..].concat()];
    let is_refused = || {
        let dir = TempDir::new().unwrap();
        let text = config(&super::free().to_string(), "127.0.0.1:1");
        let text = format!("{text}[state]\ndir = {:?}\n", state.path());
        let ended = super::portcullis(&dir, &text).output().unwrap();
        ended.status.code() == Some(1)
    };
    for part in &cut {
        fs::write(&file, part).unwrap();
        assert!(is_refused(), "{part:?}");
    }
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(state.path().join("nowhere"), &file).unwrap();
    assert!(is_refused(), "a link that leads nowhere");
    fs::remove_file(&file).unwrap();
    fs::write(&file, whole).unwrap();
    let process = start(state.path());
    assert!(call(&process).starts_with(b"HTTP/1.1 401"));
    process.end();
}
