//! Deadlines around the reading of a request: whole heads, whole small bodies.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    client::Client,
    connection::Connection,
    h1::{BodyDecoder, HeadScan, read_request_head},
    head::{Framing, HeadLimits, RequestHead},
    pace::{Pace, fill_until},
};
use crate::types::{Denial, Limit};

/// How long a head is waited for.
#[derive(Clone, Copy, Debug)]
pub enum HeadTimeouts {
    /// For the first request of a connection: who connects has something to say, so its first byte
    /// isn't waited for any longer than the rest.
    First {
        /// From the beginning of the wait to the last byte of the head.
        head: Duration,
    },
    /// For a later one.
    Next {
        /// Until its first byte.
        idle: Duration,
        /// From its first byte to its last.
        head: Duration,
    },
}

/// What came where a head was waited for.
#[derive(Debug)]
pub enum NextHead {
    /// A request.
    Request(RequestHead),
    /// The client ended. There is nobody to answer.
    Closed,
    /// It said nothing for too long: which time that was.
    Silent(Limit),
    /// Something that is no request. To be answered, then the connection is done.
    Refused(Denial),
}

/// Waits for the next request head. Errors are those of the transport.
pub async fn next_request_head<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Connection<S>,
    limits: HeadLimits,
    timeouts: HeadTimeouts,
) -> io::Result<NextHead> {
    let mut scan = HeadScan::default();
    let mut deadline = None;
    let mut began = false;
    loop {
        match read_request_head(&mut scan, conn.buffer(), limits) {
            Ok(Some(head)) => return Ok(NextHead::Request(head)),
            Ok(None) => {}
            Err(denial) => return Ok(NextHead::Refused(denial)),
        }
        // The blank line that some clients send after a body begins nothing, so it is gone by now.
        if !began && !conn.buffer().is_empty() {
            began = true;
            if matches!(timeouts, HeadTimeouts::Next { .. }) {
                deadline = None;
            }
        }
        let patience = match timeouts {
            HeadTimeouts::Next { idle, .. } if !began => idle,
            HeadTimeouts::First { head } | HeadTimeouts::Next { head, .. } => head,
        };
        let until = *deadline.get_or_insert_with(|| Instant::now() + patience);
        match fill_until(conn, until).await? {
            Some(0) => return Ok(NextHead::Closed),
            Some(_) => {}
            None if began => return Ok(NextHead::Refused(Denial::Timeout(Limit::HeadTime))),
            None => {
                return Ok(NextHead::Silent(match timeouts {
                    HeadTimeouts::First { .. } => Limit::HeadTime,
                    HeadTimeouts::Next { .. } => Limit::Idle,
                }));
            }
        }
    }
}

/// Reads a whole body of at most `max` bytes.
///
/// `reserve` is told of every growth before it is kept, so the caller can bound the memory of all
/// bodies together. Errors are those of the transport; [`io::ErrorKind::UnexpectedEof`] where the
/// client ended inside the body.
pub async fn read_body<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<'_, S>,
    framing: Framing,
    max: usize,
    patience: Duration,
    mut reserve: impl FnMut(usize) -> Result<(), Denial>,
) -> io::Result<Result<Bytes, Denial>> {
    if let Framing::Length(length) = framing
        && !usize::try_from(length).is_ok_and(|length| length <= max)
    {
        return Ok(Err(Denial::BodyTooLarge));
    }
    let (mut decoder, mut pace) = (BodyDecoder::new(framing), Pace::new(patience));
    let mut body = Gathered::One(Bytes::new());
    loop {
        let data = match client.part(&mut decoder, &mut pace).await? {
            Ok(Some(data)) => data,
            Ok(None) => return Ok(Ok(body.finish())),
            Err(denial) => return Ok(Err(denial)),
        };
        if data.len() > max.saturating_sub(body.len()) {
            return Ok(Err(Denial::BodyTooLarge));
        }
        if let Err(denial) = reserve(data.len()) {
            return Ok(Err(denial));
        }
        body.add(data);
    }
}

/// The parts of a body. A body that came at once, as nearly all do, is never copied.
enum Gathered {
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Self::One(part) => part.len(),
            Self::Many(parts) => parts.len(),
        }
    }

    fn add(&mut self, data: Bytes) {
        match self {
            Self::One(part) if part.is_empty() => *part = data,
            Self::One(part) => {
                let mut parts = BytesMut::with_capacity(part.len() + data.len());
                parts.extend_from_slice(part);
                parts.extend_from_slice(&data);
                *self = Self::Many(parts);
            }
            Self::Many(parts) => parts.extend_from_slice(&data),
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => parts.freeze(),
        }
    }
}

#[cfg(test)]
mod tests;
