//! A connection on which many exchanges run at once, each a task of its own on the same worker.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    connection::Visitor,
    exchange,
    place::{End, Place, Room},
    state::{Door, State, head_limits},
    strikes,
};
use crate::{
    observe::{ConnectionOutcome, Outcome},
    policy::Ticket,
    types::{ClientCertificate, Denial, Draining, Limit, Method},
    wire::{Client, Http2, NextStream, RequestHead, Transport},
};

/// How long a client that was told to go may take to hang up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one connection until either side ends it. It ends when its last exchange does: each
/// notes what became of it, also where the client vanished.
pub(super) async fn serve(
    state: Arc<State>,
    door: Arc<Door>,
    Visitor { peer, via, mut ticket, certificate }: Visitor,
    transport: Transport,
    mut draining: Draining,
) {
    let site = Site { state, door, peer, via, certificate, draining: draining.clone() };
    let Some(mut client) = site.greet(&mut ticket, transport).await else { return };
    let mut cut = draining.clone();
    let mut exchanges = JoinSet::new();
    let mut waits = Waits::First;
    loop {
        tokio::select! {
            biased;
            next = client.next() => {
                let (next, stream) = match next {
                    NextStream::Request(head, stream) => (Ok(head), stream),
                    NextStream::Refused(denial, method, stream) => (Err((denial, method)), stream),
                    NextStream::Closed => break,
                };
                if !ticket.stir() {
                    site.shed();
                    break;
                }
                if waits == Waits::First {
                    waits = Waits::Next;
                }
                exchanges.spawn(site.clone().exchange(next, Client::Http2(Box::new(stream))));
            }
            Some(ended) = exchanges.join_next() => {
                // Whoever is banned shouldn't have a connection, but one that others use too.
                if heed(&mut client, &mut ticket, ended.ok()) && waits != Waits::Farewell && !site.is_shared() {
                    waits = Waits::Farewell;
                    client.close_gracefully();
                }
                if exchanges.is_empty() {
                    ticket.wait();
                }
            }
            () = draining.begun(), if waits != Waits::Farewell => {
                waits = Waits::Farewell;
                client.close_gracefully();
            }
            // The exchanges say their last words first, and these go with the next turn of the loop.
            () = cut.cut(), if exchanges.is_empty() => break,
            () = ticket.lost() => {
                site.shed();
                break;
            }
            // What is in force now, for it may be hours since it came.
            () = sleep(site.patience(waits)), if exchanges.is_empty() => {
                // An answer that is noted as sent may still wait for the socket.
                if client.is_busy() {
                    continue;
                }
                match waits {
                    Waits::First => site.state.metrics.reached(Limit::HeadTime),
                    Waits::Next => site.state.metrics.reached(Limit::Idle),
                    Waits::Farewell => break,
                }
                waits = Waits::Farewell;
                client.close_gracefully();
            }
        }
    }
    // The connection first: its exchanges learn from its end that the client is gone.
    drop(client);
    while exchanges.join_next().await.is_some() {}
}

/// An exchange has ended, and `None` where it panicked: what that says of its client. Whether it is
/// banned.
fn heed(client: &mut Http2<Transport>, ticket: &mut Ticket, ended: Option<(End, bool)>) -> bool {
    match ended {
        Some((end, _)) if end.status.is_none() && end.outcome == Outcome::ClientGone => {
            client.gave_up();
            false
        }
        Some((end, trusted)) => {
            if trusted {
                ticket.trust();
            }
            client.was_answered();
            end.reason == Some(strikes::BANNED)
        }
        None => {
            client.was_answered();
            false
        }
    }
}

/// What a connection waits for on which nothing is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Who connects has something to say.
    First,
    /// Later it may take its time.
    Next,
    /// It was told to go.
    Farewell,
}

/// Where the exchanges of one connection take place.
#[derive(Clone)]
struct Site {
    state: Arc<State>,
    door: Arc<Door>,
    peer: SocketAddr,
    via: IpAddr,
    certificate: Option<Arc<ClientCertificate>>,
    draining: Draining,
}

impl Site {
    /// Waits for the client's greeting.
    async fn greet(&self, ticket: &mut Ticket, transport: Transport) -> Option<Http2<Transport>> {
        let (world, metrics) = (self.state.world.load_full(), &self.state.metrics);
        let timeouts = world.snapshot.timeouts;
        let bounds = (head_limits(&world.snapshot), timeouts.write_stall);
        let mut draining = self.draining.clone();
        tokio::select! {
            greeted = timeout(timeouts.head, Http2::greet(transport, bounds, metrics.clone())) => {
                greeted.map_or_else(
                    |_| {
                        metrics.reached(Limit::HeadTime);
                        None
                    },
                    Result::ok,
                )
            }
            () = draining.ending() => None,
            () = ticket.lost() => {
                self.shed();
                None
            }
        }
    }

    fn patience(&self, waits: Waits) -> Duration {
        let timeouts = self.state.world.load().snapshot.timeouts;
        match waits {
            Waits::First => timeouts.head,
            Waits::Next => timeouts.idle,
            Waits::Farewell => FAREWELL,
        }
    }

    /// Whether the peer is a proxy, with many clients behind it.
    fn is_shared(&self) -> bool {
        self.state.world.load().snapshot.access.trusted_proxies.trusts(self.peer.ip())
    }

    /// The connection made way for another.
    fn shed(&self) {
        self.state.metrics.connection_refused(&self.door.name, ConnectionOutcome::Shed);
    }

    /// Runs one exchange, and says whether its client is to be trusted from now on. What is dropped
    /// unsent resets its stream.
    async fn exchange(
        self,
        next: Result<RequestHead, (Denial, Method)>,
        mut client: Client<'_>,
    ) -> (End, bool) {
        let Self { state, door, peer, via, certificate, draining } = self;
        let world = state.world.load_full();
        let routes = Arc::clone(&world.snapshot.routes);
        let trusted_proxies = &world.snapshot.access.trusted_proxies;
        let room = state.places.take((peer.ip(), trusted_proxies), |limit| {
            state.metrics.reached(limit);
        });
        let mut place = Place {
            state: &state,
            world,
            routes: &routes,
            door: &door,
            peer: peer.ip(),
            via,
            certificate: certificate.as_ref(),
            begins: 0,
            room: room.map_or_else(Room::Lacking, Room::Own),
            trusted: false,
            draining,
            life: None,
        };
        let end = match next {
            Ok(head) => exchange::run(&mut place, &mut client, &head).await,
            Err(refused) => exchange::refuse_head(&place, &mut client, refused).await,
        };
        client.linger().await;
        (end, place.trusted)
    }
}
