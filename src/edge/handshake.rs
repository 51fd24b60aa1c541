use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{io::AsyncWriteExt, net::TcpStream, time};
use tokio_rustls::LazyConfigAcceptor;

use super::{challenges::asks_for_proof, room::Room};
use crate::{
    observe::HandshakeOutcome,
    wire::{Socket, Transport},
};

/// TLS handshakes under way, at most so many at once: each costs a signature, and a flood of them
/// would starve the streams that are open. One is under way from the client's hello on.
pub struct Handshakes {
    room: Room,
    /// For an authority that wants a proof.
    proofs: Arc<ServerConfig>,
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
        config: &Arc<ServerConfig>,
        (socket, peer): (TcpStream, IpAddr),
        deadline: Duration,
    ) -> Result<Transport, Unfinished> {
        let shake = self.shake(config, (Socket(socket), peer));
        time::timeout(deadline, shake).await.unwrap_or(Err(HandshakeOutcome::Timeout))
    }

    async fn shake(
        &self,
        config: &Arc<ServerConfig>,
        (socket, peer): (Socket, IpAddr),
    ) -> Result<Transport, Unfinished> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await;
        let hello = hello.map_err(|_| HandshakeOutcome::Failed)?;
        // Room is taken for the work, and not for the wait before it: or a few dozen sockets that
        // say nothing would keep everyone out.
        let mut place = self.room.take(peer).ok_or(HandshakeOutcome::Busy)?;
        let proof = asks_for_proof(&hello.client_hello());
        let config = if proof { &self.proofs } else { config };
        tokio::select! {
            stream = hello.into_stream(Arc::clone(config)) => {
                let mut stream = stream.map_err(|_| HandshakeOutcome::Failed)?;
                if proof {
                    // The handshake was all (RFC 8737 3).
                    let _ = stream.shutdown().await;
                    return Err(HandshakeOutcome::Challenge);
                }
                Ok(Transport::Tls(Box::new(stream.into())))
            }
            () = place.lost() => Err(HandshakeOutcome::Busy),
        }
    }
}
