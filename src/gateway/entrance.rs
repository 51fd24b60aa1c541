use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    boot::BootError,
    crew::{Crew, Post},
    sockets::Sockets,
    turnstile::Turnstile,
};
use crate::{
    edge::{
        self, Certificates, ClientAuthorities, Gatekeeper, Handshakes, Knock, Observed, Shaken,
    },
    host::{Socket, accept_all},
    observe::{ConnectionOutcome, HandshakeOutcome},
    policy::{Places, Ticket},
    proxy::{self, Door, DoorKind, State, Visitor},
    snapshot::{Listener, ListenerKind, Snapshot, Tls},
    types::{Draining, Limit, Name},
    wire::Transport,
};

/// A bound listener, and what a connection passes before it is HTTP.
pub(super) struct Entrance {
    configured: SocketAddr,
    socket: std::net::TcpListener,
    way: Arc<ArcSwap<Way>>,
    closed: oneshot::Receiver<()>,
}

/// What may wait in the system for a client that doesn't read, in bytes. Its own bound is megabytes, and
/// with 2,000 such clients it has no room left for anybody's packets.
const MOST_UNSENT: u32 = 128 * 1024;

/// How a connection gets in. It goes the way that it began.
pub(super) struct Way {
    door: Arc<Door>,
    /// Whether a PROXY header comes first.
    wants_header: bool,
    tls: Option<Speaks>,
    places: Places,
    handshakes: Arc<Handshakes>,
}

/// How it speaks TLS.
#[derive(Clone)]
pub(super) struct Speaks {
    pub(super) certificates: Certificates,
    /// Where clients are asked for theirs.
    pub(super) clients: Option<ClientAuthorities>,
    config: Arc<ServerConfig>,
}

impl Speaks {
    fn new(tls: &Tls) -> Result<Self, rustls::Error> {
        let certificates = Certificates::new(tls);
        let clients = tls.clients.as_ref().map(ClientAuthorities::new);
        let config = edge::server_config(&certificates, clients.as_ref(), tls.http2)?;
        Ok(Self { certificates, clients, config })
    }

    /// Whether it can go on as this, with other certificates and authorities alone.
    fn suits(&self, tls: &Tls) -> bool {
        let http2 = self.config.alpn_protocols.len() > 1;
        http2 == tls.http2 && self.clients.is_some() == tls.clients.is_some()
    }

    /// It goes, and another speaks in its place.
    pub(super) fn retire(&self) {
        if let Some(clients) = &self.clients {
            clients.retire();
        }
    }

    /// Whether it is the same, whatever is shown by it.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Takes the certificates and authorities of a new configuration.
    pub(super) fn replace(&self, tls: &Tls) {
        self.certificates.replace(tls);
        if let Some((clients, authority)) = self.clients.as_ref().zip(tls.clients.as_ref()) {
            clients.replace(Arc::clone(authority));
        }
    }
}

impl Entrance {
    /// Takes or binds the socket of a listener, until `closed`.
    pub(super) fn bind(
        listener: &Listener,
        (way, closed): (Arc<ArcSwap<Way>>, oneshot::Receiver<()>),
        sockets: &Sockets,
    ) -> Result<Self, BootError> {
        let socket = sockets.tcp(listener.name.as_str(), listener.address)?;
        Ok(Self { configured: listener.address, socket, way, closed })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, BootError> {
        self.socket.local_addr().map_err(BootError::Socket)
    }

    pub(super) fn socket(&self) -> Socket {
        Socket { address: self.configured.to_string(), descriptor: self.socket.as_raw_fd() }
    }

    /// The socket, for who needs a handle of its own.
    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Accepts until the drain begins, the listener is closed, or another process accepts.
    pub(super) async fn serve(
        self,
        crew: Arc<Crew>,
        state: Arc<State>,
        (draining, turnstile): (Draining, Turnstile),
    ) {
        let listener = match TcpListener::from_std(self.socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a listener can't be served"),
        };
        let mut held = draining.clone();
        let take = |socket: TcpStream, peer: SocketAddr| {
            let way = self.way.load_full();
            // Before anything is spawned or read: a refused peer costs an accept and a close.
            let knock = Knock {
                peer: peer.ip(),
                wants_header: way.wants_header,
                pressed: state.pressure.at_the_door(socket.as_raw_fd()),
            };
            let world = state.world.load();
            let let_in = edge::let_in(keeper(&state, &world.snapshot), &way.places, &knock);
            let Some(mut ticket) = way.counted(let_in, &state) else { return };
            // For its hello, or its first head.
            ticket.wait();
            // The socket leaves the runtime that accepted it, for the one that will serve it.
            let Ok(socket) = socket.into_std() else { return };
            let draining = draining.clone();
            crew.take(|state, post| way.pass(state, (socket, peer), (ticket, post), draining));
        };
        // No socket can be had, so there is nobody to close: those who have waited longest make way.
        let starved = || {
            state.metrics.reached(Limit::Descriptors);
            let beyond = state.pressure.beyond_the_mark();
            let _ = (0..beyond).all(|_| self.way.load().places.shed_oldest());
        };
        let mut closed = self.closed;
        loop {
            tokio::select! {
                biased;
                () = turnstile.shuts() => {}
                () = accept_all(&listener, held.clone(), (&take, &starved)) => return,
                _ = &mut closed => return,
            }
            let opens = tokio::select! {
                () = held.begun() => return,
                _ = &mut closed => return,
                opens = turnstile.opens() => opens,
            };
            if !opens {
                return;
            }
        }
    }
}

fn keeper<'s>(state: &'s State, snapshot: &'s Snapshot) -> Gatekeeper<'s> {
    Gatekeeper { snapshot, bans: &state.bans, metrics: &state.metrics }
}

impl Way {
    /// The way in by a listener. One that goes on speaking TLS as before keeps its tickets and its
    /// certificates, in whose place others are put then.
    pub(super) fn new(
        listener: &Listener,
        (places, handshakes): (&Places, &Arc<Handshakes>),
        before: Option<&Self>,
    ) -> Result<Self, BootError> {
        let kind = match &listener.kind {
            ListenerKind::Plain => DoorKind::Plain,
            ListenerKind::Redirect { port } => DoorKind::Redirect { port: *port },
            ListenerKind::Tls(_) => DoorKind::Tls,
        };
        let failed = |source| BootError::Tls { listener: listener.name.to_string(), source };
        let speak = |tls: &Tls| match before.and_then(|way| way.tls.clone()) {
            Some(before) if before.suits(tls) => Ok(before),
            _ => Speaks::new(tls).map_err(failed),
        };
        let tls = listener.tls().map(speak).transpose()?;
        Ok(Self {
            door: Arc::new(Door { name: listener.name.clone(), kind }),
            wants_header: listener.proxy_protocol,
            tls,
            places: places.clone(),
            handshakes: Arc::clone(handshakes),
        })
    }

