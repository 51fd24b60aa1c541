use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// Where the gateway is in its life, shared between who knows and who is asked.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// What `/readyz` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not yet listening.
    Starting,
    /// Serving.
    Ready,
    /// Ending: send nothing new.
    Draining,
}

impl Readiness {
    /// The stage now; `Starting` until it is set.
    pub fn get(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            READY => Stage::Ready,
            DRAINING => Stage::Draining,
            _ => Stage::Starting,
        }
    }

    /// Enters a stage.
    pub fn set(&self, stage: Stage) {
        let value = match stage {
            Stage::Starting => STARTING,
            Stage::Ready => READY,
            Stage::Draining => DRAINING,
        };
        self.0.store(value, Ordering::Release);
    }
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Stage {
    /// The word of `/readyz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}
