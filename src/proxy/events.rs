//! What the pump follows of an event stream: where one event ends and the next begins, and what the
//! first one of a legacy stream announces.

use super::legacy::Listening;
use crate::{
    mcp::{EventScan, FirstEvent},
    observe::StreamGuard,
    types::{Leave, Leaving, RequestId},
};

/// What is followed of an event stream.
pub(super) struct Events {
    guard: StreamGuard,
    scan: EventScan,
    pub(super) first: First,
    pub(super) listening: Option<Listening>,
    /// After how long its client is to come back where the gateway ends it, in milliseconds.
    retry: u64,
    /// When it ends in a process that has handed over.
    late: u64,
}

/// Streams that end at once come back within this time, in milliseconds, each at a moment of its own:
/// else the next process would begin with a flood. A browser's own choice is one for all.
const COMES_BACK: (u64, u64) = (1_000, 15_000);

/// What a stream is told that ends because another process has taken over.
const HANDED_OVER: &str = ": handed over\n\n";

/// Where a stream is that could be one of the legacy transport.
pub(super) enum First {
    /// Its first event is still to come.
    Awaited(FirstEvent),
    /// It has come, or isn't waited for.
    Passed,
    /// It has come. No veil covers the key that was injected, so what could be another endpoint waits
    /// until it is whole.
    Watched(FirstEvent),
}

impl Events {
    /// An event stream that was just opened; `could_be_legacy` where it answers a GET.
    /// Where a key was injected, no event is let through before it is known whole.
    pub(super) fn new(
        (guard, request): (StreamGuard, RequestId),
        could_be_legacy: bool,
        injected: bool,
    ) -> Self {
        let first = match (could_be_legacy, injected) {
            (true, false) => First::Awaited(FirstEvent::default()),
            (true, true) => First::Awaited(FirstEvent::strict()),
            (false, _) => First::Passed,
        };
        let retry = request.spread(COMES_BACK.0, COMES_BACK.1);
        let late = request.spread(0, 1_000);
        Self { guard, scan: EventScan::default(), first, listening: None, retry, late }
    }

    /// The last words of a stream that the gateway ends, where none of its events is torn: when to come
    /// back. No event to anybody: it has no data (WHATWG HTML 9.2.6).
    pub(super) fn farewell(&self, why: Leave) -> Option<String> {
        let retry = format!("retry: {}\n\n", self.retry);
        let last = match why {
            Leave::Cut => retry,
            // Those of the legacy transport end in one moment, and an `EventSource` comes back itself.
            Leave::HandedOver if self.scan.has_ids() || self.listening.is_some() => {
                format!("{HANDED_OVER}{retry}")
            }
            Leave::HandedOver => HANDED_OVER.to_owned(),
        };
        self.may_speak().then_some(last)
    }

    /// When it ends in a process that has handed over. A stream of the legacy transport at once: what
    /// its client posts would reach the other process, which knows of no such stream. In the middle of
    /// an event none does.
    pub(super) fn leaving(&self) -> Leaving {
        match &self.listening {
            _ if !self.may_speak() => Leaving::Never,
            Some(_) => Leaving::AtOnce,
            None => Leaving::Later(self.late),
        }
    }

    /// What waits for an event that could be an endpoint.
    pub(super) const fn looked_at(&mut self) -> Option<&mut FirstEvent> {
        match &mut self.first {
            First::Awaited(first) | First::Watched(first) => Some(first),
            First::Passed => None,
        }
    }

    /// Follows bytes that go to the client. How many events end in them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> u64 {
        let before = self.scan.events();
        self.scan.feed(bytes);
        for _ in before..self.scan.events() {
            self.guard.event();
        }
        self.scan.events() - before
    }

    /// Whether something of our own may be put between two events now.
    pub(super) fn may_speak(&self) -> bool {
        let holding =
            matches!(&self.first, First::Awaited(first) | First::Watched(first) if first.holds());
        self.scan.between_events() && !holding
    }

    /// Whether an error may be put behind the last event: none is torn, and no client will resume
    /// the stream.
    pub(super) fn may_end(&self) -> bool {
        self.may_speak() && !self.scan.has_ids()
    }
}
