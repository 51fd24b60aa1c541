use std::{net::SocketAddr, pin::pin, sync::Arc};

use super::{
    exchange,
    place::{Next, Place},
    state::{Door, State},
};
use crate::{
    snapshot::Snapshot,
    types::Draining,
    wire::{Connection, HeadLimits, HeadTimeouts, NextHead, Transport, next_request_head},
};

/// Serves one connection: request after request until either side ends it.
pub async fn serve(
    state: Arc<State>,
    door: Arc<Door>,
    peer: SocketAddr,
    transport: Transport,
    draining: Draining,
) {
    let mut client = Connection::new(transport);
    let mut watched = draining.clone();
    let mut begun = pin!(watched.begun());
    let mut first = true;
    loop {
        let (limits, timeouts) = bounds(&state.snapshot.load(), first);
        first = false;
        let begins = client.used();
        let next = tokio::select! {
            // A request that has come is answered, drain or not.
            biased;
            next = next_request_head(&mut client, limits, timeouts) => next,
            () = &mut begun => Ok(NextHead::Closed),
        };
        // Loaded now, and not before the wait: a change may have come in between.
        let snapshot = state.snapshot.load_full();
        let mut place = Place {
            state: &state,
            snapshot: &snapshot,
            door: &door,
            peer: peer.ip(),
            begins,
            draining: draining.clone(),
        };
        // Not boxed: a box of its own for each call costs more than its room while none is there.
        let after = match next {
            Ok(NextHead::Request(head)) => exchange::run(&mut place, &mut client, &head).await,
            Ok(NextHead::Refused(denial)) => {
                exchange::refuse_head(&place, &mut client, denial).await
            }
            Ok(NextHead::Closed) => Next::Close,
            Err(_) => return,
        };
        match after {
            Next::Keep => {}
            Next::Close => {
                let _ = client.finish(snapshot.timeouts.write_stall).await;
                return;
            }
            Next::Reset => return client.stream().reset_on_drop(),
            Next::Linger => return client.linger().await,
        }
    }
}

/// A first request has to come as soon as a head; later ones may take their time.
fn bounds(snapshot: &Snapshot, first: bool) -> (HeadLimits, HeadTimeouts) {
    let (limits, timeouts) = (&snapshot.limits, &snapshot.timeouts);
    let patience = if first {
        HeadTimeouts::First { head: timeouts.head }
    } else {
        HeadTimeouts::Next { idle: timeouts.idle, head: timeouts.head }
    };
    (HeadLimits { target: limits.target, head: limits.head, fields: limits.fields }, patience)
}

#[cfg(test)]
mod tests;
