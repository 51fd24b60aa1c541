use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{Response, StatusCode};
use tokio::time::{sleep, timeout};

use crate::wire::{
    connection::{LINGER_BYTES, LINGER_TIME},
    within::within,
};

/// How slowly a client may take what waits for it, beyond its time: a byte more each second, or
/// windows of one byte would hold an answer for ever.
const FLOOR_BYTES_PER_SECOND: u64 = 512;

/// One request and its answer on an HTTP/2 connection.
///
/// Nothing is given to the library that the client has no window for, so nothing waits there once
/// this is dropped. Dropped before its end was sent, the answer is reset: it can't pass for whole.
pub struct Stream {
    answer: Answer,
    body: RecvStream,
    received: u64,
}

enum Answer {
    /// No head was sent.
    Awaited(SendResponse<Bytes>),
    /// The head was sent.
    Begun(SendStream<Bytes>),
    /// All of it was sent.
    Whole,
}

impl Stream {
    pub(super) fn new(answer: SendResponse<Bytes>, body: RecvStream, head_bytes: usize) -> Self {
        Self { answer: Answer::Awaited(answer), body, received: count(head_bytes) }
    }

    /// Bytes of the request: what its head came to, and its body so far.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Tells the client to send its body.
    pub(in crate::wire) fn tell_to_continue(&mut self) -> io::Result<()> {
        let Answer::Awaited(answer) = &mut self.answer else { return Ok(()) };
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::CONTINUE;
        answer.send_informational(head).map_err(io::Error::other)
    }

    /// The next part of the body; `None` at its end. Trailers are dropped.
    pub(in crate::wire) async fn part(&mut self) -> io::Result<Option<Bytes>> {
        let part = loop {
            let part = poll_fn(|cx| self.body.poll_data(cx)).await;
            match part.transpose().map_err(io::Error::other)? {
                None => return Ok(None),
                // The frame that ends a body is often empty; as a chunk it would be an end of its own.
                Some(part) if part.is_empty() => {}
                Some(part) => break part,
            }
        };
        self.received = self.received.saturating_add(count(part.len()));
        // The window is given back at once: who reads here bounds what it keeps.
        self.body.flow_control().release_capacity(part.len()).map_err(io::Error::other)?;
        Ok(Some(part))
    }

    /// Takes a body of `length` bytes that has come whole already; `None` where it hasn't.
    pub(in crate::wire) fn take_at_hand(&mut self, length: usize) -> Option<Bytes> {
        let mut body = BytesMut::new();
        let mut asked = Context::from_waker(Waker::noop());
        while !self.body.is_end_stream() {
            let Poll::Ready(Some(Ok(part))) = self.body.poll_data(&mut asked) else { break };
            let _ = self.body.flow_control().release_capacity(part.len());
            self.received = self.received.saturating_add(count(part.len()));
            if body.len() + part.len() > length {
                return None;
            }
            body.extend_from_slice(&part);
        }
        (body.len() == length).then(|| body.freeze())
    }

    /// Sends a head and parts of a body as the client has room for them.
    /// [`io::ErrorKind::TimedOut`] where it makes none.
    pub(in crate::wire) async fn send(
        &mut self,
        (head, mut data, ended): (Option<Box<Response<()>>>, Bytes, bool),
        stall: Duration,
    ) -> io::Result<()> {
        let only_head = ended && data.is_empty();
        if let Some(head) = head {
            self.send_head(*head, only_head)?;
        } else if only_head {
            return self.send_part(Bytes::new(), true);
        }
        let patience = stall + Duration::from_secs(count(data.len()) / FLOOR_BYTES_PER_SECOND);
        let sent = within(|| sleep(patience), async {
            while !data.is_empty() {
                let room = within(|| sleep(stall), poll_fn(|cx| self.poll_room(cx, data.len())));
                let room = room.await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
                let part = data.split_to(room.min(data.len()));
                self.send_part(part, ended && data.is_empty())?;
            }
            Ok(())
        });
        sent.await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    fn send_head(&mut self, head: Response<()>, ended: bool) -> io::Result<()> {
        let Answer::Awaited(answer) = &mut self.answer else { return Err(over()) };
        let body = answer.send_response(head, ended).map_err(io::Error::other)?;
        self.answer = if ended { Answer::Whole } else { Answer::Begun(body) };
        Ok(())
    }

    fn send_part(&mut self, part: Bytes, ended: bool) -> io::Result<()> {
        let Answer::Begun(body) = &mut self.answer else { return Err(over()) };
        body.send_data(part, ended).map_err(io::Error::other)?;
        if ended {
            self.answer = Answer::Whole;
        }
        Ok(())
    }

    /// How much the client has room for, at least one byte.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let Answer::Begun(body) = &mut self.answer else { return Poll::Ready(Err(over())) };
        body.reserve_capacity(wanted);
        match body.capacity() {
            0 => body.poll_capacity(cx).map(|room| match room {
                Some(Ok(room)) => Ok(room),
                Some(Err(error)) => Err(io::Error::other(error)),
                None => Err(over()),
            }),
            room => Poll::Ready(Ok(room)),
        }
    }

    /// Discards what the client still sends of its body, up to 256 KiB or one second. A reset would
    /// say as much at once, and clients that still send take it for the end of their answer too.
    pub(in crate::wire) async fn linger(&mut self) {
        if !matches!(self.answer, Answer::Whole) || self.body.is_end_stream() {
            return;
        }
        let _ = timeout(LINGER_TIME, async {
            let mut discarded = 0;
            while let (true, Ok(Some(part))) = (discarded < LINGER_BYTES, self.part().await) {
                discarded += part.len();
            }
        })
        .await;
    }

    /// Waits until the client has reset the stream or left.
    pub(in crate::wire) async fn gone(&mut self) {
        let left = poll_fn(|cx| match &mut self.answer {
            Answer::Awaited(answer) => answer.poll_reset(cx).map(|_| ()),
            Answer::Begun(body) => body.poll_reset(cx).map(|_| ()),
            Answer::Whole => Poll::Pending,
        });
        left.await;
    }
}

fn over() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
