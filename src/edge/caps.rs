use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{observe::ConnectionOutcome, policy::NetList, types::AddressGroup};

/// How many connections there are, in all and of one address group.
#[derive(Clone)]
pub struct Caps {
    open: Arc<Mutex<Open>>,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    all: usize,
    per_group: usize,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Only groups with open connections stand here, so it can't outgrow `all`.
    by_group: HashMap<AddressGroup, usize>,
}

/// A connection that was let in; returned by drop.
pub struct Ticket {
    open: Arc<Mutex<Open>>,
    group: AddressGroup,
}

impl Caps {
    /// No connections yet.
    pub fn new(all: usize, per_group: usize) -> Self {
        Self { open: Arc::default(), limits: Limits { all, per_group } }
    }

    /// Lets a peer in, before a byte of it is read and before TLS costs anything.
    ///
    /// # Errors
    /// How the connection is counted instead, where it is closed.
    pub fn let_in(&self, peer: IpAddr, nets: &NetList) -> Result<Ticket, ConnectionOutcome> {
        if !nets.lets_in(peer) {
            return Err(ConnectionOutcome::Address);
        }
        let group = AddressGroup::from(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.limits.all {
            return Err(ConnectionOutcome::Connections);
        }
        let of_group = open.by_group.entry(group).or_insert(0);
        if *of_group >= self.limits.per_group {
            return Err(ConnectionOutcome::Connections);
        }
        *of_group += 1;
        open.all += 1;
        drop(open);
        Ok(Ticket { open: Arc::clone(&self.open), group })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(of_group) = open.by_group.get_mut(&self.group) {
            *of_group -= 1;
            if *of_group == 0 {
                open.by_group.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_capped_in_all_and_by_address_group() {
        let caps = Caps::new(3, 2);
        let let_in = |peer: &str| caps.let_in(peer.parse().unwrap(), &NetList::everyone());
        let first = let_in("2001:db8::1").map_err(drop).unwrap();
        let second = let_in("2001:db8::2").map_err(drop).unwrap();
        assert!(let_in("2001:db8::3").is_err(), "one /64 is one group");
        let third = let_in("192.0.2.1");
        assert!(third.is_ok());
        assert!(let_in("192.0.2.2").is_err(), "three in all");
        drop((first, second, third));
        let open = caps.open.lock().unwrap();
        assert!(open.all == 0 && open.by_group.is_empty(), "nothing is kept of who left");
    }
}
