//! What is changed, and until when it is in force.

use std::time::{Duration, Instant};

use crate::{Outcome, gateway::Gateway};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The configuration is read again.
    Reload,
    /// A certificate is renewed.
    Swap,
    /// Another process takes over.
    Upgrade,
}

/// Twenty reloads, five swaps and three upgrades, mixed.
pub(crate) fn planned() -> Vec<Change> {
    let change = |turn: u32| match turn {
        7 | 16 | 25 => Change::Upgrade,
        3 | 9 | 14 | 19 | 23 => Change::Swap,
        _ => Change::Reload,
    };
    (1..=28).map(change).collect()
}

impl Change {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Swap => "swap",
            Self::Upgrade => "upgrade",
        }
    }

    /// Makes it, and gives how long it took.
    pub(crate) async fn make(self, gateway: &mut Gateway) -> Outcome<Duration> {
        let begun = Instant::now();
        match self {
            Self::Reload => gateway.reload().await?,
            Self::Swap => gateway.swap().await?,
            Self::Upgrade => gateway.upgrade().await?,
        }
        Ok(begun.elapsed())
    }
}
