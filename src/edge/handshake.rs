use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{io::AsyncWriteExt, net::TcpStream, time};
use tokio_rustls::LazyConfigAcceptor;

use super::{
    challenges::asks_for_proof,
    client_certificates::{self, ClientAuthorities},
    room::Room,
};
use crate::{
    observe::HandshakeOutcome,
    types::ClientCertificate,
    wire::{Socket, Transport},
};

/// TLS handshakes under way, at most so many at once: each costs a signature, and a flood of them
/// would starve the streams that are open. One is under way from the client's hello on.
pub struct Handshakes {
    room: Room,
    /// For an authority that wants a proof.
    proofs: Arc<ServerConfig>,
}

/// A connection whose handshake is done.
pub struct Shaken {
    /// What is said inside.
    pub transport: Transport,
    /// What the client has shown, where it was asked to.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// A handshake that came to nothing, as it is counted.
pub type Unfinished = HandshakeOutcome;

impl Handshakes {
    /// Room for `at_once` handshakes. `proofs` is for those who ask for a proof
    /// ([`Challenges`](super::Challenges)).
    pub fn new(at_once: usize, proofs: Arc<ServerConfig>) -> Self {
        Self { room: Room::new(at_once), proofs }
    }

    /// Does one handshake, in at most `deadline`.
    ///
    /// # Errors
    /// How it is counted where it failed, was too slow, found no room or had to make way.
    pub async fn accept(
        &self,
        (config, clients): (&Arc<ServerConfig>, Option<&ClientAuthorities>),
        (socket, peer): (TcpStream, IpAddr),
        deadline: Duration,
    ) -> Result<Shaken, Unfinished> {
        let shake = self.shake((config, clients), (Socket(socket), peer));
        time::timeout(deadline, shake).await.unwrap_or(Err(HandshakeOutcome::Timeout))
    }

    async fn shake(
        &self,
        (config, clients): (&Arc<ServerConfig>, Option<&ClientAuthorities>),
        (socket, peer): (Socket, IpAddr),
    ) -> Result<Shaken, Unfinished> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await;
        let hello = hello.map_err(|_| HandshakeOutcome::Failed)?;
        // Room is taken for the work, and not for the wait before it: or a few dozen sockets that
        // say nothing would keep everyone out.
        let mut place = self.room.take(peer).ok_or(HandshakeOutcome::Busy)?;
        let version = clients.map_or(0, ClientAuthorities::version);
        let proof = asks_for_proof(&hello.client_hello());
        let config = if proof { &self.proofs } else { config };
        tokio::select! {
            stream = hello.into_stream(Arc::clone(config)) => {
                let mut stream = stream.map_err(|error| why(&error))?;
                if proof {
                    // The handshake was all (RFC 8737 3).
                    let _ = stream.shutdown().await;
                    return Err(HandshakeOutcome::Challenge);
                }
                let certificate = stream.get_ref().1.peer_certificates().map(|shown| {
                    // One that was believed and can't be read is nobody's.
                    let read = client_certificates::read(shown);
                    read.map(Arc::new).ok_or(HandshakeOutcome::Certificate)
                });
                let certificate = certificate.transpose()?;
                if let (Some(certificate), Some(clients)) = (&certificate, clients) {
                    clients.enter(certificate, version);
                }
                Ok(Shaken { transport: Transport::Tls(Box::new(stream.into())), certificate })
            }
            () = place.lost() => Err(HandshakeOutcome::Busy),
        }
    }
}

/// Why a handshake failed.
fn why(error: &std::io::Error) -> HandshakeOutcome {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(InvalidCertificate(_) | NoCertificatesPresented) => HandshakeOutcome::Certificate,
        _ => HandshakeOutcome::Failed,
    }
}
