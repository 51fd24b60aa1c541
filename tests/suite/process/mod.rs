//! The real binary: what it says when it can't start, that no key is in anything that it writes, and
//! how it ends.

mod audit;
mod bans;
mod budgets;
mod certificates;
mod dialect;
mod explain;
mod house;
mod live;
mod overrun;
mod pins;
mod pressure;
mod reload;
mod revocations;
mod silence;
mod starting;
mod upgrade;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

fn portcullis(dir: &TempDir, text: &str) -> Command {
    let file = dir.path().join("portcullis.toml");
    std::fs::write(&file, text).unwrap();
    command(&file)
}

fn command(file: &PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--config"]).arg(file).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn config(listener: &str, upstream: &str) -> String {
    format!(
        "[[listeners]]\nname = \"http\"\naddress = \"{listener}\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.postiz]\nendpoints = [\"http://{upstream}\"]\nstrip_prefix = \"/api\"\n\
         [[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\nunknown_keys = \"forward\"\n\
         paths = [\"/api/mcp/{{key}}\", \"/api/mcp\", \"/api/sse/{{key}}\"]\n\
         [limits]\nunproven_per_address = \"100000/s\"\n\
         [timeouts]\nbody = \"50ms\"\nhead = \"1s\"\n"
    )
}

/// The gateway as a process, and where it listens.
struct Process {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
    out: Written,
    err: Written,
    _dir: TempDir,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What the process writes.
struct Written {
    so_far: Arc<Mutex<Vec<u8>>>,
    to_the_end: JoinHandle<()>,
}

fn collect(mut from: impl Read + Send + 'static) -> Written {
    let so_far = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&so_far);
    let to_the_end = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            written.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
    });
    Written { so_far, to_the_end }
}

impl Written {
    fn all(self) -> Vec<u8> {
        self.to_the_end.join().unwrap();
        std::mem::take(&mut *self.so_far.lock().unwrap())
    }
}

impl Process {
    fn start(upstream: SocketAddr) -> Self {
        let config = |listener: &str| config(listener, &upstream.to_string());
        Self::start_with(TempDir::new().unwrap(), config, |_| {})
    }

    fn start_with(
        dir: TempDir,
        config: impl FnOnce(&str) -> String,
        alter: impl FnOnce(&mut Command),
    ) -> Self {
        // The process can't tell its ports but in its log, so they are asked for beforehand.
        let (http, admin) = (free(), free());
        let text = config(&http.to_string()).replace(
            "[admin]\naddress = \"127.0.0.1:0\"",
            &format!("[admin]\naddress = \"{admin}\""),
        );
        let mut command = portcullis(&dir, &text);
        alter(&mut command);
        let mut child = command.spawn().unwrap();
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let process = Self { child, http, admin, out, err, _dir: dir };
        let started = Instant::now();
        while !process.ask_admin("/readyz").is_some_and(|answer| answer.contains("200 OK")) {
            assert!(started.elapsed() < PATIENCE, "it doesn't come up");
            std::thread::yield_now();
        }
        process
    }

    fn ask_admin(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.admin).ok()?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Whether its log has the text so far.
    #[must_use]
    fn has_said(&self, text: &str) -> bool {
        memchr::memmem::find(&self.out.so_far.lock().unwrap(), text.as_bytes()).is_some()
    }

    /// The same of what comes through the bounded queue of the log, and so a little later.
    #[must_use]
    fn says(&self, text: &str) -> bool {
        let begun = Instant::now();
        while !self.has_said(text) && begun.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        self.has_said(text)
    }

    /// Sends bytes that ask for the connection to be closed, and reads until it is.
    fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.write_all(bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        answer
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Ends it by SIGTERM, and gives what it wrote.
    fn end(mut self) -> (Vec<u8>, Vec<u8>) {
        self.signal("TERM");
        let begun = Instant::now();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "SIGTERM ends it with 0");
        assert!(begun.elapsed() < Duration::from_secs(2), "an idle end took {:?}", begun.elapsed());
        (self.out.all(), self.err.all())
    }
}

#[test]
fn sighup_does_not_end_it_and_sigterm_ends_it_at_once() {
    let process = Process::start(free());
    process.signal("HUP");
    assert!(process.ask_admin("/livez").unwrap().contains("200 OK"));
    let (out, _) = process.end();
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
        "{out}"
    );
}

#[test]
fn the_host_below_is_silent_of_itself_unless_it_is_asked() {
    for (asked, says) in
        [(None, false), (Some("info"), true), (Some("info,pingora_core=warn"), false)]
    {
        let alter = |command: &mut Command| {
            match asked {
                Some(filter) => command.env("RUST_LOG", filter),
                None => command.env_remove("RUST_LOG"),
            };
        };
        let dir = TempDir::new().unwrap();
        let process = Process::start_with(dir, |at| config(at, "127.0.0.1:1"), alter);
        let (out, _) = process.end();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.contains("\"target\":\"pingora_core"), says, "{asked:?}: {out}");
        assert!(out.contains("\"event\":\"listening\""), "{out}");
    }
}

/// A site that shows a session in each answer, as Postiz does with NOT_SECURED.
fn insecure_site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut socket = socket;
            let _ = socket.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\nauth: jwt\r\ncontent-length: 0\r\n\r\n";
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_site_that_shows_sessions_is_warned_of_once() {
    let site = insecure_site();
    let config = |at: &str| {
        format!(
            "{}[upstreams.site]\nendpoints = [\"http://{site}\"]\n\
             [[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n",
            config(at, "127.0.0.1:1")
        )
    };
    let process = Process::start_with(TempDir::new().unwrap(), config, |_| {});
    for _ in 0..3 {
        let answer = process.send(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", answer.escape_ascii());
    }
    let (out, _) = process.end();
    let out = String::from_utf8(out).unwrap();
    let warnings = out.lines().filter(|line| line.contains("NOT_SECURED"));
    assert_eq!(warnings.count(), 1, "{out}");
}
