use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::snapshot::{Certificate, Tls};

/// How a listener speaks TLS: Mozilla's intermediate profile (guideline 6.0). TLS 1.2 and 1.3, the
/// AEAD suites, X25519MLKEM768 first; HTTP/2 before HTTP/1.1, or HTTP/1.1 alone.
///
/// # Errors
/// Where the TLS library refuses its own suites, which would be a fault of the build.
pub fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName::new(&tls.certificates)));
    let protocols: &[&[u8]] = if tls.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
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

#[cfg(test)]
mod tests {
    use rustls::{HandshakeKind, NamedGroup, pki_types::ServerName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::types::Name;

    fn certificate(names: &[&str]) -> (Certificate, rustls::pki_types::CertificateDer<'static>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
        let der = made.cert.der().clone();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let certificate = Certificate {
            label: Name::parse("test").unwrap(),
            names: names.into_iter().map(Into::into).collect(),
            expires_at: 0,
            key: Arc::new(CertifiedKey::new(vec![der.clone()], key)),
        };
        (certificate, der)
    }

    struct Shaken {
        group: NamedGroup,
        alpn: Vec<u8>,
        certificate: rustls::pki_types::CertificateDer<'static>,
    }

    /// A handshake of a client that trusts both certificates and asks for a name of either.
    async fn shake(
        version: &'static rustls::SupportedProtocolVersion,
        asks_for: &'static str,
        http2: bool,
    ) -> Option<Shaken> {
        let (first, first_der) = certificate(&["first.test", "other.test"]);
        let (second, second_der) = certificate(&["second.test", "*.wild.test"]);
        let server = server_config(&Tls { certificates: vec![first, second], http2 }).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates([first_der, second_der]);
        let mut client = rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from(asks_for).unwrap();
        let (accepted, connected) = tokio::join!(
            TlsAcceptor::from(server).accept(far),
            TlsConnector::from(Arc::new(client)).connect(name, near),
        );
        accepted.ok()?;
        let connected = connected.ok()?;
        let (_, session) = connected.get_ref();
        Some(Shaken {
            group: session.negotiated_key_exchange_group()?.name(),
            alpn: session.alpn_protocol()?.to_vec(),
            certificate: session.peer_certificates()?.first()?.clone(),
        })
    }

    #[tokio::test]
    async fn the_post_quantum_group_comes_first_and_http_2_where_it_is_spoken() {
        for (http2, protocol) in [(true, &b"h2"[..]), (false, b"http/1.1")] {
            let modern = shake(&rustls::version::TLS13, "first.test", http2).await.unwrap();
            assert_eq!((modern.group, &*modern.alpn), (NamedGroup::X25519MLKEM768, protocol));
            let older = shake(&rustls::version::TLS12, "first.test", http2).await.unwrap();
            assert_eq!(older.group, NamedGroup::X25519, "TLS 1.2 has no hybrid group");
        }
    }

    /// Whoever comes back brings a ticket, and is spared the signature. sslyze takes a ticket that is
    /// renewed for one that wasn't taken, so this is where it is proven.
    #[tokio::test]
    async fn a_client_that_comes_back_resumes_with_its_ticket() {
        let (only, der) = certificate(&["first.test"]);
        let server = server_config(&Tls { certificates: vec![only], http2: false }).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der).unwrap();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            let client = TlsConnector::from(Arc::new(client));
            for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
                let (near, far) = tokio::io::duplex(64 * 1024);
                let name = ServerName::try_from("first.test").unwrap();
                let (accepted, connected) = tokio::join!(
                    TlsAcceptor::from(Arc::clone(&server)).accept(far),
                    client.connect(name, near),
                );
                let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
                // A ticket of TLS 1.3 comes with the first bytes.
                accepted.write_all(b"x").await.unwrap();
                accepted.flush().await.unwrap();
                connected.read_exact(&mut [0]).await.unwrap();
                let kind = connected.get_ref().1.handshake_kind();
                assert_eq!(kind, Some(expected), "{version:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
        for name in ["first.test", "other.test", "second.test", "a.wild.test"] {
            let shaken = shake(&rustls::version::TLS13, name, true).await;
            // The client checks the name, so an answer means that the right one was shown.
            assert!(shaken.is_some_and(|shaken| !shaken.certificate.is_empty()), "{name}");
        }
        let two = shake(&rustls::version::TLS13, "a.b.wild.test", true).await;
        assert!(two.is_none(), "one label alone");
    }

    #[test]
    fn without_a_match_the_first_certificate_is_shown() {
        let (first, _) = certificate(&["first.test"]);
        let by_name = ByName::new(std::slice::from_ref(&first));
        assert!(by_name.find("nobody.test").is_none());
        assert!(by_name.first.is_some_and(|key| Arc::ptr_eq(&key, &first.key)));
    }
}
