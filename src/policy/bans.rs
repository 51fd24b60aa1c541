//! Who is kept out for a while: addresses from which too many wrong keys came, and nets that the
//! operator has named.
//!
//! Wrong keys are counted in a table whose size never changes, so made-up addresses cost no memory:
//! a net's hash picks a set of eight entries. An entry that is banned is never evicted; of the others
//! the one that was silent for longest makes way.

mod entry;
mod operator;
mod rules;
mod text;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use entry::{Entry, at, between, nanos, shifted};
use ipnet::IpNet;
use jiff::SignedDuration;
use operator::OperatorBans;
pub use operator::TooManyBans;
pub use rules::{BanMode, BanRules};
pub use text::{BadLine, read_line, write_line};

use crate::types::{AddressGroup, KeyDigest, Nanos};

const WAYS: usize = 8;

/// How often a ban is told before its peer isn't answered any more.
const TOLD: u8 = 3;

/// An attacker with an IPv6 /48 has 65,536 /64s. The /48 is counted too, with this many times the
/// rate.
const WIDER: u32 = 10;

/// What an endless ban is told as.
const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

/// Why somebody is banned. The label `cause` of `bans_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanCause {
    /// Too many wrong keys.
    WrongKeys,
    /// The operator said so.
    Operator,
}

impl BanCause {
    /// Its word in the log, the metrics and the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongKeys => "wrong_keys",
            Self::Operator => "operator",
        }
    }
}

/// A ban, or the memory of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom it is about.
    pub net: IpNet,
    /// The time until it ends, below zero where it has ended; `None` where it lasts until lifted.
    pub left: Option<SignedDuration>,
    /// How often this net was banned without being good for long enough in between; at least 1.
    pub strikes: u32,
    /// Why.
    pub cause: BanCause,
}

impl Ban {
    /// Whom it is about, for eyes: of a single address the address.
    pub fn shown(&self) -> String {
        shown_net(self.net)
    }
}

/// A net for eyes: of a single address the address.
pub fn shown_net(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// What the bans say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing.
    Free,
    /// It would be refused if bans were enforced.
    Observed,
    /// It is refused.
    Banned {
        /// When it would be let in.
        retry_after: Duration,
        /// How often the ban was told before.
        told: u8,
    },
}

impl Judgement {
    /// Whether the peer was told so often that it is closed without an answer.
    pub const fn closes(self) -> bool {
        matches!(self, Self::Banned { told: TOLD.., .. })
    }
}

/// The bans, and who is about to be banned.
pub struct Bans {
    hasher: RandomState,
    sets: Box<[Mutex<[Entry; WAYS]>]>,
    /// Entries that are about somebody: while there are none, nobody looks.
    in_use: AtomicUsize,
    operator: OperatorBans,
    changes: AtomicU64,
}

