use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::TrustedProxies;
use crate::types::AddressGroup;

/// Places for connections and, since each of them may take a connection upstream, for the exchanges
/// of HTTP/2 beside them: so many in all, and so many of one address group.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    all: usize,
    per_group: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Only groups that have a place stand here, so it can't outgrow `all`.
    by_group: HashMap<AddressGroup, usize>,
}

/// A place; returned by drop.
pub struct Ticket {
    taken: Arc<Mutex<Taken>>,
    per_group: usize,
    /// Whom it counts for; `None` where that isn't one address.
    group: Option<AddressGroup>,
}

impl Places {
    /// All of them free.
    pub fn new(all: usize, per_group: usize) -> Self {
        Self { taken: Arc::default(), all, per_group }
    }

    /// Takes a place for a peer; `None` where none is left in all, or for its group. A trusted proxy
    /// is no group: behind its address are many clients.
    pub fn take(&self, peer: IpAddr, proxies: &TrustedProxies) -> Option<Ticket> {
        let group = group_of(peer, proxies);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.all || !taken.enter(group, self.per_group) {
            return None;
        }
        taken.all += 1;
        drop(taken);
        Some(Ticket { taken: Arc::clone(&self.taken), per_group: self.per_group, group })
    }
}

fn group_of(peer: IpAddr, proxies: &TrustedProxies) -> Option<AddressGroup> {
    (!proxies.trusts(peer)).then(|| AddressGroup::from(peer))
}

impl Taken {
    /// Counts one more of the group, if it may have one more.
    fn enter(&mut self, group: Option<AddressGroup>, most: usize) -> bool {
        let Some(group) = group else { return true };
        let of_group = self.by_group.entry(group).or_insert(0);
        // A group that stands here has one, so what was just made isn't left at zero.
        let fits = *of_group < most;
        *of_group += usize::from(fits);
        fits
    }

    fn leave(&mut self, group: Option<AddressGroup>) {
        let Some(group) = group else { return };
        if let Some(of_group) = self.by_group.get_mut(&group) {
            *of_group -= 1;
            if *of_group == 0 {
                self.by_group.remove(&group);
            }
        }
    }
}

impl Ticket {
    /// Counts the place for whom a proxy told; false where that group has as many as it may.
    pub fn is_for(&mut self, told: IpAddr, proxies: &TrustedProxies) -> bool {
        let group = group_of(told, proxies);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.enter(group, self.per_group) {
            return false;
        }
        taken.leave(std::mem::replace(&mut self.group, group));
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        taken.leave(self.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address_group() {
        let places = Places::new(3, 2);
        let nobody = TrustedProxies::new(&[]);
        let take = |peer: &str| places.take(peer.parse().unwrap(), &nobody);
        let first = take("2001:db8::1").unwrap();
        let second = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none(), "one /64 is one group");
        let third = take("192.0.2.1");
        assert!(third.is_some());
        assert!(take("192.0.2.2").is_none(), "three in all");
        drop((first, second, third));
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_group.is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn a_trusted_proxy_is_counted_in_all_and_then_for_whom_it_tells() {
        let places = Places::new(4, 1);
        let proxies = TrustedProxies::new(&["10.0.0.1/32".parse().unwrap()]);
        let take = |peer: &str| places.take(peer.parse().unwrap(), &proxies);
        let mut tickets: Vec<_> = (0..4).map(|_| take("10.0.0.1").unwrap()).collect();
        assert!(take("10.0.0.1").is_none(), "four in all");
        let told = |ticket: &mut Ticket, told: &str| ticket.is_for(told.parse().unwrap(), &proxies);
        assert!(told(&mut tickets[0], "192.0.2.1"));
        assert!(!told(&mut tickets[1], "192.0.2.1"), "one of an address");
        assert!(told(&mut tickets[1], "192.0.2.2") && told(&mut tickets[2], "10.0.0.1"));
        tickets.truncate(1);
        assert!(take("192.0.2.1").is_none());
        tickets.clear();
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_group.is_empty(), "nothing is kept of who left");
    }
}
