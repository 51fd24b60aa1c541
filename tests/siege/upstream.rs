//! A small MCP server behind the gateway, on a thread of its own: it answers calls, keeps event
//! streams open, serves one large file, and refuses the keys that it doesn't know.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

use super::{Outcome, door::ACCEPTED};

/// What every call is answered.
pub(crate) const ANSWER: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"[]"}],"isError":false}}"#;
/// What a call of a tool of this name is answered by: as much as a client may hold back.
pub(crate) const LARGE: &str = "everything";
const LARGE_BYTES: usize = 256 << 10;
/// One for all: thousands of clients may hold it back.
static FILE: [u8; 1 << 20] = [b'x'; 1 << 20];

/// A running server. It ends when this is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    _runs: oneshot::Sender<()>,
}

impl Upstream {
    pub(crate) fn start() -> Outcome<Self> {
        let (runs, ends) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            // Thousands come at once, and it is the gateway that is besieged.
            socket.listen(4096)?
        };
        let address = listener.local_addr()?;
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener) => {}
                    // Nothing is ever sent: the other end is dropped.
                    _ = ends => {}
                }
            });
        });
        Ok(Self { address, _runs: runs })
    }
}

async fn accept(listener: TcpListener) {
    let mut serving = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    serving.spawn(serve(socket));
                }
            }
            Some(_) = serving.join_next() => {}
        }
    }
}

/// What a request wants.
enum Wanted {
    Stream,
    File,
    /// An answer to a body of this length, with this status.
    Answer(usize, u16),
}

fn next_request(read: &mut BytesMut) -> Outcome<Option<Wanted>> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(end) = head.parse(read)? else { return Ok(None) };
    let length = head.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
    let length = length.map(|field| Outcome::Ok(str::from_utf8(field.value)?.parse()?));
    let wanted = match (head.method, head.path) {
        (_, Some(path)) if path.starts_with("/files") => Wanted::File,
        (Some("GET"), _) => Wanted::Stream,
        _ => {
            let is_known = head.headers.iter().any(|field| {
                field.name.eq_ignore_ascii_case("authorization")
                    && memchr::memmem::find(field.value, ACCEPTED.as_bytes()).is_some()
            });
            Wanted::Answer(length.transpose()?.unwrap_or(0), if is_known { 200 } else { 401 })
        }
    };
    read.advance(end);
    Ok(Some(wanted))
}

async fn serve(mut socket: TcpStream) -> Outcome<()> {
    socket.set_nodelay(true)?;
    let mut read = BytesMut::new();
    loop {
        match next_request(&mut read)? {
            None => {
                if socket.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            }
            Some(Wanted::Stream) => return keep_stream(socket).await,
            Some(Wanted::File) => {
                socket.write_all(head(200, FILE.len()).as_bytes()).await?;
                socket.write_all(&FILE).await?;
            }
            Some(Wanted::Answer(length, status)) => {
                while read.len() < length {
                    if socket.read_buf(&mut read).await? == 0 {
                        return Ok(());
                    }
                }
                let body = read.split_to(length);
                let is_large = memchr::memmem::find(&body, LARGE.as_bytes()).is_some();
                let large = FILE.get(..LARGE_BYTES).unwrap_or(&FILE);
                let body = if is_large { large } else { ANSWER.as_bytes() };
                socket.write_all(head(status, body.len()).as_bytes()).await?;
                socket.write_all(body).await?;
            }
        }
    }
}

fn head(status: u16, length: usize) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// One event, and then silence until the client leaves.
async fn keep_stream(mut socket: TcpStream) -> Outcome<()> {
    let event = "event: message\ndata: {}\n\n";
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let first = format!("{head}{:x}\r\n{event}\r\n", event.len());
    socket.write_all(first.as_bytes()).await?;
    while socket.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}
