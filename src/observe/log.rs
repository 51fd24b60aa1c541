//! The log's way out: a bounded queue of finished lines, and the one thread that writes them.
//!
//! An exchange never waits for the log. `push` appends to the queue under a lock that the writer
//! holds only to swap two vectors; a queue that is full drops the line and counts it.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus::{IntCounter, Opts};

use super::{
    line::LogFormat,
    record::Record,
    redact::{Syntax, redact},
};

/// How many bytes may wait to be written. About 10,000 lines: what a stalled reader costs at most,
/// twice over while a batch is on its way.
pub const QUEUE_BYTES: usize = 4 << 20;

/// How long the writer gathers lines after the first: at most 100 wake-ups a second under load.
const BATCH: Duration = Duration::from_millis(10);

/// How long `flush` waits for a reader that doesn't read.
const FLUSH: Duration = Duration::from_secs(1);

/// A buffer that grew beyond this in a burst is given back.
const KEPT_BYTES: usize = 256 << 10;

/// Where log lines go: standard output, or memory in tests. Clones share one queue.
#[derive(Clone)]
pub struct LogSink {
    shared: Arc<Shared>,
    /// Shared by the clones alone, not by the writer: its drop ends the writer.
    _end: Arc<End>,
}

struct Shared {
    format: LogFormat,
    /// There is a thread that writes; in memory there is none to wait for.
    has_writer: bool,
    queue: Mutex<Queue>,
    /// Lines are waiting, or a flush, or the end.
    work: Condvar,
    /// The writer has written a batch.
    written: Condvar,
    counts: LogCounts,
}

/// What `Metrics` shows of the log.
#[derive(Clone)]
pub(super) struct LogCounts {
    pub(super) dropped: IntCounter,
    pub(super) redactions: IntCounter,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Bytes ever queued, and of those the ones that were written or lost.
    queued: u64,
    settled: u64,
    /// Threads that wait for the queue to be written now.
    flushing: u32,
    /// Whether somebody writes what waits.
    written: bool,
    closed: bool,
}

struct End(Arc<Shared>);

impl LogSink {
    /// A sink on standard output. A closed standard output loses lines and counts them, no more:
    /// the Rust runtime ignores SIGPIPE.
    ///
    /// # Errors
    /// Where standard output can't be duplicated or the writer's thread can't be started.
    pub fn stdout(format: LogFormat) -> io::Result<Self> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Self::to(stdout, format)
    }

    /// A sink on a writer that is called from a thread of its own, once per batch.
    ///
    /// # Errors
    /// Where the thread can't be started.
    pub fn to(writer: impl Write + Send + 'static, format: LogFormat) -> io::Result<Self> {
        let sink = Self::unwritten(format, true);
        let shared = Arc::clone(&sink.shared);
        shared.lock().written = true;
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.drain(writer))?;
        Ok(sink)
    }

    /// A sink that keeps its lines, as JSON, for `contents`.
    pub fn memory() -> Self {
        Self::unwritten(LogFormat::Json, false)
    }

    fn unwritten(format: LogFormat, has_writer: bool) -> Self {
        let shared = Arc::new(Shared {
            format,
            has_writer,
            queue: Mutex::default(),
            work: Condvar::new(),
            written: Condvar::new(),
            counts: LogCounts::new(),
        });
        Self { _end: Arc::new(End(Arc::clone(&shared))), shared }
    }

    /// Logs a record.
    pub fn record(&self, record: &Record) {
        let mut line = Vec::with_capacity(512);
        record.write(&mut line, self.shared.format, jiff::Timestamp::now());
        if record.is_suspicious(&line) {
            self.push(&line, |text| record.configured(text));
        } else {
            self.shared.queue_line(&line);
        }
    }

    /// Waits until what was logged before is written, a second at most.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// Lines lost because the queue was full or standard output closed.
    pub fn dropped(&self) -> u64 {
        self.shared.counts.dropped.get()
    }

    /// What waits to be written: of a `memory` sink, all that was logged.
    pub fn contents(&self) -> String {
        String::from_utf8(self.shared.lock().waiting.clone()).unwrap_or_default()
    }

    pub(super) fn format(&self) -> LogFormat {
        self.shared.format
    }

    pub(super) fn counts(&self) -> LogCounts {
        self.shared.counts.clone()
    }

    /// Queues a finished line, without its line feed, after the second net has read it closely; `configured` says which texts come from the configuration and are let through.
    pub(super) fn push(&self, line: &[u8], configured: impl Fn(&[u8]) -> bool) {
        let syntax = match self.shared.format {
            LogFormat::Json => Syntax::Json,
            LogFormat::Text => Syntax::Text,
        };
        let redacted = redact(line, syntax, configured);
        if redacted.masked > 0 {
            self.shared.counts.redactions.inc_by(redacted.masked);
        }
        self.shared.queue_line(&redacted.line);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic can't happen between two writes to the queue that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue_line(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.waiting.len() + line.len() >= QUEUE_BYTES {
            drop(queue);
            self.counts.dropped.inc();
            return;
        }
        let first = queue.waiting.is_empty();
        queue.waiting.extend_from_slice(line);
        queue.waiting.push(b'\n');
        queue.queued = queue.queued.saturating_add(length(line) + 1);
        drop(queue);
        if first {
            // Later lines find the writer awake, or on its way.
            self.work.notify_one();
        }
    }

    /// The writer's life.
    fn drain(&self, mut writer: impl Write) {
        let mut batch = Vec::new();
        while self.next_batch(&mut batch) {
            if write_whole(&mut writer, &batch).is_err() {
                let lines = memchr::memchr_iter(b'\n', &batch).count();
                self.counts.dropped.inc_by(u64::try_from(lines).unwrap_or(u64::MAX));
            }
            let mut queue = self.lock();
            queue.settled = queue.settled.saturating_add(length(&batch));
            drop(queue);
            self.written.notify_all();
            batch.clear();
            if batch.capacity() > KEPT_BYTES {
                batch = Vec::new();
            }
        }
    }

    /// Fills the batch with what waits, once something does. False at the end.
    fn next_batch(&self, batch: &mut Vec<u8>) -> bool {
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            if queue.closed {
                return false;
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let deadline = Instant::now() + BATCH;
        while queue.flushing == 0 && !queue.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = match self.work.wait_timeout(queue, left) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        std::mem::swap(batch, &mut queue.waiting);
        true
    }

    fn flush(&self) {
        if !self.has_writer {
            return;
        }
        let deadline = Instant::now() + FLUSH;
        let mut queue = self.lock();
        if !queue.written {
            return;
        }
        let target = queue.queued;
        queue.flushing += 1;
        self.work.notify_one();
        while queue.settled < target {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = match self.written.wait_timeout(queue, left) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        queue.flushing -= 1;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
        self.0.flush();
    }
}

impl LogCounts {
    #[expect(clippy::expect_used, reason = "the names are constants, and a test makes them")]
    fn new() -> Self {
        let dropped = Opts::new(
            "portcullis_log_lines_dropped_total",
            "Log lines lost because the queue was full or standard output closed.",
        );
        let redactions = Opts::new(
            "portcullis_redactions_total",
            "Texts that looked like a credential and were masked on their way out; expected 0.",
        )
        .const_label("sink", "log");
        Self {
            dropped: IntCounter::with_opts(dropped).expect("a valid name"),
            redactions: IntCounter::with_opts(redactions).expect("a valid name"),
        }
    }
}

/// One write where the system takes it whole. A standard output that somebody made non-blocking is
/// waited for: this thread has nothing else to do.
fn write_whole(writer: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(BATCH),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
