//! Requests of HTTP/1.1, and their answers read.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Outcome, door::HOST};

/// A call of a tool, as agents make it.
pub(crate) const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"integrationList","arguments":{}}}"#;

/// A request that posts a body with a key, and more fields, each with its line end.
pub(crate) fn post(key: &str, more: &str, body: &str) -> String {
    format!("{}Content-Length: {}\r\n\r\n{body}", post_head(key, more), body.len())
}

/// The same without what says how long it is, and open for more fields.
pub(crate) fn post_head(key: &str, more: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n\
         Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n{more}"
    )
}

/// A request for an event stream.
pub(crate) fn listen(key: &str) -> String {
    format!(
        "GET /mcp HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n\
         Accept: text/event-stream\r\n\r\n"
    )
}

/// An answer of known length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// A connection and what was read from it beyond the last answer.
pub(crate) struct Wire<S> {
    socket: S,
    read: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, read: BytesMut::new() }
    }

    /// Sends a request and reads its answer whole.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Outcome<Answer> {
        let (status, length) = self.begin(request).await?;
        let length = length.ok_or("an answer without a length")?;
        while self.read.len() < length {
            self.more().await?;
        }
        Ok(Answer { status, body: self.read.split_to(length).freeze() })
    }

    /// Sends a request and reads the head of its answer: its status, and how long it is where it
    /// says so.
    pub(crate) async fn begin(&mut self, request: &[u8]) -> Outcome<(u16, Option<usize>)> {
        self.socket.write_all(request).await?;
        self.socket.flush().await?;
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(end) = head.parse(&self.read)? {
                let status = head.code.ok_or("no status")?;
                let mut fields = head.headers.iter();
                let length = fields.find(|f| f.name.eq_ignore_ascii_case("content-length"));
                let length = length.map(|f| Outcome::Ok(str::from_utf8(f.value)?.parse()?));
                let length = length.transpose()?;
                self.read.advance(end);
                return Ok((status, length));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Outcome<()> {
        match self.socket.read_buf(&mut self.read).await? {
            0 => Err("the connection ended".into()),
            _ => Ok(()),
        }
    }
}
