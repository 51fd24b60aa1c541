use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::TrustedProxies;
use crate::types::{AddressGroup, Limit};

/// Places for connections and, since each of them may take a connection upstream, for the exchanges
/// of HTTP/2 beside them: so many in all, and so many of one address group.
///
/// Who waits in its place without ever having shown a key that is one can lose it: where a cap is
/// reached, the one that has waited longest makes way, of all or of the group. Else 36 addresses with
/// 256 silent connections each would keep everyone out.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    all: usize,
    per_group: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// The number of whoever begins to wait next.
    next: u64,
    /// Only groups that have a place stand here, so it can't outgrow `all`.
    by_group: HashMap<AddressGroup, OfGroup>,
    /// Who may lose a place, the longest waiting first.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Default)]
struct OfGroup {
    places: usize,
    /// The numbers of those that wait, in order.
    waiting: Vec<u64>,
}

/// A place that may be lost. Dropping the sender tells its holder.
struct Waiting {
    group: Option<AddressGroup>,
    _keeps: oneshot::Sender<()>,
}

/// A place; returned by drop.
pub struct Ticket {
    taken: Arc<Mutex<Taken>>,
    per_group: usize,
    /// Whom it counts for; `None` where that isn't one address.
    group: Option<AddressGroup>,
    standing: Standing,
}

/// How a place is held.
enum Standing {
    /// Something is under way.
    Busy,
    /// Nothing is, and nobody knows who it is: until the sender is dropped.
    Waiting(u64, oneshot::Receiver<()>),
    /// It is known who it is: it is never lost.
    Trusted,
    /// Another has it.
    Lost,
}

impl Places {
    /// All of them free.
    pub fn new(all: usize, per_group: usize) -> Self {
        Self { taken: Arc::default(), all, per_group }
    }

    /// Takes a place for a peer, a free one or that of one who waits. A trusted proxy is no group: behind
    /// its address are many clients. `reached` hears of each cap that was in the way.
    ///
    /// # Errors
    /// The cap that nobody makes way under.
    pub fn take(
        &self,
        (peer, proxies): (IpAddr, &TrustedProxies),
        mut reached: impl FnMut(Limit),
    ) -> Result<Ticket, Limit> {
        let group = group_of(peer, proxies);
        let mut taken = lock(&self.taken);
        taken.makes_room_for(group, self.per_group, &mut reached)?;
        if taken.all >= self.all {
            reached(Limit::Connections);
            taken.shed_oldest().ok_or(Limit::Connections)?;
        }
        taken.all += 1;
        taken.enter(group);
        drop(taken);
        let (taken, per_group) = (Arc::clone(&self.taken), self.per_group);
        Ok(Ticket { taken, per_group, group, standing: Standing::Busy })
    }

    /// Has the one that has waited longest make way. Whether there was one.
    pub fn shed_oldest(&self) -> bool {
        lock(&self.taken).shed_oldest().is_some()
    }
}

fn group_of(peer: IpAddr, proxies: &TrustedProxies) -> Option<AddressGroup> {
    (!proxies.trusts(peer)).then(|| AddressGroup::from(peer))
}

impl Taken {
    /// Has one of a group make way, where it has as many as it may.
    fn makes_room_for(
        &mut self,
        group: Option<AddressGroup>,
        most: usize,
        reached: &mut impl FnMut(Limit),
    ) -> Result<(), Limit> {
        let of_group = group.and_then(|group| self.by_group.get(&group));
        let Some(full) = of_group.filter(|of_group| of_group.places >= most) else { return Ok(()) };
        reached(Limit::ConnectionsPerAddress);
        let oldest = full.waiting.first().copied();
        oldest.and_then(|oldest| self.shed(oldest)).ok_or(Limit::ConnectionsPerAddress)
    }

    fn enter(&mut self, group: Option<AddressGroup>) {
        if let Some(group) = group {
            self.by_group.entry(group).or_default().places += 1;
        }
    }

    fn shed_oldest(&mut self) -> Option<()> {
        let oldest = *self.waiting.first_key_value()?.0;
        self.shed(oldest)
    }

    /// Frees the place of one who waits, unless it was taken away before.
    fn shed(&mut self, number: u64) -> Option<()> {
        let waited = self.waits_no_more(number)?;
        self.leave(waited.group);
        Some(())
    }

    fn wait(&mut self, group: Option<AddressGroup>) -> (u64, oneshot::Receiver<()>) {
        let (keeps, kept) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, Waiting { group, _keeps: keeps });
        if let Some(group) = group {
            self.by_group.entry(group).or_default().waiting.push(number);
        }
        (number, kept)
    }

    fn waits_no_more(&mut self, number: u64) -> Option<Waiting> {
        let waited = self.waiting.remove(&number)?;
        if let Some(of_group) = waited.group.and_then(|group| self.by_group.get_mut(&group))
            && let Ok(at) = of_group.waiting.binary_search(&number)
        {
            of_group.waiting.remove(at);
        }
        Some(waited)
    }

    fn leave(&mut self, group: Option<AddressGroup>) {
        self.all -= 1;
        self.exit(group);
    }

    fn exit(&mut self, group: Option<AddressGroup>) {
        let Some(group) = group else { return };
        if let Some(of_group) = self.by_group.get_mut(&group) {
            of_group.places -= 1;
            if of_group.places == 0 {
                self.by_group.remove(&group);
            }
        }
    }
}

