use std::{io, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep_until,
};

use super::{
    answer::Outgoing,
    connection::Connection,
    h1::{BodyDecoder, Decoded},
    h2,
    pace::{Pace, fill_until},
    transport::Transport,
    within::within,
};
use crate::types::{Denial, Limit};

/// A pipelining client may send so much ahead.
const SENT_AHEAD_BYTES: usize = 16 * 1024;

/// The client's end of one exchange, whichever protocol it speaks.
pub enum Client<'c, S = Transport> {
    /// The connection, which one exchange has to itself.
    Http1(&'c mut Connection<S>),
    /// A stream of a connection that others use too.
    Http2(Box<h2::Stream>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<'_, S> {
    /// Bytes that were received, used or not: ever on the connection, or of this stream.
    pub fn received(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.received(),
            Self::Http2(stream) => stream.received(),
        }
    }

    /// Bytes that were received and used.
    pub fn used(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.used(),
            Self::Http2(stream) => stream.received(),
        }
    }

    /// Takes a body of `length` bytes that has come whole already; `None` where it hasn't.
    pub fn take_at_hand(&mut self, length: usize) -> Option<Bytes> {
        match self {
            Self::Http1(connection) => {
                let buffer = connection.buffer();
                (buffer.len() >= length).then(|| buffer.split_to(length).freeze())
            }
            Self::Http2(stream) => stream.take_at_hand(length),
        }
    }

    /// Whether something came behind the head already.
    pub fn sends_ahead(&mut self) -> bool {
        match self {
            Self::Http1(connection) => !connection.buffer().is_empty(),
            Self::Http2(_) => false,
        }
    }

    /// Tells a client that waits for it to send its body (RFC 9110 10.1.1).
    pub async fn tell_to_continue(&mut self, stall: Duration) -> io::Result<()> {
        match self {
            Self::Http1(connection) => {
                connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", stall).await
            }
            Self::Http2(stream) => stream.tell_to_continue(),
        }
    }

    /// The next part of the body, `None` at its end. A denial where it is malformed or comes too
    /// slowly. Errors are those of the transport; [`io::ErrorKind::UnexpectedEof`] where the client
    /// ended inside the body.
    pub async fn part(
        &mut self,
        decoder: &mut BodyDecoder,
        pace: &mut Pace,
    ) -> io::Result<Result<Option<Bytes>, Denial>> {
        match self {
            Self::Http1(connection) => loop {
                match decoder.decode(connection.buffer()) {
                    Ok(Decoded::Data(data)) => {
                        pace.received(data.len());
                        return Ok(Ok(Some(data)));
                    }
                    Ok(Decoded::Done) => return Ok(Ok(None)),
                    Ok(Decoded::NeedMore) => {}
                    Err(what) => return Ok(Err(Denial::Malformed(what))),
                }
                match fill_until(connection, pace.until()).await? {
                    Some(0) => {
                        let cut = |_| io::Error::from(io::ErrorKind::UnexpectedEof);
                        return decoder.end_of_input().map(|()| Ok(None)).map_err(cut);
                    }
                    Some(_) => {}
                    None => return Ok(Err(Denial::Timeout(Limit::BodyTime))),
                }
            },
            Self::Http2(stream) => {
                let until = pace.until();
                let part = within(|| sleep_until(until), stream.part()).await;
                match part.transpose()? {
                    None => Ok(Err(Denial::Timeout(Limit::BodyTime))),
                    Some(None) => Ok(Ok(None)),
                    Some(Some(data)) => {
                        pace.received(data.len());
                        Ok(Ok(Some(data)))
                    }
                }
            }
        }
    }

    /// The beginning of an answer.
    pub fn answer(&self, status: StatusCode) -> Outgoing {
        match self {
            Self::Http1(_) => Outgoing::http1(status),
            Self::Http2(_) => Outgoing::http2(status),
        }
    }

    /// Sends what waits, and flushes. [`io::ErrorKind::TimedOut`] where the client takes nothing for
    /// `stall`.
    pub async fn send(&mut self, out: &mut Outgoing, stall: Duration) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        match self {
            Self::Http1(connection) => {
                let (bytes, large) = out.take_http1();
                if !bytes.is_empty() {
                    connection.write_all(&bytes, stall).await?;
                }
                if large.is_empty() { Ok(()) } else { connection.write_all(&large, stall).await }
            }
            Self::Http2(stream) => stream.send(out.take_http2(), stall).await,
        }
    }

    /// After an answer that came before all of the body: lets the client read it undisturbed. Of
    /// HTTP/1.1 the connection does that, once it is known that it carries nothing more.
    pub async fn linger(&mut self) {
        if let Self::Http2(stream) = self {
            stream.linger().await;
        }
    }

    /// Waits until the client is gone. What it sends ahead is kept, up to a bound; beyond it the
    /// client counts as gone, because its going could no longer be seen.
    pub async fn gone(&mut self) {
        match self {
            Self::Http1(connection) => loop {
                if connection.buffer().len() >= SENT_AHEAD_BYTES {
                    return;
                }
                if matches!(connection.fill().await, Ok(0) | Err(_)) {
                    return;
                }
            },
            Self::Http2(stream) => stream.gone().await,
        }
    }
}
