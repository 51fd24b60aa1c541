use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Buf;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use super::connection::Connection;

/// Brings bytes both ways between two connections until both have ended, in the buffers that they
/// have anyway: idle, it holds none. `sent` counts those to the first.
///
/// # Errors
/// Those of either transport; [`io::ErrorKind::TimedOut`] where a side takes nothing for `stall`, or
/// where one has ended and the other doesn't for as long.
pub async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    first: &mut Connection<S>,
    second: &mut Connection<S>,
    stall: Duration,
    sent: &AtomicU64,
) -> io::Result<()> {
    let (mut out, mut back) = (Way::new(stall), Way::new(stall));
    let mut end = None;
    poll_fn(|cx| {
        let there = out.poll(cx, first, second)?;
        let here = back.poll(cx, second, first)?;
        sent.store(back.bytes, Relaxed);
        match (there, here) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => {
                let end = end.get_or_insert_with(|| Box::pin(sleep(stall)));
                end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    })
    .await
}

/// One direction.
struct Way {
    state: State,
    stall: Duration,
    /// Runs while bytes wait that the receiver doesn't take.
    waiting: Option<Pin<Box<Sleep>>>,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The sender may send more.
    Open,
    /// What was written isn't flushed.
    Unflushed,
    /// The sender has ended.
    Ended,
    /// The receiver was told.
    Over,
}

impl Way {
    const fn new(stall: Duration) -> Self {
        Self { state: State::Open, stall, waiting: None, bytes: 0 }
    }

    fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Connection<S>,
        to: &mut Connection<S>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.state == State::Over {
                return Poll::Ready(Ok(()));
            }
            if !from.buffer().is_empty() {
                let written = Pin::new(to.stream_mut()).poll_write(cx, from.buffer());
                let count = ready!(self.unless_stalled(cx, written))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                from.buffer().advance(count);
                self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                if self.state == State::Open {
                    self.state = State::Unflushed;
                }
                continue;
            }
            match self.state {
                State::Ended => {
                    let shut = Pin::new(to.stream_mut()).poll_shutdown(cx);
                    ready!(self.unless_stalled(cx, shut))?;
                    self.state = State::Over;
                }
                State::Unflushed => {
                    let flushed = Pin::new(to.stream_mut()).poll_flush(cx);
                    ready!(self.unless_stalled(cx, flushed))?;
                    self.state = State::Open;
                }
                State::Open if ready!(from.poll_fill(cx))? == 0 => self.state = State::Ended,
                State::Open | State::Over => {}
            }
        }
    }

    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waiting = None;
            return done;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair() -> (Connection<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1024);
        (Connection::new(near), far)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_until_both_sides_have_ended() {
        let ((mut client, mut browser), (mut upstream, mut site)) = (pair(), pair());
        client.buffer().extend_from_slice(b"ahead ");
        let sent = AtomicU64::new(0);
        let ends = async {
            browser.write_all(b"hello").await.unwrap();
            let mut got = [0; 11];
            site.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ahead hello");
            site.write_all(b"world").await.unwrap();
            browser.read_exact(&mut got[..5]).await.unwrap();
            assert_eq!(&got[..5], b"world");
            browser.shutdown().await.unwrap();
            assert_eq!(site.read(&mut got).await.unwrap(), 0);
            site.write_all(b"late").await.unwrap();
            site.shutdown().await.unwrap();
            browser.read_exact(&mut got[..4]).await.unwrap();
        };
        let stall = Duration::from_secs(1);
        let (ended, ()) = tokio::join!(tunnel(&mut client, &mut upstream, stall, &sent), ends);
        ended.unwrap();
        assert_eq!(sent.load(Relaxed), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_or_never_ends_is_given_up() {
        let stall = Duration::from_secs(30);
        let ((mut client, mut browser), (mut upstream, site)) = (pair(), pair());
        let flood = async { while browser.write_all(&[0; 512]).await.is_ok() {} };
        let sent = AtomicU64::new(0);
        tokio::select! {
            ended = tunnel(&mut client, &mut upstream, stall, &sent) => {
                assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
            }
            () = flood => {}
        }
        drop(site);
        let ((mut client, browser), (mut upstream, _site)) = (pair(), pair());
        drop(browser);
        let ended = tunnel(&mut client, &mut upstream, stall, &sent).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
