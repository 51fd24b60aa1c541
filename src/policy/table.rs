//! A table of GCRA states whose size never changes.
//!
//! governor's own keyed store grows with every key that anyone makes up. This one is set-associative:
//! a key's hash picks a set of eight slots, and within it a slot is the key's, or free, or idle (its
//! bucket has refilled, so forgetting it changes nothing), or in use and then never evicted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::{nanos::Nanos as GovernorNanos, state::StateStore};

use crate::types::Nanos;

const WAYS: usize = 8;

/// A place in the table that was claimed for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    set: usize,
    way: usize,
    tag: u64,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// The key's hash; 0 where the slot is free.
    tag: u64,
    /// GCRA's theoretical arrival time, in nanoseconds since the process epoch.
    arrival: u64,
}

/// A bucket as another process can take it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Whose it is: a hash under the [`BucketKey`](super::BucketKey).
    pub tag: u64,
    /// In how many nanoseconds it will be full; below zero where it is.
    pub refills: i64,
}

/// All buckets of a table.
pub type Buckets = Vec<Bucket>;

pub(super) struct Table {
    sets: Box<[Mutex<[State; WAYS]>]>,
}

impl Table {
    /// A table with room for at least `slots` keys.
    pub(super) fn new(slots: usize) -> Self {
        let sets = slots.div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// Whether a table with room for so many keys would be as large as this one.
    pub(super) fn is_of(&self, slots: usize) -> bool {
        self.sets.len() == slots.div_ceil(WAYS).next_power_of_two()
    }

    /// A table of another size with the states of this one, but for those that are as good as new. A
    /// set of a smaller one may have no room for all: then the fullest stay.
    pub(super) fn resized(&self, slots: usize, now: Nanos) -> Self {
        let table = Self::new(slots);
        for set in 0..self.sets.len() {
            let Some(states) = self.lock(set).map(|states| *states) else { continue };
            for state in states.into_iter().filter(|state| state.arrival > now.0) {
                // Where it was zero, it is one: in a set of its own in either table.
                let Some(mut into) = table.lock(table.set_of(state.tag)) else { continue };
                let least = into.iter_mut().min_by_key(|other| other.arrival);
                if let Some(least) = least.filter(|least| least.arrival < state.arrival) {
                    *least = state;
                }
            }
        }
        table
    }

    /// The slot of a key that has one.
    pub(super) fn find(&self, hash: u64) -> Option<Slot> {
        let tag = tag(hash);
        let set = self.set_of(hash);
        let way = self.lock(set)?.iter().position(|state| state.tag == tag)?;
        Some(Slot { set, way, tag })
    }

    /// The slot of a key, made its own if it has none. `None` where every slot of its set is in use.
    pub(super) fn claim(&self, hash: u64, now: Nanos) -> Option<Slot> {
        let tag = tag(hash);
        let set = self.set_of(hash);
        let mut states = self.lock(set)?;
        let way = states
            .iter()
            .position(|state| state.tag == tag)
            .or_else(|| states.iter().position(|state| state.tag == 0))
            .or_else(|| states.iter().position(|state| state.arrival <= now.0))?;
        let state = states.get_mut(way)?;
        if state.tag != tag {
            *state = State { tag, arrival: 0 };
        }
        Some(Slot { set, way, tag })
    }

    /// The same where no slot of the set is free: then the one that refills first makes way.
    pub(super) fn claim_or_evict(&self, hash: u64, now: Nanos) -> Option<Slot> {
        if let Some(slot) = self.claim(hash, now) {
            return Some(slot);
        }
        let (tag, set) = (tag(hash), self.set_of(hash));
        let mut states = self.lock(set)?;
        let first = states.iter().enumerate().min_by_key(|(_, state)| state.arrival);
        let way = first.map(|(way, _)| way)?;
        *states.get_mut(way)? = State { tag, arrival: 0 };
        Some(Slot { set, way, tag })
    }

    /// Those of its buckets that are wanted.
    pub(super) fn buckets(&self, now: Nanos, is_wanted: impl Fn(&Bucket) -> bool) -> Buckets {
        let mut all = Vec::new();
        for set in &self.sets {
            let states = *set.lock().unwrap_or_else(PoisonError::into_inner);
            let bucket = |state: &State| Bucket {
                tag: state.tag,
                refills: signed(state.arrival).saturating_sub(signed(now.0)),
            };
            let in_use = states.iter().filter(|state| state.tag != 0).map(bucket);
            all.extend(in_use.filter(&is_wanted));
        }
        all
    }

    /// Puts buckets in, each where its owner will look for it.
    pub(super) fn put(&self, all: &[Bucket], now: Nanos) {
        for bucket in all {
            // A tag is the hash itself.
            let Some(slot) = self.claim(bucket.tag, now) else { continue };
            let mut states = self.lock(slot.set);
            if let Some(state) = states.as_mut().and_then(|states| states.get_mut(slot.way)) {
                state.arrival = now.0.saturating_add_signed(bucket.refills);
            }
        }
    }

    fn set_of(&self, hash: u64) -> usize {
        // The count of sets is a power of two; the tag uses the other bits too.
        usize::try_from(hash).unwrap_or(usize::MAX) & (self.sets.len() - 1)
    }

    fn lock(&self, set: usize) -> Option<MutexGuard<'_, [State; WAYS]>> {
        // A panic can't leave a state half written: it is two words, stored one after the other.
        Some(self.sets.get(set)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// 0 marks a free slot.
fn tag(hash: u64) -> u64 {
    hash.max(1)
}

/// The store that governor sees for the length of one call.
pub(super) struct Slots<'t>(pub(super) &'t Table);

impl StateStore for Slots<'_> {
    type Key = Slot;

    fn measure_and_replace<T, F, E>(&self, slot: &Slot, f: F) -> Result<T, E>
    where
        F: Fn(Option<GovernorNanos>) -> Result<(T, GovernorNanos), E>,
    {
        let mut states = self.0.lock(slot.set);
        let state = states.as_mut().and_then(|states| states.get_mut(slot.way));
        match state {
            Some(state) if state.tag == slot.tag => {
                let before = (state.arrival > 0).then(|| state.arrival.into());
                let (outcome, after) = f(before)?;
                state.arrival = after.as_u64();
                Ok(outcome)
            }
            // Reclaimed by another key since it was claimed: idle, so as good as new.
            _ => f(None).map(|(outcome, _)| outcome),
        }
    }
}

/// The same for a look that changes nothing.
pub(super) struct Glance<'t>(pub(super) Slots<'t>);

