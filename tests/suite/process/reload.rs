//! Another configuration for a process that runs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Instant,
};

use tempfile::TempDir;

use super::{PATIENCE, Process, config, free};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n";

/// A gateway with an admin socket, and the server behind it.
struct Running {
    process: Process,
    upstream: TcpListener,
}

impl Running {
    fn start(alter: impl FnOnce(String) -> String) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let behind = upstream.local_addr().unwrap().to_string();
        let dir = TempDir::new().unwrap();
        let socket = dir.path().join("admin.sock");
        let text = |listener: &str| {
            let admin = "[admin]\naddress = \"127.0.0.1:0\"";
            let with_socket = format!("{admin}\nsocket = {socket:?}");
            alter(config(listener, &behind).replace(admin, &with_socket))
        };
        let process = Process::start_with(dir, text, |command| {
            command.env("RUST_LOG", "info");
        });
        Self { process, upstream }
    }

    fn file(&self) -> std::path::PathBuf {
        self.process._dir.path().join("portcullis.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    /// `portcullis reload`: its exit code, and what it says of problems.
    fn reload(&self) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let done = command.args(["reload", "--config"]).arg(self.file()).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    }

    /// An open stream: the client's end and the server's.
    fn stream(&self, key: &str) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(self.process.http).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {key}\r\n\
             accept: text/event-stream\r\n\r\n"
        );
        client.write_all(request.as_bytes()).unwrap();
        let (mut server, _) = self.upstream.accept().unwrap();
        let _ = server.read(&mut [0; 4096]).unwrap();
        server.write_all(STREAM.as_bytes()).unwrap();
        comes(&mut client, ": hello");
        (client, server)
    }

    fn counted(&self, series: &str) -> u64 {
        let metrics = self.process.ask_admin("/metrics").unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits for a count.
    fn counts(&self, series: &str, wanted: u64) {
        let begun = Instant::now();
        while self.counted(series) != wanted {
            assert!(begun.elapsed() < PATIENCE, "{series}: {}", self.counted(series));
            std::thread::yield_now();
        }
    }
}

const APPLIED: &str = "portcullis_config_reloads_total{outcome=\"applied\"}";
const REFUSED: &str = "portcullis_config_reloads_total{outcome=\"refused\"}";

fn comes(client: &mut TcpStream, text: &str) {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while memchr::memmem::find(&all, text.as_bytes()).is_none() {
        let count = client.read(&mut part).unwrap();
        assert!(count > 0, "ended before {text:?}: {}", all.escape_ascii());
        all.extend_from_slice(&part[..count]);
    }
}

fn lives_on((client, server): &mut (TcpStream, TcpStream)) {
    server.write_all(b"data: later\n\n").unwrap();
    comes(client, "data: later");
}

/// The status of a request without a key.
fn status(at: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    String::from_utf8(answer[9..].to_vec()).unwrap()
}

#[test]
fn new_requests_see_the_new_file_and_open_streams_live_on() {
    let running = Running::start(|text| text);
    let mut stream = running.stream("a");
    assert_eq!(status(running.process.http, "/api/other"), "404");
    running.write(&running.text().replace("\"/api/mcp\",", "\"/api/mcp\", \"/api/other\","));
    assert_eq!(running.reload().0, 0);
    assert_eq!(status(running.process.http, "/api/other"), "401");
    lives_on(&mut stream);
    running.process.signal("HUP");
    running.counts(APPLIED, 2);
    lives_on(&mut stream);
    drop(stream);
    running.process.end();
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_with_its_line_and_cure_wherever_one_looks() {
    let running = Running::start(|text| text);
    let mut stream = running.stream("a");
    let good = running.text();
    running.write(&good.replace("strip_prefix = ", "strip_prefixes = "));
    let line = good.lines().position(|line| line.starts_with("strip_prefix")).unwrap() + 1;
    let (code, said) = running.reload();
    assert_eq!(code, 1);
    let at = format!("portcullis.toml:{line}:1: error:");
    assert!(said.contains(&at) && said.contains("help: ") && said.contains("Refused"), "{said}");
    running.counts(REFUSED, 1);
    assert!(running.process.says(&format!("\"line\":\"{line}\"")));
    assert!(running.process.has_said("the old one stays in force"));
    lives_on(&mut stream);
    assert_eq!(status(running.process.http, "/api/mcp"), "401");
    running.write(&good);
    assert_eq!(running.reload().0, 0);
    drop(stream);
    running.process.end();
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let running = Running::start(|text| text);
    std::fs::rename(running.file(), running.file().with_extension("away")).unwrap();
    running.process.signal("HUP");
    running.counts(REFUSED, 1);
    assert!(running.process.says("there is no such file"));
    assert_eq!(status(running.process.http, "/api/mcp"), "401");
    running.process.end();
}

#[test]
fn what_cannot_change_in_a_running_process_is_refused_with_a_sentence() {
    let running = Running::start(|text| text);
    running.write(&running.text().replace("[limits]\n", "[limits]\nconnections = 50\n"));
    let (code, said) = running.reload();
    assert_eq!(code, 1);
    assert!(said.contains("`connections`") && said.contains("can't change"), "{said}");
    running.process.end();
}

#[test]
fn listeners_come_and_go_and_who_came_in_by_one_stays() {
    let running = Running::start(|text| text);
    let mut stream = running.stream("a");
    let second = free();
    let listener = |at: SocketAddr| format!("[[listeners]]\nname = \"http\"\naddress = \"{at}\"\n");
    let first = running.text();
    let more = listener(second).replace("\"http\"", "\"second\"");
    running.write(&(more.clone() + &first));
    assert_eq!(running.reload().0, 0);
    assert_eq!(status(second, "/api/mcp"), "401");
    assert_eq!(status(running.process.http, "/api/mcp"), "401");
    running.write(&first.replace(&listener(running.process.http), &more));
    assert_eq!(running.reload().0, 0);
    assert_eq!(status(second, "/api/mcp"), "401");
    let begun = Instant::now();
    while TcpStream::connect(running.process.http).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the first listener stays open");
    }
    lives_on(&mut stream);
    drop(stream);
    running.process.end();
}

