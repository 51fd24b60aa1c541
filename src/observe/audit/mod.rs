//! The audit: who called what, with which arguments, and what became of it. A sink of its own, with
//! a queue and a thread of its own, for it is kept longer than a log and by other people.
//!
//! A record that can't be written is counted and said, and no call waits for one, unless the
//! configuration wants the record first: then [`AuditSink::begin`] tells when it is there.

mod call;
mod file;
mod line;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

pub use call::{AuditedCall, Named, Noted, Operation};
use file::AuditFile;
use prometheus::{IntCounter, IntGauge, Opts};
use tokio::sync::oneshot;

use self::line::AuditEvent;
use super::{
    lines::{self, Batch, Lines, write_whole},
    log::{REDACTIONS, REDACTIONS_HELP, Stdout},
    record::Record,
    redact::{Syntax, redact},
};

/// How long the writer waits before it tries again what it couldn't write.
const RETRY: Duration = Duration::from_secs(1);

/// Where records go: a file, standard output, or memory. Clones share one queue.
#[derive(Clone)]
pub struct AuditSink {
    shared: Arc<Shared>,
    /// Shared by the clones alone, not by the writer: its drop ends the writer.
    _end: Arc<End>,
}

struct Shared {
    lines: Lines,
    /// There is a thread that writes; in memory a record is where it has to be at once.
    has_writer: bool,
    counts: AuditCounts,
}

/// What `Metrics` shows of the audit.
#[derive(Clone)]
pub(super) struct AuditCounts {
    pub(super) records: IntCounter,
    pub(super) dropped: IntCounter,
    pub(super) failing: IntGauge,
    pub(super) redactions: IntCounter,
}

struct End(Arc<Shared>);

/// A file of records, and when it is put aside.
#[derive(Clone, Debug)]
pub struct AuditRotation {
    /// The file.
    pub path: PathBuf,
    /// How large it may become, in bytes.
    pub size: u64,
    /// How many older ones are kept: `audit.jsonl.1` is the youngest.
    pub keep: u32,
}

/// What couldn't be written.
struct Unwritten {
    /// How many bytes before it were, to the end of a line.
    written: usize,
    why: io::Error,
}

impl AuditSink {
    /// A sink on a file, which is opened now: a FIFO or a device is none.
    ///
    /// # Errors
    /// Where it can't be opened, or the writer's thread can't be started.
    pub fn file(rotation: AuditRotation) -> io::Result<Self> {
        let mut file = AuditFile::open(rotation)?;
        Self::to(move |lines, is_waited_for| file.put(lines, is_waited_for))
    }

    /// A sink on standard output, beside the log.
    ///
    /// # Errors
    /// Where standard output can't be duplicated, or the writer's thread can't be started.
    pub fn stdout() -> io::Result<Self> {
        let mut stdout = Stdout::new()?;
        Self::to(move |lines, _| {
            write_whole(&mut stdout, lines).map_err(|why| Unwritten { written: 0, why })
        })
    }

    /// A sink that keeps what fits into its queue: for who asks about a call that nobody makes.
    pub fn memory() -> Self {
        Self::unwritten(false)
    }

