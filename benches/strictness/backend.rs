//! The server behind a proxy: it notes what reaches it, reads as leniently as it can, and answers all.

use std::{
    mem,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

use crate::Outcome;

/// How long what a proxy sent before it answered may take to be noted.
const SETTLE: Duration = Duration::from_millis(30);

/// What reached a server.
#[derive(Default)]
pub(crate) struct Reached {
    /// Requests of which the head came.
    pub(crate) heads: usize,
    /// Requests that came whole.
    pub(crate) wholes: usize,
    /// Everything, in lower case.
    pub(crate) text: String,
    /// What came whole, as it was read.
    pub(crate) requests: Vec<Request>,
}

/// A request that came whole.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Whom the client asked for, as far as the proxy says so.
    pub(crate) host: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    fn read(head: &str, body: Option<Vec<u8>>) -> Option<Self> {
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let field = |name: &str| {
            let found = head.lines().find(|line| {
                line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            });
            found.and_then(|line| Some(line.split_once(':')?.1.trim().to_lowercase()))
        };
        let host = field("x-forwarded-host:").or_else(|| field("host:")).unwrap_or_default();
        Some(Self { method, target, host, body: body? })
    }
}

/// A running server.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    reached: Arc<Mutex<Reached>>,
}

impl Backend {
    pub(crate) async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let reached = Arc::new(Mutex::new(Reached::default()));
        let noted = Arc::clone(&reached);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&noted)));
            }
        });
        Ok(Self { address, reached })
    }

    /// What reached it since it was last asked.
    pub(crate) async fn reached(&self) -> Reached {
        time::sleep(SETTLE).await;
        mem::take(&mut *lock(&self.reached))
    }
}

fn lock(reached: &Mutex<Reached>) -> impl std::ops::DerefMut<Target = Reached> + '_ {
    reached.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request; then the connection closes, so that none is mixed up with the next.
async fn serve(mut socket: TcpStream, reached: Arc<Mutex<Reached>>) -> Option<()> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = memchr::memmem::find(&read, b"\r\n\r\n") {
            break at + 4;
        }
        fill(&mut socket, &mut read, &reached).await?;
    };
    lock(&reached).heads += 1;
    let written: String = read.get(..end)?.iter().map(|byte| char::from(*byte)).collect();
    let head = written.to_ascii_lowercase();
    while !is_whole(&head, read.get(end..)?) {
        fill(&mut socket, &mut read, &reached).await?;
    }
    {
        let mut reached = lock(&reached);
        reached.wholes += 1;
        reached.requests.extend(Request::read(&written, body(&head, read.get(end..)?)));
    }
    let body = if head.starts_with("head ") { "" } else { "{}" };
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\n{body}"
    );
    socket.write_all(answer.as_bytes()).await.ok()
}

async fn fill(socket: &mut TcpStream, read: &mut Vec<u8>, reached: &Mutex<Reached>) -> Option<()> {
    let before = read.len();
    let count = socket.read_buf(read).await.ok()?;
    lock(reached).text.push_str(&text(read.get(before..)?));
    (count > 0).then_some(())
}

/// Whether this is all of the body that the head announces.
fn is_whole(head: &str, body: &[u8]) -> bool {
    if head.contains("\r\ntransfer-encoding:") {
        if let Some(whole) = dechunked(body) {
            return whole.is_some();
        }
        return body.starts_with(b"0\r\n\r\n")
            || (memchr::memmem::find(body, b"\r\n0\r\n").is_some() && body.ends_with(b"\r\n\r\n"));
    }
    let length = head.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.lines().next());
    length.is_none_or(|length| length.trim().parse().is_ok_and(|length| body.len() >= length))
}

/// The body that the head announces; none where its chunks can't be read.
fn body(head: &str, rest: &[u8]) -> Option<Vec<u8>> {
    if head.contains("\r\ntransfer-encoding:") { dechunked(rest)? } else { Some(rest.to_vec()) }
}

/// The data of chunks, once all of them are there; nothing where they aren't chunks.
fn dechunked(mut rest: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut data = Vec::new();
    loop {
        let Some(end) = memchr::memmem::find(rest, b"\r\n") else { return Some(None) };
        let size = str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            let whole = rest.starts_with(b"\r\n") || rest.ends_with(b"\r\n\r\n");
            return Some(whole.then_some(data));
        }
        let Some(chunk) = rest.get(..size) else { return Some(None) };
        data.extend_from_slice(chunk);
        match rest.get(size..size + 2) {
            Some(b"\r\n") => rest = rest.get(size + 2..)?,
            Some(_) => return None,
            None => return Some(None),
        }
    }
}

/// Bytes as text in lower case, each a character.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}
