use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::limits::{BucketKey, Holder};
use crate::types::{AddressGroup, Denial, Limit, Name};

/// Open streams, counted by route and holder and by the client's address. It grows with open
/// connections and shrinks with them.
#[derive(Clone, Default)]
pub struct Leases {
    by_holder: Counts<(Name, Holder)>,
    by_address: Counts<AddressGroup>,
    /// What owners are called where another process counts them too.
    hasher: SipHasher13,
    elsewhere: Arc<ArcSwap<LeaseCounts>>,
}

/// How many leases each owner has, as processes of one gateway tell each other. Of an owner only a hash
/// under their [`BucketKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseCounts {
    holders: HashMap<u64, u32>,
    addresses: HashMap<u64, u32>,
}

/// One open stream; returned by drop, on every way out.
pub struct Lease {
    _of_holder: Option<Counted<(Name, Holder)>>,
    _of_address: Counted<AddressGroup>,
}

/// How many of something each owner has. Who has none isn't in it.
struct Counts<K>(Arc<Mutex<HashMap<K, u32>>>);

/// One of them; returned by drop.
struct Counted<K: Eq + Hash> {
    counts: Counts<K>,
    by: K,
}

impl Leases {
    /// None is open. The processes of one gateway have the same key.
    pub fn new(key: &BucketKey) -> Self {
        Self { hasher: SipHasher13::new_with_key(key), ..Self::default() }
    }

    /// What is open here.
    pub fn counts(&self) -> LeaseCounts {
        let holders = self.by_holder.all(|holder| self.hash(holder));
        LeaseCounts { holders, addresses: self.by_address.all(|address| self.hash(address)) }
    }

    /// What is open in the processes that this one has taken over from.
    pub fn set_elsewhere(&self, counts: LeaseCounts) {
        self.elsewhere.store(Arc::new(counts));
    }

    /// Opens a stream of a holder, from an address.
    ///
    /// # Errors
    /// `Streams` where the holder has `max` open on the route, or the address has `per_address` on all.
    pub fn open(
        &self,
        (route, holder, max): (&Name, Holder, u32),
        (client, per_address): (IpAddr, u32),
    ) -> Result<Lease, Denial> {
        let by = (route.clone(), holder);
        let max = self.left(|elsewhere| &elsewhere.holders, &by, max);
        let of_holder = self.by_holder.take(by, max);
        let of_holder = of_holder.ok_or(Denial::Streams(Limit::MaxStreams))?;
        Ok(Lease { _of_holder: Some(of_holder), ..self.open_keyless(client, per_address)? })
    }

    /// Opens a stream where there are no keys.
    ///
    /// # Errors
    /// `Streams` where the address has `per_address` open.
    pub fn open_keyless(&self, client: IpAddr, per_address: u32) -> Result<Lease, Denial> {
        let by = client.into();
        let per_address = self.left(|elsewhere| &elsewhere.addresses, &by, per_address);
        let of_address = self.by_address.take(by, per_address);
        let of_address = of_address.ok_or(Denial::Streams(Limit::StreamsPerAddress))?;
        Ok(Lease { _of_holder: None, _of_address: of_address })
    }

    /// How many an owner may have here.
    fn left(
        &self,
        of: impl Fn(&LeaseCounts) -> &HashMap<u64, u32>,
        by: &impl Hash,
        max: u32,
    ) -> u32 {
        let elsewhere = self.elsewhere.load();
        let counts = of(&elsewhere);
        // Nearly always: nobody is asked for a hash then. What holds no limit isn't cut either.
        if counts.is_empty() || max == u32::MAX {
            return max;
        }
        max.saturating_sub(counts.get(&self.hash(by)).copied().unwrap_or(0))
    }

    fn hash(&self, owner: &impl Hash) -> u64 {
        let mut hasher = self.hasher;
        owner.hash(&mut hasher);
        hasher.finish()
    }
}

impl LeaseCounts {
    /// With what another process has.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in
            [(&mut self.holders, &other.holders), (&mut self.addresses, &other.addresses)]
        {
            for (owner, count) in theirs {
                let sum = mine.entry(*owner).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
    fn all(&self, name: impl Fn(&K) -> u64) -> HashMap<u64, u32> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(by, count)| (name(by), *count)).collect()
    }

    fn take(&self, by: K, max: u32) -> Option<Counted<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&by).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        counts.insert(by.clone(), count + 1);
        drop(counts);
        Some(Counted { counts: self.clone(), by })
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.by) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.by);
            }
        }
    }
}

impl<K> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Secret;

    fn key(text: &str) -> Holder {
        Holder::Key(Secret::new(text.to_owned()).digest())
    }

    #[test]
    fn what_is_open_in_an_older_process_counts_until_it_ends_there() {
        let (old, new, route) =
            (Leases::new(&[7; 16]), Leases::new(&[7; 16]), Name::parse("mcp").unwrap());
        let open = |leases: &Leases, client: &str| {
            leases.open((&route, key("k"), 2), (client.parse().unwrap(), 2))
        };
        let held = open(&old, "192.0.2.1").ok().unwrap();
        let tell = || {
            let told = serde_json::to_vec(&old.counts()).unwrap();
            let mut counts = LeaseCounts::default();
            counts.add(&serde_json::from_slice(&told).unwrap());
            new.set_elsewhere(counts);
        };
        tell();
        let second = open(&new, "192.0.2.1").ok().unwrap();
        assert!(open(&new, "192.0.2.2").is_err(), "two of the key");
        let client = "192.0.2.1".parse().unwrap();
        assert!(new.open_keyless(client, 2).is_err(), "two of the address");
        drop(held);
        tell();
        assert!(open(&new, "192.0.2.2").is_ok());
        drop(second);
        assert_eq!(old.counts(), LeaseCounts::default());
    }

    #[test]
    fn a_lease_comes_back_when_it_is_dropped() {
        let (leases, route) = (Leases::default(), Name::parse("mcp").unwrap());
        let open = |holder: &str, client: &str| {
            leases.open((&route, key(holder), 1), (client.parse().unwrap(), 2))
        };
        let first = open("k", "192.0.2.1").ok().unwrap();
        assert_eq!(open("k", "192.0.2.2").err(), Some(Denial::Streams(Limit::MaxStreams)));
        let second = open("other", "192.0.2.1").ok().unwrap();
        let third = open("third", "192.0.2.1").err();
        assert_eq!(third, Some(Denial::Streams(Limit::StreamsPerAddress)));
        let keyless = leases.open_keyless("192.0.2.1".parse().unwrap(), 2);
        assert!(keyless.is_err(), "an address has them together");
        let fourth = open("third", "2001:db8::1").ok().unwrap();
        assert!(leases.open_keyless("2001:db8::2".parse().unwrap(), 1).is_err(), "by /64");
        drop(first);
        assert!(open("k", "192.0.2.1").is_ok());
        drop((second, fourth));
        let (by_holder, by_address) = (&leases.by_holder.0, &leases.by_address.0);
        assert!(by_holder.lock().unwrap().is_empty(), "nothing is kept of keys without streams");
        assert!(by_address.lock().unwrap().is_empty(), "nor of addresses, refused or not");
    }
}
