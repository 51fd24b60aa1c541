use std::{net::Ipv4Addr, sync::Arc};

use portcullis::wire::{Socket, Transport};
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use tokio_rustls::TlsConnector;

use super::{Client, Gateway, gateway::HOST, within};

impl Gateway {
    /// A connection over TLS that has been shaken hands on.
    pub(crate) async fn tls_client(&self) -> Client {
        let socket = self.socket("https", Ipv4Addr::LOCALHOST).await;
        let name = ServerName::try_from(HOST).unwrap();
        let connect = TlsConnector::from(self.tls_config()).connect(name, Socket(socket));
        let tls = within("a TLS handshake", connect).await.unwrap();
        self.client_on(Transport::Tls(Box::new(tls.into())))
    }

    /// What a TLS client says first.
    pub(crate) fn client_hello(&self) -> Vec<u8> {
        let name = ServerName::try_from(HOST).unwrap();
        let mut client = ClientConnection::new(self.tls_config(), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    fn tls_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
