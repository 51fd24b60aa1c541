//! A connection that both sides agreed to switch: from here on its bytes are theirs.

use super::{
    super::{
        alive,
        forward::Answered,
        place::{End, Known, Next, Place, WebEntered, keeping_up},
        record,
    },
    relay::write_fields,
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    live::Kind,
    observe::Outcome,
    types::Limit,
    wire::{Client, RequestHead, tunnel},
};

/// Tells the client of the switch, and brings bytes both ways until either side is gone. What the
/// client sent behind its offer goes on only now.
pub(super) async fn run(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    (head, entered): (&RequestHead, &WebEntered<'_, '_>),
    answer: &mut Answered,
    known: &Known,
) -> End {
    let status = answer.head.status.as_u16();
    let stall = place.snapshot().timeouts.write_stall;
    let mut out = client.answer(answer.head.status);
    write_fields(&mut out, place.door.kind, (head, entered), answer);
    out.end_switch("websocket");
    let told = client.send(&mut out, stall).await;
    // Neither end is any more what a pool or a next request could use.
    answer.head.persistent = false;
    let told = record::was_sent(place, &told);
    let (Client::Http1(connection), true) = (client, told) else { return End::gone() };
    record::stream_opened(place, known, status, connection.used() - place.begins);
    let _open = place.state.metrics.stream_opened(&entered.lead.route.name, None);
    // Either side may be silent for hours, or gone without a word.
    connection.stream().probe_when_idle();
    answer.upstream.stream().probe_when_idle();
    let uncounted = AtomicU64::new(0);
    let Place { world, state, life, draining, .. } = &mut *place;
    let life = life.as_ref();
    if let Some(life) = life {
        life.becomes(Kind::Tunnel);
    }
    let sent = life.map_or(&uncounted, |life| life.bytes());
    let ended = tokio::select! {
        ended = tunnel(connection, &mut answer.upstream, stall, sent) => ended,
        never = keeping_up(world, state) => match never {},
        why = alive::ended(life) => {
            let told = (answer.at - known.started, sent.load(Relaxed));
            return End::severed((status, why), told);
        }
        () = draining.cut() => {
            state.metrics.reached(Limit::Shutdown);
            return end(status, known, answer, (Outcome::Cut, sent.load(Relaxed)));
        }
    };
    let sent = sent.load(Relaxed);
    let outcome =
        if record::was_sent(place, &ended) { Outcome::Answered } else { Outcome::ClientGone };
    end(status, known, answer, (outcome, sent))
}

fn end(status: u16, known: &Known, answer: &Answered, (outcome, bytes_out): (Outcome, u64)) -> End {
    End {
        status: Some(status),
        outcome,
        reason: None,
        first_byte: Some(answer.at - known.started),
        bytes_out,
        next: Next::Close,
    }
}
