use std::{sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{net::TcpStream, sync::Semaphore, time};
use tokio_rustls::TlsAcceptor;

use crate::{
    observe::HandshakeOutcome,
    wire::{Socket, Transport},
};

/// TLS handshakes under way, at most so many at once: each costs a signature, and a flood of them
/// would starve the streams that are open.
pub struct Handshakes {
    free: Semaphore,
    deadline: Duration,
}

/// A handshake that came to nothing, as it is counted.
pub type Unfinished = HandshakeOutcome;

impl Handshakes {
    /// Room for `at_once` handshakes of at most `deadline` each.
    pub fn new(at_once: usize, deadline: Duration) -> Self {
        Self { free: Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)), deadline }
    }

    /// Does one handshake.
    ///
    /// # Errors
    /// How it is counted where it failed, was too slow, or there was no room.
    pub async fn accept(
        &self,
        config: &Arc<ServerConfig>,
        socket: TcpStream,
    ) -> Result<Transport, Unfinished> {
        let _room = self.free.try_acquire().map_err(|_| HandshakeOutcome::Busy)?;
        let accept = TlsAcceptor::from(Arc::clone(config)).accept(Socket(socket));
        match time::timeout(self.deadline, accept).await {
            Ok(Ok(stream)) => Ok(Transport::Tls(Box::new(stream.into()))),
            Ok(Err(_)) => Err(HandshakeOutcome::Failed),
            Err(_) => Err(HandshakeOutcome::Timeout),
        }
    }
}
