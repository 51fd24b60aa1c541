use std::time::Instant;

use prometheus::{Histogram, IntCounter, IntGauge};

/// A connection that is open: counted until dropped.
#[must_use]
pub struct ConnectionGuard(IntGauge);

impl ConnectionGuard {
    pub(super) fn new(open: IntGauge) -> Self {
        open.inc();
        Self(open)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Requests under way to one upstream.
#[derive(Clone)]
pub struct InFlight(IntGauge);

impl InFlight {
    pub(super) const fn new(under_way: IntGauge) -> Self {
        Self(under_way)
    }

    /// One more.
    pub fn begin(&self) {
        self.0.inc();
    }

    /// One less.
    pub fn end(&self) {
        self.0.dec();
    }
}

/// The health of one endpoint.
#[derive(Clone)]
pub struct EndpointHealth(IntGauge);

impl EndpointHealth {
    pub(super) const fn new(shown: IntGauge) -> Self {
        Self(shown)
    }

    /// Shows whether requests go there.
    pub fn set(&self, well: bool) {
        self.0.set(well.into());
    }
}

/// The streams of one upstream that clients share.
#[derive(Clone)]
pub struct SharedStreamsMeter {
    open: IntGauge,
    dropped: IntCounter,
}

/// A shared stream that is open: counted until dropped.
#[must_use]
pub struct SharedStreamGuard(IntGauge);

impl SharedStreamsMeter {
    pub(super) const fn new(open: IntGauge, dropped: IntCounter) -> Self {
        Self { open, dropped }
    }

    /// Counts one as open.
    pub fn opened(&self) -> SharedStreamGuard {
        self.open.inc();
        SharedStreamGuard(self.open.clone())
    }

    /// Counts a message that went to nobody.
    pub fn dropped(&self) {
        self.dropped.inc();
    }
}

impl Drop for SharedStreamGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A stream that is open: counted until dropped, and then its length.
#[must_use]
pub struct StreamGuard {
    open: IntGauge,
    seconds: Histogram,
    events: IntCounter,
    since: Instant,
}

impl StreamGuard {
    pub(super) fn new(open: IntGauge, seconds: Histogram, events: IntCounter) -> Self {
        open.inc();
        Self { open, seconds, events, since: Instant::now() }
    }

    /// Counts one event relayed.
    pub fn event(&self) {
        self.events.inc();
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.open.dec();
        self.seconds.observe(self.since.elapsed().as_secs_f64());
    }
}