impl Bans {
    /// Nobody is banned. There is room for at least `entries` nets.
    pub fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        Self {
            hasher: RandomState::new(),
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            in_use: AtomicUsize::new(0),
            operator: OperatorBans::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// What holds for an address now.
    pub fn judge(&self, rules: &BanRules, client: IpAddr, now: Nanos) -> Judgement {
        let now = at(now);
        let told = self.operator.standing(client, now);
        if told.is_none() && self.in_use.load(Ordering::Relaxed) == 0
            || rules.exempt.lets_in(client)
        {
            return Judgement::Free;
        }
        if let Some((until, told)) = told {
            let retry_after = until.map_or(ENDLESS, |until| Duration::from_nanos(until - now));
            return Judgement::Banned { retry_after, told };
        }
        let of = |(net, _)| self.with(net, |entry| (entry.until, entry.told));
        let longest = subjects(client).filter_map(of).max_by_key(|(until, _)| *until);
        match (longest.filter(|(until, _)| *until > now), rules.mode) {
            (None, _) | (Some(_), BanMode::Off) => Judgement::Free,
            (Some(_), BanMode::Observe) => Judgement::Observed,
            (Some((until, told)), BanMode::Enforce) => {
                Judgement::Banned { retry_after: Duration::from_nanos(until - now), told }
            }
        }
    }

    /// How long an operator's ban of an address lasts, where there is one.
    pub fn by_operator(&self, rules: &BanRules, client: IpAddr, now: Nanos) -> Option<Duration> {
        let now = at(now);
        let (until, _) = self.operator.standing(client, now)?;
        let left = || until.map_or(ENDLESS, |until| Duration::from_nanos(until - now));
        (!rules.exempt.lets_in(client)).then(left)
    }

    /// An address was told that it is banned.
    pub fn told(&self, client: IpAddr, now: Nanos) {
        self.operator.told(client, at(now));
        for (net, _) in subjects(client) {
            self.with(net, |entry| entry.told = entry.told.saturating_add(1));
        }
    }

    /// A wrong key came. The bans that begin with it, which are none, one, or with the wider net of
    /// an IPv6 address two.
    ///
    /// Of a key that the upstream refused, `again` tells which it is: sent again and again it is no
    /// guess, but a client in whose server something is wrong.
    pub fn wrong_key(
        &self,
        rules: &BanRules,
        (client, again): (IpAddr, Option<KeyDigest>),
        now: Nanos,
    ) -> Vec<Ban> {
        if rules.mode == BanMode::Off || rules.exempt.lets_in(client) {
            return Vec::new();
        }
        let now = at(now);
        let key = again.map(|key| self.hasher.hash_one(key));
        let count = |(net, factor): (IpNet, u32)| {
            let mut set = self.set(net)?;
            let entry = self.claim(&mut set, net, now)?;
            if key.is_some_and(|key| std::mem::replace(&mut entry.last_key, key) == key) {
                return None;
            }
            let quota = rules.wrong_keys.times(factor);
            let lasts = entry.count(quota, (rules.first, rules.longest), now)?;
            let left = SignedDuration::try_from(lasts).ok();
            Some(Ban { net, left, strikes: entry.strikes, cause: BanCause::WrongKeys })
        };
        let begun: Vec<Ban> = subjects(client).filter_map(count).collect();
        if !begun.is_empty() {
            self.changed();
        }
        begun
    }

    /// A right key came: the wrong ones before it were a slip. Not those of the wider net, where one
    /// right key would let all others guess.
    pub fn right_key(&self, client: IpAddr) {
        if self.in_use.load(Ordering::Relaxed) > 0 {
            self.with(AddressGroup::from(client).net(), |entry| entry.arrival = 0);
        }
    }

    /// Bans a net until it is lifted, or for so long. One that is there already is replaced.
    ///
    /// # Errors
    /// Where there are as many as there may be.
    pub fn add(&self, net: IpNet, lasts: Option<Duration>, now: Nanos) -> Result<(), TooManyBans> {
        let until = lasts.map(|lasts| at(now).saturating_add(nanos(lasts)));
        self.operator.add(unmapped(net), until)?;
        self.changed();
        Ok(())
    }

    /// Lifts the bans of exactly this net, and forgets its strikes. False where there was none.
    pub fn lift(&self, net: IpNet, now: Nanos) -> bool {
        let net = unmapped(net);
        let lifted = self.operator.lift(net);
        let free = |entry: &mut Entry| {
            let banned = entry.until > at(now);
            *entry = Entry::default();
            banned
        };
        let of_keys = self.with(net, free);
        if of_keys.is_some() {
            self.in_use.fetch_sub(1, Ordering::Relaxed);
        }
        let any = lifted || of_keys == Some(true);
        if any {
            self.changed();
        }
        any
    }

    /// All bans that hold now, the narrowest and lowest nets first.
    pub fn list(&self, now: Nanos) -> Vec<Ban> {
        let mut bans = self.kept(now);
        bans.retain(|ban| ban.left.is_none_or(|left| left.is_positive()));
        bans.sort_by_key(|ban| (ban.net.addr(), ban.net.prefix_len()));
        bans
    }

    /// The same, and those that have ended and are still remembered.
    pub fn kept(&self, now: Nanos) -> Vec<Ban> {
        let now = at(now);
        let mut bans = self.operator.list(now);
        for set in &self.sets {
            let banned = |entry: &&Entry| entry.until > 0;
            let ban = |entry: &Entry| {
                let left = Some(between(now, entry.until));
                let (strikes, cause) = (entry.strikes, BanCause::WrongKeys);
                Some(Ban { net: entry.net?, left, strikes, cause })
            };
            bans.extend(lock(set).iter().filter(banned).filter_map(ban));
        }
        bans
    }

    /// Takes a ban that was kept over a restart. False where there is no room for it, or it is none:
    /// of wrong keys only what they are counted by is banned, and for no longer than `longest`, whatever
    /// the clock was when it was written.
    pub fn restore(&self, rules: &BanRules, ban: &Ban, now: Nanos) -> bool {
        let now = at(now);
        let longest = SignedDuration::try_from(rules.longest).unwrap_or(SignedDuration::MAX);
        let left = match ban.cause {
            BanCause::Operator => ban.left,
            BanCause::WrongKeys => ban.left.map(|left| left.min(longest)),
        };
        let until = left.map(|left| shifted(now, left));
        match (ban.cause, until) {
            (BanCause::Operator, _) => self.operator.add(unmapped(ban.net), until).is_ok(),
            (BanCause::WrongKeys, _)
                if !subjects(ban.net.addr()).any(|(net, _)| net == ban.net) =>
            {
                false
            }
            (BanCause::WrongKeys, None) => false,
            (BanCause::WrongKeys, Some(until)) => {
                let Some(mut set) = self.set(ban.net) else { return false };
                let Some(entry) = self.claim(&mut set, ban.net, now) else { return false };
                (entry.until, entry.strikes, entry.told) = (until.max(1), ban.strikes, 0);
                true
            }
        }
    }

    /// Forgets what is over, and counts the bans that hold.
    pub fn sweep(&self, rules: &BanRules, now: Nanos) -> usize {
        let now = at(now);
        let mut banned = self.operator.sweep(now);
        if self.in_use.load(Ordering::Relaxed) == 0 {
            return banned;
        }
        for set in &self.sets {
            for entry in lock(set).iter_mut().filter(|entry| entry.net.is_some()) {
                banned += usize::from(entry.until > now);
                let remembered = entry.until > 0 && !entry.is_forgiven(rules.longest, now);
                if entry.arrival <= now && !remembered {
                    *entry = Entry::default();
                    self.in_use.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
        banned
    }

    /// A number that grows with every change that is worth keeping.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Does something with a net's entry, where it has one.
    fn with<T>(&self, net: IpNet, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut set = self.set(net)?;
        set.iter_mut().find(|entry| entry.net == Some(net)).map(act)
    }

    /// A net's entry, made its own if it has none. `None` where all of its set are banned.
    fn claim<'s>(&self, set: &'s mut [Entry; WAYS], net: IpNet, now: u64) -> Option<&'s mut Entry> {
        let free = |set: &[Entry; WAYS]| set.iter().position(|entry| entry.net.is_none());
        let oldest = |set: &[Entry; WAYS]| {
            let unbanned = set.iter().enumerate().filter(|(_, entry)| entry.until <= now);
            unbanned.min_by_key(|(_, entry)| entry.seen).map(|(way, _)| way)
        };
        // All banned: the ban that ends first makes way, or nobody new could be.
        let ends_first = |set: &[Entry; WAYS]| {
            set.iter().enumerate().min_by_key(|(_, entry)| entry.until).map(|(way, _)| way)
        };
        let own = set.iter().position(|entry| entry.net == Some(net));
        let way = own.or_else(|| free(set)).or_else(|| oldest(set)).or_else(|| ends_first(set))?;
        let entry = set.get_mut(way)?;
        if entry.net != Some(net) {
            if entry.net.is_none() {
                self.in_use.fetch_add(1, Ordering::Relaxed);
            }
            *entry = Entry { net: Some(net), ..Entry::default() };
        }
        entry.seen = now;
        Some(entry)
    }

    fn set(&self, net: IpNet) -> Option<MutexGuard<'_, [Entry; WAYS]>> {
        let hash = usize::try_from(self.hasher.hash_one(net)).unwrap_or(usize::MAX);
        // The count of sets is a power of two.
        self.sets.get(hash & (self.sets.len() - 1)).map(lock)
    }
}

/// Whom an address's wrong keys are counted against, and how many times the rate each may have.
fn subjects(client: IpAddr) -> impl Iterator<Item = (IpNet, u32)> {
    let group = AddressGroup::from(client);
    std::iter::once((group.net(), 1)).chain(group.site().map(|site| (site, WIDER)))
}

/// A net written as IPv4 mapped into IPv6 is that IPv4 net.
fn unmapped(net: IpNet) -> IpNet {
    super::nets::unmapped(net.trunc())
}

fn lock(set: &Mutex<[Entry; WAYS]>) -> MutexGuard<'_, [Entry; WAYS]> {
    // A panic can't leave an entry half written: nothing in between can panic.
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
