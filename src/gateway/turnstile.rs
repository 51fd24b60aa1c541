use std::sync::Arc;

use tokio::sync::watch;

/// Where whoever comes in passes. Shut while another process may be about to take over: who comes waits
/// in the system's queue, which is the same for both.
#[derive(Clone)]
pub(super) struct Turnstile(Arc<watch::Sender<Passage>>);

/// Whether anybody comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Yes.
    Open,
    /// Not now.
    Shut,
    /// Not any more: another process has taken over.
    Gone,
}

/// Shut for as long as it is held.
pub(super) struct Shut<'t> {
    turnstile: &'t Turnstile,
    then: Passage,
}

impl Turnstile {
    /// Open.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Passage::Open)))
    }

    /// Shuts it.
    pub(super) fn shut(&self) -> Shut<'_> {
        self.0.send_replace(Passage::Shut);
        Shut { turnstile: self, then: Passage::Open }
    }

    /// Waits until nobody comes in.
    pub(super) async fn shuts(&self) {
        self.is(|passage| passage != Passage::Open).await;
    }

    /// Waits until it is known whether it opens again. Whether it does.
    pub(super) async fn opens(&self) -> bool {
        self.is(|passage| passage != Passage::Shut).await == Passage::Open
    }

    /// Whether another process has taken over.
    pub(super) fn is_gone(&self) -> bool {
        *self.0.borrow() == Passage::Gone
    }

    /// Waits until another process has taken over.
    pub(super) async fn gone(&self) {
        self.is(|passage| passage == Passage::Gone).await;
    }

    async fn is(&self, wanted: impl Fn(Passage) -> bool) -> Passage {
        let mut passage = self.0.subscribe();
        // The sender lives as long as `self`.
        passage.wait_for(|passage| wanted(*passage)).await.map_or(Passage::Gone, |passage| *passage)
    }
}

impl Shut<'_> {
    /// Another process has taken over.
    pub(super) fn for_good(mut self) {
        self.then = Passage::Gone;
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.turnstile.0.send_replace(self.then);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_opens_again_unless_another_process_has_taken_over() {
        let turnstile = Turnstile::new();
        assert!(turnstile.opens().await);
        let shut = turnstile.shut();
        turnstile.shuts().await;
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, turnstile.opens());
        assert!(waiting.await.is_err());
        drop(shut);
        assert!(turnstile.opens().await);
        turnstile.shut().for_good();
        turnstile.gone().await;
        assert!(!turnstile.opens().await);
    }
}
