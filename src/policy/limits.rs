use std::{
    cell::Cell,
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
    time::Duration,
};

use governor::{RateLimiter, clock, middleware::NoOpMiddleware, nanos::Nanos as GovernorNanos};

use super::table::{Glance, Slot, Slots, Table};
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

/// What is charged, and to whom.
#[derive(Clone, Copy, Debug)]
pub enum Charge<'a> {
    /// A consumer with a rate of its own: one bucket over all routes.
    Consumer(&'a Name),
    /// A consumer or a key on a route.
    Key(&'a Name, &'a Holder),
    /// `server/discover` of them on a route: a bucket of its own.
    Discover(&'a Name, &'a Holder),
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
            Self::Key(..) | Self::Discover(..) | Self::Visitor(..) => Limit::RouteRate,
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

/// The buckets, in tables whose size is fixed at start: made-up keys and addresses cost no memory.
pub struct Limiter {
    hasher: RandomState,
    configured: Table,
    proven: Table,
    addresses: Table,
    prefixes: Table,
}

impl Limiter {
    /// Empty buckets.
    pub fn new(sizes: LimiterSizes) -> Self {
        Self {
            hasher: RandomState::new(),
            configured: Table::new(sizes.configured),
            proven: Table::new(sizes.proven),
            addresses: Table::new(sizes.addresses),
            prefixes: Table::new(sizes.prefixes),
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
        self.take(&self.configured, bucket, quota, at)
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
            Charge::Discover(route, holder) => self.hash_one((2_u8, route, holder)),
            Charge::Unproven(group) => self.hash_one((3_u8, group)),
            Charge::Visitor(route, group) => self.hash_one((4_u8, route, group)),
            Charge::Prefix(prefix) => self.hash_one((5_u8, prefix)),
            Charge::Shared(group) => self.hash_one((6_u8, group)),
        }
    }

    fn hash_one(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
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
mod tests {
    use super::*;
    use crate::types::Secret;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn limiter() -> Limiter {
        Limiter::new(LimiterSizes { configured: 64, proven: 8, addresses: 64, prefixes: 8 })
    }

    fn quota(count: u32, seconds: u64, burst: u32) -> Quota {
        let n = |n| NonZeroU32::new(n).unwrap();
        Quota { count: n(count), period: Duration::from_secs(seconds), burst: n(burst) }
    }

    fn key(text: &str) -> Holder {
        Holder::Key(Secret::new(text.to_owned()).digest())
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (limiter, route, key) = (limiter(), Name::parse("mcp").unwrap(), key("k"));
        let take = |seconds: u64, cells: u32| {
            let now = Nanos(1_000_000_000 * (1_000 + seconds));
            let cells = NonZeroU32::new(cells).unwrap();
            limiter.charge_configured(Charge::Key(&route, &key), quota(60, 60, 3), (cells, now))
        };
        assert_eq!(take(0, 2), Ok(()));
        assert_eq!(take(0, 1), Ok(()));
        let second = Duration::from_secs(1);
        let over = |retry_after| Err(Denial::Rate { retry_after, limit: Limit::RouteRate });
        assert_eq!(take(0, 1), over(second));
        assert_eq!(take(1, 1), Ok(()), "one a second comes back");
        assert_eq!(take(1, 2), over(2 * second));
        assert!(take(9, 4).is_err(), "more than the bucket holds never passes");
        assert_eq!(take(9, 3), Ok(()));
    }

    #[test]
    fn a_bucket_belongs_to_one_key_on_one_route() {
        let (limiter, now) = (limiter(), Nanos(5));
        let (mcp, other) = (Name::parse("mcp").unwrap(), Name::parse("other").unwrap());
        let (a, b) = (key("a"), key("b"));
        let take = |charge| limiter.charge_configured(charge, quota(1, 60, 1), (ONE, now)).is_ok();
        assert!(take(Charge::Key(&mcp, &a)) && !take(Charge::Key(&mcp, &a)));
        assert!(take(Charge::Key(&mcp, &b)) && take(Charge::Key(&other, &a)));
        assert!(take(Charge::Discover(&mcp, &a)) && take(Charge::Consumer(&mcp)));
    }

    #[test]
    fn made_up_keys_share_the_bucket_of_their_address_until_one_is_proven() {
        let (limiter, route) = (limiter(), Name::parse("mcp").unwrap());
        let group = AddressGroup::from("192.0.2.1".parse::<std::net::IpAddr>().unwrap());
        let at = (ONE, Nanos(7));
        assert!(limiter.charge_address(Charge::Unproven(group), quota(2, 60, 2), at).is_ok());
        assert!(limiter.charge_address(Charge::Unproven(group), quota(2, 60, 2), at).is_ok());
        assert!(limiter.charge_address(Charge::Unproven(group), quota(2, 60, 2), at).is_err());
        let good = key("good");
        let good = Charge::Key(&route, &good);
        assert!(!limiter.is_proven(good));
        limiter.prove(good, Nanos(7));
        assert!(limiter.is_proven(good));
        assert!(limiter.charge_proven(good, quota(1, 60, 1), at).is_ok());
        assert!(limiter.charge_proven(good, quota(1, 60, 1), at).is_err());
    }

    /// Strangers could else fill the table, and then guess freely or keep everyone out.
    #[test]
    fn a_full_table_of_prefixes_limits_the_next_one_all_the_same() {
        let (limiter, quota, now) = (limiter(), quota(1, 86_400, 1), Nanos(7));
        let prefix = |number: u32| Secret::new(format!("{number:08}")).digest();
        for number in 0..100 {
            assert_eq!(limiter.charge_prefix(prefix(number), quota, (ONE, now)), Ok(()));
            assert!(limiter.glance_at_prefix(prefix(number), quota, now).is_err(), "{number}");
        }
    }

    #[test]
    fn a_glance_at_a_prefix_takes_nothing_from_it() {
        let (limiter, quota, now) = (limiter(), quota(1, 60, 1), Nanos(7));
        let prefix = Secret::new("ptc_0123".to_owned()).digest();
        let glance = || limiter.glance_at_prefix(prefix, quota, now);
        assert_eq!((glance(), glance()), (Ok(()), Ok(())));
        assert_eq!(limiter.charge_prefix(prefix, quota, (ONE, now)), Ok(()));
        let minute = Duration::from_secs(60);
        for _ in 0..2 {
            assert_eq!(
                glance(),
                Err(Denial::Rate { retry_after: minute, limit: Limit::WrongKeys })
            );
        }
        assert_eq!(limiter.glance_at_prefix(prefix, quota, Nanos(60_000_000_007)), Ok(()));
    }
}
