use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

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
    group: AddressGroup,
}

impl Places {
    /// All of them free.
    pub fn new(all: usize, per_group: usize) -> Self {
        Self { taken: Arc::default(), all, per_group }
    }

    /// Takes a place for a peer; `None` where none is left in all, or for its group.
    pub fn take(&self, peer: IpAddr) -> Option<Ticket> {
        let group = AddressGroup::from(peer);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.all {
            return None;
        }
        let of_group = taken.by_group.entry(group).or_insert(0);
        if *of_group >= self.per_group {
            return None;
        }
        *of_group += 1;
        taken.all += 1;
        drop(taken);
        Some(Ticket { taken: Arc::clone(&self.taken), group })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(of_group) = taken.by_group.get_mut(&self.group) {
            *of_group -= 1;
            if *of_group == 0 {
                taken.by_group.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address_group() {
        let places = Places::new(3, 2);
        let take = |peer: &str| places.take(peer.parse().unwrap());
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
}
