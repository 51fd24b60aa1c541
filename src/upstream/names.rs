use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{net::lookup_host, sync::Notify, time};

/// How long an answer of the name service is used before it is asked again.
const REFRESH: Duration = Duration::from_secs(30);

/// How soon it may be asked again after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// How long the name service may take.
const LOOKUP: Duration = Duration::from_secs(5);

/// The addresses of a host, kept fresh in the background. The gateway starts without a name
/// service, and an answer that was good goes on being used while the service is down.
pub(super) struct Names {
    host: Box<str>,
    port: u16,
    addresses: ArcSwap<Vec<SocketAddr>>,
    stale: Notify,
}

impl Names {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let fixed = host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
        Self {
            host: host.into(),
            port,
            addresses: ArcSwap::from_pointee(fixed.into_iter().collect()),
            stale: Notify::new(),
        }
    }

    /// The addresses known now; asks for them if there are none.
    pub(super) async fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        let known = self.addresses.load_full();
        if known.is_empty() {
            self.look_up().await;
            return self.addresses.load_full();
        }
        known
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
        loop {
            self.look_up().await;
            time::sleep(RETRY).await;
            let _ = time::timeout(REFRESH.saturating_sub(RETRY), self.stale.notified()).await;
        }
    }

    async fn look_up(&self) {
        let answer = time::timeout(LOOKUP, lookup_host((&*self.host, self.port))).await;
        match answer {
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.collect();
                if !found.is_empty() {
                    self.addresses.store(Arc::new(found));
                }
            }
            Ok(Err(error)) => tracing::warn!(host = %self.host, %error, "name not resolved"),
            Err(_) => tracing::warn!(host = %self.host, "name service too slow"),
        }
    }
}
