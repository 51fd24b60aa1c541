use std::{sync::Arc, time::Duration};

/// The most endpoints of one upstream.
pub const MOST_ENDPOINTS: usize = 32;

/// Where an upstream is: one place, or several that are the same to a client that has no session yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    first: Arc<Endpoint>,
    others: Vec<Arc<Endpoint>>,
}

/// `http://host:port` taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: Box<str>,
    /// The port, the scheme's own if none was written.
    pub port: u16,
    /// `host:port` as `Host` has it: brackets around IPv6, no default port. No two endpoints of an
    /// upstream have the same.
    pub authority: Box<str>,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

/// `health`: how an endpoint is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query, visible ASCII.
    pub path: Box<str>,
    /// From the end of one question to the next.
    pub interval: Duration,
    /// From the beginning of a question to the head of its answer.
    pub timeout: Duration,
    /// So many good answers in a row bring an endpoint back.
    pub healthy_after: u32,
    /// So many without a good one take it out.
    pub unhealthy_after: u32,
}

impl Endpoints {
    /// A single one.
    pub fn one(endpoint: Endpoint) -> Self {
        Self { first: Arc::new(endpoint), others: Vec::new() }
    }

    /// Several, in the order of the file; `None` where there is none.
    pub fn of(list: impl IntoIterator<Item = Endpoint>) -> Option<Self> {
        let mut list = list.into_iter().map(Arc::new);
        Some(Self { first: list.next()?, others: list.collect() })
    }

    /// The one that is written first.
    pub const fn first(&self) -> &Arc<Endpoint> {
        &self.first
    }

    /// Whether there is a choice.
    pub const fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether one of these and one of others are in some way the same.
    pub fn meet(&self, others: &Self, same: impl Fn(&Endpoint, &Endpoint) -> bool) -> bool {
        self.iter().any(|one| others.iter().any(|other| same(one, other)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// How to connect over TLS: what is trusted, and the same ready made.
#[derive(Clone)]
pub struct UpstreamTls {
    /// Ready made.
    pub config: Arc<rustls::ClientConfig>,
    /// A digest of the authorities that are trusted: two that trust the same connect alike.
    pub trusts: [u8; 32],
}

impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        self.trusts == other.trusts
    }
}
