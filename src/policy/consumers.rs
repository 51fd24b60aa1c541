use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{AddressPolicy, AuditLevel, Holder, Quota, Rules, ToolLimits};
use crate::types::{CertificateName, ClientCertificate, KeyDigest, Name, Secret};

/// A configured identity with a key, a certificate, or both.
pub struct Consumer {
    /// Its label in metrics and logs.
    pub name: Name,
    /// SHA-256 of its key; of one that has none, what stands for its certificate.
    pub digest: KeyDigest,
    /// Whether it has a key.
    pub has_key: bool,
    /// The certificate that it has to show.
    pub certificate: Option<CertificateName>,
    /// The key that it had before, while clients change to the new one.
    pub previous: Option<Previous>,
    /// The key to put in the place of its own, upstream.
    pub upstream_key: Option<Secret>,
    /// The routes that it may use; `None` means every `mcp` route.
    pub routes: Option<Vec<Name>>,
    /// From where it may come.
    pub nets: AddressPolicy,
    /// What it may use; `None` means whatever its routes let it.
    pub rules: Option<Arc<Rules>>,
    /// Whether its calls are audited; the stricter of this and its route's counts.
    pub audit: Option<AuditLevel>,
    /// Its own rate, in the place of the route's.
    pub quota: Option<Quota>,
    /// What its calls of tools are held to, over all routes; each in the place of the route's.
    pub tool_limits: ToolLimits,
    /// The first second, UTC since 1970, at which it has no valid key any more.
    pub expires_at: Option<u64>,
}

/// A key that is being replaced.
#[derive(Clone, Copy)]
pub struct Previous {
    /// SHA-256 of the key.
    pub digest: KeyDigest,
    /// The first second, UTC since 1970, at which this key is no longer valid. The consumer's own
    /// end counts as well.
    pub expires_at: u64,
}

impl Consumer {
    /// Whether it may use the route.
    pub fn may_use(&self, route: &Name) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.contains(route))
    }
}

/// Every consumer, found by the digest of a key of its own at a cost that doesn't grow with their
/// number.
#[derive(Default)]
pub struct Consumers {
    by_digest: HashMap<KeyDigest, Key>,
    by_certificate: HashMap<CertificateName, Arc<Consumer>>,
}

/// Whose a client certificate is.
#[derive(Clone, Copy)]
pub enum Certified<'c> {
    /// No consumer's: it lets its client connect, and says nothing of who that is.
    Nobody,
    /// A consumer's.
    One(&'c Arc<Consumer>),
    /// It has names of several.
    Several,
}

/// A key of a consumer.
struct Key {
    consumer: Arc<Consumer>,
    /// The first second at which it is no longer valid.
    ends_at: Option<u64>,
}

impl Key {
    /// The keys that a consumer has: one, or two where one replaces the other.
    fn all_of(consumer: &Arc<Consumer>) -> impl Iterator<Item = (KeyDigest, Self)> {
        let key = |ends_at| Self { consumer: Arc::clone(consumer), ends_at };
        let own = (consumer.digest, key(consumer.expires_at));
        let previous = consumer.previous.as_ref().map(|previous| {
            let end = previous.expires_at;
            (previous.digest, key(Some(consumer.expires_at.map_or(end, |last| last.min(end)))))
        });
        std::iter::once(own).chain(previous)
    }
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

/// Whether that second, UTC since 1970, has come.
pub fn is_over(end: u64, now: SystemTime) -> bool {
    // A clock before 1970 is broken; then nothing that can expire is valid.
    now.duration_since(UNIX_EPOCH).map_or(true, |since| since.as_secs() >= end)
}

impl Consumers {
    /// Collects the consumers. Of two with one key the first stays; `config` reports the second.
    pub fn new(consumers: impl IntoIterator<Item = Consumer>) -> Self {
        let (mut by_digest, mut by_certificate) = (HashMap::new(), HashMap::new());
        for consumer in consumers.into_iter().map(Arc::new) {
            for (digest, key) in Key::all_of(&consumer) {
                by_digest.entry(digest).or_insert(key);
            }
            if let Some(name) = &consumer.certificate {
                by_certificate.entry(name.clone()).or_insert(Arc::clone(&consumer));
            }
        }
        Self { by_digest, by_certificate }
    }

