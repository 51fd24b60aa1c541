use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use crate::types::AddressGroup;

/// Places for so many. One address group may have all of them as long as nobody else wants one;
/// then the oldest of the group that has most gives way. So a client that takes places and stays in
/// them shuts the door for itself alone, and a burst from one address is let in. Where each has one,
/// whoever has had it for long enough gives way to who has none.
pub(super) struct Room {
    taken: Arc<Mutex<Taken>>,
    places: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    next: u64,
    /// By age. Only groups that have a place stand here.
    by_group: HashMap<AddressGroup, BTreeMap<u64, Kept>>,
}

/// A place as the room has it. Dropping the sender tells its holder that it is lost.
struct Kept {
    since: Instant,
    _keeps: oneshot::Sender<()>,
}

/// How long a place is safe from those who have none. A handshake takes a trip to the client and back
/// once it has its place, and most are there and back by then. Longer would be the attackers' time: from
/// many addresses, each could take one place and stop, and all places in such a while are all who are
/// let in.
const SAFE: Duration = Duration::from_millis(200);

/// A place; returned by drop.
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    group: AddressGroup,
    number: u64,
    kept: oneshot::Receiver<()>,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { taken: Arc::default(), places }
    }

    /// A place, if one is free, or there is a group that has at least two more than this one, or this
    /// one has none and somebody has had one for long enough.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Place> {
        let group = AddressGroup::from(peer);
        let mut taken = lock(&self.taken);
        if taken.all >= self.places {
            taken.make_way(group)?;
        }
        let (keeps, kept) = oneshot::channel();
        let number = taken.next;
        taken.next += 1;
        taken.all += 1;
        taken
            .by_group
            .entry(group)
            .or_default()
            .insert(number, Kept { since: Instant::now(), _keeps: keeps });
        Some(Place { taken: Arc::clone(&self.taken), group, number, kept })
    }
}

impl Taken {
    fn make_way(&mut self, group: AddressGroup) -> Option<()> {
        let has = self.by_group.get(&group).map_or(0, BTreeMap::len);
        let most = self.by_group.iter().max_by_key(|(_, places)| places.len());
        let unfair = most.filter(|(_, places)| places.len() >= has + 2).map(|(group, _)| *group);
        let group = unfair.or_else(|| if has == 0 { self.slowest() } else { None })?;
        let oldest = *self.by_group.get(&group)?.first_key_value()?.0;
        self.leave(group, oldest);
        Some(())
    }

    /// The group with the oldest place, if that isn't safe any more.
    fn slowest(&self) -> Option<AddressGroup> {
        let oldest = |(group, places): (&AddressGroup, &BTreeMap<u64, Kept>)| {
            places.first_key_value().map(|(number, kept)| (*number, kept.since, *group))
        };
        let (_, since, group) =
            self.by_group.iter().filter_map(oldest).min_by_key(|found| found.0)?;
        (since.elapsed() >= SAFE).then_some(group)
    }

    /// Frees a place, unless it was taken away before. Dropping the sender tells its holder.
    fn leave(&mut self, group: AddressGroup, number: u64) {
        let Some(places) = self.by_group.get_mut(&group) else { return };
        if places.remove(&number).is_some() {
            self.all -= 1;
        }
        if places.is_empty() {
            self.by_group.remove(&group);
        }
    }
}

impl Place {
    /// Waits until another needs the place more.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.kept).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).leave(self.group, self.number);
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(place: &mut Place) -> bool {
        place.kept.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[tokio::test(start_paused = true)]
    async fn one_place_each_is_lost_to_who_has_none_after_a_while() {
        let room = Room::new(2);
        let take = |peer: &str| room.take(peer.parse().unwrap());
        let mut first = take("192.0.2.1").unwrap();
        let mut second = take("192.0.2.2").unwrap();
        tokio::time::advance(SAFE).await;
        assert!(take("192.0.2.1").is_none(), "who has one waits");
        let third = take("192.0.2.3");
        assert!(third.is_some() && is_lost(&mut first) && !is_lost(&mut second));
    }

    #[test]
    fn whoever_has_most_gives_way_with_its_oldest_and_to_who_has_less_alone() {
        let room = Room::new(3);
        let take = |peer: &str| room.take(peer.parse().unwrap());
        let mut greedy: Vec<_> = (0..3).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none(), "nobody has two more than it");
        let mut other = take("192.0.2.2").unwrap();
        assert_eq!(greedy.iter_mut().map(is_lost).collect::<Vec<_>>(), [true, false, false]);
        assert!(take("192.0.2.2").is_none(), "two and one is fair");
        let third = take("192.0.2.3");
        assert!(third.is_some() && is_lost(&mut greedy[1]) && !is_lost(&mut greedy[2]));
        assert!(take("192.0.2.4").is_none(), "one each is fair");
        drop(greedy);
        assert!(!is_lost(&mut other));
        assert!(take("2001:db8::1").is_some(), "what was free already isn't free twice");
        drop((other, third));
        let taken = lock(&room.taken);
        assert!(taken.all == 0 && taken.by_group.is_empty(), "nothing is kept of who left");
    }
}
