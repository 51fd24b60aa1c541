//! Bans as a process has them: what it says of them, and that they outlive its worst end.

use std::{fs, process::Command, time::Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, Process, config};

fn ask(from: &str, key: &str) -> Vec<u8> {
    format!(
        "POST /api/mcp HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: {from}\r\nconnection: close\r\n\
         {key}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .into_bytes()
}

/// A gateway that refuses unknown keys.
fn refusing(at: &str, more: &str) -> String {
    config(at, "127.0.0.1:1").replace("\"forward\"", "\"refuse\"")
        + &format!("[access]\ntrusted_proxies = [\"127.0.0.1\"]\n{more}")
}

/// A gateway of its own state.
fn start(dir: TempDir) -> Process {
    let state = format!("[bans]\nwrong_keys = \"1/day\"\n[state]\ndir = {:?}\n", dir.path());
    Process::start_with(dir, |at| refusing(at, &state), |_| {})
}

fn guess(process: &Process, from: &str) -> Vec<u8> {
    process.send(&ask(from, "authorization: Bearer made-up\r\n"))
}

#[test]
fn a_ban_outlives_a_kill() {
    let dir = TempDir::new().unwrap();
    let kept = dir.path().join("bans");
    let state = TempDir::new().unwrap();
    let mut process = start(dir);
    for _ in 0..2 {
        assert!(guess(&process, "2001:db8::7").starts_with(b"HTTP/1.1 401"));
    }
    let begun = Instant::now();
    // The log's own thread may be the slower one.
    while !kept.exists() || !process.has_said("\"event\":\"banned\"") {
        assert!(begun.elapsed() < PATIENCE, "the ban isn't written");
        std::thread::yield_now();
    }
    let line = fs::read_to_string(&kept).unwrap();
    assert!(line.starts_with("2001:db8::/64 ") && line.ends_with(" 1 wrong_keys\n"), "{line}");
    fs::copy(&kept, state.path().join("bans")).unwrap();
    process.signal("KILL");
    process.child.wait().unwrap();
    let out = String::from_utf8(process.out.all()).unwrap();
    let mut lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let said = lines.find(|line| line["event"] == "banned").expect("a line of its own");
    for (name, value) in [
        ("client", "2001:db8::7"),
        ("net", "2001:db8::/64"),
        ("seconds", "60"),
        ("strikes", "1"),
        ("cause", "wrong_keys"),
        ("level", "info"),
    ] {
        assert_eq!(said[name], value, "{name}: {said}");
    }
    let process = start(state);
    assert!(guess(&process, "2001:db8::8").starts_with(b"HTTP/1.1 403"));
    assert!(guess(&process, "2001:db8:1::8").starts_with(b"HTTP/1.1 401"));
    process.end();
}

const FILTER: &str = "deploy/fail2ban/filter.d/portcullis.conf";

/// What a gateway wrote whose clients had a wrong key, none, and a wrong one again.
fn written(format: &str) -> String {
    let more = format!("[log]\nformat = \"{format}\"\n");
    let info = |command: &mut Command| {
        command.env("RUST_LOG", "info");
    };
    let process = Process::start_with(TempDir::new().unwrap(), |at| refusing(at, &more), info);
    for client in ["203.0.113.7", "2001:db8::7"] {
        assert!(guess(&process, client).starts_with(b"HTTP/1.1 401"));
        assert!(process.send(&ask("203.0.113.9", "")).starts_with(b"HTTP/1.1 401"));
    }
    let (out, _) = process.end();
    String::from_utf8(out).unwrap()
}

#[test]
fn fail2ban_finds_wrong_keys_and_nothing_else() {
    for format in ["json", "text"] {
        let bare = written(format);
        assert!(bare.contains("key_missing"), "{bare}");
        let journal = bare.lines().map(|line| format!("host portcullis[7]: {line}\n")).collect();
        for log in [bare, journal] {
            let folder = TempDir::new().unwrap();
            let file = folder.path().join("log");
            fs::write(&file, &log).unwrap();
            let mut command = Command::new("fail2ban-regex");
            let filter = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILTER);
            let output = command.args(["-o", "ip"]).arg(&file).arg(filter).output();
            let output = output.expect("fail2ban, which `make test` installs");
            let found = String::from_utf8(output.stdout).unwrap();
            assert_eq!(found, "203.0.113.7\n2001:db8::7\n", "{log}");
        }
    }
}

/// No CrowdSec is at hand: its files are read, and what they ask a line for is in those that the
/// gateway writes.
#[test]
fn what_crowdsec_looks_for_is_in_the_lines() {
    let read = |path: &str| {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crowdsec").join(path);
        serde_saphyr::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let parser = read("parsers/s01-parse/portcullis.yaml");
    let json = written("json");
    let is_wrong = |line: &&Value| line["reason"] == "key_unknown";
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(is_wrong).unwrap();
    let text = parser.to_string();
    let asked: Vec<&str> = text.split("JsonExtract(evt.Parsed.message, '").skip(1).collect();
    assert!(asked.len() >= 5, "{text}");
    for name in asked.into_iter().map(|rest| rest.split('\'').next().unwrap()) {
        assert!(line.get(name).is_some(), "{name}: {line}");
    }
    let mut pattern = parser["nodes"][1]["grok"]["pattern"].as_str().unwrap().to_owned();
    for (name, meant) in [
        ("TIMESTAMP_ISO8601", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"),
        ("IP", "[0-9a-f:.]+"),
        ("NOTSPACE", r"\S+"),
        ("INT", r"\d+"),
    ] {
        pattern = pattern.replace(&format!("%{{{name}}}"), meant);
        while let Some((before, rest)) = pattern.split_once(&format!("%{{{name}:")) {
            let (field, behind) = rest.split_once('}').unwrap();
            pattern = format!("{before}(?<{field}>{meant}){behind}");
        }
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("log");
    let log = written("text");
    fs::write(&file, &log).unwrap();
    let output = Command::new("grep").args(["-cP", &pattern]).arg(&file).output().unwrap();
    let exchanges = log.lines().filter(|line| line.contains(" info exchange ")).count();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        exchanges.to_string(),
        "{pattern}"
    );
    assert_eq!(exchanges, 4);
    let scenario = read("scenarios/portcullis-key-guessing.yaml");
    let filter = scenario["filter"].as_str().unwrap();
    for meta in ["log_type", "reason"] {
        assert!(filter.contains(&format!("evt.Meta.{meta} == ")), "{filter}");
    }
    assert!(text.contains("portcullis_access") && filter.contains("portcullis_access"));
    assert_eq!(read("acquis.d/portcullis.yaml")["labels"]["type"], "syslog");
}
