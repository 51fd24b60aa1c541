use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::StatusCode;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Server;
use crate::{
    snapshot::Endpoint,
    types::{KeyDigest, Method, Secret},
    wire::next_response_head,
};

/// The most sessions of one server that are kept in mind. Where there is no room the one that is
/// unused for longest is forgotten and not ended: or who opens many would end everybody's.
const MOST: usize = 16 * 1024;

/// The longest request that ends a session, in bytes. With it all of them take 32 MiB at most; a
/// session with a longer one is left alone.
const LONGEST_ENDING: usize = 2 * 1024;

/// How long the end of a session may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sessions of a server, so that those that nobody uses any more can be ended: servers keep a
/// session until they are told, and clients that crash tell nobody.
///
/// Nothing else rests on this table. What isn't in it still works, and is in it with its next use.
pub(super) struct Sessions {
    /// How long one may be unused.
    idle: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By the digest of their ids.
    sessions: HashMap<KeyDigest, Session>,
    /// Those with no request open, the longest unused first.
    resting: BTreeMap<Since, KeyDigest>,
    entered: u64,
}

/// Since when one rests; numbered, for two may begin at once.
type Since = (Instant, u64);

struct Session {
    /// Which entry of the table it is: an id may be forgotten and entered again.
    number: u64,
    /// The request that ends it, as its last request would have been written, and to whom.
    ending: Ending,
    state: Use,
}

enum Use {
    /// So many requests are open.
    Open(usize),
    Resting(Since),
}

/// One use of a session, returned by drop.
pub struct InUse {
    sessions: Arc<Sessions>,
    id: KeyDigest,
    number: u64,
}

/// How a session is ended.
struct Ending {
    endpoint: Arc<Endpoint>,
    request: Secret,
}

/// What is to be done about sessions that rest.
enum Next {
    /// To end this one.
    End(Ending),
    /// To look again then.
    Wait(Instant),
    /// Nothing rests.
    Nothing,
}

impl Server {
    /// Notes that a session of an endpoint is used. `ending` writes the request that would end it, head
    /// and all. `None` where idle sessions are left alone.
    pub fn use_session(
        &self,
        (endpoint, id): (&Arc<Endpoint>, &Secret),
        ending: impl FnOnce() -> Option<Secret>,
    ) -> Option<InUse> {
        let sessions = self.sessions.as_ref()?;
        let request = ending().filter(|ending| ending.expose().len() <= LONGEST_ENDING)?;
        // What two servers call alike are two sessions. No id has a blank.
        let id = Secret::new([&*endpoint.authority, " ", id.expose()].concat()).digest();
        let ending = Ending { endpoint: Arc::clone(endpoint), request };
        let number = sessions.table().begin(id, ending)?;
        Some(InUse { sessions: Arc::clone(sessions), id, number })
    }

    /// Ends what nobody uses, one after another. Ends only when dropped.
    pub async fn end_idle_sessions(&self) {
        let Some(sessions) = &self.sessions else { return std::future::pending().await };
        loop {
            let next = sessions.table().next(Instant::now(), sessions.idle);
            match next {
                Next::End(Ending { endpoint, request }) => {
                    let request = request.expose().as_bytes();
                    let told = self.tell(&endpoint, request, (Method::Delete, PATIENCE));
                    let told = timeout(PATIENCE, told).await;
                    let status = told.ok().flatten().map(|status| status.as_u16());
                    tracing::debug!(upstream = %self.upstream.name, status, "idle session ended");
                }
                Next::Wait(until) => sleep_until(until).await,
                // What begins to rest now has so long.
                Next::Nothing => sleep(sessions.idle).await,
            }
        }
    }

    /// Sends a request of our own, whole, on a connection of its own. The status of its answer.
    pub(super) async fn tell(
        &self,
        endpoint: &Endpoint,
        request: &[u8],
        (method, patience): (Method, Duration),
    ) -> Option<StatusCode> {
        let mut connection = self.connect_anew(self.at(endpoint)?, patience).await.ok()?;
        connection.write_all(request, patience).await.ok()?;
        let answer = next_response_head(&mut connection, (method, patience), None).await;
        answer.ok().map(|head| head.status)
    }
}

impl Sessions {
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse {
    /// The session is over: there is nothing to end any more.
    pub fn over(self) {
        self.sessions.table().forget(self.id, self.number);
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.sessions.table().end(self.id, self.number, Instant::now());
    }
}

impl Table {
    /// A request begins. The number of its entry; `None` where there is no room, because a request is
    /// open in every session.
    fn begin(&mut self, id: KeyDigest, ending: Ending) -> Option<u64> {
        if let Some(session) = self.sessions.get_mut(&id) {
            match &mut session.state {
                Use::Open(count) => *count += 1,
                Use::Resting(since) => {
                    self.resting.remove(since);
                    session.state = Use::Open(1);
                }
            }
            session.ending = ending;
            return Some(session.number);
        }
        if self.sessions.len() >= MOST {
            let (_, longest_unused) = self.resting.pop_first()?;
            self.sessions.remove(&longest_unused);
        }
        let number = self.number();
        self.sessions.insert(id, Session { number, ending, state: Use::Open(1) });
        Some(number)
    }

    /// A request ends.
    fn end(&mut self, id: KeyDigest, number: u64, now: Instant) {
        let since = (now, self.number());
        let entry = self.sessions.get_mut(&id).filter(|session| session.number == number);
        let Some(Session { state, .. }) = entry else { return };
        match state {
            Use::Open(count @ 2..) => *count -= 1,
            Use::Open(_) => {
                *state = Use::Resting(since);
                self.resting.insert(since, id);
            }
            Use::Resting(_) => {}
        }
    }

    fn forget(&mut self, id: KeyDigest, number: u64) {
        if self.sessions.get(&id).is_some_and(|session| session.number == number)
            && let Some(Session { state: Use::Resting(since), .. }) = self.sessions.remove(&id)
        {
            self.resting.remove(&since);
        }
    }

    /// What is to be done; a session that is to be ended is taken out.
    fn next(&mut self, now: Instant, idle: Duration) -> Next {
        let Some((&since, &id)) = self.resting.first_key_value() else { return Next::Nothing };
        let due = since.0 + idle;
        if now < due {
            return Next::Wait(due);
        }
        self.resting.remove(&since);
        self.sessions.remove(&id).map_or(Next::Wait(now), |session| Next::End(session.ending))
    }

    const fn number(&mut self) -> u64 {
        self.entered += 1;
        self.entered
    }
}

#[cfg(test)]
mod tests;
