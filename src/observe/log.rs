//! The log's way out: a queue of finished lines, and the one thread that writes them.
//!
//! An exchange never waits for the log: a queue that is full drops the line and counts it.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{IntCounter, Opts};

use super::{
    line::LogFormat,
    lines::{Batch, Lines, write_whole},
    record::Record,
    redact::{Syntax, redact},
};

/// Where log lines go: standard output, or memory in tests. Clones share one queue.
#[derive(Clone)]
pub struct LogSink {
    shared: Arc<Shared>,
    /// Shared by the clones alone, not by the writer: its drop ends the writer.
    _end: Arc<End>,
}

struct Shared {
    format: LogFormat,
    lines: Lines,
    counts: LogCounts,
}

/// What `Metrics` shows of the log.
#[derive(Clone)]
pub(super) struct LogCounts {
    pub(super) dropped: IntCounter,
    pub(super) redactions: IntCounter,
}

/// What the second net caught, of every sink.
pub(super) const REDACTIONS: &str = "portcullis_redactions_total";

/// Its help text.
pub(super) const REDACTIONS_HELP: &str = "Texts that looked like a credential and were masked on \
     their way out; in the log expected 0, in the audit what a client wrote.";

struct End(Arc<Shared>);

impl LogSink {
    /// A sink on standard output. A closed standard output loses lines and counts them, no more:
    /// the Rust runtime ignores SIGPIPE.
    ///
    /// # Errors
    /// Where standard output can't be duplicated or the writer's thread can't be started.
    pub fn stdout(format: LogFormat) -> io::Result<Self> {
        Self::to(Stdout::new()?, format)
    }

    /// A sink on a writer that is called from a thread of its own, once per batch.
    ///
    /// # Errors
    /// Where the thread can't be started.
    pub fn to(writer: impl Write + Send + 'static, format: LogFormat) -> io::Result<Self> {
        let sink = Self::unwritten(format);
        let shared = Arc::clone(&sink.shared);
        shared.lines.is_written();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.drain(writer))?;
        Ok(sink)
    }

    /// A sink that keeps its lines, as JSON, for `contents`.
    pub fn memory() -> Self {
        Self::unwritten(LogFormat::Json)
    }

    fn unwritten(format: LogFormat) -> Self {
        let shared = Arc::new(Shared { format, lines: Lines::default(), counts: LogCounts::new() });
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
        self.shared.lines.flush();
    }

    /// Lines lost because the queue was full or standard output closed.
    pub fn dropped(&self) -> u64 {
        self.shared.counts.dropped.get()
    }

    /// What waits to be written: of a `memory` sink, all that was logged.
    pub fn contents(&self) -> String {
        self.shared.lines.contents()
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
    fn queue_line(&self, line: &[u8]) {
        if !self.lines.push(line, None) {
            self.counts.dropped.inc();
        }
    }

    /// The writer's life.
    fn drain(&self, mut writer: impl Write) {
        let mut batch = Batch::default();
        while self.lines.next_batch(&mut batch) {
            if write_whole(&mut writer, &batch.lines).is_err() {
                self.counts.dropped.inc_by(batch.count());
            }
            self.lines.settle(&batch.lines);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.lines.close();
    }
}

/// Standard output, which the log and the audit may share.
pub(super) struct Stdout(File);

/// Held for a whole batch: what two threads write in parts would be in each other's lines.
static STDOUT: Mutex<()> = Mutex::new(());

impl Stdout {
    /// A handle of its own.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _turn = STDOUT.lock().unwrap_or_else(PoisonError::into_inner);
        write_whole(&mut self.0, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl LogCounts {
    #[expect(clippy::expect_used, reason = "the names are constants, and a test makes them")]
    fn new() -> Self {
        let dropped = Opts::new(
            "portcullis_log_lines_dropped_total",
            "Log lines lost because the queue was full or standard output closed.",
        );
        let redactions = Opts::new(REDACTIONS, REDACTIONS_HELP).const_label("sink", "log");
        Self {
            dropped: IntCounter::with_opts(dropped).expect("a valid name"),
            redactions: IntCounter::with_opts(redactions).expect("a valid name"),
        }
    }
}

#[cfg(test)]
mod tests;
