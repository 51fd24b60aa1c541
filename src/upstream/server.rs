use std::{
    io,
    net::SocketAddr,
    os::fd::AsRawFd,
    sync::{Arc, Once},
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsConnector;

use super::{
    dialect::Known,
    names::Names,
    pool::Pool,
    postiz,
    race::race,
    sessions::Sessions,
    shared::SharedStreams,
    turns::{Turn, Turns},
};
use crate::{
    observe::{InFlight, KnownTools, SharedStreamsMeter},
    policy::{Pins, Pressure},
    snapshot::{Dialect, DialectSetting, Upstream},
    types::Name,
    wire::{Connection, Socket, Transport},
};

/// A server that requests are forwarded to: its configuration and what is known of it now.
pub struct Server {
    /// As configured.
    pub upstream: Arc<Upstream>,
    names: Arc<Names>,
    dialect: Arc<Known>,
    tools: Arc<KnownTools>,
    pins: Option<Arc<Pins>>,
    pool: Pool,
    /// Where those that nobody uses are ended.
    pub(super) sessions: Option<Arc<Sessions>>,
    shared: Arc<SharedStreams>,
    warned: Arc<Once>,
    turns: Arc<Turns>,
    pressure: Pressure,
}

/// No connection could be made. Nothing of the request left the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// Every address refused.
    Refused,
    /// None answered in time.
    Late,
    /// One did, and the descriptors of the process are short.
    NoRoom,
}

impl Server {
    /// A server with no connections yet. Asks nobody anything.
    pub fn new(upstream: Arc<Upstream>) -> Self {
        let names = Names::new(&upstream.endpoint.host, upstream.endpoint.port);
        let dialect = Known::new(upstream.dialect);
        let sessions = upstream.session_idle.map(|idle| Arc::new(Sessions::new(idle)));
        let turns = Arc::new(Turns::new(upstream.max_requests, None));
        let pins = upstream.pin.as_ref().map(|pin| Arc::new(pin.pins()));
        Self {
            upstream,
            names: Arc::new(names),
            dialect: Arc::new(dialect),
            tools: Arc::default(),
            pins,
            pool: Pool::default(),
            sessions,
            shared: Arc::new(SharedStreams::new(None)),
            warned: Arc::new(Once::new()),
            turns,
            pressure: Pressure::none(),
        }
    }

    /// The same server with its requests shown, and no connections where descriptors are short.
    pub fn within(self, shown: InFlight, pressure: Pressure) -> Self {
        let turns = Arc::new(Turns::new(self.upstream.max_requests, Some(shown)));
        Self { turns, pressure, ..self }
    }

    /// The same server with its shared streams shown.
    pub fn counting(self, meter: SharedStreamsMeter) -> Self {
        Self { shared: Arc::new(SharedStreams::new(Some(meter))), ..self }
    }

    /// The same server, which another configuration had before: what is known of its tools stays known,
    /// and trusted, where they are pinned as they were.
    pub fn after(self, old: &Self) -> Self {
        let (own, before) = (self.upstream.pin.as_ref(), old.upstream.pin.as_ref());
        let pins = if own == before { old.pins.clone() } else { self.pins.clone() };
        let (tools, warned) = (Arc::clone(&old.tools), Arc::clone(&old.warned));
        Self { pins, tools, warned, ..self }
    }

    /// The same server with connections of its own, for a worker's own runtime.
    pub fn for_worker(&self) -> Self {
        Self {
            upstream: Arc::clone(&self.upstream),
            names: Arc::clone(&self.names),
            dialect: Arc::clone(&self.dialect),
            tools: Arc::clone(&self.tools),
            pins: self.pins.clone(),
            pool: Pool::default(),
            sessions: self.sessions.clone(),
            shared: Arc::clone(&self.shared),
            warned: Arc::clone(&self.warned),
            turns: Arc::clone(&self.turns),
            pressure: self.pressure.clone(),
        }
    }

    /// A request's turn there, unless `max_requests` are under way.
    pub fn turn(&self) -> Option<Turn> {
        self.turns.take()
    }

    /// A connection: a kept one that is still quiet, or a new one.
    ///
    /// # Errors
    /// Where no address answered within `timeout`.
    pub async fn connection(
        &self,
        timeout: Duration,
    ) -> Result<Connection<Transport>, Unreachable> {
        if let Some(kept) = self.pool.take() {
            return Ok(kept);
        }
        self.connect_anew(timeout).await
    }

