//! TLS with a certificate made for the run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::Outcome;

/// Whom all requests are for.
const HOST: &str = "gateway.test";

/// The certificate that all peers show, and the client that believes it.
pub(crate) struct Trust {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) pair: PathBuf,
    connector: TlsConnector,
}

impl Trust {
    pub(crate) fn write_to(folder: &Path) -> Outcome<Self> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()])?;
        let [certificate, key, pair] =
            ["cert.pem", "key.pem", "pair.pem"].map(|name| folder.join(name));
        fs::write(&certificate, cert.pem())?;
        fs::write(&key, signing_key.serialize_pem())?;
        fs::write(&pair, cert.pem() + &signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { certificate, key, pair, connector: Arc::new(config).into() })
    }

    /// A connection on which HTTP/2 was agreed.
    pub(crate) async fn connect(&self, socket: TcpStream) -> Outcome<TlsStream<TcpStream>> {
        let tls = self.connector.connect(ServerName::try_from(HOST)?, socket).await?;
        match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(tls),
            _ => Err("HTTP/2 was not agreed".into()),
        }
    }
}
