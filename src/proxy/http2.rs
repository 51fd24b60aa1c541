//! A connection on which many exchanges run at once, each a task of its own on the same worker.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use super::{
    exchange,
    place::{End, Place, Room},
    state::{Door, State, head_limits},
    strikes,
};
use crate::{
    observe::Outcome,
    types::{Denial, Draining, Method},
    wire::{Client, Http2, NextStream, RequestHead, Transport},
};

/// How long a client that was told to go may take to hang up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one connection until either side ends it. It ends when its last exchange does: each
/// notes what became of it, also where the client vanished.
pub(super) async fn serve(
    state: Arc<State>,
    door: Arc<Door>,
    peer: SocketAddr,
    transport: Transport,
    mut draining: Draining,
) {
    let snapshot = state.snapshot.load_full();
    let timeouts = snapshot.timeouts;
    let greeting = Http2::greet(transport, head_limits(&snapshot), timeouts.write_stall);
    let greeted = tokio::select! {
        greeted = timeout(timeouts.head, greeting) => greeted,
        () = draining.begun() => return,
    };
    let Ok(Ok(mut client)) = greeted else { return };
    drop(snapshot);
    let mut cut = draining.clone();
    let mut exchanges = JoinSet::new();
    // Who connects has something to say; later it may take its time.
    let mut patience = timeouts.head;
    let mut leaving = false;
    let site = Site { state, door, peer, draining: draining.clone() };
    loop {
        tokio::select! {
            biased;
            next = client.next() => {
                let (next, stream) = match next {
                    NextStream::Request(head, stream) => (Ok(head), stream),
                    NextStream::Refused(denial, method, stream) => (Err((denial, method)), stream),
                    NextStream::Closed => break,
                };
                if !leaving {
                    patience = timeouts.idle;
                }
                exchanges.spawn(site.clone().exchange(next, Client::Http2(Box::new(stream))));
            }
            Some(ended) = exchanges.join_next() => {
                // Whoever is banned shouldn't have a connection.
                if hear_of(&mut client, ended) == Some(strikes::BANNED) && !leaving {
                    (leaving, patience) = (true, FAREWELL);
                    client.close_gracefully();
                }
            }
            () = draining.begun(), if !leaving => {
                (leaving, patience) = (true, FAREWELL);
                client.close_gracefully();
            }
            // The exchanges say their last words first, and these go with the next turn of the loop.
            () = cut.cut(), if exchanges.is_empty() => break,
            () = sleep(patience), if exchanges.is_empty() => {
                // An answer that is noted as sent may still wait for the socket.
                if client.is_busy() {
                    continue;
                }
                if leaving {
                    break;
                }
                (leaving, patience) = (true, FAREWELL);
                client.close_gracefully();
            }
        }
    }
    // The connection first: its exchanges learn from its end that the client is gone.
    drop(client);
    while exchanges.join_next().await.is_some() {}
}

/// Tells the connection how one of its exchanges ended; for which reason.
fn hear_of(client: &mut Http2<Transport>, ended: Result<End, JoinError>) -> Option<&'static str> {
    match ended {
        Ok(end) if end.status.is_none() && end.outcome == Outcome::ClientGone => {
            client.gave_up();
            None
        }
        ended => {
            client.was_answered();
            ended.ok()?.reason
        }
    }
}

/// Where the exchanges of one connection take place.
#[derive(Clone)]
struct Site {
    state: Arc<State>,
    door: Arc<Door>,
    peer: SocketAddr,
    draining: Draining,
}

impl Site {
    /// Runs one exchange. What is dropped unsent resets its stream.
    async fn exchange(
        self,
        next: Result<RequestHead, (Denial, Method)>,
        mut client: Client<'_>,
    ) -> End {
        let Self { state, door, peer, draining } = self;
        let snapshot = state.snapshot.load_full();
        let mut place = Place {
            state: &state,
            snapshot: &snapshot,
            door: &door,
            peer: peer.ip(),
            begins: 0,
            room: state
                .places
                .take(peer.ip(), &snapshot.access.trusted_proxies)
                .map_or(Room::Lacking, Room::Own),
            draining,
        };
        let end = match next {
            Ok(head) => exchange::run(&mut place, &mut client, &head).await,
            Err(refused) => exchange::refuse_head(&place, &mut client, refused).await,
        };
        client.linger().await;
        end
    }
}