    /// A new connection.
    pub(super) async fn connect_anew(
        &self,
        timeout: Duration,
    ) -> Result<Connection<Transport>, Unreachable> {
        // Boxed, because it is rare and large: an exchange carries the room for all that it awaits.
        let connected = Box::pin(time::timeout(timeout, self.connect())).await;
        let connected = connected
            .map_or(Err(Unreachable::Late), |connected| connected.ok_or(Unreachable::Refused));
        if connected.is_err() {
            self.names.failed();
            self.dialect.lose();
        }
        let transport = connected?;
        let of_upstream = |socket: &TcpStream| self.pressure.of_upstream(socket.as_raw_fd());
        if transport.socket().is_some_and(of_upstream) {
            return Err(Unreachable::NoRoom);
        }
        Ok(Connection::new(transport))
    }

    /// Keeps a connection for the next request. Only for one whose answer was read to its end and
    /// that both sides keep open.
    pub fn keep(&self, connection: Connection<Transport>) {
        self.pool.keep(connection);
    }

    /// Warns of how the server is set up: once in the life of the process, whoever sees it.
    pub fn warn_once(&self, warn: impl FnOnce(&Name)) {
        self.warned.call_once(|| warn(&self.upstream.name));
    }

    /// Asks for the server's addresses again and again. Ends only when dropped.
    pub async fn keep_names_fresh(&self) {
        self.names.keep_fresh().await;
    }

    /// Whether its host is at an address now. The address is canonical.
    pub fn is_at(&self, ip: std::net::IpAddr) -> bool {
        self.names.is_at(ip)
    }

    /// Its tools that are known by name.
    pub fn tools(&self) -> &KnownTools {
        &self.tools
    }

    /// Its tools as they were trusted, where the configuration pins them.
    pub fn pins(&self) -> Option<&Arc<Pins>> {
        self.pins.as_ref()
    }

    /// How it speaks MCP, where that is configured or was found out.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect.get()
    }

    /// Its streams that clients share, where it is of those that know no client from another of one key.
    pub fn shared_streams(&self) -> Option<&Arc<SharedStreams>> {
        self.streams_to_share().filter(|_| self.dialect() == Some(Dialect::LegacySse))
    }

    /// The same, and where it may be one of those: while that is being found out, a stream of its own
    /// would bring a client the answers of all others.
    pub fn streams_to_share(&self) -> Option<&Arc<SharedStreams>> {
        let may_be = match (self.dialect(), self.upstream.dialect) {
            (Some(dialect), _) => dialect == Dialect::LegacySse,
            (None, setting) => setting == Some(DialectSetting::Auto),
        };
        (self.upstream.shared_streams && may_be).then_some(&self.shared)
    }

    /// Finds out how it speaks, again and again, where the configuration wants that; else it ends at
    /// once. `wants_bearer`: some route puts keys into `Authorization`, which not all can read.
    pub async fn keep_dialect_known(&self, wants_bearer: bool) {
        self.dialect.keep_asking((&self.upstream.name, wants_bearer), || postiz::find(self)).await;
    }

    /// Closes connections that were idle for too long.
    pub fn sweep_idle(&self) {
        self.pool.sweep();
    }

    async fn connect(&self) -> Option<Transport> {
        let addresses = self.names.addresses().await;
        let (address, transport) =
            race(addresses, |address| open(Arc::clone(&self.upstream), address)).await?;
        self.names.answered(address);
        Some(transport)
    }
}

async fn open(upstream: Arc<Upstream>, address: SocketAddr) -> io::Result<Transport> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let Some(tls) = &upstream.tls else { return Ok(Transport::Plain(socket)) };
    let name =
        ServerName::try_from(upstream.endpoint.host.to_string()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, Socket(socket)).await?;
    Ok(Transport::Tls(Box::new(stream.into())))
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, select};

    use super::*;
    use crate::upstream::tests::server;

    #[tokio::test(start_paused = true)]
    async fn where_no_address_answers_the_name_is_asked_for_again() {
        const PATIENCE: Duration = Duration::from_secs(5);
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let living = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server("name.test", 1);
        let now = std::sync::Mutex::new(vec![gone]);
        let ask = || async { Ok(now.lock().unwrap().clone()) };
        let moved = async {
            assert!(server.connection(PATIENCE).await.is_err());
            *now.lock().unwrap() = vec![gone, living.local_addr().unwrap()];
            time::sleep(Duration::from_secs(2)).await;
            for _ in 0..2 {
                assert!(server.connection(PATIENCE).await.is_ok());
            }
            let first = server.names.addresses().await.first().copied();
            assert_eq!(first, living.local_addr().ok(), "the one that answered is begun with");
        };
        select! {
            () = server.names.keep_asking(ask) => {}
            () = moved => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_name_service_holds_a_request_no_longer_than_its_deadline() {
        let server = server("name.test", 1);
        let begun = time::Instant::now();
        let connection = async {
            assert!(server.connection(Duration::from_secs(5)).await.is_err());
            assert_eq!(begun.elapsed().as_secs(), 5);
        };
        select! {
            () = server.names.keep_asking(std::future::pending) => {}
            () = connection => {}
        }
    }
}
