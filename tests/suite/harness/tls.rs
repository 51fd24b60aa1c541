use std::{net::Ipv4Addr, sync::Arc};

use portcullis::wire::{Socket, Transport};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{PrivateKeyDer, ServerName, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Client, Gateway, Pair, Setup, gateway::HOST, within};

impl Setup {
    /// Adds a TLS listener, `https`, with a certificate of [`HOST`].
    pub(crate) fn tls(self) -> Self {
        self.tls_and("")
    }

    /// The same, and more is said of how it speaks TLS.
    pub(crate) fn tls_and(mut self, more: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self = self.file("cert.pem", &certificate.pem()).file("key.pem", &key.serialize_pem());
        self.authority = Some(certificate.der().clone());
        self.https(&format!("certificates = [{{ cert = \"cert.pem\", key = \"key.pem\" }}]{more}"))
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

    /// A client that shows a certificate, with one of these protocols agreed.
    pub(crate) async fn tls_client_as(&self, shown: &Pair, protocols: &[&[u8]]) -> Client {
        self.client_on(self.tls_transport_as(shown, protocols).await)
    }

    /// The same, and what is said in it is the caller's affair.
    pub(crate) async fn tls_transport_as(&self, shown: &Pair, protocols: &[&[u8]]) -> Transport {
        let shaken = self.shakes_hands(Some(shown), protocols).await;
        Transport::Tls(Box::new(shaken.unwrap().into()))
    }

    /// Whether who shows this certificate, or none, isn't let in.
    pub(crate) async fn turns_away(&self, shown: Option<&Pair>) -> bool {
        let Ok(mut tls) = self.shakes_hands(shown, &[b"http/1.1"]).await else { return true };
        // By TLS 1.3 the client is done before the server has looked at its certificate.
        tls.write_all(b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        within("an answer", tls.read_u8()).await.is_err()
    }

    async fn shakes_hands(
        &self,
        shown: Option<&Pair>,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<Socket>> {
        let mut config = self.tls_config();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        if let Some(shown) = shown {
            let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
            let signing = any_supported_type(&key).unwrap();
            let certified = CertifiedKey::new(vec![shown.der.clone()], signing);
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        }
        let name = ServerName::try_from(HOST).unwrap();
        let socket = self.socket("https", Ipv4Addr::LOCALHOST).await;
        let connect = TlsConnector::from(Arc::new(config)).connect(name, Socket(socket));
        within("a TLS handshake", connect).await
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
