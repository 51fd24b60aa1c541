use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{audit::Auditor, legacy::LegacyStreams, memory::Memory, session::Seal, tokens::Tokens};
use crate::{
    live::Living,
    observe::{LogSink, Metrics},
    policy::{Bans, Budgets, Leases, Limiter, Places, Pressure, Revocations},
    snapshot::Snapshot,
    types::{FingerprintKey, Name},
    upstream::World,
    wire::HeadLimits,
};

/// What all exchanges share: the running configuration, and beside it what survives a change of it.
pub struct State {
    /// The configuration, and the servers with the connections that this worker keeps to them. Loaded
    /// once per exchange.
    pub world: Arc<ArcSwap<World>>,
    /// Rate buckets.
    pub limiter: Arc<Limiter>,
    /// Who is banned.
    pub bans: Arc<Bans>,
    /// What is used today of the budgets of tools.
    pub budgets: Arc<Budgets>,
    /// Keys that the operator has revoked.
    pub revocations: Arc<Revocations>,
    /// What is under way.
    pub living: Living,
    /// Open streams by key and by address.
    pub leases: Leases,
    /// Places for connections, and for what runs beside the first on one.
    pub places: Places,
    /// What is short.
    pub pressure: Pressure,
    /// Bodies held in memory.
    pub memory: Memory,
    /// Open streams of the legacy transport, where refusals are told.
    pub legacy: LegacyStreams,
    /// Proofs for an authority of certificates.
    pub tokens: Tokens,
    /// What binds sessions to keys.
    pub seal: Arc<Seal>,
    /// The salt of fingerprints.
    pub fingerprints: Arc<FingerprintKey>,
    /// What is counted.
    pub metrics: Metrics,
    /// Where lines go.
    pub log: LogSink,
    /// Where calls are recorded, where they are.
    pub audit: Option<Arc<Auditor>>,
}

impl State {
    /// The same for one more worker: all is shared but the kept connections, each of which belongs
    /// to the runtime that opened it, and the roll of what lives there.
    pub fn for_worker(&self) -> Self {
        let world = self.world.load().for_worker(None);
        Self {
            world: Arc::new(ArcSwap::from_pointee(world)),
            limiter: Arc::clone(&self.limiter),
            bans: Arc::clone(&self.bans),
            budgets: Arc::clone(&self.budgets),
            revocations: Arc::clone(&self.revocations),
            living: self.living.for_worker(),
            leases: self.leases.clone(),
            places: self.places.clone(),
            pressure: self.pressure.clone(),
            memory: self.memory.clone(),
            legacy: self.legacy.clone(),
            tokens: self.tokens.clone(),
            seal: Arc::clone(&self.seal),
            fingerprints: Arc::clone(&self.fingerprints),
            metrics: self.metrics.clone(),
            log: self.log.clone(),
            audit: self.audit.clone(),
        }
    }
}

/// The listener that a connection came through.
pub struct Door {
    /// Its name.
    pub name: Name,
    /// What it speaks.
    pub kind: DoorKind,
}

/// What a door speaks once a connection is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// HTTP in clear.
    Plain,
    /// HTTP over TLS.
    Tls,
    /// HTTP in clear, answered with a redirect to this port.
    Redirect {
        /// The TLS listener's port.
        port: u16,
    },
}

/// What is too much in a head.
pub(super) fn head_limits(Snapshot { limits, .. }: &Snapshot) -> HeadLimits {
    HeadLimits { target: limits.target, head: limits.head, fields: limits.fields }
}
