use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

/// A pipe within the process, between two runtimes perhaps. Who writes never waits: a reader for whom
/// more than `most` bytes wait is cut, because nobody else shall wait for it. One part may be larger.
pub fn pipe(most: usize) -> (PipeWriter, PipeReader) {
    let state = Arc::new(Mutex::new(State { most, ..State::default() }));
    (PipeWriter(Arc::clone(&state)), PipeReader(state))
}

/// Writes into a pipe. Dropped, it is the end of what the reader gets.
pub struct PipeWriter(Arc<Mutex<State>>);

/// Reads from a pipe.
pub struct PipeReader(Arc<Mutex<State>>);

/// Nobody reads any more, or too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

#[derive(Default)]
struct State {
    parts: VecDeque<Bytes>,
    /// Bytes that wait.
    waiting: usize,
    most: usize,
    end: Option<End>,
    reader: Option<Waker>,
}

#[derive(Clone, Copy)]
enum End {
    /// All was said.
    Whole,
    /// There would have been more.
    Torn,
}

impl PipeWriter {
    /// Puts a part behind what waits.
    ///
    /// # Errors
    /// `Cut` where it isn't taken, and nothing will be any more: the reader reads what waits and then
    /// an error.
    pub fn put(&self, part: Bytes) -> Result<(), Cut> {
        let mut state = lock(&self.0);
        if state.end.is_some() {
            return Err(Cut);
        }
        if state.waiting > 0 && state.waiting + part.len() > state.most {
            state.end(End::Torn);
            return Err(Cut);
        }
        state.waiting += part.len();
        state.parts.push_back(part);
        state.wake();
        Ok(())
    }

    /// Ends it as if torn: the reader reads what waits and then an error.
    pub fn tear(&self) {
        lock(&self.0).end(End::Torn);
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        lock(&self.0).end(End::Whole);
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.end(End::Torn);
        state.parts = VecDeque::new();
    }
}

impl State {
    /// The first end counts.
    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        let before = buf.filled().len();
        while let Some(part) = state.parts.front_mut() {
            let count = part.len().min(buf.remaining());
            buf.put_slice(part.get(..count).unwrap_or_default());
            part.advance(count);
            let done = part.is_empty();
            state.waiting -= count;
            if !done {
                return Poll::Ready(Ok(()));
            }
            state.parts.pop_front();
        }
        if buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        match state.end {
            Some(End::Whole) => Poll::Ready(Ok(())),
            Some(End::Torn) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_put_comes_in_order_however_it_is_read_and_then_the_end() {
        let (writer, mut reader) = pipe(64);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            let mut some = [0; 5];
            loop {
                match reader.read(&mut some).await.unwrap() {
                    0 => return all,
                    count => all.extend_from_slice(&some[..count]),
                }
            }
        });
        for part in ["one", "and a longer one", "", "end"] {
            writer.put(Bytes::from_static(part.as_bytes())).unwrap();
            tokio::task::yield_now().await;
        }
        drop(writer);
        assert_eq!(reading.await.unwrap(), b"oneand a longer oneend");
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_reads_what_waited_and_then_an_error() {
        let (writer, mut reader) = pipe(8);
        writer.put(Bytes::from_static(b"larger than the whole pipe")).unwrap();
        assert_eq!(writer.put(Bytes::from_static(b"x")), Err(Cut));
        assert_eq!(writer.put(Bytes::new()), Err(Cut), "it stays cut");
        drop(writer);
        let mut all = Vec::new();
        assert!(reader.read_to_end(&mut all).await.is_err());
        assert_eq!(all, b"larger than the whole pipe");
    }

    #[tokio::test]
    async fn a_torn_pipe_has_no_clean_end_and_one_without_a_reader_takes_nothing() {
        let (writer, mut reader) = pipe(8);
        writer.tear();
        drop(writer);
        assert!(reader.read(&mut [0]).await.is_err());
        let (writer, reader) = pipe(8);
        drop(reader);
        assert_eq!(writer.put(Bytes::from_static(b"x")), Err(Cut));
    }
}
