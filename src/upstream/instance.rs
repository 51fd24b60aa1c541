use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsConnector;

use super::{Unreachable, choice::Mark, names::Names, pool::Pool, race::race, standing::Standing};
use crate::{
    observe::EndpointHealth,
    snapshot::{Endpoint, UpstreamTls},
    wire::{Socket, Transport},
};

/// One endpoint of a server: what all workers know of it, and the connections that one keeps to it.
pub(super) struct Instance {
    /// Each worker counts the uses of its own.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) known: Arc<Known>,
    pub(super) pool: Pool,
}

/// What all workers know of an endpoint.
pub(super) struct Known {
    pub(super) names: Names,
    pub(super) standing: Standing,
    pub(super) mark: Mark,
    tls: Option<UpstreamTls>,
}

impl Instance {
    /// One with no connections yet, which is thought to be in.
    pub(super) fn new(
        endpoint: &Endpoint,
        tls: Option<UpstreamTls>,
        shown: Option<EndpointHealth>,
    ) -> Self {
        let known = Known {
            names: Names::new(&endpoint.host, endpoint.port),
            standing: Standing::new(shown),
            mark: Mark::of(endpoint),
            tls,
        };
        let endpoint = Arc::new(endpoint.clone());
        Self { endpoint, known: Arc::new(known), pool: Pool::default() }
    }

    /// The same for another worker.
    pub(super) fn for_worker(&self) -> Self {
        Self {
            endpoint: Arc::new((*self.endpoint).clone()),
            known: Arc::clone(&self.known),
            pool: Pool::default(),
        }
    }

    /// A new connection, by whichever of its addresses answers.
    pub(super) async fn open(&self, timeout: Duration) -> Result<Transport, Unreachable> {
        // Boxed, because it is rare and large: an exchange carries the room for all that it awaits.
        let opened = Box::pin(time::timeout(timeout, self.reach())).await;
        let opened = opened.unwrap_or(Err(Unreachable::Late));
        if matches!(opened, Err(Unreachable::Refused | Unreachable::Late)) {
            self.known.names.failed();
        }
        opened
    }

    async fn reach(&self) -> Result<Transport, Unreachable> {
        let addresses = self.known.names.addresses().await;
        let attempt = |address| open(Arc::clone(&self.endpoint), self.known.tls.clone(), address);
        let (address, transport) = race(addresses, attempt).await?;
        self.known.names.answered(address);
        Ok(transport)
    }
}

async fn open(
    endpoint: Arc<Endpoint>,
    tls: Option<UpstreamTls>,
    address: SocketAddr,
) -> io::Result<Transport> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Transport::Plain(socket)) };
    let name = ServerName::try_from(endpoint.host.to_string()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls.config).connect(name, Socket(socket)).await?;
    Ok(Transport::Tls(Box::new(stream.into())))
}