    /// A sink on what is called from a thread of its own, once per batch: with its lines, and
    /// whether somebody waits for one of them.
    fn to(
        put: impl FnMut(&[u8], bool) -> Result<(), Unwritten> + Send + 'static,
    ) -> io::Result<Self> {
        let sink = Self::unwritten(true);
        let shared = Arc::clone(&sink.shared);
        shared.lines.is_written();
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || shared.drain(put))?;
        Ok(sink)
    }

    fn unwritten(has_writer: bool) -> Self {
        let (lines, counts) = (Lines::default(), AuditCounts::new());
        let shared = Arc::new(Shared { lines, has_writer, counts });
        Self { _end: Arc::new(End(Arc::clone(&shared))), shared }
    }

    /// Records calls whose exchange has ended.
    pub fn record(&self, record: &Record, calls: &[AuditedCall]) {
        for call in calls {
            let line = self.line(AuditEvent::Call, record, call);
            if !self.shared.lines.push(&line, None) {
                self.shared.counts.dropped.inc();
            }
        }
    }

    /// Records calls that are about to go upstream. What is given back resolves once they are written,
    /// and fails where they can't be; nothing, where that is known now.
    pub fn begin(&self, record: &Record, calls: &[AuditedCall]) -> Option<oneshot::Receiver<()>> {
        let Shared { lines, has_writer, counts } = &*self.shared;
        if counts.failing.get() != 0 {
            return None;
        }
        let all: Vec<Vec<u8>> =
            calls.iter().map(|call| self.line(AuditEvent::Begun, record, call)).collect();
        let (waiter, written) = oneshot::channel();
        let waiter = if *has_writer {
            Some(waiter)
        } else {
            let _ = waiter.send(());
            None
        };
        if lines.push(&all.join(&b'\n'), waiter) {
            return Some(written);
        }
        counts.dropped.inc_by(u64::try_from(calls.len()).unwrap_or(u64::MAX));
        None
    }

    /// Records what an operator has done.
    pub fn operation(&self, done: &Operation<'_>) {
        let mut line = Vec::with_capacity(256);
        line::write_operation(&mut line, jiff::Timestamp::now(), done);
        if !self.shared.lines.push(&line, None) {
            self.shared.counts.dropped.inc();
        }
    }

    /// Waits until what was recorded before is written, a second at most, and says what isn't.
    pub fn flush(&self) {
        if !self.shared.lines.flush() {
            tracing::error!("the last audit records can't be written");
        }
    }

    /// Records lost: there was no room in the queue, or none on the disk to the end.
    pub fn dropped(&self) -> u64 {
        self.shared.counts.dropped.get()
    }

    /// What waits to be written: of a `memory` sink, all that was recorded.
    pub fn contents(&self) -> String {
        self.shared.lines.contents()
    }

    pub(super) fn counts(&self) -> AuditCounts {
        self.shared.counts.clone()
    }

    /// The finished line, after the second net has read it. What it catches here is a client's text
    /// and no bug of ours: somebody wrote a credential into an argument.
    fn line(&self, event: AuditEvent, record: &Record, call: &AuditedCall) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        line::write(&mut line, (event, jiff::Timestamp::now()), record, call);
        let configured = |text: &[u8]| record.configured(text) || call.configured(text);
        let redacted = redact(&line, Syntax::Json, configured);
        // Of the two lines of a call one counts.
        if event == AuditEvent::Call {
            self.shared.counts.redactions.inc_by(redacted.masked + call.masked());
        }
        match redacted.line {
            std::borrow::Cow::Owned(masked) => masked,
            std::borrow::Cow::Borrowed(_) => line,
        }
    }
}

impl Shared {
    /// The writer's life.
    fn drain(&self, mut put: impl FnMut(&[u8], bool) -> Result<(), Unwritten>) {
        let mut batch = Batch::default();
        while self.lines.next_batch(&mut batch) {
            self.write(&mut batch, &mut put);
            self.lines.settle(&batch.lines);
        }
    }

    /// Writes a batch, and tries until it can. What comes meanwhile waits in the queue.
    fn write(
        &self,
        Batch { lines, waiters }: &mut Batch,
        put: &mut impl FnMut(&[u8], bool) -> Result<(), Unwritten>,
    ) {
        let counts = &self.counts;
        let (is_waited_for, lost_before) = (!waiters.is_empty(), counts.dropped.get());
        let mut rest = lines.as_slice();
        while let Err(Unwritten { written, why }) = put(rest, is_waited_for) {
            let (done, left) = rest.split_at(written.min(rest.len()));
            counts.records.inc_by(lines::count(done));
            rest = left;
            // Whoever waits is told now: what is written later was never begun.
            waiters.clear();
            if counts.failing.get() == 0 {
                counts.failing.set(1);
                tracing::error!(%why, "audit records can't be written");
            }
            if !self.lines.pause(RETRY) {
                counts.dropped.inc_by(lines::count(rest));
                return;
            }
        }
        counts.records.inc_by(lines::count(rest));
        if counts.failing.get() != 0 {
            counts.failing.set(0);
            let lost = counts.dropped.get() - lost_before;
            tracing::error!(lost, "audit records are written again");
        }
        for waiter in waiters.drain(..) {
            // Its client may have gone.
            let _ = waiter.send(());
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.lines.close();
    }
}

impl AuditCounts {
    #[expect(clippy::expect_used, reason = "the names are constants, and a test makes them")]
    fn new() -> Self {
        let counter = |opts| IntCounter::with_opts(opts).expect("a valid name");
        let records = Opts::new("portcullis_audit_records_total", "Audit records written.");
        let dropped = Opts::new(
            "portcullis_audit_records_dropped_total",
            "Audit records lost because nothing took them for too long.",
        );
        let failing = Opts::new(
            "portcullis_audit_failing",
            "Whether audit records can't be written now: 1 or 0.",
        );
        let redactions = Opts::new(REDACTIONS, REDACTIONS_HELP).const_label("sink", "audit");
        Self {
            records: counter(records),
            dropped: counter(dropped),
            failing: IntGauge::with_opts(failing).expect("a valid name"),
            redactions: counter(redactions),
        }
    }
}

#[cfg(test)]
mod tests;
