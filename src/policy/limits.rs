use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use governor::{RateLimiter, clock, middleware::NoOpMiddleware, nanos::Nanos as GovernorNanos};
use siphasher::sip::SipHasher13;

use super::{
    Glob, Purse,
    table::{Bucket, Buckets, Glance, Slot, Slots, Table},
};
use crate::types::{AddressGroup, Denial, KeyDigest, Limit, Name, Nanos};

/// A rate and what may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls that a period allows.
    pub count: NonZeroU32,
    /// The period.
    pub period: Duration,
    /// Calls at once, in all.
    pub burst: NonZeroU32,
}

impl Quota {
    /// The same rate, `factor` times over.
    pub fn times(self, factor: u32) -> Self {
        let by = |n: NonZeroU32| n.saturating_mul(NonZeroU32::MIN.saturating_add(factor - 1));
        Self { count: by(self.count), burst: by(self.burst), ..self }
    }

    fn governor(self) -> governor::Quota {
        let cell = self.period / self.count.get();
        // `with_period` refuses only zero, and a rate above one a nanosecond is no limit.
        governor::Quota::with_period(cell.max(Duration::from_nanos(1)))
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MAX))
            .allow_burst(self.burst)
    }
}

/// The owner of a bucket or of a slot. A consumer by its name: the two keys that it has while one replaces
/// the other must not give it twice the rate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A configured consumer.
    Consumer(Name),
    /// A key that no consumer has.
    Key(KeyDigest),
}

/// What has a bucket of its own, ten times as generous as that of calls: a client that has used up its
/// rate can begin anew all the same, say that it is alive, and call off what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aside {
    /// `server/discover`.
    Discover,
    /// `initialize`.
    Initialize,
    /// `ping`.
    Ping,
    /// Notifications, and the answers to what the server asked.
    Notification,
}

impl Aside {
    /// How many times the rate it has.
    pub const FACTOR: u32 = 10;
}

/// What is charged, and to whom.
#[derive(Clone, Copy, Debug)]
pub enum Charge<'a> {
    /// A consumer with a rate of its own: one bucket over all routes.
    Consumer(&'a Name),
    /// A consumer or a key on a route.
    Key(&'a Name, &'a Holder),
    /// What of them on a route has a bucket beside that.
    Aside(Aside, &'a Name, &'a Holder),
    /// The tools of a rate of their own.
    Tools(&'a Purse, &'a Glob),
    /// The same on a route, for all keys of an address that the upstream hasn't accepted yet.
    ToolsOf(&'a Name, AddressGroup, &'a Glob),
    /// All keys of an address that the upstream hasn't accepted yet.
    Unproven(AddressGroup),
    /// The same of an address that strangers share.
    Shared(AddressGroup),
    /// An address on a route without keys.
    Visitor(&'a Name, AddressGroup),
    /// All keys that begin alike, from addresses that strangers share. Of how they begin only a digest
    /// is known here.
    Prefix(KeyDigest),
}

impl Charge<'_> {
    /// Whose rate it is.
    const fn limit(self) -> Limit {
        match self {
            Self::Consumer(_) => Limit::ConsumerRate,
            Self::Key(..) | Self::Aside(..) | Self::Visitor(..) => Limit::RouteRate,
            Self::Tools(Purse::Consumer(_), _) => Limit::ConsumerRates,
            Self::Tools(Purse::OnRoute(..), _) | Self::ToolsOf(..) => Limit::RouteRates,
            Self::Unproven(_) | Self::Shared(_) => Limit::UnprovenPerAddress,
            Self::Prefix(_) => Limit::WrongKeys,
        }
    }
}

/// How many buckets of each kind there is room for.
#[derive(Clone, Copy, Debug)]
pub struct LimiterSizes {
    /// Buckets of configured keys.
    pub configured: usize,
    /// Buckets of keys that the upstream accepted.
    pub proven: usize,
    /// Buckets of addresses, with unproven keys or without any.
    pub addresses: usize,
    /// Buckets of keys that begin alike.
    pub prefixes: usize,
}