    /// The listener's name.
    pub(super) fn name(&self) -> &Name {
        &self.door.name
    }

    /// How a TLS listener speaks.
    pub(super) const fn tls(&self) -> Option<&Speaks> {
        self.tls.as_ref()
    }

    /// One connection, from the socket to its end.
    async fn pass(
        self: Arc<Self>,
        state: Arc<State>,
        (socket, peer): (std::net::TcpStream, SocketAddr),
        (mut ticket, _post): (Ticket, Post),
        mut draining: Draining,
    ) {
        // Events are small and must not wait for more of them.
        let Ok(mut socket) = TcpStream::from_std(socket) else { return };
        if socket.set_nodelay(true).is_err() {
            return;
        }
        // Where the system has no such bound, its own has to do.
        let _ = SockRef::from(&socket).set_tcp_notsent_lowat(MOST_UNSENT);
        let via = peer.ip();
        let peer = if self.wants_header {
            tokio::select! {
                // Boxed, as the handshake is.
                told = Box::pin(self.told(&state, (&mut socket, peer), &mut ticket)) => told,
                () = draining.ending() => return,
            }
        } else {
            Some(peer)
        };
        let Some(peer) = peer else { return };
        let _open = state.metrics.connection_opened(&self.door.name);
        let Shaken { transport, certificate } = match &self.tls {
            None => Shaken { transport: Transport::Plain(socket), certificate: None },
            Some(Speaks { config, clients, .. }) => {
                let deadline = state.world.load().snapshot.timeouts.handshake;
                let shaken = self.handshakes.accept(
                    (config, clients.as_ref()),
                    (socket, peer.ip()),
                    deadline,
                );
                let accepted = tokio::select! {
                    // Boxed, or every open connection would keep the room that its handshake took.
                    accepted = Box::pin(shaken) => accepted,
                    () = ticket.lost() => {
                        let shed = ConnectionOutcome::Shed;
                        return state.metrics.connection_refused(&self.door.name, shed);
                    }
                    () = draining.ending() => return,
                };
                let outcome = accepted.as_ref().err().copied().unwrap_or(HandshakeOutcome::Ok);
                match outcome {
                    HandshakeOutcome::Busy => state.metrics.reached(Limit::Handshakes),
                    HandshakeOutcome::Timeout => state.metrics.reached(Limit::HandshakeTime),
                    HandshakeOutcome::Ok
                    | HandshakeOutcome::Failed
                    | HandshakeOutcome::Challenge
                    | HandshakeOutcome::Certificate => {}
                }
                state.metrics.handshake(&self.door.name, outcome);
                let Ok(shaken) = accepted else { return };
                shaken
            }
        };
        let door = Arc::clone(&self.door);
        proxy::serve(state, door, Visitor { peer, via, ticket, certificate }, transport, draining)
            .await;
    }

    /// The peer that a PROXY header tells, once it has been let in as any other; `None` where the
    /// connection is closed, and counted.
    async fn told(
        &self,
        state: &State,
        (socket, peer): (&mut TcpStream, SocketAddr),
        ticket: &mut Ticket,
    ) -> Option<SocketAddr> {
        let snapshot = Arc::clone(&state.world.load().snapshot);
        let header = tokio::select! {
            header = edge::take_proxy_header(socket, snapshot.timeouts.handshake) => header,
            () = ticket.lost() => return self.counted(Err(ConnectionOutcome::Shed), state),
        };
        let told = header.map_err(|_| ConnectionOutcome::ProxyHeader).and_then(|header| {
            let Some(told) = header.source else { return Ok((peer, None)) };
            Ok((told, edge::let_in_told(keeper(state, &snapshot), ticket, told.ip())?))
        });
        self.counted(told, state)
    }

    /// Who was let in, if anyone was; counted where they weren't, or lists in observe mode would have
    /// refused them.
    fn counted<T>(
        &self,
        let_in: Result<(T, Observed), ConnectionOutcome>,
        state: &State,
    ) -> Option<T> {
        match let_in {
            Ok((who, observed)) => {
                if let Some(denial) = observed {
                    state.metrics.connection_observed(denial);
                }
                Some(who)
            }
            Err(outcome) => {
                state.metrics.connection_refused(&self.door.name, outcome);
                None
            }
        }
    }
}
