use std::{
    future::poll_fn,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{lately::Lately, life::Life, which::Which};
use crate::types::{Denial, FingerprintKey, second};

/// How many are looked at in one go. A worker that registers one waits no longer than for so many.
const AT_ONCE: usize = 128;

/// All that lives, by worker. Each worker writes to a roll of its own, so that none waits for another.
#[derive(Clone)]
pub struct Living {
    own: Arc<Roll>,
    all: Arc<Mutex<Vec<Arc<Roll>>>>,
    judgements: Arc<AtomicU64>,
    /// The first second at which the certificate of one ends.
    first_end: Arc<AtomicU64>,
    lately: Arc<Mutex<Lately>>,
}

/// What lives at one worker. Its length is the most that ever lived there at once.
#[derive(Default)]
struct Roll(Mutex<Places>);

#[derive(Default)]
struct Places {
    lives: Vec<Option<Arc<Life>>>,
    free: Vec<usize>,
}

/// Something that lives, as its own task has it. Dropped, it lives no more.
pub struct Alive {
    life: Arc<Life>,
    roll: Arc<Roll>,
    at: usize,
}

impl Default for Living {
    fn default() -> Self {
        let own = Arc::<Roll>::default();
        let all = Arc::new(Mutex::new(vec![Arc::clone(&own)]));
        let first_end = Arc::new(AtomicU64::new(u64::MAX));
        Self { own, all, judgements: Arc::default(), first_end, lately: Arc::default() }
    }
}

impl Living {
    /// The same, with a roll of its own for one more worker.
    pub fn for_worker(&self) -> Self {
        let own = Arc::<Roll>::default();
        self.rolls().push(Arc::clone(&own));
        Self {
            own,
            all: Arc::clone(&self.all),
            judgements: Arc::clone(&self.judgements),
            first_end: Arc::clone(&self.first_end),
            lately: Arc::clone(&self.lately),
        }
    }

    /// Enters one, until what is given back is dropped.
    pub fn enter(&self, life: Life) -> Alive {
        let life = Arc::new(life);
        let at = self.own.places().enter(Arc::clone(&life));
        if life.whose.certificate.is_some() {
            self.goes_on(&life, second());
        }
        Alive { life, roll: Arc::clone(&self.own), at }
    }

    /// The first second, UTC since 1970, at which the certificate of one that lives ends.
    pub fn first_end(&self) -> u64 {
        self.first_end.load(Ordering::Acquire)
    }

    /// One that lives may go on at that second, until its certificate ends. One whose certificate has ended
    /// goes on by its key alone.
    pub fn goes_on(&self, life: &Life, at: u64) {
        let ends_at = life.whose.certificate.as_ref().map(|certificate| certificate.ends_at);
        if let Some(end) = ends_at.filter(|end| *end > at) {
            self.first_end.fetch_min(end, Ordering::AcqRel);
        }
    }

    /// Looks at each that lives. One that enters meanwhile may be missed.
    pub fn each(&self, mut look: impl FnMut(&Arc<Life>)) {
        let rolls = self.rolls().clone();
        let mut some = Vec::with_capacity(AT_ONCE);
        for roll in rolls {
            let mut from = 0;
            while roll.places().some(from, &mut some) {
                some.drain(..).for_each(|life| look(&life));
                from += AT_ONCE;
            }
        }
    }

    /// How often all that lives was judged again.
    pub fn judgements(&self) -> u64 {
        self.judgements.load(Ordering::Acquire)
    }

    /// What goes on is about to be asked anew.
    pub fn forgets_ends(&self) {
        self.first_end.store(u64::MAX, Ordering::Release);
    }

    /// All that lives is about to be judged again. What enters from now on sees that it was.
    pub fn is_judged(&self) {
        self.judgements.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends what is meant, for an operator. How many that were.
    pub fn kill(&self, which: &Which, salt: &FingerprintKey) -> u64 {
        let mut lately = self.lately();
        self.is_judged();
        lately.ended(self.judgements(), which.clone());
        drop(lately);
        let mut ended = 0;
        self.each(|life| {
            ended += u64::from(which.means(life, salt) && life.end(Denial::Killed));
        });
        ended
    }

    /// Whether an operator has ended it since that judgement, before it was entered.
    pub fn was_killed(&self, life: &Life, since: u64, salt: &FingerprintKey) -> bool {
        self.lately().meant(life, since, salt)
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rolls(&self) -> MutexGuard<'_, Vec<Arc<Roll>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roll {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn enter(&mut self, life: Arc<Life>) -> usize {
        let free = self.free.pop().and_then(|at| Some((at, self.lives.get_mut(at)?)));
        if let Some((at, place)) = free {
            *place = Some(life);
            return at;
        }
        self.lives.push(Some(life));
        self.lives.len() - 1
    }

    fn leave(&mut self, at: usize) {
        if let Some(place) = self.lives.get_mut(at) {
            *place = None;
            self.free.push(at);
        }
    }

    /// Those of the next places. `false` behind the last.
    fn some(&self, from: usize, into: &mut Vec<Arc<Life>>) -> bool {
        let Some(rest) = self.lives.get(from..).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        into.extend(rest.iter().take(AT_ONCE).flatten().cloned());
        true
    }
}

impl Alive {
    /// Waits until it is ended from outside; why it is.
    pub async fn ended(&self) -> Denial {
        poll_fn(|cx| self.life.poll_ended(cx)).await
    }
}

impl Deref for Alive {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.life
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.life.forget_waiter();
        self.roll.places().leave(self.at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{
        live::{Kind, Whose},
        types::{Name, Nanos, RequestId},
    };

    fn life() -> Life {
        let whose = Whose {
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            route: Name::parse("mcp").unwrap(),
            is_web: false,
            key: None,
            certificate: None,
            consumer: None,
            brought_by: [IpAddr::V4(Ipv4Addr::LOCALHOST); 2],
        };
        Life::new((RequestId::next(), Nanos::now()), whose, (None, Box::default()), None)
    }

    fn count(living: &Living) -> usize {
        let mut count = 0;
        living.each(|_| count += 1);
        count
    }

    #[test]
    fn what_lives_at_any_worker_is_seen_from_everywhere_until_it_is_dropped() {
        let all = Living::default();
        let (one, other) = (all.for_worker(), all.for_worker());
        let mut alive: Vec<_> = (0..AT_ONCE * 2 + 1).map(|_| one.enter(life())).collect();
        let last = other.enter(life());
        assert_eq!((count(&all), count(&one)), (AT_ONCE * 2 + 2, AT_ONCE * 2 + 2));
        alive.truncate(1);
        drop(last);
        assert_eq!(count(&other), 1);
        let again: Vec<_> = (0..AT_ONCE).map(|_| one.enter(life())).collect();
        assert_eq!(count(&all), AT_ONCE + 1);
        assert_eq!(one.own.places().lives.len(), AT_ONCE * 2 + 1, "places are used again");
        drop((alive, again));
        assert_eq!(count(&all), 0);
        let own = all.enter(life());
        assert_eq!(count(&one), 1);
        drop(own);
    }

    #[test]
    fn what_is_entered_behind_a_kill_that_meant_it_is_known() {
        let (living, salt) = (Living::default(), FingerprintKey::new(b"salt"));
        let before = living.judgements();
        let net = |net: &str| Which::Net(net.parse().unwrap());
        assert_eq!(living.kill(&net("127.0.0.0/8"), &salt), 0);
        let between = living.judgements();
        assert_eq!(living.kill(&net("192.0.2.0/24"), &salt), 0);
        assert!(living.was_killed(&life(), before, &salt));
        assert!(!living.was_killed(&life(), between, &salt), "it came later");
        for _ in 0..256 {
            living.kill(&net("192.0.2.0/24"), &salt);
        }
        assert!(living.was_killed(&life(), between, &salt), "nobody remembers all of them");
        let _alive = living.enter(life());
        assert_eq!(living.kill(&Which::All, &salt), 1);
    }

    #[tokio::test]
    async fn the_first_reason_ends_it_and_whoever_waits_sees_it() {
        let living = Living::default().for_worker();
        let alive = living.enter(life());
        let waits = async { alive.ended().await };
        let ends = async {
            tokio::task::yield_now().await;
            let mut first = false;
            living.each(|life| first = life.end(Denial::Killed));
            assert!(first);
            living.each(|life| assert!(!life.end(Denial::KeyRevoked)));
        };
        let (why, ()) = tokio::join!(waits, ends);
        assert_eq!(why, Denial::Killed);
        assert_eq!(alive.ended().await, Denial::Killed);
    }

    #[test]
    fn what_is_sent_is_counted() {
        let life = life();
        life.sent(10, 0);
        assert!(life.now(Nanos::now()).last_event.is_none());
        life.becomes(Kind::Stream);
        life.sent(5, 2);
        let now = life.now(Nanos::now());
        assert_eq!((now.bytes, now.events, now.kind), (15, 2, Kind::Stream));
        assert!(now.last_event.is_some_and(|ago| ago <= now.age));
    }
}
