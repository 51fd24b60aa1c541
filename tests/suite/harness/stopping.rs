use std::{
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// A gateway that drains.
pub(crate) struct Stopping {
    ended: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
    begun: Instant,
}

impl Stopping {
    /// A drain that was just begun.
    pub(super) fn new(ended: mpsc::Receiver<()>, thread: JoinHandle<()>) -> Self {
        Self { ended, thread, begun: Instant::now() }
    }

    /// Waits for its end, and says how long the drain took.
    pub(crate) fn ended(self) -> Duration {
        self.ended.recv_timeout(PATIENCE).expect("the gateway ends");
        let took = self.begun.elapsed();
        self.thread.join().expect("the gateway doesn't panic");
        took
    }
}
