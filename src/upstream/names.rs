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

use crate::types::canonical;

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
    Found {
        addresses: Vec<SocketAddr>,
        /// The last that answered, where the first one once didn't.
        preferred: Option<SocketAddr>,
    },
}

impl Names {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let known = host.parse::<IpAddr>().map_or(Known::Nothing, |ip| Known::Found {
            addresses: vec![SocketAddr::new(ip, port)],
            preferred: None,
        });
        Self { host: host.into(), port, known: watch::Sender::new(known), stale: Notify::new() }
    }

    /// The addresses in the order in which to try them. Where none was ever known it waits for the
    /// look-up under way, however long that takes: the caller has a deadline. Empty where that one
    /// fails or one failed a moment ago.
    pub(super) async fn addresses(&self) -> Vec<SocketAddr> {
        let mut known = self.known.subscribe();
        loop {
            match &*known.borrow_and_update() {
                Known::Found { addresses, preferred } => return in_order(addresses, *preferred),
                Known::Failed(at) if at.elapsed() < RETRY => return Vec::new(),
                Known::Failed(_) => self.stale.notify_one(),
                Known::Nothing => {}
            }
            // The sender is our own, so there is always one.
            let _ = known.changed().await;
        }
    }

    /// Whether the host is at an address now, as far as is known.
    pub(super) fn is_at(&self, ip: IpAddr) -> bool {
        match &*self.known.borrow() {
            Known::Found { addresses, .. } => {
                addresses.iter().any(|address| canonical(address.ip()) == ip)
            }
            Known::Nothing | Known::Failed(_) => false,
        }
    }

    /// An address answered: the next connection begins with it, unless none but the first ever had
    /// to be tried; then the name service may go on choosing.
    pub(super) fn answered(&self, address: SocketAddr) {
        self.known.send_if_modified(|known| {
            if let Known::Found { addresses, preferred } = known
                && (preferred.is_some() || addresses.first() != Some(&address))
            {
                *preferred = Some(address);
            }
            // Nobody waits for this.
            false
        });
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

    /// The same, whoever is asked.
    pub(super) async fn keep_asking<A>(&self, ask: impl Fn() -> A)
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
            Known::Found { addresses, .. } if !found.is_empty() => *addresses = found,
            Known::Found { .. } => {}
            _ if found.is_empty() => *known = Known::Failed(Instant::now()),
            _ => *known = Known::Found { addresses: found, preferred: None },
        });
    }
}

fn in_order(addresses: &[SocketAddr], preferred: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut order = addresses.to_vec();
    let at = order.iter().position(|address| Some(*address) == preferred);
    if let Some(until_there) = at.and_then(|at| order.get_mut(..=at)) {
        until_there.rotate_right(1);
    }
    order
}

#[cfg(test)]
mod tests;
