//! A gateway with an admin socket, of which several processes may run, and clients of it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{PATIENCE, Written, collect, command, config, free};

/// A gateway whose processes take over from each other.
pub(super) struct House {
    pub(super) dir: TempDir,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) upstream: SocketAddr,
}

/// One of its processes.
pub(super) struct Resident {
    pub(super) child: Child,
    pub(super) out: Written,
    pub(super) err: Written,
}

impl House {
    /// A gateway before a site, with more in its file.
    pub(super) fn new(more: &str) -> Self {
        let house =
            Self { dir: TempDir::new().unwrap(), http: free(), admin: free(), upstream: site() };
        house.write(&house.text(more));
        house
    }

    pub(super) fn text(&self, more: &str) -> String {
        let admin = format!("[admin]\naddress = \"{}\"\nsocket = {:?}", self.admin, self.socket());
        config(&self.http.to_string(), &self.upstream.to_string())
            .replace("[admin]\naddress = \"127.0.0.1:0\"", &admin)
            .replace("\"1s\"\n", "\"1s\"\ndrain_timeout = \"1h\"\n")
            + more
    }

    pub(super) fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.path().join("portcullis.toml")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    pub(super) fn begin(&self, alter: impl FnOnce(&mut Command)) -> Resident {
        let mut command = command(&self.file());
        command.env("RUST_LOG", "info");
        alter(&mut command);
        let mut child = command.spawn().unwrap();
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        Resident { child, out, err }
    }

    /// The first process, which serves.
    pub(super) fn first(&self) -> Resident {
        let first = self.begin(|_| {});
        until("it serves", || self.admin("/readyz").is_some_and(|said| said.contains("200 OK")));
        first
    }

    /// The next process, which is about to take over.
    pub(super) fn next(&self) -> Resident {
        self.begin(|command| {
            command.arg("--upgrade");
        })
    }

    /// The same, once it has.
    pub(super) fn upgrade(&self, from: &Resident) -> Resident {
        let next = self.next();
        until("it takes over", || from.has_said("\"event\":\"handed over\""));
        next
    }

    pub(super) fn admin(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.admin).ok()?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub(super) fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.http).unwrap())
    }

    /// Asks on an admin socket.
    pub(super) fn ask(&self, socket: &Path, request: &str) -> String {
        let mut socket = UnixStream::connect(socket).unwrap();
        write!(socket, "{request}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Where a process alone is asked.
    pub(super) fn own_socket(&self, resident: &Resident) -> PathBuf {
        self.dir.path().join("admin.sock.d").join(resident.child.id().to_string())
    }
}

impl Resident {
    pub(super) fn has_said(&self, text: &str) -> bool {
        memchr::memmem::find(&self.out.so_far.lock().unwrap(), text.as_bytes()).is_some()
    }

    pub(super) fn says(&self, text: &str) {
        until(text, || self.has_said(text));
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(super) fn is_gone(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end. Its exit code and what it wrote.
    pub(super) fn ends(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        while !self.is_gone() {
            assert!(begun.elapsed() < PATIENCE, "it doesn't end");
            std::thread::sleep(Duration::from_millis(2));
        }
        let code = self.child.wait().unwrap().code();
        let mut text =
            String::from_utf8(std::mem::replace(&mut self.out, nothing()).all()).unwrap();
        text += &String::from_utf8(std::mem::replace(&mut self.err, nothing()).all()).unwrap();
        (code, text)
    }
}

fn nothing() -> Written {
    collect(std::io::empty())
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bans somebody, on the admin socket.
pub(super) fn ban(house: &House, net: &str) -> String {
    let body = format!("{{\"net\":\"{net}\"}}");
    let request = format!(
        "POST /bans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    house.ask(&house.socket(), &request)
}

pub(super) fn bans(house: &House, socket: &Path) -> String {
    house.ask(socket, "GET /bans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// A client's connection.
pub(super) struct Wire(pub(super) BufReader<TcpStream>);

pub(super) const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"post"}}"#;

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(BufReader::new(socket))
    }

    /// One call. Its status, and whether the connection ends with it. `None` where it failed.
    pub(super) fn call(&mut self, key: &str) -> Option<(u16, bool, String)> {
        let (head, body) = self.call_with(key, "")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head.contains("connection: close"), body))
    }

    /// One call of a session, or of none. The session that the answer gives.
    pub(super) fn session(&mut self, of: Option<&str>) -> Option<String> {
        let field = of.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
        let (head, _) = self.call_with("one", &field)?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).map(str::to_owned)
    }

    /// The head of the answer and its body.
    pub(super) fn call_with(&mut self, key: &str, fields: &str) -> Option<(String, String)> {
        let length = CALL.len();
        let request = format!(
            "POST /api/mcp HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {key}\r\n{fields}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{CALL}"
        );
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let mut body = vec![0; length.parse().ok()?];
        self.0.read_exact(&mut body).ok()?;
        Some((head, String::from_utf8(body).unwrap()))
    }

    /// Opens a stream.
    pub(super) fn open(self, target: &str) -> Self {
        self.open_as(target, "one")
    }

    /// The same, with another key.
    pub(super) fn open_as(mut self, target: &str, key: &str) -> Self {
        let head = self.asks(target, key);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        self
    }

    /// Asks for a stream, and gives the head of what is answered.
    pub(super) fn asks_for_a_stream(&mut self, key: &str) -> String {
        self.asks("/api/mcp", key)
    }

    fn asks(&mut self, target: &str, key: &str) -> String {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: a.test\r\nauthorization: Bearer {key}\r\n\
             accept: text/event-stream\r\n\r\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.head().unwrap()
    }

    /// The next line of a stream that says something, its frame passed over; `None` at the end.
    pub(super) fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line == "0" {
                return None;
            }
            if line.contains(':') {
                return Some(line);
            }
        }
    }

    /// All that a stream still says.
    pub(super) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    pub(super) fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }
}

/// A server that does what it is asked, and whose streams tick.
fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || serve(socket));
        }
    });
    address
}

fn serve(mut socket: TcpStream) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    let mut wire = BufReader::new(socket.try_clone().ok()?);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            if wire.read_line(&mut head).ok()? == 0 {
                return None;
            }
            let line = head[from..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        wire.read_exact(&mut vec![0; length]).ok()?;
        if head.starts_with("GET") {
            return stream(&mut socket, &head);
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                      mcp-session-id: 4f7c-1\r\ncontent-length: 2\r\n\r\n{}";
        socket.write_all(answer.as_bytes()).ok()?;
    }
}

/// Streams with event ids where the query asks for them, and of the legacy transport on its path.
fn stream(socket: &mut TcpStream, head: &str) -> Option<()> {
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").ok()?;
    if head.contains("/sse/") {
        socket.write_all(b"event: endpoint\ndata: /messages?sessionId=7\n\n").ok()?;
    }
    let id = if head.contains("ids") { "id: 1\n" } else { "" };
    loop {
        socket.write_all(format!("{id}data: tick\n\n").as_bytes()).ok()?;
        std::thread::sleep(Duration::from_millis(10));
    }
}
