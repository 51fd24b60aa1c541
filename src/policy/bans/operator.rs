use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU8, Ordering},
    },
};

use ipnet::IpNet;

use super::{Ban, BanCause, between};
use crate::types::{AddressGroup, canonical};

/// How many nets an operator may ban. More of them belong into `[access] deny`.
const MOST: usize = 10_000;

/// There are as many bans of the operator's as there may be: 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyBans;

/// Nets that the operator has banned, of any size.
#[derive(Default)]
pub(super) struct OperatorBans(RwLock<Nets>);

#[derive(Default)]
struct Nets {
    bans: BTreeMap<IpNet, OperatorBan>,
    /// The lengths of prefixes that occur, so that an address is looked up once for each.
    lengths: BTreeSet<(bool, u8)>,
}

struct OperatorBan {
    /// `None`: until it is lifted.
    until: Option<u64>,
    told: AtomicU8,
}

impl OperatorBan {
    fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl OperatorBans {
    /// The ban of an address that lasts longest, by its end, and how often it was told.
    pub(super) fn standing(&self, client: IpAddr, now: u64) -> Option<(Option<u64>, u8)> {
        let nets = self.read();
        let longest = nets
            .of(client, 0)
            .filter(|ban| ban.holds(now))
            .max_by_key(|ban| ban.until.unwrap_or(u64::MAX))?;
        Some((longest.until, longest.told.load(Ordering::Relaxed)))
    }

    pub(super) fn told(&self, client: IpAddr, now: u64) {
        // Of a wider net each address is somebody else, who wasn't told yet.
        let own = AddressGroup::from(client).net().prefix_len();
        for ban in self.read().of(client, own).filter(|ban| ban.holds(now)) {
            let more = |told: u8| Some(told.saturating_add(1));
            let _ = ban.told.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    pub(super) fn add(&self, net: IpNet, until: Option<u64>) -> Result<(), TooManyBans> {
        let mut nets = self.write();
        if nets.bans.len() >= MOST && !nets.bans.contains_key(&net) {
            return Err(TooManyBans);
        }
        nets.bans.insert(net, OperatorBan { until, told: AtomicU8::new(0) });
        nets.lengths.insert(length(&net));
        Ok(())
    }

    pub(super) fn lift(&self, net: IpNet) -> bool {
        let mut nets = self.write();
        let was = nets.bans.remove(&net).is_some();
        nets.measure();
        was
    }

    pub(super) fn list(&self, now: u64) -> Vec<Ban> {
        let ban = |(net, ban): (&IpNet, &OperatorBan)| Ban {
            net: *net,
            left: ban.until.map(|until| between(now, until)),
            strikes: 1,
            cause: BanCause::Operator,
        };
        self.read().bans.iter().filter(|(_, ban)| ban.holds(now)).map(ban).collect()
    }

    /// Forgets those that are over, and counts the others.
    pub(super) fn sweep(&self, now: u64) -> usize {
        let over = self.read().bans.values().any(|ban| !ban.holds(now));
        if over {
            let mut nets = self.write();
            nets.bans.retain(|_, ban| ban.holds(now));
            nets.measure();
        }
        self.read().bans.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Nets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Nets> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nets {
    /// The bans of every net that an address is in, from the widest prefix that is asked for.
    fn of(&self, client: IpAddr, widest: u8) -> impl Iterator<Item = &OperatorBan> {
        let client = canonical(client);
        let family = self
            .lengths
            .iter()
            .filter(move |(v6, prefix)| *v6 == client.is_ipv6() && *prefix >= widest);
        family.filter_map(move |(_, prefix)| {
            let net = IpNet::new(client, *prefix).ok()?.trunc();
            self.bans.get(&net)
        })
    }

    fn measure(&mut self) {
        self.lengths = self.bans.keys().map(length).collect();
    }
}

fn length(net: &IpNet) -> (bool, u8) {
    (net.addr().is_ipv6(), net.prefix_len())
}
