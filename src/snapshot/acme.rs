use std::{fmt, time::Duration};

use super::UpstreamTls;

/// A certificate that is ordered from an authority (ACME, RFC 8555).
#[derive(Clone)]
pub struct Acme {
    /// Lower-case DNS names that it is to be for, none twice, never empty.
    pub domains: Vec<Box<str>>,
    /// Whom the authority may write to: `mailto:...`.
    pub contact: Option<Box<str>>,
    /// Where the authority says what it has: an `https://` URL.
    pub directory: Box<str>,
    /// How to connect to it.
    pub tls: UpstreamTls,
    /// The shortest wait after an order that failed.
    pub retry: Duration,
    /// What its files are called, without what follows the dot: another for other domains or another
    /// authority.
    pub label: Box<str>,
}

impl Acme {
    /// The file of the certificate and its key in the directory of all.
    pub fn file(&self) -> String {
        format!("{}.pem", self.label)
    }
}

impl PartialEq for Acme {
    /// Whether the same is ordered from the same authority.
    fn eq(&self, other: &Self) -> bool {
        let of = |acme: &Self| (acme.label.clone(), acme.contact.clone(), acme.retry);
        of(self) == of(other)
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