impl Ticket {
    /// Counts the place for whom a proxy told, and waits again. `reached` hears of the cap that was in
    /// the way.
    ///
    /// # Errors
    /// The cap that nobody makes way under; the place itself may be lost meanwhile.
    pub fn is_for(
        &mut self,
        (told, proxies): (IpAddr, &TrustedProxies),
        mut reached: impl FnMut(Limit),
    ) -> Result<(), Limit> {
        if !self.stir() {
            return Err(Limit::Connections);
        }
        let group = group_of(told, proxies);
        let mut taken = lock(&self.taken);
        taken.makes_room_for(group, self.per_group, &mut reached)?;
        taken.enter(group);
        taken.exit(std::mem::replace(&mut self.group, group));
        drop(taken);
        self.wait();
        Ok(())
    }

    /// Nothing is under way any more: from now on the place may be lost, unless its holder is trusted.
    pub fn wait(&mut self) {
        if matches!(self.standing, Standing::Busy) {
            let (number, kept) = lock(&self.taken).wait(self.group);
            self.standing = Standing::Waiting(number, kept);
        }
    }

    /// Something is under way: the place is safe. `false` where it was lost before.
    pub fn stir(&mut self) -> bool {
        if let Standing::Waiting(number, _) = self.standing {
            let kept = lock(&self.taken).waits_no_more(number).is_some();
            self.standing = if kept { Standing::Busy } else { Standing::Lost };
        }
        !matches!(self.standing, Standing::Lost)
    }

    /// It is known who it is: the place is safe for as long as it is held.
    pub fn trust(&mut self) {
        if matches!(self.standing, Standing::Busy) {
            self.standing = Standing::Trusted;
        }
    }

    /// Waits until another needs the place more.
    pub async fn lost(&mut self) {
        match &mut self.standing {
            Standing::Waiting(_, kept) => {
                // Nothing is ever sent.
                let _ = kept.await;
                self.standing = Standing::Lost;
            }
            _ => pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        match self.standing {
            Standing::Busy | Standing::Trusted => taken.leave(self.group),
            Standing::Waiting(number, _) => {
                let _ = taken.shed(number);
            }
            Standing::Lost => {}
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Places, peer: &str) -> Result<Ticket, Limit> {
        places.take((peer.parse().unwrap(), &TrustedProxies::new(&[])), |_| {})
    }

    fn waiting(places: &Places, peer: &str) -> Ticket {
        let mut ticket = take(places, peer).unwrap();
        ticket.wait();
        ticket
    }

    fn is_lost(ticket: &mut Ticket) -> bool {
        let Standing::Waiting(_, kept) = &mut ticket.standing else { return false };
        kept.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn places_are_counted_in_all_and_by_address_group() {
        let places = Places::new(3, 2);
        let first = take(&places, "2001:db8::1").unwrap();
        let second = take(&places, "2001:db8::2").unwrap();
        let third = take(&places, "2001:db8::3").err();
        assert_eq!(third, Some(Limit::ConnectionsPerAddress), "one /64 is one group");
        let third = take(&places, "192.0.2.1");
        assert!(third.is_ok());
        let fourth = take(&places, "192.0.2.2").err();
        assert_eq!(fourth, Some(Limit::Connections), "three in all");
        drop((first, second, third));
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_group.is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn who_has_waited_longest_makes_way_of_the_group_first() {
        let places = Places::new(3, 2);
        let mut one = waiting(&places, "192.0.2.1");
        let (mut two, mut three) = (waiting(&places, "192.0.2.2"), waiting(&places, "192.0.2.2"));
        let mut reached = Vec::new();
        let nobody = TrustedProxies::new(&[]);
        let four = ("192.0.2.2".parse().unwrap(), &nobody);
        let four = places.take(four, |limit| reached.push(limit));
        assert_eq!(reached, [Limit::ConnectionsPerAddress], "it made way for all of them too");
        assert!(!is_lost(&mut one) && is_lost(&mut two) && !is_lost(&mut three));
        let five = take(&places, "192.0.2.3");
        assert!(five.is_ok() && is_lost(&mut one) && !is_lost(&mut three));
        assert!(!one.stir() && three.stir(), "who was fast enough keeps it");
        assert!(take(&places, "192.0.2.4").is_err() && !places.shed_oldest(), "nobody waits");
        drop((one, two, three, four, five));
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_group.is_empty() && taken.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_is_trusted_never_waits_and_who_is_lost_hears_of_it() {
        let places = Places::new(2, 2);
        let mut known = take(&places, "192.0.2.1").unwrap();
        known.trust();
        known.wait();
        let mut unknown = waiting(&places, "192.0.2.1");
        assert!(unknown.stir());
        unknown.wait();
        let third = take(&places, "192.0.2.2");
        assert!(third.is_ok() && known.stir());
        unknown.lost().await;
        assert!(!unknown.stir());
        drop((unknown, third));
        assert_eq!(places.taken.lock().unwrap().all, 1, "the lost place isn't returned twice");
    }

    #[test]
    fn a_trusted_proxy_is_counted_in_all_and_then_for_whom_it_tells() {
        let places = Places::new(4, 1);
        let proxies = TrustedProxies::new(&["10.0.0.1/32".parse().unwrap()]);
        let take = |peer: &str| places.take((peer.parse().unwrap(), &proxies), |_| {});
        let mut tickets: Vec<_> = (0..4).map(|_| take("10.0.0.1").unwrap()).collect();
        assert!(take("10.0.0.1").is_err(), "four in all");
        let told = |ticket: &mut Ticket, told: &str| {
            ticket.is_for((told.parse().unwrap(), &proxies), |_| {}).is_ok()
        };
        assert!(told(&mut tickets[0], "192.0.2.1"));
        tickets[0].stir();
        assert!(!told(&mut tickets[1], "192.0.2.1"), "one of an address");
        assert!(told(&mut tickets[1], "192.0.2.2") && told(&mut tickets[2], "10.0.0.1"));
        tickets.truncate(1);
        assert!(take("192.0.2.1").is_err());
        tickets.clear();
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_group.is_empty() && taken.waiting.is_empty());
    }
}