/// What buckets are found by. Who doesn't have it can't make up keys that share a bucket. Random, and
/// handed over with the buckets.
pub type BucketKey = [u8; 16];

/// The buckets, in tables whose size the configuration alone decides: made-up keys and addresses cost no
/// memory.
pub struct Limiter {
    /// As `std` hashes, but with a key that another process can have too.
    hasher: SipHasher13,
    configured: ArcSwap<Table>,
    proven: Table,
    addresses: Table,
    prefixes: Table,
}

impl Limiter {
    /// Empty buckets.
    pub fn new(sizes: LimiterSizes, key: &BucketKey) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(key),
            configured: ArcSwap::from_pointee(Table::new(sizes.configured)),
            proven: Table::new(sizes.proven),
            addresses: Table::new(sizes.addresses),
            prefixes: Table::new(sizes.prefixes),
        }
    }

    /// Makes room for the buckets of another configuration's keys. What a key has used stays used, but
    /// for a call that is charged in the moment of the change.
    pub fn make_room(&self, sizes: LimiterSizes, now: Nanos) {
        let table = self.configured.load();
        if !table.is_of(sizes.configured) {
            self.configured.store(Arc::new(table.resized(sizes.configured, now)));
        }
    }

    /// Takes `cells` calls from a configured key's bucket.
    ///
    /// # Errors
    /// `Rate` with the time until they would pass.
    pub fn charge_configured(
        &self,
        bucket: Charge<'_>,
        quota: Quota,
        at: (NonZeroU32, Nanos),
    ) -> Result<(), Denial> {
        self.take(&self.configured.load(), bucket, quota, at)
    }

    /// Takes `cells` calls from the bucket of a key that the upstream has accepted.
    ///
    /// # Errors
    /// `Rate` with the time until they would pass.
    pub fn charge_proven(
        &self,
        bucket: Charge<'_>,
        quota: Quota,
        at: (NonZeroU32, Nanos),
    ) -> Result<(), Denial> {
        self.take(&self.proven, bucket, quota, at)
    }

    /// Takes `cells` calls from a bucket of an address.
    ///
    /// # Errors
    /// `Rate` with the time until they would pass.
    pub fn charge_address(
        &self,
        bucket: Charge<'_>,
        quota: Quota,
        at: (NonZeroU32, Nanos),
    ) -> Result<(), Denial> {
        self.take(&self.addresses, bucket, quota, at)
    }

    /// Takes `cells` calls from the bucket of keys that begin alike. Where the table is full, the
    /// bucket that refills first makes way: strangers could else fill it, and then either nobody who
    /// shares their address would be let in, or nobody kept from guessing.
    ///
    /// # Errors
    /// `Rate` with the time until they would pass.
    pub fn charge_prefix(
        &self,
        prefix: KeyDigest,
        quota: Quota,
        at: (NonZeroU32, Nanos),
    ) -> Result<(), Denial> {
        let bucket = Charge::Prefix(prefix);
        let slot = self.prefixes.claim_or_evict(self.hash(bucket), at.1);
        take_from((&self.prefixes, slot), (bucket, quota), at)
    }

    /// Whether a call would find something in that bucket. Takes nothing from it.
    ///
    /// # Errors
    /// `Rate` with the time until one would.
    pub fn glance_at_prefix(
        &self,
        prefix: KeyDigest,
        quota: Quota,
        now: Nanos,
    ) -> Result<(), Denial> {
        let Some(slot) = self.prefixes.find(self.hash(Charge::Prefix(prefix))) else {
            return Ok(());
        };
        let limiter = RateLimiter::<_, _, _, NoOpMiddleware<_>>::new(
            quota.governor(),
            Glance(Slots(&self.prefixes)),
            Readings::new(now),
        );
        limiter.check_key(&slot).map_err(|until| {
            let retry_after = until.wait_time_from(now.0.into());
            Denial::Rate { retry_after, limit: Charge::Prefix(prefix).limit() }
        })
    }

    /// Whether the upstream has accepted the key, and its bucket is still held.
    pub fn is_proven(&self, key: Charge<'_>) -> bool {
        self.proven.find(self.hash(key)).is_some()
    }

    /// The upstream has accepted the key: gives it a bucket of its own, if there is room.
    pub fn prove(&self, key: Charge<'_>, now: Nanos) {
        let _ = self.proven.claim(self.hash(key), now);
    }

    fn take(
        &self,
        table: &Table,
        charge: Charge<'_>,
        quota: Quota,
        at: (NonZeroU32, Nanos),
    ) -> Result<(), Denial> {
        let slot = table.claim(self.hash(charge), at.1);
        take_from((table, slot), (charge, quota), at)
    }

    fn hash(&self, charge: Charge<'_>) -> u64 {
        match charge {
            Charge::Consumer(name) => self.hash_one((0_u8, name)),
            Charge::Key(route, holder) => self.hash_one((1_u8, route, holder)),
            Charge::Aside(what, route, holder) => self.hash_one((2_u8, what, route, holder)),
            Charge::Unproven(group) => self.hash_one((3_u8, group)),
            Charge::Visitor(route, group) => self.hash_one((4_u8, route, group)),
            Charge::Prefix(prefix) => self.hash_one((5_u8, prefix)),
            Charge::Shared(group) => self.hash_one((6_u8, group)),
            Charge::Tools(purse, tools) => self.hash_one((7_u8, purse, tools)),
            Charge::ToolsOf(route, group, tools) => self.hash_one((8_u8, route, group, tools)),
        }
    }

    fn hash_one(&self, value: impl Hash) -> u64 {
        let mut hasher = self.hasher;
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// Every bucket that isn't full, for a process that takes over: one part for each table.
    pub fn hand_over(&self, now: Nanos) -> Vec<Buckets> {
        let is_known = |_: &Bucket| true;
        // Who has used anything; of keys that the upstream accepted, that it did.
        let is_used = |bucket: &Bucket| bucket.refills > 0;
        let configured = self.configured.load();
        let tables = [&**configured, &self.addresses, &self.prefixes];
        let mut all: Vec<Buckets> = tables.map(|table| table.buckets(now, is_used)).into();
        all.push(self.proven.buckets(now, is_known));
        all
    }

    /// Puts in what another process has handed over. What there is no room for is as good as new.
    pub fn take_over(&self, all: &[Buckets], now: Nanos) {
        let configured = self.configured.load();
        let tables = [&**configured, &self.addresses, &self.prefixes, &self.proven];
        for (table, buckets) in tables.into_iter().zip(all) {
            table.put(buckets, now);
        }
    }
}

