use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::observe::InFlight;

/// Requests under way to one server, of all workers together.
pub(super) struct Turns {
    most: Option<u32>,
    under_way: AtomicU32,
    shown: Option<InFlight>,
}

/// A request under way; returned by drop, at the end of its answer.
pub struct Turn(Arc<Turns>);

impl Turns {
    /// So many at once, or any number. They are shown as they come and go.
    pub(super) const fn new(most: Option<u32>, shown: Option<InFlight>) -> Self {
        Self { most, under_way: AtomicU32::new(0), shown }
    }

    /// One more, unless there are as many as may be.
    pub(super) fn take(self: &Arc<Self>) -> Option<Turn> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        if self.most.is_some_and(|most| before >= most) {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        if let Some(shown) = &self.shown {
            shown.begin();
        }
        Some(Turn(Arc::clone(self)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        if let Some(shown) = &self.0.shown {
            shown.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_comes_back_when_it_is_dropped() {
        let turns = Arc::new(Turns::new(Some(2), None));
        let (first, second) = (turns.take(), turns.take());
        assert!(first.is_some() && second.is_some() && turns.take().is_none());
        drop(first);
        assert!(turns.take().is_some());
        drop(second);
        assert_eq!(turns.under_way.load(Ordering::Relaxed), 0);
    }
}
