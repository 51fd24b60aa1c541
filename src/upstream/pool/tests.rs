use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::*;
use crate::wire::Socket;

/// A connection to a server under TLS, and the server's end of it.
async fn tls_pair() -> (Transport, Transport) {
    let made = rcgen::generate_simple_self_signed(["upstream.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (here, there) = tokio::join!(connect, listener.accept());
    let (here, there) = (here.unwrap(), there.unwrap().0);
    let name = ServerName::try_from("upstream.test").unwrap();
    let (connected, accepted) = tokio::join!(
        TlsConnector::from(Arc::new(client)).connect(name, Socket(here)),
        TlsAcceptor::from(Arc::new(server)).accept(Socket(there)),
    );
    let tls = |stream: TlsStream<Socket>| Transport::Tls(Box::new(stream));
    (tls(connected.unwrap().into()), tls(accepted.unwrap().into()))
}

#[tokio::test]
async fn a_connection_with_decrypted_bytes_left_is_not_used_again() {
    let pool = Pool::default();
    for (left, used_again) in [("", true), ("}", false)] {
        let (mut here, mut there) = tls_pair().await;
        // One record: what isn't read of it is in no socket any more.
        there.write_all(format!("{{{left}").as_bytes()).await.unwrap();
        assert_eq!(here.read_u8().await.unwrap(), b'{');
        pool.keep(Connection::new(here));
        assert_eq!(pool.take().is_some(), used_again, "{left}");
    }
}
