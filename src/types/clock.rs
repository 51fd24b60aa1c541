use std::{sync::OnceLock, time::Instant};

/// Nanoseconds since this process first asked. One epoch for every limiter, so that their states
/// can share a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

static EPOCH: OnceLock<Instant> = OnceLock::new();

impl Nanos {
    /// The time now.
    pub fn now() -> Self {
        let elapsed = EPOCH.get_or_init(Instant::now).elapsed();
        // 584 years fit.
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }
}
