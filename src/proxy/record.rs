//! What is noted of an exchange: once, at its end, from what is known and what became of it.

use std::io;

use super::{
    audit,
    place::{End, Known, Place},
};
use crate::{
    mcp::{Body, Message},
    observe::{Batched, Event, Outcome, Record, ToolLabel},
    types::{Denial, Limit},
};

/// The exchange has ended.
pub(super) fn ended(place: &Place<'_>, known: &Known, end: &End, bytes_in: u64) {
    let record = Record {
        status: end.status,
        outcome: end.outcome,
        reason: end.reason,
        first_byte: end.first_byte,
        bytes_in,
        bytes_out: end.bytes_out,
        ..so_far(place, known, Event::Exchange)
    };
    place.state.metrics.record(&record);
    place.state.log.record(&record);
    audit::ended(place, known, &record);
}

/// A cap has refused it, where one has.
pub(super) fn reached(place: &Place<'_>, denial: Denial) {
    if let Some(limit) = denial.limit() {
        place.state.metrics.reached(limit);
    }
}

/// Whether the client has taken what was sent; where it didn't for too long that is counted.
pub(super) fn was_sent(place: &Place<'_>, sent: &io::Result<()>) -> bool {
    if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        place.state.metrics.reached(Limit::WriteStall);
    }
    sent.is_ok()
}

/// A stream has opened; its end may be hours away.
pub(super) fn stream_opened(place: &Place<'_>, known: &Known, status: u16, bytes_in: u64) {
    let so_far = so_far(place, known, Event::StreamOpened);
    let record = Record { status: Some(status), bytes_in, ..so_far };
    place.state.log.record(&record);
}

/// What is known of it by now.
pub(super) fn so_far(place: &Place<'_>, known: &Known, event: Event) -> Record {
    let label = |message: &Message| label(place, known, message);
    let batched =
        |message: &Message| Batched { method: message.method.as_str(), tool: label(message) };
    let (mcp_method, tool, batch) = match &known.call {
        Some(Body::One(message)) => {
            (Some(message.method.as_str()), message.tool().cloned(), Vec::new())
        }
        Some(Body::Batch(messages)) => {
            (Some("batch"), None, messages.iter().map(batched).collect())
        }
        None => (None, None, Vec::new()),
    };
    Record {
        event,
        request_id: known.id,
        listener: place.door.name.clone(),
        route: known.route.as_ref().map(|route| route.name.clone()),
        consumer: known.consumer.as_ref().map(|consumer| consumer.name.clone()),
        key: known.key.map(|key| place.state.fingerprints.fingerprint(&key)),
        client: known.client,
        method: known.method,
        path: known.path.clone(),
        status: None,
        outcome: Outcome::Answered,
        reason: None,
        observed: known.observed.map(|denial| denial.face().reason),
        duration: known.started.elapsed(),
        first_byte: None,
        bytes_in: 0,
        bytes_out: 0,
        mcp_method,
        batch,
        tool,
        tool_label: known.call.as_ref().and_then(Body::single).map_or(ToolLabel::NONE, label),
        upstream: known.upstream.clone(),
    }
}

/// What a message's tool is counted as: by its name where its upstream's are known by it.
fn label(place: &Place<'_>, known: &Known, message: &Message) -> ToolLabel {
    let Some(tool) = message.tool() else { return ToolLabel::NONE };
    let server = known.route.as_ref().and_then(|route| place.world.server(route));
    server.map_or(ToolLabel::OTHER, |server| server.tools().label(tool.as_str()))
}
