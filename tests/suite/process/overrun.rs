//! What runs out or goes wrong around the gateway: descriptors, disks, readers of its log, the clock.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use super::house::{House, Resident, ban, bans, until};
use crate::harness::Key;

/// Gives a process another limit (prlimit(1)): `nofile=64`.
fn limit(resident: &Resident, what: &str) {
    let id = resident.child.id().to_string();
    let limit = Command::new("prlimit").args(["--pid", &id, &format!("--{what}")]).status();
    assert!(limit.unwrap().success());
}

fn metric(house: &House, series: &str) -> f64 {
    let metrics = house.admin("/metrics").unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

#[test]
fn without_descriptors_streams_go_on_calls_are_503_and_who_waits_is_served_once_there_are_some() {
    let house = House::new("");
    let resident = house.first();
    let mut stream = house.connect().open("/api/mcp");
    // Of what they ask, the first finds a connection to the server behind that was kept for it; each is kept.
    let mut kept: Vec<_> = (0..4).map(|_| house.connect()).collect();
    assert!(kept.iter_mut().all(|client| client.call("one").unwrap().0 == 200));
    limit(&resident, "nofile=16:4096");
    let mut waits = house.connect();
    resident.says("can't accept");
    for _ in 0..20 {
        assert_eq!(stream.line().unwrap(), "data: tick");
    }
    let heads: Vec<_> = kept.iter_mut().map(|client| client.asks_for_a_stream("one")).collect();
    assert!(heads.iter().any(|head| head.starts_with("HTTP/1.1 503")), "{heads:?}");
    let is_either =
        |head: &String| head.starts_with("HTTP/1.1 503") || head.starts_with("HTTP/1.1 200");
    assert!(heads.iter().all(is_either), "{heads:?}");
    limit(&resident, "nofile=4096:4096");
    assert_eq!(waits.call("one").unwrap().0, 200);
    assert_eq!(house.connect().call("one").unwrap().0, 200);
    assert_eq!(stream.line().unwrap(), "data: tick");
    let reached = "portcullis_limits_reached_total{limit=\"limits.descriptors\"} ";
    assert!(metric(&house, reached) > 0.0);
}

/// A gateway whose log goes there.
fn logging(house: &House, stdout: Stdio) -> Child {
    let mut command = super::command(&house.file());
    command.env("RUST_LOG", "info").stdout(stdout).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    until("it serves", || house.admin("/readyz").is_some_and(|said| said.contains("200 OK")));
    child
}

const DROPPED: &str = "portcullis_log_lines_dropped_total ";

/// Calls until lines of the log are lost, and all of them are answered.
fn calls_until_lines_are_lost(house: &House) {
    let mut client = house.connect();
    for _ in 0..200_000 {
        for _ in 0..50 {
            assert_eq!(client.call("one").unwrap().0, 200);
        }
        if metric(house, DROPPED) > 0.0 {
            return;
        }
    }
    panic!("no line is lost");
}

/// SIGTERM ends it, whatever becomes of its last lines.
fn ends(mut child: Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn where_the_disk_of_the_log_is_full_calls_are_answered_and_lost_lines_are_counted() {
    let house = House::new("");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = logging(&house, full.into());
    calls_until_lines_are_lost(&house);
    ends(child);
}

#[test]
fn where_nobody_reads_the_log_any_more_calls_are_answered_and_lost_lines_are_counted() {
    let house = House::new("");
    let mut child = logging(&house, Stdio::piped());
    drop(child.stdout.take());
    calls_until_lines_are_lost(&house);
    ends(child);
}

#[test]
fn where_the_reader_of_the_log_stands_still_calls_are_answered_and_it_ends_all_the_same() {
    let house = House::new("");
    let mut child = logging(&house, Stdio::piped());
    let reader = child.stdout.take().unwrap();
    calls_until_lines_are_lost(&house);
    ends(child);
    drop(reader);
}

/// A gateway with a state directory and a consumer `alice`.
fn with_state() -> (House, PathBuf) {
    let house = House::new("");
    let state = house.dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let sha256 = Key::new().sha256();
    house.write(&house.text(&format!(
        "[state]\ndir = {state:?}\n[[consumers]]\nname = \"alice\"\nkey_sha256 = \"{sha256}\"\n"
    )));
    (house, state)
}

fn revoke(house: &House) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["revoke", "alice", "--socket"]).arg(house.socket()).output().unwrap()
}

fn kept(state: &Path, file: &str) -> String {
    fs::read_to_string(state.join(file)).unwrap_or_default()
}