/// Takes from a slot; where there is none, the table is full.
fn take_from(
    (table, slot): (&Table, Option<Slot>),
    (charge, quota): (Charge<'_>, Quota),
    (cells, now): (NonZeroU32, Nanos),
) -> Result<(), Denial> {
    let over = |retry_after| Denial::Rate { retry_after, limit: charge.limit() };
    let slot = slot.ok_or_else(|| over(Duration::from_secs(1)))?;
    let limiter = RateLimiter::<_, _, _, NoOpMiddleware<_>>::new(
        quota.governor(),
        Slots(table),
        Readings::new(now),
    );
    match limiter.check_key_n(&slot, cells) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(until)) => Err(over(until.wait_time_from(now.0.into()))),
        // More than the bucket ever holds: a batch that has to be split.
        Err(_) => Err(over(quota.period)),
    }
}

/// The clock that governor sees for the length of one call. It takes its first reading as the start
/// that states count from: that is the process epoch, so all quotas share one table.
struct Readings {
    started: Cell<bool>,
    now: u64,
}

impl Readings {
    const fn new(now: Nanos) -> Self {
        Self { started: Cell::new(false), now: now.0 }
    }
}

impl clock::Clock for Readings {
    type Instant = GovernorNanos;

    fn now(&self) -> GovernorNanos {
        let reading = if self.started.replace(true) { self.now } else { 0 };
        reading.into()
    }
}

#[cfg(test)]
mod tests;
