use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crate::upstream::{Health, Server, World};

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

/// What stands behind the gateway, of the upstreams that have `health`. The others aren't asked, and
/// don't count.
pub(super) enum Behind {
    /// Something can be served. As long as that is so the gateway is ready: one upstream of several
    /// that is lost would take the others with it.
    Some {
        /// The names of upstreams that are lost.
        without: Vec<String>,
    },
    /// No answer has come yet.
    Unknown,
    /// No endpoint of any is well.
    Nothing,
}

impl Behind {
    pub(super) fn of(world: &World) -> Self {
        let asked = world.servers.values().filter(|server| server.health() != Health::Unasked);
        let is = |health| move |server: &&Arc<Server>| server.health() == health;
        let all: Vec<_> = asked.collect();
        let any = |health| all.iter().copied().any(|server| is(health)(&server));
        if all.is_empty() || any(Health::Well) {
            let lost = all.iter().copied().filter(is(Health::Ill));
            let mut without: Vec<_> = lost.map(|server| server.upstream.name.to_string()).collect();
            without.sort();
            return Self::Some { without };
        }
        if any(Health::Unknown) { Self::Unknown } else { Self::Nothing }
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
