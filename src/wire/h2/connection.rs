use std::{future::poll_fn, io, task::Poll, time::Duration};

use bytes::Bytes;
use h2::{Reason, server};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    head,
    stream::Stream,
    watched::{Seen, Watched},
};
use crate::{
    observe::Metrics,
    types::{Denial, Method},
    wire::{HeadLimits, RequestHead},
};

/// Requests under way at once.
const STREAMS: u32 = 32;

/// What a client may send ahead on one stream. More than the 64 KiB that are usual: an upload over
/// a slow line moves one window a round trip.
const STREAM_WINDOW: u32 = 128 * 1024;

/// What it may send ahead in all, and so what unread bodies of a connection can take.
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// What of one answer may wait for the socket. With the streams, 512 KiB a connection.
const SEND_BUFFER: usize = 16 * 1024;

/// Streams that a client may reset before they were looked at (CVE-2023-44487).
const PENDING_RESETS: usize = 20;

/// Streams that a client may provoke us to reset (CVE-2025-8671, "MadeYouReset").
const PROVOKED_RESETS: usize = 200;

/// Requests that a client may give up before anything was answered, at once and each second; each
/// that it waits for forgives one more. Who leaves a page of pictures gives up dozens.
const GIVEN_UP_AT_ONCE: f64 = 100.0;
const GIVEN_UP_PER_SECOND: f64 = 10.0;

/// A connection of a client that speaks HTTP/2.
pub struct Http2<S> {
    connection: server::Connection<Watched<S>, Bytes>,
    seen: Seen,
    limits: HeadLimits,
    given_up: GivenUp,
}

/// What came on a connection.
pub enum NextStream {
    /// A request and its exchange.
    Request(RequestHead, Stream),
    /// Something that is no request here. Its stream is to be answered.
    Refused(Denial, Method, Stream),
    /// Nothing more will come.
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    /// Greets the client. `limits` hold for each head; a peer that takes no byte for `stall` is
    /// given up. What the library refuses by itself is counted in `metrics`.
    ///
    /// # Errors
    /// Where the client doesn't begin as RFC 9113 3.4 has it.
    pub async fn greet(
        stream: S,
        (limits, stall): (HeadLimits, Duration),
        metrics: Metrics,
    ) -> io::Result<Self> {
        let (watched, seen) = Watched::new(stream, stall, metrics);
        // Twice as much: up to there the answer is ours and says why, beyond it the library's own.
        let list = u32::try_from(limits.head).unwrap_or(u32::MAX).saturating_mul(2);
        let greeted = server::Builder::new()
            .max_concurrent_streams(STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(list)
            .max_send_buffer_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(Some(PROVOKED_RESETS))
            .handshake(watched)
            .await;
        let connection = greeted.map_err(io::Error::other)?;
        Ok(Self { connection, seen, limits, given_up: GivenUp::default() })
    }

    /// Waits for the next request, and meanwhile moves the bytes of all others. Nothing is lost
    /// where the future is dropped.
    pub async fn next(&mut self) -> NextStream {
        let next = poll_fn(|cx| {
            let polled = self.connection.poll_accept(cx);
            if self.seen.is_flooded() {
                return Poll::Ready(None);
            }
            polled
        });
        match next.await {
            Some(Ok((request, answer))) => self.read(request, answer),
            Some(Err(_)) | None => {
                self.calm().await;
                NextStream::Closed
            }
        }
    }

    fn read(
        &self,
        request: Request<h2::RecvStream>,
        answer: server::SendResponse<Bytes>,
    ) -> NextStream {
        let (parts, body) = request.into_parts();
        let read = head::read(&parts, body.is_end_stream(), self.limits);
        let stream = Stream::new(answer, body, head::size(&parts));
        match read {
            Ok(head) => NextStream::Request(head, stream),
            Err(denial) => {
                let method = Method::parse(parts.method.as_str().as_bytes());
                NextStream::Refused(denial, method, stream)
            }
        }
    }

    /// A client waited for its answer.
    pub fn was_answered(&mut self) {
        self.given_up.count = (self.given_up.count - 1.0).max(0.0);
    }

    /// Whether something of an exchange is still to be sent or received.
    pub fn is_busy(&self) -> bool {
        self.connection.has_streams()
    }

    /// Takes no more requests, and lets those under way end (RFC 9113 6.8).
    pub fn close_gracefully(&mut self) {
        self.connection.graceful_shutdown();
    }

    /// A client gave a request up before anything was answered. Where it does that too often it is
    /// not a change of mind (RFC 9113 10.5).
    pub fn gave_up(&mut self) {
        if self.given_up.is_too_much(std::time::Instant::now()) {
            self.seen.flood();
        }
    }

    /// Tells a client that sent too much why its connection ends.
    async fn calm(&mut self) {
        if !self.seen.is_flooded() {
            return;
        }
        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        let farewell = poll_fn(|cx| self.connection.poll_closed(cx));
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

/// How long a client that is sent away may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Requests that were given up, less those that time has forgiven.
#[derive(Default)]
struct GivenUp {
    count: f64,
    at: Option<std::time::Instant>,
}

impl GivenUp {
    fn is_too_much(&mut self, now: std::time::Instant) -> bool {
        let since = self.at.replace(now).map_or(0.0, |at| (now - at).as_secs_f64());
        self.count = (self.count - since * GIVEN_UP_PER_SECOND).max(0.0) + 1.0;
        self.count > GIVEN_UP_AT_ONCE
    }
}
