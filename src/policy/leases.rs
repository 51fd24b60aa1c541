use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::limits::Holder;
use crate::types::{AddressGroup, Denial, Limit, Name};

/// Open streams, counted by route and holder and by the client's address. It grows with open
/// connections and shrinks with them.
#[derive(Clone, Default)]
pub struct Leases {
    by_holder: Counts<(Name, Holder)>,
    by_address: Counts<AddressGroup>,
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
    /// Opens a stream of a holder, from an address.
    ///
    /// # Errors
    /// `Streams` where the holder has `max` open on the route, or the address has `per_address` on all.
    pub fn open(
        &self,
        (route, holder, max): (&Name, Holder, u32),
        (client, per_address): (IpAddr, u32),
    ) -> Result<Lease, Denial> {
        let of_holder = self.by_holder.take((route.clone(), holder), max);
        let of_holder = of_holder.ok_or(Denial::Streams(Limit::MaxStreams))?;
        Ok(Lease { _of_holder: Some(of_holder), ..self.open_keyless(client, per_address)? })
    }

    /// Opens a stream where there are no keys.
    ///
    /// # Errors
    /// `Streams` where the address has `per_address` open.
    pub fn open_keyless(&self, client: IpAddr, per_address: u32) -> Result<Lease, Denial> {
        let of_address = self.by_address.take(client.into(), per_address);
        let of_address = of_address.ok_or(Denial::Streams(Limit::StreamsPerAddress))?;
        Ok(Lease { _of_holder: None, _of_address: of_address })
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
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
