use std::{io, sync::Arc};

use portcullis::wire::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Call, EventStream, sinks::Received, within};

/// A connection to the gateway, and bytes on it.
pub(crate) struct Client {
    transport: Transport,
    /// Read and not yet used.
    buffer: Vec<u8>,
    received: Arc<Received>,
}

impl Client {
    pub(super) fn new(transport: Transport, received: Arc<Received>) -> Self {
        Self { transport, buffer: Vec::new(), received }
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        let sent =
            within("the gateway takes bytes", self.transport.write_all(bytes.as_ref())).await;
        // A gateway that has refused may have closed already; its answer tells.
        let _ = sent;
        let _ = self.transport.flush().await;
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, call: &Call) {
        self.raw(call.bytes()).await;
    }

    /// Sends a request and reads its answer. For those that the gateway answers itself.
    pub(crate) async fn ask(&mut self, call: &Call) -> Answer {
        self.send(call).await;
        self.answer().await
    }

    /// The next answer, with its body.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        answer.body = self.body(&answer).await;
        if answer.is_refusal() {
            let mut whole = format!("{:?}", answer.fields).into_bytes();
            whole.extend_from_slice(&answer.body);
            self.received.note_refusal(whole);
        }
        answer
    }

    /// Waits for `100 Continue` alone.
    pub(crate) async fn is_told_to_continue(&mut self) {
        assert_eq!(self.one_head().await.status, 100);
    }

    /// The head of a switch to another protocol; what follows isn't HTTP.
    pub(crate) async fn one_switch(&mut self) -> Answer {
        let head = self.one_head().await;
        assert_eq!(head.status, 101, "{head:?}");
        head
    }

    /// The answer to a HEAD: it has no body, whatever its fields say.
    pub(crate) async fn answer_to_head(&mut self) -> Answer {
        self.head().await
    }

    /// The head of the next answer, which has to be an event stream, and then its events.
    pub(crate) async fn stream(mut self) -> EventStream {
        let head = self.head().await;
        if head.status != 200 {
            let body = self.body(&head).await;
            panic!("no stream: {head:?} {}", body.escape_ascii());
        }
        EventStream::new(head, self)
    }

    /// Waits for any bytes, which stay to be read.
    pub(crate) async fn is_answered(&mut self) {
        assert!(self.fill().await, "the gateway closed");
    }

    /// Waits for the gateway to close, and holds it to sending nothing more.
    pub(crate) async fn is_closed(&mut self) {
        while self.fill().await {}
        let rest = self.buffer.escape_ascii().to_string();
        assert!(rest.is_empty(), "the gateway sent more before it closed: {rest}");
    }

    /// Whether the gateway ends the connection with a reset, and not with an end of input.
    pub(crate) async fn is_reset(&mut self) -> bool {
        loop {
            let mut bytes = [0; 1024];
            let read = within("the gateway closes", self.transport.read(&mut bytes)).await;
            match read {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Everything until the gateway closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        self.take()
    }

    /// Reads once. False at the end.
    pub(super) async fn fill(&mut self) -> bool {
        let mut bytes = vec![0; 16 * 1024];
        let read = within("the gateway sends something", self.transport.read(&mut bytes)).await;
        let count = match read {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            // A TLS end without close_notify is how a gateway that was cut ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => panic!("reading from the gateway: {error}"),
        };
        self.received.note(&bytes[..count]);
        self.buffer.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// A line without its CR LF.
    pub(super) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let line = String::from_utf8(self.buffer[..at].to_vec()).unwrap();
                self.buffer.drain(..at + 2);
                return Some(line);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    async fn head(&mut self) -> Answer {
        let mut informational = Vec::new();
        loop {
            let answer = self.one_head().await;
            if answer.status >= 200 {
                return Answer { informational, ..answer };
            }
            informational.push(answer.status);
        }
    }

    async fn one_head(&mut self) -> Answer {
        let status_line = self.line().await.expect("the gateway closed without an answer");
        let mut parts = status_line.splitn(3, ' ');
        assert_eq!(parts.next(), Some("HTTP/1.1"), "{status_line}");
        let status = parts.next().and_then(|status| status.parse().ok()).unwrap();
        let mut fields = Vec::new();
        loop {
            let line = self.line().await.expect("the gateway closed inside a head");
            if line.is_empty() {
                return Answer { status, fields, body: Vec::new(), informational: Vec::new() };
            }
            let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    async fn body(&mut self, head: &Answer) -> Vec<u8> {
        if let Some(length) = head.field("content-length") {
            let length = length.parse().unwrap();
            return self.exactly(length).await.expect("the gateway closed inside a body");
        }
        if head.field("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk().await.expect("the gateway closed inside a body");
                if chunk.is_empty() {
                    return body;
                }
                body.extend_from_slice(&chunk);
            }
        }
        if matches!(head.status, 204 | 304) { Vec::new() } else { self.rest().await }
    }

    /// One chunk, the last one empty; `None` where the gateway closed before it.
    pub(super) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line().await?;
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
        let data = self.exactly(size).await?;
        assert_eq!(self.line().await?, "", "a chunk ends with CR LF, and there are no trailers");
        Some(data)
    }

    /// What was read and not yet used.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(super) fn received(&self) -> &Received {
        &self.received
    }
}