    /// Lends a consumer one more key, for whoever asks about it without having its own.
    pub fn lend(&mut self, name: &Name, digest: KeyDigest) {
        let own = self.by_digest.values().find(|key| key.consumer.name == *name);
        let lent = own.map(|key| Key {
            consumer: Arc::clone(&key.consumer),
            ends_at: key.consumer.expires_at,
        });
        if let Some(lent) = lent {
            self.by_digest.insert(digest, lent);
        }
    }

    /// Looks a key up. The table is keyed by SHA-256 and hashed with a random seed, so the time
    /// taken tells nothing about a key that is close to a right one.
    pub fn find(&self, digest: &KeyDigest, now: impl FnOnce() -> SystemTime) -> Standing {
        let Some(key) = self.by_digest.get(digest) else { return Standing::Unknown };
        match key.ends_at {
            Some(end) if is_over(end, now()) => Standing::Expired,
            _ => Standing::Known(Arc::clone(&key.consumer)),
        }
    }

    /// Whose a certificate is.
    pub fn certified(&self, certificate: &ClientCertificate) -> Certified<'_> {
        let mut owners = certificate.names.iter().filter_map(|name| self.by_certificate.get(name));
        match owners.next() {
            None => Certified::Nobody,
            Some(one) if owners.all(|other| other.name == one.name) => Certified::One(one),
            Some(_) => Certified::Several,
        }
    }

    /// Every key that some consumer has, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &KeyDigest> {
        self.by_digest.keys()
    }

    /// The first second after this one at which some key is no longer valid.
    pub fn next_end(&self, after: u64) -> Option<u64> {
        self.by_digest.values().filter_map(|key| key.ends_at).filter(|end| *end > after).min()
    }

    /// Every consumer, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        let own = |(digest, key): &(&KeyDigest, &Key)| **digest == key.consumer.digest;
        self.by_digest.iter().filter(own).map(|(_, key)| &key.consumer)
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

    /// Whose buckets and slots are used, given the key that was presented.
    pub fn holder(&self, presented: KeyDigest) -> Holder {
        match self {
            Self::Consumer(consumer) => Holder::Consumer(consumer.name.clone()),
            Self::Stranger => Holder::Key(presented),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn digest(text: &str) -> KeyDigest {
        Secret::new(text.to_owned()).digest()
    }

    fn consumers(previous_end: u64, own_end: Option<u64>) -> Consumers {
        Consumers::new([Consumer {
            name: Name::parse("c").unwrap(),
            digest: digest("new"),
            has_key: true,
            certificate: None,
            previous: Some(Previous { digest: digest("old"), expires_at: previous_end }),
            upstream_key: None,
            routes: None,
            rules: None,
            audit: None,
            nets: AddressPolicy::default(),
            quota: None,
            tool_limits: ToolLimits::default(),
            expires_at: own_end,
        }])
    }

    fn is_known(consumers: &Consumers, key: &str, seconds: u64) -> Option<bool> {
        match consumers.find(&digest(key), || UNIX_EPOCH + Duration::from_secs(seconds)) {
            Standing::Known(_) => Some(true),
            Standing::Expired => Some(false),
            Standing::Unknown => None,
        }
    }

    #[test]
    fn two_keys_find_one_consumer_until_the_older_one_has_ended() {
        let consumers = consumers(10, None);
        assert_eq!(consumers.iter().count(), 1);
        for (key, seconds, known) in
            [("old", 9, true), ("old", 10, false), ("new", 9, true), ("new", 10, true)]
        {
            assert_eq!(is_known(&consumers, key, seconds), Some(known), "{key} at {seconds}");
        }
        assert_eq!(is_known(&consumers, "other", 0), None);
        assert_eq!((consumers.next_end(9), consumers.next_end(10)), (Some(10), None));
        assert_eq!(consumers.keys().count(), 2);
    }

    #[test]
    fn the_end_of_a_consumer_is_the_end_of_both_its_keys() {
        let consumers = consumers(10, Some(5));
        assert!(["old", "new"].iter().all(|key| is_known(&consumers, key, 4) == Some(true)));
        assert!(["old", "new"].iter().all(|key| is_known(&consumers, key, 5) == Some(false)));
    }
}
