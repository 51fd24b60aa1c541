use std::{net::SocketAddr, sync::Arc};

use rustls::sign::CertifiedKey;

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
    /// In the order of the file, never empty.
    pub certificates: Vec<Certificate>,
    /// Whether clients may choose HTTP/2.
    pub http2: bool,
}

/// A certificate and its key, checked to belong together.
#[derive(Clone)]
pub struct Certificate {
    /// A name for metrics: the certificate's first DNS name, or its file's name.
    pub label: Name,
    /// Lower-case DNS names that it is for; a leading `*.` stands for one label.
    pub names: Vec<Box<str>>,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
    /// The chain and the key.
    pub key: Arc<CertifiedKey>,
}
