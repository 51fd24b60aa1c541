use std::{net::Ipv4Addr, sync::Arc};

use portcullis::wire::{Socket, Transport};
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Client, Gateway, Setup, gateway::HOST, within};

impl Setup {
    /// Adds a TLS listener, `https`, with a certificate of [`HOST`].
    pub(crate) fn tls(mut self) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self = self.file("cert.pem", &certificate.pem()).file("key.pem", &key.serialize_pem());
        self.authority = Some(certificate.der().clone());
        self.https("certificates = [{ cert = \"cert.pem\", key = \"key.pem\" }]")
    }

    /// Adds a TLS listener, `https`, that is told so how to speak it.
    pub(crate) fn https(self, tls: &str) -> Self {
        self.listener(&format!(
            "[[listeners]]\nname = \"https\"\naddress = \"127.0.0.1:0\"\ntls = {{ {tls} }}\n"
        ))
    }

    /// Adds a redirect listener, `redirect`, to the TLS listener.
    pub(crate) fn redirect(self) -> Self {
        self.listener(
            "[[listeners]]\nname = \"redirect\"\naddress = \"127.0.0.1:0\"\nredirect = \"https\"\n",
        )
    }
}

impl Gateway {
    /// A connection over TLS that has been shaken hands on.
    pub(crate) async fn tls_client(&self) -> Client {
        self.tls_client_for(&[]).await
    }

    /// The same, with the first of these protocols agreed.
    pub(crate) async fn tls_client_for(&self, protocols: &[&[u8]]) -> Client {
        self.client_on(self.tls_transport(protocols).await)
    }

    /// A connection over TLS on which the first of these protocols is agreed (RFC 7301).
    pub(crate) async fn tls_transport(&self, protocols: &[&[u8]]) -> Transport {
        let socket = self.socket("https", Ipv4Addr::LOCALHOST).await;
        self.tls_over(socket, protocols).await
    }

    /// The same over a socket on which something was said before.
    pub(crate) async fn tls_over(&self, socket: TcpStream, protocols: &[&[u8]]) -> Transport {
        let name = ServerName::try_from(HOST).unwrap();
        let mut config = self.tls_config();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let connect = TlsConnector::from(Arc::new(config)).connect(name, Socket(socket));
        let tls = within("a TLS handshake", connect).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), protocols.first().copied());
        Transport::Tls(Box::new(tls.into()))
    }

    /// What a TLS client says first.
    pub(crate) fn client_hello(&self) -> Vec<u8> {
        let name = ServerName::try_from(HOST).unwrap();
        let mut client = ClientConnection::new(Arc::new(self.tls_config()), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    fn tls_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}
