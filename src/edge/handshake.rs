use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{net::TcpStream, time};
use tokio_rustls::LazyConfigAcceptor;

use super::Caps;
use crate::{
    observe::HandshakeOutcome,
    wire::{Socket, Transport},
};

/// One address may hold a quarter of the room: it costs little to begin a handshake and then say
/// nothing more, and who holds all of it keeps everybody else out.
const SHARE_OF_ONE: usize = 4;

/// TLS handshakes under way, at most so many at once: each costs a signature, and a flood of them
/// would starve the streams that are open. One is under way from the client's hello on.
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
        let shake = self.shake(config, (Socket(socket), peer));
        time::timeout(self.deadline, shake).await.unwrap_or(Err(HandshakeOutcome::Timeout))
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
        let _room = self.room.take(peer).ok_or(HandshakeOutcome::Busy)?;
        let stream = hello.into_stream(Arc::clone(config)).await;
        let stream = stream.map_err(|_| HandshakeOutcome::Failed)?;
        Ok(Transport::Tls(Box::new(stream.into())))
    }
}