impl StateStore for Glance<'_> {
    type Key = Slot;

    fn measure_and_replace<T, F, E>(&self, slot: &Slot, f: F) -> Result<T, E>
    where
        F: Fn(Option<GovernorNanos>) -> Result<(T, GovernorNanos), E>,
    {
        let states = self.0.0.lock(slot.set);
        let state = states.as_ref().and_then(|states| states.get(slot.way));
        let before = state.filter(|state| state.tag == slot.tag && state.arrival > 0);
        f(before.map(|state| state.arrival.into())).map(|(outcome, _)| outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_in_use_in_a_table_of_another_size_too() {
        let table = Table::new(8 * WAYS);
        for hash in 1..=40 {
            let slot = table.claim(hash, Nanos(0)).unwrap();
            let until = 100 + hash;
            Slots(&table).measure_and_replace(&slot, |_| Ok::<_, ()>(((), until.into()))).unwrap();
        }
        let larger = table.resized(1024, Nanos(120));
        for hash in 1..=40 {
            assert_eq!(larger.find(hash).is_some(), hash > 20, "{hash}");
        }
        let least = larger.resized(1, Nanos(120));
        assert_eq!((1..=40).filter(|hash| least.find(*hash).is_some()).count(), WAYS);
        assert!(least.find(40).is_some() && least.is_of(WAYS) && !least.is_of(WAYS + 1));
    }

    #[test]
    fn a_slot_in_use_is_never_evicted_and_an_idle_one_is() {
        let table = Table::new(WAYS);
        let slots: Vec<Slot> = (1..=8).map(|hash| table.claim(hash, Nanos(0)).unwrap()).collect();
        for slot in &slots {
            Slots(&table).measure_and_replace(slot, |_| Ok::<_, ()>(((), 100.into()))).unwrap();
        }
        assert!(table.claim(9, Nanos(99)).is_none(), "all eight are in use until 100");
        assert_eq!(table.claim(8, Nanos(99)), Some(slots[7]), "a key keeps its slot");
        assert!(table.claim(9, Nanos(100)).is_some(), "a refilled bucket may be forgotten");
        assert!(table.find(9).is_some() && table.find(1).is_none());
    }

    #[test]
    fn buckets_go_to_a_table_of_another_size_and_another_clock() {
        let (old, new) = (Table::new(64), Table::new(16));
        for (hash, arrival) in [(1, 1_500), (77, 1_010), (1 << 40, 900)] {
            let slot = old.claim(hash, Nanos(0)).unwrap();
            Slots(&old).measure_and_replace(&slot, |_| Ok::<_, ()>(((), arrival.into()))).unwrap();
        }
        let mut used = old.buckets(Nanos(1_000), |bucket| bucket.refills > 0);
        used.sort_by_key(|bucket| bucket.tag);
        let bucket = |tag, refills| Bucket { tag, refills };
        assert_eq!(used, [bucket(1, 500), bucket(77, 10)]);
        new.put(&old.buckets(Nanos(1_000), |_| true), Nanos(50));
        let mut there = new.buckets(Nanos(50), |_| true);
        there.sort_by_key(|bucket| bucket.tag);
        assert_eq!(there, [bucket(1, 500), bucket(77, 10), bucket(1 << 40, -50)]);
    }
}
