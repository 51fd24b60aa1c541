use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

use crate::types::Draining;

/// How long accepting rests when the process is out of descriptors or memory. What waits in the
/// backlog goes on waiting; spinning would only take the processor from those who could end.
const REST: Duration = Duration::from_millis(50);

/// Accepts connections until the drain begins, and hands each over without waiting for it.
pub async fn accept_all(
    listener: TcpListener,
    mut draining: Draining,
    take: impl Fn(TcpStream, SocketAddr),
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = draining.begun() => return,
        };
        match accepted {
            Ok((socket, peer)) => take(socket, peer),
            // Gone before it was accepted: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "can't accept");
                time::sleep(REST).await;
            }
        }
    }
}
