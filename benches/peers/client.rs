//! The client's end: TLS that is the same before every proxy, and answers read strictly.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Buf, BytesMut};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{self, cipher_suite::TLS13_AES_128_GCM_SHA256},
    },
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::Outcome;

/// The certificate that all proxies show, and the clients that believe it.
pub(crate) struct Trust {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) pair: PathBuf,
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Makes a certificate for `localhost` (ECDSA P-256) in `folder`.
    pub(crate) fn write_to(folder: &Path) -> Outcome<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()])?;
        let [certificate, key, pair] =
            ["cert.pem", "key.pem", "pair.pem"].map(|name| folder.join(name));
        fs::write(&certificate, cert.pem())?;
        for (path, text) in [
            (&key, signing_key.serialize_pem()),
            (&pair, cert.pem() + &signing_key.serialize_pem()),
        ] {
            fs::write(path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        Ok(Self { certificate, key, pair, roots: Arc::new(roots) })
    }

    /// A client that offers one cipher suite and one group, so that every proxy computes the same,
    /// and never resumes.
    pub(crate) fn connector(&self, group: &'static dyn SupportedKxGroup) -> Outcome<TlsConnector> {
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![group],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// The group that all proxies have.
pub(crate) const CLASSIC: &dyn SupportedKxGroup = aws_lc_rs::kx_group::X25519;
/// The group that only a new library has.
pub(crate) const POST_QUANTUM: &dyn SupportedKxGroup = aws_lc_rs::kx_group::X25519MLKEM768;

/// A connection with its handshake done.
pub(crate) async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> Outcome<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(connector.connect(ServerName::try_from("localhost")?, socket).await?)
}

/// A connection and what was read from it beyond the last answer.
pub(crate) struct Wire<S> {
    pub(crate) socket: S,
    pub(crate) read: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, read: BytesMut::with_capacity(4096) }
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Outcome<()> {
        self.socket.write_all(request).await?;
        Ok(self.socket.flush().await?)
    }

    /// Reads the head of an answer, which has to be 200. Gives the `Content-Length`, where there is
    /// one.
    pub(crate) async fn head(&mut self) -> Outcome<Option<usize>> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(end) = head.parse(&self.read)? {
                if head.code != Some(200) {
                    return Err(
                        format!("answered {:?}", String::from_utf8(self.read.to_vec())).into()
                    );
                }
                let length =
                    head.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
                let length = length.map(|f| str::from_utf8(f.value)).transpose()?;
                let length = length.map(str::parse).transpose()?;
                self.read.advance(end);
                return Ok(length);
            }
            self.more().await?;
        }
    }

    /// Sends a request and holds the whole answer against `expected`.
    pub(crate) async fn call(&mut self, request: &[u8], expected: &[u8]) -> Outcome<()> {
        self.send(request).await?;
        self.answer(expected).await
    }

    /// Holds a whole answer against `expected`.
    pub(crate) async fn answer(&mut self, expected: &[u8]) -> Outcome<()> {
        let length = self.head().await?.ok_or("an answer without Content-Length")?;
        while self.read.len() < length {
            self.more().await?;
        }
        let body = self.read.split_to(length);
        if body == expected { Ok(()) } else { Err(format!("another body: {body:?}").into()) }
    }

    /// Reads something more; the end is an error.
    pub(crate) async fn more(&mut self) -> Outcome<()> {
        match self.socket.read_buf(&mut self.read).await? {
            0 => Err("the connection ended".into()),
            _ => Ok(()),
        }
    }
}
