use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::client_certificates::ClientAuthorities;
use crate::snapshot::{Acme, Certificate, Tls};

/// How a listener speaks TLS, and with whom where it asks for certificates: Mozilla's intermediate profile (guideline 6.0). TLS 1.2 and 1.3, the
/// AEAD suites, X25519MLKEM768 first; HTTP/2 before HTTP/1.1, or HTTP/1.1 alone.
///
/// # Errors
/// Where the TLS library refuses its own suites, which would be a fault of the build.
pub fn server_config(
    certificates: &Certificates,
    clients: Option<&ClientAuthorities>,
    http2: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(Arc::new(clients.clone())),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::new(certificates.clone()));
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    if clients.is_some() {
        // A resumed session would bring its certificate from the ticket, and nobody would look at it
        // again: neither at its end, nor at whether it was revoked since (CVE-2025-23419 was that).
        config.send_tls13_tickets = 0;
        return Ok(Arc::new(config));
    }
    // Tickets make resumption stateless: no table of sessions that strangers could fill. One is
    // enough; each costs a signature's worth of work in the handshake.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// The certificates of a listener. They can be replaced at any time: who is shaking hands or has done
/// so keeps what it was shown, and the next one sees the new ones. Clones are one.
#[derive(Clone)]
pub struct Certificates(Arc<Held>);

struct Held {
    /// Taken by whoever replaces, so that none undoes what another did.
    listed: Mutex<Listed>,
    by_name: ArcSwap<ByName>,
}

struct Listed {
    /// In the order of the file; the ordered one is the last.
    list: Vec<Certificate>,
    /// What is ordered beside those of the configuration.
    acme: Option<Arc<Acme>>,
}

impl Certificates {
    /// Those of the configuration.
    pub fn new(tls: &Tls) -> Self {
        let by_name = ArcSwap::from_pointee(ByName::new(&tls.certificates));
        let listed = Listed { list: tls.certificates.clone(), acme: tls.acme.clone() };
        Self(Arc::new(Held { listed: Mutex::new(listed), by_name }))
    }

    /// Puts those of a new configuration in the place of all. An ordered one stays where the same is
    /// ordered again.
    pub fn replace(&self, tls: &Tls) {
        self.change(|listed| {
            let stays = listed.acme == tls.acme;
            let ordered = listed.ordered().filter(|_| stays).cloned();
            let list = tls.certificates.iter().cloned().chain(ordered).collect();
            *listed = Listed { list, acme: tls.acme.clone() };
        });
    }

    /// Shows what was ordered, if that is still what is wanted here.
    pub fn deliver(&self, acme: &Acme, certificate: &Certificate) {
        self.change(|listed| {
            if listed.acme.as_deref() == Some(acme) {
                listed.list.retain(|old| old.files != certificate.files);
                listed.list.push(certificate.clone());
            }
        });
    }

    /// What is ordered for this listener.
    pub fn acme(&self) -> Option<Arc<Acme>> {
        self.listed().acme.clone()
    }

    /// Puts a certificate in the place of the one from the same files. Gives whether there was one.
    pub fn renew(&self, certificate: &Certificate) -> bool {
        let mut found = false;
        self.change(|listed| {
            for old in listed.list.iter_mut().filter(|old| old.files == certificate.files) {
                *old = certificate.clone();
                found = true;
            }
        });
        found
    }

    /// Those of now, in the order of the file.
    pub fn list(&self) -> Vec<Certificate> {
        self.listed().list.clone()
    }

    fn change(&self, how: impl FnOnce(&mut Listed)) {
        let mut listed = self.listed();
        how(&mut listed);
        self.0.by_name.store(Arc::new(ByName::new(&listed.list)));
    }

    fn listed(&self) -> std::sync::MutexGuard<'_, Listed> {
        self.0.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    fn ordered(&self) -> Option<&Certificate> {
        let file = self.acme.as_ref()?.file();
        self.list.iter().find(|certificate| *certificate.files.cert == *file)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.by_name.load().choose(hello.server_name())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(..)")
    }
}

/// Certificates chosen by SNI; without a match the first.
struct ByName {
    exact: Vec<(Box<str>, Arc<CertifiedKey>)>,
    /// By the part behind `*.`: a wildcard stands for exactly one label (RFC 6125 6.4.3).
    wildcard: Vec<(Box<str>, Arc<CertifiedKey>)>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn new(certificates: &[Certificate]) -> Self {
        let mut by_name = Self {
            exact: Vec::new(),
            wildcard: Vec::new(),
            first: certificates.first().map(|certificate| Arc::clone(&certificate.key)),
        };
        for certificate in certificates {
            for name in &certificate.names {
                let entry = |name: &str| (name.into(), Arc::clone(&certificate.key));
                match name.strip_prefix("*.") {
                    Some(parent) => by_name.wildcard.push(entry(parent)),
                    None => by_name.exact.push(entry(name)),
                }
            }
        }
        by_name
    }

    fn choose(&self, asked: Option<&str>) -> Option<Arc<CertifiedKey>> {
        asked.and_then(|name| self.find(name)).or(self.first.as_ref()).cloned()
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let among = |entries: &'_ [(Box<str>, Arc<CertifiedKey>)], name: &str| {
            entries.iter().position(|(entry, _)| entry.eq_ignore_ascii_case(name))
        };
        if let Some(index) = among(&self.exact, name) {
            return self.exact.get(index).map(|(_, key)| key);
        }
        let index = among(&self.wildcard, name.split_once('.')?.1)?;
        self.wildcard.get(index).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests;