#[test]
fn a_listener_that_cannot_be_bound_leaves_all_as_it_was() {
    let running = Running::start(|text| text);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let more = format!("[[listeners]]\nname = \"second\"\naddress = \"{at}\"\n");
    let more = more + &running.text().replace("\"/api/mcp\",", "\"/api/mcp\", \"/api/other\",");
    running.write(&more);
    let (code, said) = running.reload();
    assert_eq!(code, 1);
    assert!(said.contains("the port is in use"), "{said}");
    assert_eq!(status(running.process.http, "/api/other"), "404");
    running.process.end();
}

#[test]
fn what_a_key_has_used_of_its_rate_stays_used() {
    let running = Running::start(|text| {
        text.replace("unknown_keys = \"forward\"", "rate = \"1/h\"")
            + "[[consumers]]\nname = \"one\"\nkey_sha256 = \
               \"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\"\n"
    });
    drop(running.stream("a"));
    // Many more consumers want a larger table.
    let more = (0..200).map(|number| {
        format!("[[consumers]]\nname = \"c{number}\"\nkey_sha256 = \"{number:064x}\"\n")
    });
    running.write(&(running.text() + &more.collect::<String>()));
    assert_eq!(running.reload().0, 0);
    let mut client = TcpStream::connect(running.process.http).unwrap();
    let head = "GET /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer a\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    comes(&mut client, "429");
    running.process.end();
}

#[test]
fn a_watched_file_is_read_when_it_has_changed() {
    let running = Running::start(|text| text + "[reload]\nwatch = true\n");
    running.write(&running.text().replace("\"/api/mcp\",", "\"/api/mcp\", \"/api/other\","));
    running.counts(APPLIED, 1);
    assert_eq!(status(running.process.http, "/api/other"), "401");
    running.process.end();
}

#[test]
fn a_server_that_is_elsewhere_now_is_asked_there() {
    let running = Running::start(|text| text);
    let mut stream = running.stream("a");
    let moved = TcpListener::bind("127.0.0.1:0").unwrap();
    let (old, new) = (running.upstream.local_addr().unwrap(), moved.local_addr().unwrap());
    running.write(&running.text().replace(&old.to_string(), &new.to_string()));
    assert_eq!(running.reload().0, 0);
    let mut client = TcpStream::connect(running.process.http).unwrap();
    let head = "GET /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer a\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let (mut asked, _) = moved.accept().unwrap();
    assert!(asked.read(&mut [0; 4096]).unwrap() > 0);
    lives_on(&mut stream);
    drop((client, asked, stream));
    running.process.end();
}

#[test]
fn how_long_streams_get_at_the_end_is_what_is_in_force_then() {
    let running = Running::start(|text| text);
    let stream = running.stream("a");
    running.write(&running.text().replace("[timeouts]\n", "[timeouts]\nshutdown = \"100ms\"\n"));
    assert_eq!(running.reload().0, 0);
    // It asserts that the end is quick.
    running.process.end();
    drop(stream);
}

/// Where a configuration of before is still in use, that is looked at too, and hid the file.
#[test]
fn a_watched_file_is_looked_at_again_and_again() {
    let running = Running::start(|text| text + "[reload]\nwatch = true\n");
    let stream = running.stream("a");
    for turn in 1..=3 {
        let path = format!("\"/api/mcp\", \"/api/other{turn}\",");
        running.write(&running.text().replace("\"/api/mcp\",", &path));
        running.counts(APPLIED, turn);
    }
    drop(stream);
    running.process.end();
}

#[test]
fn an_address_that_all_addresses_of_its_port_stand_in_the_way_of_is_refused_with_a_sentence() {
    let running = Running::start(|text| text);
    let at = running.process.http;
    let all = format!("0.0.0.0:{}", at.port());
    running.write(&running.text().replace(&format!("\"{at}\""), &format!("\"{all}\"")));
    let (code, said) = running.reload();
    assert_eq!(code, 1);
    assert!(
        said.contains(&format!("can't listen on {all} while this process listens on {at}")),
        "{said}"
    );
    assert_eq!(status(at, "/api/mcp"), "401");
    running.process.end();
}
