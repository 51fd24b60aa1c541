use std::time::Duration;

use tokio::{
    sync::watch,
    time::{self, Instant},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    HandedOver(Deadline),
    Draining,
    Cut,
}

/// When streams end in a process that has handed over: from `from` on, each at a moment of its own
/// within `spread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Deadline {
    from: Instant,
    spread: Duration,
}

/// Ends the work of the gateway in order: first nothing new, then nothing at all.
pub struct Drain(watch::Sender<Phase>);

/// Held by whatever is under way; the drain is over when the last one is dropped.
#[derive(Clone)]
pub struct Draining(watch::Receiver<Phase>);

/// When a stream ends in a process that has handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// At once: what belongs to it would reach the other process.
    AtOnce,
    /// At its deadline, and that many thousandths of the spread later.
    Later(u64),
    /// Not by itself.
    Never,
}

/// Why a stream is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Another process has taken over, and its time here is up.
    HandedOver,
    /// The grace is over.
    Cut,
}

/// The streams of a process that has handed over end within a tenth of what they got, and at most this
/// time: else all of them would come back in the same moment.
const SPREAD: Duration = Duration::from_secs(60);

/// How long cut work gets to write its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Drain {
    /// Nothing is draining, and `Draining` is what the first piece of work holds.
    pub fn new() -> (Self, Draining) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (Self(sender), Draining(receiver))
    }

    /// Lets what is under way end by itself within `grace`, then cuts it. Returns at once when
    /// nothing is under way.
    pub async fn run(&self, grace: Duration) {
        let _ = self.0.send(Phase::Draining);
        self.ends_within(grace).await;
    }

    /// Another process takes what is new. What is under way here goes on: calls to their end, streams
    /// until `timeout` from now. Returns when nothing is left; dropped, it leaves all as it is.
    pub async fn hand_over(&self, timeout: Duration) {
        let spread = SPREAD.min(timeout / 10);
        let deadline = Deadline { from: Instant::now() + timeout, spread };
        let _ = self.0.send(Phase::HandedOver(deadline));
        self.ends_within(timeout + spread).await;
    }

    async fn ends_within(&self, grace: Duration) {
        if time::timeout(grace, self.0.closed()).await.is_ok() {
            return;
        }
        let _ = self.0.send(Phase::Cut);
        // What was cut still writes its last bytes and its log line.
        let _ = time::timeout(LAST_WORDS, self.0.closed()).await;
    }
}

impl Draining {
    /// Whether nothing new is accepted any more: answers now close their connections.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() != Phase::Serving
    }

    /// Waits until nothing new is accepted any more.
    pub async fn begun(&mut self) {
        // The sender lives as long as the process serves; without it, it is over too.
        let _ = self.0.wait_for(|phase| *phase != Phase::Serving).await;
    }

    /// Waits until the process ends. One that has handed over doesn't yet: who is connected may be
    /// about to ask, and then would be refused.
    pub async fn ending(&mut self) {
        let _ = self.0.wait_for(|phase| matches!(phase, Phase::Draining | Phase::Cut)).await;
    }

    /// Waits for the end of the grace.
    pub async fn cut(&mut self) {
        let _ = self.0.wait_for(|phase| *phase == Phase::Cut).await;
    }

    /// Waits until a stream is to end.
    pub async fn leave(&mut self, leaving: Leaving) -> Leave {
        loop {
            let phase = *self.0.borrow_and_update();
            let moment = match (phase, leaving) {
                (Phase::Cut, _) => return Leave::Cut,
                (Phase::HandedOver(_), Leaving::AtOnce) => return Leave::HandedOver,
                (Phase::HandedOver(deadline), Leaving::Later(share)) => {
                    let share = u32::try_from(share.min(1_000)).unwrap_or_default();
                    Some(deadline.from + deadline.spread * share / 1_000)
                }
                _ => None,
            };
            let changed = match moment {
                // Boxed: every open stream would keep the room for it.
                Some(moment) => {
                    let until = Box::pin(time::timeout_at(moment, self.0.changed()));
                    let Ok(changed) = until.await else { return Leave::HandedOver };
                    changed
                }
                None => self.0.changed().await,
            };
            if changed.is_err() {
                return Leave::Cut;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_drain_is_over_at_once_and_a_busy_one_is_cut_after_its_grace() {
        let (drain, mut work) = Drain::new();
        let grace = Duration::from_secs(8);
        let started = Instant::now();
        let worker = tokio::spawn(async move {
            work.begun().await;
            work.cut().await;
        });
        drain.run(grace).await;
        worker.await.unwrap();
        assert_eq!(started.elapsed(), grace);
        drain.run(grace).await;
        assert_eq!(started.elapsed(), grace, "nothing is under way any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_handed_over_ends_its_streams_one_by_one() {
        let (drain, work) = Drain::new();
        let (timeout, started) = (Duration::from_secs(100), Instant::now());
        let left = |leaving| {
            let mut work = work.clone();
            tokio::spawn(async move { (work.leave(leaving).await, started.elapsed().as_secs()) })
        };
        let kinds =
            [Leaving::AtOnce, Leaving::Later(0), Leaving::Later(500), Leaving::Never].map(left);
        let mut accepting = work.clone();
        let accepting = tokio::spawn(async move { accepting.begun().await });
        drop(work);
        drain.hand_over(timeout).await;
        accepting.await.unwrap();
        let mut ends = Vec::new();
        for kind in kinds {
            ends.push(kind.await.unwrap());
        }
        let over = Leave::HandedOver;
        assert_eq!(ends, [(over, 0), (over, 100), (over, 105), (Leave::Cut, 110)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_handed_over_still_ends_within_its_grace() {
        let (drain, mut work) = Drain::new();
        let started = Instant::now();
        let stream = tokio::spawn(async move {
            work.ending().await;
            (work.leave(Leaving::Later(7)).await, started.elapsed())
        });
        let handed =
            time::timeout(Duration::from_secs(5), drain.hand_over(Duration::from_secs(60)));
        assert!(handed.await.is_err());
        drain.run(Duration::from_secs(8)).await;
        assert_eq!(stream.await.unwrap(), (Leave::Cut, Duration::from_secs(13)));
    }
}
