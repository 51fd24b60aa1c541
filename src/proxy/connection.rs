use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
};

use super::{
    exchange, http2,
    place::{Next, Place, Room},
    state::{Door, State, head_limits},
};
use crate::{
    observe::ConnectionOutcome::Shed,
    policy::Ticket,
    snapshot::Snapshot,
    types::{ClientCertificate, Draining, Method},
    wire::{Client, Connection, HeadLimits, HeadTimeouts, NextHead, Transport, next_request_head},
};

/// Who has connected.
pub struct Visitor {
    /// The peer, as a PROXY header told it where there is one.
    pub peer: SocketAddr,
    /// The other end of the socket.
    pub via: IpAddr,
    /// Its place.
    pub ticket: Ticket,
    /// What it has shown in the handshake, where it was asked to.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Serves one connection, in whichever protocol the client chose, until either side ends it.
pub async fn serve(
    state: Arc<State>,
    door: Arc<Door>,
    who: Visitor,
    transport: Transport,
    draining: Draining,
) {
    if transport.speaks_http2() {
        // Boxed, or a connection of HTTP/1.1 would keep the room that this one takes.
        return Box::pin(http2::serve(state, door, who, transport, draining)).await;
    }
    http1(state, door, who, transport, draining).await;
}

/// Request after request.
async fn http1(
    state: Arc<State>,
    door: Arc<Door>,
    Visitor { peer, via, mut ticket, certificate }: Visitor,
    transport: Transport,
    draining: Draining,
) {
    let mut connection = Connection::new(transport);
    let mut watched = draining.clone();
    // Of a process that has handed over, who is connected is still answered, and the answer closes: at
    // once, a request that is on its way would be lost.
    let mut ending = pin!(watched.ending());
    let mut first = true;
    loop {
        let (limits, timeouts) = bounds(&state.world.load().snapshot, std::mem::take(&mut first));
        let begins = connection.used();
        ticket.wait();
        let next = tokio::select! {
            // A request that has come is answered, drain or not.
            biased;
            next = next_request_head(&mut connection, limits, timeouts) => next,
            () = &mut ending => Ok(NextHead::Closed),
            () = ticket.lost() => return state.metrics.connection_refused(&door.name, Shed),
        };
        if !ticket.stir() {
            return state.metrics.connection_refused(&door.name, Shed);
        }
        // Loaded now, and not before the wait: a change may have come in between.
        let world = state.world.load_full();
        let routes = Arc::clone(&world.snapshot.routes);
        let mut place = Place {
            state: &state,
            world,
            routes: &routes,
            door: &door,
            peer: peer.ip(),
            via,
            certificate: certificate.as_ref(),
            begins,
            room: Room::Connection,
            trusted: false,
            draining: draining.clone(),
            life: None,
        };
        let mut client = Client::Http1(&mut connection);
        // Not boxed: a box for each call costs more than its room while none is there.
        let after = match next {
            Ok(NextHead::Request(head)) => exchange::run(&mut place, &mut client, &head).await.next,
            Ok(NextHead::Refused(denial)) => {
                exchange::refuse_head(&place, &mut client, (denial, Method::Other)).await.next
            }
            Ok(NextHead::Silent(limit)) => {
                state.metrics.reached(limit);
                Next::Close
            }
            Ok(NextHead::Closed) => Next::Close,
            Err(_) => return,
        };
        if place.trusted {
            ticket.trust();
        }
        match after {
            Next::Keep => {}
            Next::Close => {
                return drop(connection.finish(place.snapshot().timeouts.write_stall).await);
            }
            Next::Reset => return connection.stream().reset_on_drop(),
            Next::Linger => return connection.linger().await,
        }
    }
}

/// A first request has to come as soon as a head; later ones may take their time.
fn bounds(snapshot: &Snapshot, first: bool) -> (HeadLimits, HeadTimeouts) {
    let timeouts = &snapshot.timeouts;
    let patience = if first {
        HeadTimeouts::First { head: timeouts.head }
    } else {
        HeadTimeouts::Next { idle: timeouts.idle, head: timeouts.head }
    };
    (head_limits(snapshot), patience)
}

#[cfg(test)]
mod tests;
