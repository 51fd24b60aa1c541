//! A bounded queue of finished lines, between the exchanges that have them and the one thread that
//! writes them: of the log, and of the audit.
//!
//! `push` appends under a lock that the writer holds only to swap two vectors; a queue that is full
//! takes nothing.

use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// How many bytes may wait to be written. About 10,000 lines: what a stalled reader costs at most,
/// twice over while a batch is on its way.
pub const QUEUE_BYTES: usize = 4 << 20;

/// How long the writer gathers lines after the first: at most 100 wake-ups a second under load.
const GATHER: Duration = Duration::from_millis(10);

/// How long `flush` waits for a reader that doesn't read.
const FLUSH: Duration = Duration::from_secs(1);

/// A buffer that grew beyond this in a burst is given back.
const KEPT_BYTES: usize = 256 << 10;

/// The queue.
#[derive(Default)]
pub(super) struct Lines {
    queue: Mutex<Queue>,
    /// Lines are waiting, or a flush, or the end.
    work: Condvar,
    /// The writer has written a batch.
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    waiters: Vec<Waiter>,
    /// Bytes ever queued, and of those the ones that were written or lost.
    queued: u64,
    settled: u64,
    /// Threads that wait for the queue to be written now.
    flushing: u32,
    /// Whether somebody writes what waits.
    written: bool,
    closed: bool,
}

/// Who waits for a line to be written; dropped where it isn't.
pub(super) type Waiter = oneshot::Sender<()>;

/// What is written at once.
#[derive(Default)]
pub(super) struct Batch {
    /// Each with its line feed.
    pub(super) lines: Vec<u8>,
    /// Who waits for one of them.
    pub(super) waiters: Vec<Waiter>,
}

impl Batch {
    /// How many lines it has.
    pub(super) fn count(&self) -> u64 {
        count(&self.lines)
    }

    /// Makes room for the next one.
    fn clear(&mut self) {
        self.waiters.clear();
        self.lines.clear();
        if self.lines.capacity() > KEPT_BYTES {
            self.lines = Vec::new();
        }
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic can't happen between two writes to the queue that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that there will be a thread that writes, so that there is one to wait for.
    pub(super) fn is_written(&self) {
        self.lock().written = true;
    }

    /// Queues a line, or several, without the last line feed. False where there is no room.
    pub(super) fn push(&self, line: &[u8], waiter: Option<Waiter>) -> bool {
        let mut queue = self.lock();
        if queue.waiting.len() + line.len() >= QUEUE_BYTES {
            return false;
        }
        // Later lines find the writer awake, or on its way; but it gathers until somebody waits.
        let wakes = queue.waiting.is_empty() || (waiter.is_some() && queue.waiters.is_empty());
        queue.waiting.extend_from_slice(line);
        queue.waiting.push(b'\n');
        queue.queued = queue.queued.saturating_add(length(line) + 1);
        queue.waiters.extend(waiter);
        drop(queue);
        if wakes {
            self.work.notify_one();
        }
        true
    }

    /// Fills the batch with what waits, once something does. False at the end.
    pub(super) fn next_batch(&self, batch: &mut Batch) -> bool {
        batch.clear();
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            if queue.closed {
                return false;
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let deadline = Instant::now() + GATHER;
        while queue.flushing == 0 && !queue.closed && queue.waiters.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = timed(&self.work, queue, left);
        }
        std::mem::swap(&mut batch.lines, &mut queue.waiting);
        std::mem::swap(&mut batch.waiters, &mut queue.waiters);
        true
    }

    /// So many bytes of a batch were written, or lost.
    pub(super) fn settle(&self, bytes: &[u8]) {
        let mut queue = self.lock();
        queue.settled = queue.settled.saturating_add(length(bytes));
        drop(queue);
        self.written.notify_all();
    }

    /// The writer's pause before it tries again. False at the end, which ends the pause too.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        let mut queue = self.lock();
        while !queue.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            queue = timed(&self.work, queue, left);
        }
        false
    }

    /// Waits until what was queued before is written, a second at most. False where it isn't.
    pub(super) fn flush(&self) -> bool {
        let deadline = Instant::now() + FLUSH;
        let mut queue = self.lock();
        if !queue.written {
            return true;
        }
        let target = queue.queued;
        queue.flushing += 1;
        self.work.notify_one();
        while queue.settled < target {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = timed(&self.written, queue, left);
        }
        queue.flushing -= 1;
        queue.settled >= target
    }

    /// Ends the writer, once it has written what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
        self.flush();
    }

    /// What waits to be written.
    pub(super) fn contents(&self) -> String {
        String::from_utf8(self.lock().waiting.clone()).unwrap_or_default()
    }
}

fn timed<'q>(
    condition: &Condvar,
    queue: MutexGuard<'q, Queue>,
    left: Duration,
) -> MutexGuard<'q, Queue> {
    match condition.wait_timeout(queue, left) {
        Ok((queue, _)) => queue,
        Err(poisoned) => poisoned.into_inner().0,
    }
}

/// One write where the system takes it whole. A standard output that somebody made non-blocking is
/// waited for: the writer's thread has nothing else to do.
pub(super) fn write_whole(writer: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(GATHER),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many lines some bytes are.
pub(super) fn count(bytes: &[u8]) -> u64 {
    u64::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u64::MAX)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
