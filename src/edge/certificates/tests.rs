use rustls::{HandshakeKind, NamedGroup, pki_types::ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::{snapshot::CertificateFiles, types::Name};

fn certificate(names: &[&str]) -> (Certificate, rustls::pki_types::CertificateDer<'static>) {
    let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(owned).unwrap();
    let der = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certificate = Certificate {
        label: Name::parse("test").unwrap(),
        names: names.iter().map(|name| (*name).into()).collect(),
        starts_at: 0,
        expires_at: 0,
        key: Arc::new(CertifiedKey::new(vec![der.clone()], key)),
        files: CertificateFiles {
            directory: "/".into(),
            cert: format!("{}.pem", names.join("-")).into(),
            key: "key.pem".into(),
        },
    };
    (certificate, der)
}

fn serving(certificates: Vec<Certificate>, http2: bool) -> Arc<ServerConfig> {
    let tls = Tls { certificates, acme: None, http2, clients: None };
    server_config(&Certificates::new(&tls), None, http2).unwrap()
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
    let server = serving(vec![first, second], http2);
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
    let server = serving(vec![only], false);
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

#[test]
fn a_certificate_takes_the_place_of_the_one_from_the_same_files() {
    let ((first, _), (second, _)) = (certificate(&["first.test"]), certificate(&["*.wild.test"]));
    let of = |certificates| Tls { certificates, acme: None, http2: true, clients: None };
    let certificates = Certificates::new(&of(vec![first.clone(), second]));
    let (renewed, _) = certificate(&["*.wild.test"]);
    assert!(certificates.renew(&renewed));
    let shown = |name| certificates.0.by_name.load().choose(Some(name)).unwrap();
    assert!(Arc::ptr_eq(&shown("a.wild.test"), &renewed.key));
    assert!(Arc::ptr_eq(&shown("first.test"), &first.key), "the other stays");
    let (stranger, _) = certificate(&["stranger.test"]);
    assert!(!certificates.renew(&stranger), "a reload has taken its place away");
    assert!(Arc::ptr_eq(&shown("stranger.test"), &first.key));
    certificates.replace(&of(vec![stranger.clone()]));
    assert!(Arc::ptr_eq(&shown("first.test"), &stranger.key));
}
