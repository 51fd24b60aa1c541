use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{default_provider, sign::any_supported_type},
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The protocol by which an authority asks for a proof (RFC 8737 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// Proofs for an authority that this is the host of a name (TLS-ALPN-01, RFC 8737). Clones are one.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<HashMap<Box<str>, Arc<CertifiedKey>>>>);

/// A proof that is shown until it is dropped.
pub struct Proven {
    challenges: Challenges,
    domain: Box<str>,
}

impl Challenges {
    /// Shows the digest of a key authorization to who asks for this name by the protocol of proofs.
    /// `None` where no certificate can be made of it.
    pub fn prove(&self, domain: &str, digest: &[u8]) -> Option<Proven> {
        let mut params = CertificateParams::new(vec![domain.to_owned()]).ok()?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate().ok()?;
        let certificate = params.self_signed(&key).ok()?;
        let key = any_supported_type(&PrivateKeyDer::Pkcs8(key.serialize_der().into())).ok()?;
        let shown = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key));
        self.shown().insert(domain.into(), shown);
        Some(Proven { challenges: self.clone(), domain: domain.into() })
    }

    /// How they are shown: by a handshake, and nothing after it.
    ///
    /// # Errors
    /// Where the TLS library refuses its own suites, which would be a fault of the build.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a client speaks the protocol of proofs alone: others than authorities never do.
pub(super) fn asks_for_proof(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.next() == Some(PROTOCOL) && offered.next().is_none())
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        self.shown().get(&*name).cloned()
    }
}

impl Drop for Proven {
    fn drop(&mut self) {
        self.challenges.shown().remove(&self.domain);
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges(..)")
    }
}
