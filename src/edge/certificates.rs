use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::snapshot::Certificate;

/// How a listener speaks TLS: Mozilla's intermediate profile (guideline 6.0). TLS 1.2 and 1.3, the
/// AEAD suites, X25519MLKEM768 first, HTTP/1.1.
///
/// # Errors
/// Where the TLS library refuses its own suites, which would be a fault of the build.
pub fn server_config(certificates: &[Certificate]) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName::new(certificates)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets make resumption stateless: no table of sessions that strangers could fill. One is
    // enough; each costs a signature's worth of work in the handshake.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
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

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.first.as_ref()).cloned()
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByName(..)")
    }
}
