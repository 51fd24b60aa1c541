//! A bounded queue of finished lines, between the exchanges that have them and the one thread that
//! writes them.
//!
//! `push` appends under a lock that the writer holds only to swap two vectors; a queue that is full
//! takes nothing.

use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

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
    /// Bytes ever queued, and of those the ones that were written or lost.
    queued: u64,
    settled: u64,
    /// Threads that wait for the queue to be written now.
    flushing: u32,
    /// Whether somebody writes what waits.
    written: bool,
    closed: bool,
}

/// What is written at once.
#[derive(Default)]
pub(super) struct Batch {
    /// Each with its line feed.
    pub(super) lines: Vec<u8>,
}

impl Batch {
    /// How many lines it has.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(memchr::memchr_iter(b'\n', &self.lines).count()).unwrap_or(u64::MAX)
    }

    /// Makes room for the next one.
    fn clear(&mut self) {
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
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut queue = self.lock();
        if queue.waiting.len() + line.len() >= QUEUE_BYTES {
            return false;
        }
        // Later lines find the writer awake, or on its way.
        let wakes = queue.waiting.is_empty();
        queue.waiting.extend_from_slice(line);
        queue.waiting.push(b'\n');
        queue.queued = queue.queued.saturating_add(length(line) + 1);
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
        while queue.flushing == 0 && !queue.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = timed(&self.work, queue, left);
        }
        std::mem::swap(&mut batch.lines, &mut queue.waiting);
        true
    }

    /// So many bytes of a batch were written, or lost.
    pub(super) fn settle(&self, bytes: &[u8]) {
        let mut queue = self.lock();
        queue.settled = queue.settled.saturating_add(length(bytes));
        drop(queue);
        self.written.notify_all();
    }

    /// Waits until what was queued before is written, a second at most.
    pub(super) fn flush(&self) {
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
            queue = timed(&self.written, queue, left);
        }
        queue.flushing -= 1;
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

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
