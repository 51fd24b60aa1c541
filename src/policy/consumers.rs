use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{NetList, Quota, Rules};
use crate::types::{KeyDigest, Name, Secret};

/// A configured identity with a key.
pub struct Consumer {
    /// Its label in metrics and logs.
    pub name: Name,
    /// SHA-256 of its key.
    pub digest: KeyDigest,
    /// The key to put in the place of its own, upstream.
    pub upstream_key: Option<Secret>,
    /// The routes that it may use; `None` means every `mcp` route.
    pub routes: Option<Vec<Name>>,
    /// From where it may come.
    pub nets: NetList,
    /// What it may use; `None` means whatever its routes let it.
    pub rules: Option<Box<Rules>>,
    /// Its own rate, in the place of the route's.
    pub quota: Option<Quota>,
    /// The first second, UTC since 1970, at which the key is no longer valid.
    pub expires_at: Option<u64>,
}

impl Consumer {
    /// Whether it may use the route.
    pub fn may_use(&self, route: &Name) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.contains(route))
    }
}

/// Every consumer, found by the digest of its key at a cost that doesn't grow with their number.
#[derive(Default)]
pub struct Consumers {
    by_digest: HashMap<KeyDigest, Arc<Consumer>>,
}

/// What a key's digest turned out to stand for.
#[derive(Clone)]
pub enum Standing {
    /// A consumer's key, still valid.
    Known(Arc<Consumer>),
    /// A consumer's key whose last day is over.
    Expired,
    /// Nobody's.
    Unknown,
}

impl Consumers {
    /// Collects the consumers. Of two with one key the first stays; `config` reports the second.
    pub fn new(consumers: impl IntoIterator<Item = Consumer>) -> Self {
        let mut by_digest = HashMap::new();
        for consumer in consumers {
            by_digest.entry(consumer.digest).or_insert_with(|| Arc::new(consumer));
        }
        Self { by_digest }
    }

    /// Looks a key up. The table is keyed by SHA-256 and hashed with a random seed, so the time
    /// taken tells nothing about a key that is close to a right one.
    pub fn find(&self, digest: &KeyDigest, now: impl FnOnce() -> SystemTime) -> Standing {
        let Some(consumer) = self.by_digest.get(digest) else { return Standing::Unknown };
        let is_over = |end: u64| {
            // A clock before 1970 is broken; then nothing that can expire is valid.
            let since = now().duration_since(UNIX_EPOCH);
            since.map_or(true, |since| since.as_secs() >= end)
        };
        match consumer.expires_at {
            Some(end) if is_over(end) => Standing::Expired,
            _ => Standing::Known(Arc::clone(consumer)),
        }
    }

    /// Every consumer, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.by_digest.values()
    }
}

/// Who a credential turned out to be.
#[derive(Clone)]
pub enum Principal {
    /// A configured consumer.
    Consumer(Arc<Consumer>),
    /// A key that only the upstream can judge; the route forwards unknown keys.
    Stranger,
}

impl Principal {
    /// The label in metrics and logs: the consumer's name.
    pub fn consumer(&self) -> Option<&Arc<Consumer>> {
        match self {
            Self::Consumer(consumer) => Some(consumer),
            Self::Stranger => None,
        }
    }
}
