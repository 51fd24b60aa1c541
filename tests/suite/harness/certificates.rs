use std::{net::Ipv4Addr, os::unix::fs::symlink, sync::Arc, time::Instant};

use portcullis::wire::Socket;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName},
};
use tokio_rustls::TlsConnector;

use super::{Gateway, PATIENCE, Setup, anybody::Anybody, within};

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Pair {
    /// Of these names, until the year 4096.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self::until(names, 4096)
    }

    /// Of these names, until the first day of a year.
    pub(crate) fn until(names: &[&str], year: i32) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self { der: cert.der().clone(), cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl Setup {
    /// Puts a pair beside the configuration: `NAME.pem` and `NAME.key`.
    pub(crate) fn pair(self, name: &str, pair: &Pair) -> Self {
        self.file(&format!("{name}.pem"), &pair.cert).file(&format!("{name}.key"), &pair.key)
    }

    /// Makes a directory beside the configuration.
    pub(crate) fn directory(self, name: &str) -> Self {
        std::fs::create_dir(self.dir().join(name)).unwrap();
        self
    }

    /// Puts a link beside the configuration.
    pub(crate) fn leads_to(self, name: &str, to: &str) -> Self {
        symlink(to, self.dir().join(name)).unwrap();
        self
    }
}

impl Gateway {
    /// Puts a file beside its configuration, whole at once.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let beside = self.dir().join("beside");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, self.dir().join(name)).unwrap();
    }

    /// Lets a link lead elsewhere, at once.
    pub(crate) fn link(&self, name: &str, to: &str) {
        let beside = self.dir().join("beside");
        symlink(to, &beside).unwrap();
        std::fs::rename(&beside, self.dir().join(name)).unwrap();
    }

    /// What its TLS listener shows to who asks for a name; `None` where it shows nothing.
    pub(crate) async fn shown(&self, name: &str) -> Option<CertificateDer<'static>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let socket = self.socket("https", Ipv4Addr::LOCALHOST).await;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connect = TlsConnector::from(Arc::new(config)).connect(name, Socket(socket));
        let tls = within("a TLS handshake", connect).await.ok()?;
        Some(tls.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
    }

    /// Waits until it shows this to who asks for a name.
    pub(crate) async fn shows(&self, name: &str, der: &CertificateDer<'_>) {
        let patient = Instant::now();
        while self.shown(name).await.as_ref() != Some(der) {
            assert!(patient.elapsed() < PATIENCE, "another certificate for {name}");
            tokio::task::yield_now().await;
        }
    }
}