#[test]
fn where_the_disk_of_the_state_is_full_the_old_files_stay_and_it_is_said_and_made_up_for() {
    let (house, state) = with_state();
    let resident = house.first();
    ban(&house, "192.0.2.7");
    until("it is kept", || kept(&state, "bans").contains("192.0.2.7"));
    limit(&resident, "fsize=0:unlimited");
    ban(&house, "192.0.2.8");
    let failed = "portcullis_state_write_failures_total{file=\"bans\"} ";
    until("it is counted", || metric(&house, failed) > 0.0);
    assert!(kept(&state, "bans").contains("192.0.2.7") && !kept(&state, "bans").contains("2.8"));
    assert!(bans(&house, &house.socket()).contains("192.0.2.8"), "it counts all the same");
    let revoked = revoke(&house);
    assert_eq!(revoked.status.code(), Some(1));
    let said = String::from_utf8(revoked.stderr).unwrap();
    assert!(said.contains("isn't in the state directory"), "{said}");
    assert_eq!(house.connect().call("one").unwrap().0, 200);
    resident.says("the bans can't be kept");
    limit(&resident, "fsize=unlimited:unlimited");
    until("it is made up for", || kept(&state, "bans").contains("192.0.2.8"));
    until("that too", || kept(&state, "revocations").contains("alice"));
    assert_eq!(revoke(&house).status.code(), Some(0));
    resident.says("the bans are kept again");
}

/// The clock of a process, which its test puts on and back (libfaketime); the other clock, which never
/// jumps, stays what it is.
struct Clock(PathBuf);

impl Clock {
    fn new(house: &House) -> Self {
        let clock = Self(house.dir.path().join("clock"));
        clock.is_put("+0");
        clock
    }

    fn is_put(&self, by: &str) {
        let beside = self.0.with_extension("new");
        File::create(&beside).unwrap().write_all(by.as_bytes()).unwrap();
        fs::rename(beside, &self.0).unwrap();
    }

    fn rules(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", &self.0);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

fn library() -> PathBuf {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let library = |place| Path::new(place).join("faketime/libfaketimeMT.so.1");
    let found = places.map(library).into_iter().find(|library| library.exists());
    found.expect("libfaketime: `make test-tools` installs it")
}

fn ban_for_an_hour(house: &House) {
    let body = "{\"net\":\"192.0.2.7\",\"for\":\"1h\"}";
    let request = format!(
        "POST /bans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(house.ask(&house.socket(), &request).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_clock_that_jumps_ends_no_stream_and_makes_no_ban_longer_here_or_after_a_restart() {
    let (house, state) = with_state();
    let clock = Clock::new(&house);
    let begin = || {
        let resident = house.begin(|command| clock.rules(command));
        until("it serves", || house.admin("/readyz").is_some_and(|said| said.contains("200 OK")));
        resident
    };
    let is_banned = || bans(&house, &house.socket()).contains("192.0.2.7");
    let mut resident = begin();
    let mut stream = house.connect().open("/api/mcp");
    ban_for_an_hour(&house);
    until("it is kept", || kept(&state, "bans").contains("192.0.2.7"));
    for put in ["-2d", "+400d", "-400d"] {
        clock.is_put(put);
        assert_eq!(house.connect().call("one").unwrap().0, 200, "{put}");
        assert_eq!(stream.line().unwrap(), "data: tick", "{put}");
        assert!(is_banned(), "no hour has gone by: {put}");
    }
    // By the clock of now, which is of last year.
    until("it is written anew", || kept(&state, "bans").contains(" 2025-"));
    for (put, holds) in [("-400d", true), ("-399d", false)] {
        clock.is_put(put);
        resident.child.kill().unwrap();
        resident.child.wait().unwrap();
        resident = begin();
        assert_eq!(is_banned(), holds, "after a restart {put}");
    }
}

#[test]
fn a_key_ends_by_the_calendar_and_a_clock_that_was_put_on_and_back_lets_it_in_again() {
    let house = House::new("");
    let key = Key::new();
    house.write(&house.text(&format!(
        "[[consumers]]\nname = \"alice\"\nkey_sha256 = \"{}\"\nexpires = 2037-12-31\n",
        key.sha256()
    )));
    let clock = Clock::new(&house);
    let _resident = house.begin(|command| clock.rules(command));
    until("it serves", || house.admin("/readyz").is_some_and(|said| said.contains("200 OK")));
    let status = || house.connect().call(key.text()).unwrap().0;
    let mut stream = house.connect().open_as("/api/mcp", key.text());
    assert_eq!(status(), 200);
    clock.is_put("+20y");
    assert_eq!(status(), 401);
    while stream.line().is_some() {}
    clock.is_put("-10y");
    assert_eq!(status(), 200);
}
