//! What attackers share: the way in, their addresses, and the count of what they did.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::{Force, door::Door};

/// Attackers live in 127.16.0.0/12: a million addresses, and none of them anybody else's.
const FIRST: u32 = 0x7f10_0000;
const ALL: u32 = 1 << 20;

/// Where the attackers stand in one round.
pub(crate) struct Field {
    pub(crate) door: Door,
    pub(crate) force: Force,
    /// Which round it is, from 0.
    pub(crate) round: usize,
    next: AtomicU32,
    connections: AtomicU64,
    operations: AtomicU64,
    cut: AtomicU64,
}

impl Field {
    pub(crate) fn new(door: Door, force: Force, round: usize) -> Self {
        let [next, _] = [0, 1].map(AtomicU32::new);
        let [connections, operations, cut] = [0; 3].map(AtomicU64::new);
        Self { door, force, round, next, connections, operations, cut }
    }

    /// How long the round takes.
    pub(crate) fn duration(&self) -> Duration {
        let [first, again] = self.force.rounds;
        if self.round == 0 { first } else { again }
    }

    /// The next address of so many, in turn.
    pub(crate) fn address(&self, of: u32) -> Ipv4Addr {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ipv4Addr::from_bits(FIRST + number % of.clamp(1, ALL))
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// So many requests, frames or whatever the attack is made of were sent.
    pub(crate) fn did(&self, count: u64) {
        self.operations.fetch_add(count, Ordering::Relaxed);
    }

    /// The gateway ended a connection, or refused a request.
    pub(crate) fn was_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections made, operations done, and how often the gateway had enough.
    pub(crate) fn count(&self) -> [u64; 3] {
        [&self.connections, &self.operations, &self.cut].map(|count| count.load(Ordering::Relaxed))
    }
}
