use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rustls::{server::danger::ClientCertVerifier, sign::CertifiedKey};

use super::Acme;
use crate::types::Name;

/// A listening socket.
pub struct Listener {
    /// Its name: label and log field.
    pub name: Name,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub kind: ListenerKind,
    /// Whether each connection begins with a PROXY header, of a trusted proxy.
    pub proxy_protocol: bool,
}

impl Listener {
    /// How it speaks TLS, where it does.
    pub const fn tls(&self) -> Option<&Tls> {
        match &self.kind {
            ListenerKind::Tls(tls) => Some(tls),
            ListenerKind::Plain | ListenerKind::Redirect { .. } => None,
        }
    }
}

/// What a listener speaks.
pub enum ListenerKind {
    /// HTTP in clear.
    Plain,
    /// HTTP over TLS.
    Tls(Tls),
    /// Answers every request with a redirect to the TLS listener on this port.
    Redirect {
        /// The port to redirect to.
        port: u16,
    },
}

/// How a listener speaks TLS.
#[derive(Clone)]
pub struct Tls {
    /// In the order of the file, never empty but where one is ordered.
    pub certificates: Vec<Certificate>,
    /// What is ordered beside them.
    pub acme: Option<Arc<Acme>>,
    /// Whether clients may choose HTTP/2.
    pub http2: bool,
    /// Who answers for clients, where they are asked for a certificate.
    pub clients: Option<Arc<ClientAuthority>>,
}

/// Who answers for the clients of a listener.
#[derive(Clone)]
pub struct ClientAuthority {
    /// Whether a client without a certificate is sent away.
    pub required: bool,
    /// What holds certificates against the authorities, and against the list of those revoked.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// Where both were read from, and are read again when they change.
    pub files: ClientAuthorityFiles,
    /// SHA-256 of what was read.
    pub contents: [u8; 32],
}

/// The files of who answers for clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientAuthorityFiles {
    /// Where relative paths start.
    pub directory: PathBuf,
    /// The authorities, as written in the configuration.
    pub ca: Box<str>,
    /// The list of those revoked, likewise.
    pub crl: Option<Box<str>>,
}

/// A certificate and its key, checked to belong together.
#[derive(Clone)]
pub struct Certificate {
    /// A name for metrics: the certificate's first DNS name, or its file's name.
    pub label: Name,
    /// Lower-case DNS names that it is for; a leading `*.` stands for one label.
    pub names: Vec<Box<str>>,
    /// When it begins, in seconds since 1970.
    pub starts_at: i64,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
    /// The chain and the key.
    pub key: Arc<CertifiedKey>,
    /// Where both were read from, and are read again when they change.
    pub files: CertificateFiles,
}

impl Certificate {
    /// Whether it is the same, with the same key.
    pub fn is(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// Where relative paths start.
    pub directory: PathBuf,
    /// The chain, as it is written in the configuration.
    pub cert: Box<str>,
    /// The key, likewise.
    pub key: Box<str>,
}
