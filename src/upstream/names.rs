use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::lookup_host,
    sync::{Notify, watch},
    time::{self, Instant},
};

/// How long an answer of the name service is used before it is asked again.
const REFRESH: Duration = Duration::from_secs(30);

/// How soon it may be asked again after an answer, and how long a failure is believed.
const RETRY: Duration = Duration::from_secs(1);

/// How long the name service may take. Long, because the system's resolver gives each server five
/// seconds: behind a dead first one the answer comes later than that. It can't be cancelled either,
/// so asking again early would only leave one more thread with the same question.
const LOOKUP: Duration = Duration::from_secs(30);

/// The most addresses of one name that are kept: more can't be tried within a connect deadline.
const MAX_ADDRESSES: usize = 16;

/// The addresses of a host, kept fresh by one task that asks for all ([`Names::keep_fresh`]): a
/// request never asks, so a flood of them is no flood of look-ups. The gateway starts without a
/// name service, and an answer that was good goes on being used while the service is down.
pub(super) struct Names {
    host: Box<str>,
    port: u16,
    known: watch::Sender<Known>,
    stale: Notify,
}

/// What the name service said so far.
enum Known {
    /// The first look-up isn't over.
    Nothing,
    /// There was never an address, and the last look-up ended then.
    Failed(Instant),
    /// Addresses, in the order of the name service.
    Found(Vec<SocketAddr>),
}

impl Names {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let fixed = host.parse::<IpAddr>().map(|ip| vec![SocketAddr::new(ip, port)]);
        let known = fixed.map_or(Known::Nothing, Known::Found);
        Self { host: host.into(), port, known: watch::Sender::new(known), stale: Notify::new() }
    }

    /// The addresses in the order in which to try them. Where none was ever known it waits for the
    /// look-up under way, however long that takes: the caller has a deadline. Empty where that one
    /// fails or one failed a moment ago.
    pub(super) async fn addresses(&self) -> Vec<SocketAddr> {
        let mut known = self.known.subscribe();
        loop {
            match &*known.borrow_and_update() {
                Known::Found(addresses) => return addresses.clone(),
                Known::Failed(at) if at.elapsed() < RETRY => return Vec::new(),
                Known::Failed(_) => self.stale.notify_one(),
                Known::Nothing => {}
            }
            // The sender is our own, so there is always one.
            let _ = known.changed().await;
        }
    }

    /// No address could be reached: the names are asked again soon.
    pub(super) fn failed(&self) {
        self.stale.notify_one();
    }

    /// Asks for the names every 30 s, and on failure. Ends only when dropped.
    pub(super) async fn keep_fresh(&self) {
        if self.host.parse::<IpAddr>().is_ok() {
            return std::future::pending().await;
        }
        let ask = || async { lookup_host((&*self.host, self.port)).await.map(Iterator::collect) };
        self.keep_asking(ask).await;
    }

    async fn keep_asking<A>(&self, ask: impl Fn() -> A)
    where
        A: Future<Output = io::Result<Vec<SocketAddr>>>,
    {
        loop {
            self.learn(time::timeout(LOOKUP, ask()).await.unwrap_or_else(|late| Err(late.into())));
            time::sleep(RETRY).await;
            let _ = time::timeout(REFRESH.saturating_sub(RETRY), self.stale.notified()).await;
        }
    }

    fn learn(&self, answer: io::Result<Vec<SocketAddr>>) {
        let mut found = answer.unwrap_or_else(|error| {
            tracing::warn!(host = %self.host, %error, "name not resolved");
            Vec::new()
        });
        found.truncate(MAX_ADDRESSES);
        self.known.send_modify(|known| match known {
            _ if !found.is_empty() => *known = Known::Found(found),
            Known::Found(_) => {}
            Known::Nothing | Known::Failed(_) => *known = Known::Failed(Instant::now()),
        });
    }
}

#[cfg(test)]
mod tests;
