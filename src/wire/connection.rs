use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{sleep, timeout},
};

use super::within::within;

/// The most that one read brings where nobody asks for more.
const READ_BYTES: usize = 16 * 1024;

/// The most that one read of a large body brings. Four records of TLS go on at once.
const LARGE_READ_BYTES: usize = 64 * 1024;

/// How long, and for how many bytes, a refused client is listened to (DESIGN 6): closing at once
/// would reset the connection and with it the answer that is still under way.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(1);
pub(super) const LINGER_BYTES: usize = 256 * 1024;

thread_local! {
    /// Where bytes land before it is known how many came. One per worker thread, instead of one
    /// per connection, is what keeps an idle stream small.
    static SCRATCH: Cell<Option<Box<[u8; LARGE_READ_BYTES]>>> = const { Cell::new(None) };
}

/// A transport and the bytes that were read from it and not yet used. It holds no buffer while
/// nothing is there.
pub struct Connection<S> {
    stream: S,
    read: BytesMut,
    /// Bytes ever read.
    received: u64,
}

/// How much of a message was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it.
    Whole,
    /// The peer spoke or hung up before it had taken all. Nothing more may be sent.
    InPart,
}

impl<S> Connection<S> {
    /// A connection of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self { stream, read: BytesMut::new(), received: 0 }
    }

    /// What was read and not yet used.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.read
    }

    /// Bytes ever read, used or not.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Bytes ever read and used: where the next message begins.
    pub fn used(&self) -> u64 {
        self.received.saturating_sub(count(&self.read))
    }

    /// The transport.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) const fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads once, at most 16 KiB, and appends what came to the buffer. 0 is the end of input. Who
    /// reads ahead of what is used has to stop somewhere: the buffer has no bound of its own.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_read(cx, READ_BYTES)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        // Taken and not borrowed, so a transport that reads from within a read finds an empty
        // place and not a panic.
        let mut scratch = SCRATCH.take().unwrap_or_else(|| Box::new([0; LARGE_READ_BYTES]));
        let mut landing = ReadBuf::new(scratch.get_mut(..most).unwrap_or_default());
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut landing);
        let result = polled.map_ok(|()| {
            self.read.extend_from_slice(landing.filled());
            self.received = self.received.saturating_add(count(landing.filled()));
            landing.filled().len()
        });
        SCRATCH.set(Some(scratch));
        result
    }

    /// Reads once and appends what came to the buffer. 0 is the end of input. Nothing is lost when
    /// the future is dropped.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// The same, of at most 64 KiB: for who takes all that comes before it reads again.
    pub async fn fill_large(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, LARGE_READ_BYTES)).await
    }

    /// Writes all of it and flushes. [`io::ErrorKind::TimedOut`] when no byte was taken for
    /// `stall`. When the future is dropped, an unknown part was written.
    pub async fn write_all(&mut self, bytes: &[u8], stall: Duration) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let stream = &mut self.stream;
            let taken =
                unless_stalled(stall, |cx| Pin::new(&mut *stream).poll_write(cx, rest)).await?;
            rest = rest.get(checked(taken)?..).unwrap_or_default();
        }
        self.flush(stall).await
    }

    /// Writes all parts and flushes, unless the peer says something first that `counts`: then it is
    /// heard, and the rest stays unsaid. What came is in the buffer. Fails as [`Connection::write_all`] does.
    pub async fn write_until_heard(
        &mut self,
        mut parts: &mut [IoSlice<'_>],
        stall: Duration,
        counts: impl Fn(&mut BytesMut) -> bool,
    ) -> io::Result<Written> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let now = &*parts;
            let step = unless_stalled(stall, |cx| match self.poll_write_parts(cx, now) {
                Poll::Ready(taken) => Poll::Ready(taken.map(Some)),
                // Listened to only where it takes nothing more, so that it costs nothing else.
                Poll::Pending => match self.poll_fill(cx) {
                    Poll::Ready(Ok(1..)) if !counts(&mut self.read) => {
                        // Asked again at once, or nobody would wake us.
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    heard => heard.map_ok(|_| None),
                },
            });
            match step.await? {
                Some(taken) => IoSlice::advance_slices(&mut parts, checked(taken)?),
                None => return Ok(Written::InPart),
            }
        }
        self.flush(stall).await.map(|()| Written::Whole)
    }

    fn poll_write_parts(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        let first = filled.next().map_or(&[][..], |part| part);
        if filled.next().is_some() && self.stream.is_write_vectored() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        }
        Pin::new(&mut self.stream).poll_write(cx, first)
    }

    async fn flush(&mut self, stall: Duration) -> io::Result<()> {
        let stream = &mut self.stream;
        unless_stalled(stall, |cx| Pin::new(&mut *stream).poll_flush(cx)).await
    }

    /// Ends the writing side: the peer reads an end of input. Fails as [`Connection::write_all`]
    /// does.
    pub async fn finish(&mut self, stall: Duration) -> io::Result<()> {
        let stream = &mut self.stream;
        unless_stalled(stall, |cx| Pin::new(&mut *stream).poll_shutdown(cx)).await
    }

    /// After a refusal: ends the writing side, then discards what still comes, up to 256 KiB or
    /// one second, so that the client can read the answer before the connection goes.
    pub async fn linger(&mut self) {
        // A deadline or an error mean the same: nobody is there to be waited for.
        let _ = timeout(LINGER_TIME, self.discard()).await;
        self.read = BytesMut::new();
    }

    async fn discard(&mut self) -> io::Result<()> {
        self.finish(LINGER_TIME).await?;
        let mut discarded = 0;
        while discarded < LINGER_BYTES {
            self.read.clear();
            match self.fill().await? {
                0 => break,
                count => discarded += count,
            }
        }
        Ok(())
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn checked(taken: usize) -> io::Result<usize> {
    if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) }
}

/// Polls until it is ready, for at most `stall`.
async fn unless_stalled<T>(
    stall: Duration,
    poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> io::Result<T> {
    let done = within(|| sleep(stall), poll_fn(poll)).await;
    done.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
