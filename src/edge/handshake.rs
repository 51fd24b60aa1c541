use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsAcceptor;

use super::Caps;
use crate::{
    observe::HandshakeOutcome,
    wire::{Socket, Transport},
};

/// One address may hold a quarter of the room: it costs nothing to begin a handshake and then say
/// nothing, and who holds all of it keeps everybody else out.
const SHARE_OF_ONE: usize = 4;

/// TLS handshakes under way, at most so many at once: each costs a signature, and a flood of them
/// would starve the streams that are open.
pub struct Handshakes {
    room: Caps,
    deadline: Duration,
}

/// A handshake that came to nothing, as it is counted.
pub type Unfinished = HandshakeOutcome;

impl Handshakes {
    /// Room for `at_once` handshakes of at most `deadline` each.
    pub fn new(at_once: usize, deadline: Duration) -> Self {
        Self { room: Caps::new(at_once, at_once.div_ceil(SHARE_OF_ONE)), deadline }
    }

    /// Does one handshake.
    ///
    /// # Errors
    /// How it is counted where it failed, was too slow, or there was no room for one more, in all or
    /// of this peer.
    pub async fn accept(
        &self,
        config: &Arc<ServerConfig>,
        (socket, peer): (TcpStream, IpAddr),
    ) -> Result<Transport, Unfinished> {
        let _room = self.room.take(peer).ok_or(HandshakeOutcome::Busy)?;
        let accept = TlsAcceptor::from(Arc::clone(config)).accept(Socket(socket));
        match time::timeout(self.deadline, accept).await {
            Ok(Ok(stream)) => Ok(Transport::Tls(Box::new(stream.into()))),
            Ok(Err(_)) => Err(HandshakeOutcome::Failed),
            Err(_) => Err(HandshakeOutcome::Timeout),
        }
    }
}
