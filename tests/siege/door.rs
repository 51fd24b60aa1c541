//! The ways in: addresses, keys and TLS of those who come.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, client::Resumption, crypto::aws_lc_rs,
    pki_types::ServerName,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Outcome;

/// Whom all requests are for.
pub(crate) const HOST: &str = "gateway.test";

/// Where the friend calls from, and nobody else.
pub(crate) const FRIEND: Ipv4Addr = Ipv4Addr::new(127, 1, 1, 1);
/// Where somebody calls from whose key no consumer has, and the upstream accepts.
pub(crate) const GUEST: Ipv4Addr = Ipv4Addr::new(127, 2, 2, 2);
/// Whose word on addresses is believed.
pub(crate) const TRUSTED_PROXY: Ipv4Addr = Ipv4Addr::new(127, 3, 3, 3);

/// What every key begins with that the upstream accepts.
pub(crate) const ACCEPTED: &str = "accepted-";
pub(crate) const FRIENDS_KEY: &str = "accepted-friend-00112233445566778899aabbccddeeff";
pub(crate) const GUESTS_KEY: &str = "accepted-guest-00112233445566778899aabbccddeeff";
/// Of a consumer whose client has been taken over.
pub(crate) const INSIDERS_KEY: &str = "accepted-insider-00112233445566778899aabbccddeeff";

/// What TLS is to carry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The certificate that the gateway shows, and who believes it.
pub(crate) struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    pub(crate) fn write_to(folder: &Path) -> Outcome<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
        fs::write(folder.join("cert.pem"), cert.pem())?;
        let key = folder.join("key.pem");
        fs::write(&key, signing_key.serialize_pem())?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        Ok(Self { roots: Arc::new(roots) })
    }

    pub(crate) fn door(&self, https: SocketAddr, http: SocketAddr) -> Outcome<Door> {
        let (http1, http2) = (self.client(b"http/1.1")?, self.client(b"h2")?);
        Ok(Door { https, http, http1, http2 })
    }

    /// A client that never resumes: every handshake is a full one.
    fn client(&self, protocol: &[u8]) -> Outcome<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// How to come to the gateway.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Door {
    /// A connection in clear, from an address.
    pub(crate) async fn clear(&self, from: Ipv4Addr) -> io::Result<TcpStream> {
        connect(from, self.http, None).await
    }

    /// A connection in clear that takes next to nothing before it is read.
    pub(crate) async fn narrow(&self, from: Ipv4Addr) -> io::Result<TcpStream> {
        connect(from, self.http, Some(1024)).await
    }

    /// A connection to where TLS is spoken, on which nothing was said.
    pub(crate) async fn before_tls(&self, from: Ipv4Addr) -> io::Result<TcpStream> {
        connect(from, self.https, None).await
    }

    /// A connection with its handshake done.
    pub(crate) async fn tls(
        &self,
        from: Ipv4Addr,
        protocol: Protocol,
    ) -> Outcome<TlsStream<TcpStream>> {
        let socket = self.before_tls(from).await?;
        let config = Arc::clone(self.config(protocol));
        Ok(TlsConnector::from(config).connect(ServerName::try_from(HOST)?, socket).await?)
    }

    /// The first thing that a client says.
    pub(crate) fn hello(&self) -> Outcome<Vec<u8>> {
        let config = Arc::clone(self.config(Protocol::Http1));
        let mut client = ClientConnection::new(config, ServerName::try_from(HOST)?)?;
        let mut hello = Vec::new();
        client.write_tls(&mut hello)?;
        Ok(hello)
    }

    const fn config(&self, protocol: Protocol) -> &Arc<ClientConfig> {
        match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        }
    }
}

async fn connect(from: Ipv4Addr, to: SocketAddr, window: Option<u32>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(window) = window {
        socket.set_recv_buffer_size(window)?;
    }
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
