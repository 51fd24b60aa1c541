use std::time::Duration;

use tokio::{sync::watch, time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Cut,
}

/// Ends the work of the gateway in order: first nothing new, then nothing at all.
pub struct Drain(watch::Sender<Phase>);

/// Held by whatever is under way; the drain is over when the last one is dropped.
#[derive(Clone)]
pub struct Draining(watch::Receiver<Phase>);

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
        if time::timeout(grace, self.0.closed()).await.is_ok() {
            return;
        }
        let _ = self.0.send(Phase::Cut);
        // What was cut still writes its last bytes and its log line.
        let _ = time::timeout(LAST_WORDS, self.0.closed()).await;
    }
}

/// How long cut work gets to write its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Draining {
    /// Whether the drain has begun: answers now close their connections.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() != Phase::Serving
    }

    /// Waits for the drain to begin.
    pub async fn begun(&mut self) {
        // The sender lives as long as the process serves; without it, it is over too.
        let _ = self.0.wait_for(|phase| *phase != Phase::Serving).await;
    }

    /// Waits for the end of the grace.
    pub async fn cut(&mut self) {
        let _ = self.0.wait_for(|phase| *phase == Phase::Cut).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_drain_is_over_at_once_and_a_busy_one_is_cut_after_its_grace() {
        let (drain, mut work) = Drain::new();
        let grace = Duration::from_secs(8);
        let started = time::Instant::now();
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
}
