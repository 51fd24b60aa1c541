use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    frames::FrameWatch,
    told::{Said, Told},
};
use crate::{observe::Metrics, types::Limit};

/// A transport below the HTTP/2 library: it looks at each frame's head before the library does, and
/// gives a peer up that takes nothing.
pub(super) struct Watched<S> {
    stream: S,
    frames: FrameWatch,
    seen: Seen,
    told: Told,
    metrics: Metrics,
    stall: Duration,
    /// Runs while bytes wait that the peer doesn't take.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// Whether too much was seen on a connection, for whoever drives it.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<AtomicBool>);

impl Seen {
    /// Whether the client sent too much of what costs it nothing.
    pub(super) fn is_flooded(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The client did too much of something.
    pub(super) fn flood(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, stall: Duration, metrics: Metrics) -> (Self, Seen) {
        let seen = Seen::default();
        let frames = FrameWatch::new();
        let told = Told::default();
        (Self { stream, frames, seen: seen.clone(), told, metrics, stall, waiting: None }, seen)
    }

    /// So many bytes of these parts went to the client.
    fn sent(&mut self, parts: &[io::IoSlice<'_>], count: usize) {
        self.frames.sent(count);
        let mut left = count;
        for part in parts {
            let part = part.get(..left.min(part.len())).unwrap_or_default();
            left -= part.len();
            self.told.follow(part, |said| match said {
                Said::Error(code) => self.metrics.http2_error(code),
                Said::Bare => self.metrics.http2_list_too_large(),
            });
        }
    }

    /// Ends the connection where a write has waited for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        waiting.as_mut().poll(cx).map(|()| {
            self.metrics.reached(Limit::WriteStall);
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.is_flooded() {
            // The driver sees it as soon as this poll is over, and reads nothing more.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let this = &mut *self;
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let came = buf.filled().get(before..).unwrap_or_default();
        if this.frames.came(came, Instant::now).is_err() {
            this.seen.flood();
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.sent(&[io::IoSlice::new(bytes)], count);
        }
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        if let Poll::Ready(Ok(count)) = written {
            self.sent(parts, count);
        }
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_stalled(cx, shut)
    }
}
