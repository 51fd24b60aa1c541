//! An exchange on a `web` route: a page, an upload of any size, a download, a WebSocket. Its bodies
//! pass in both directions as they come, and none is held.

mod compose;
mod relay;
mod tunnel;
mod upload;

use std::{sync::Arc, time::Instant};

use http::StatusCode;

use super::{
    admit, alive,
    forward::Answered,
    place::{End, Known, Next, Place, Stopped, WebEntered},
    relay::is_event_stream,
};
use crate::{
    snapshot::Endpoint,
    types::Denial,
    upstream::{Affinity, Reached},
    wire::{Client, RequestHead},
};

/// Answers one request.
pub(super) async fn answer(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    (head, entered): (&RequestHead, &WebEntered<'_, '_>),
    known: &mut Known,
) -> Result<End, Stopped> {
    let visit = admit::visit(place, head, entered)?;
    alive::enter(place, known, None)?;
    let upstream = &entered.lead.route.upstream;
    known.upstream = Some(upstream.name.clone());
    let server = place.world.server(entered.lead.route).ok_or(Denial::UpstreamDown)?;
    let started = Instant::now();
    let admit::Visit { permit, max_body, upgrade, turn: _turn } = visit;
    // One visitor stays at one endpoint: what it was told there may be known there alone.
    let affinity = server.affinity(|| Affinity::of_visitor(entered.source.client));
    let asked = upload::Asked { place, server, affinity, head, max_body, upgrade };
    let composed = |at: &Endpoint| compose::head((head, at), entered, upgrade, place.routes);
    let (reached, answered) = asked.send(&permit, client, composed, known).await?;
    let at = Instant::now();
    place.state.metrics.upstream_answered(&server.upstream.name, at - started);
    let Reached { endpoint, connection: upstream } = reached;
    let server = Arc::clone(server);
    let mut answer = Answered { server, endpoint, upstream, head: answered, at };
    let switches = answer.head.status == StatusCode::SWITCHING_PROTOCOLS;
    let opens = switches || is_event_stream(&answer);
    // Known only now; nothing of the answer has gone to the client yet.
    let per_address = place.snapshot().limits.streams_per_address;
    let open = || place.state.leases.open_keyless(entered.source.client, per_address);
    let _lease = opens.then(open).transpose()?;
    if switches {
        return Ok(tunnel::run(place, client, (head, entered), &mut answer, known).await);
    }
    let mut end = relay::relay(place, client, (head, entered), &mut answer, known).await;
    // What the client still sends, of its body or behind an offer that wasn't taken, is read away,
    // so that it can read the answer.
    if end.next == Next::Close && (!known.in_step || head.upgrade.is_some()) {
        end.next = Next::Linger;
    }
    answer.settle();
    Ok(end)
}
