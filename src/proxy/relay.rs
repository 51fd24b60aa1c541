//! The answer comes back: its head at once, then each part as it comes. Nothing is held but the first
//! event of a legacy stream, and a tail that could be the beginning of an injected key.
//!
//! Where there are rules a stream goes on event by event, and any other answer whole: half a list can't
//! be judged.

use std::sync::Arc;

use http::StatusCode;

use super::{
    alive,
    events::Events,
    forward::{Answered, Sent},
    leak::{self, Veil},
    place::{End, Known, McpEntered, Next, Place, Said, Stopped},
    pumped::Pumped,
    record, respond, session,
    sieve::{self, NotPassed},
    stream::Pump,
    tools::Learner,
};
use crate::{
    mcp::{Body, Kind},
    observe::Outcome,
    types::{Denial, Method},
    upstream::Seated,
    wire::{Client, Coding, Fields, Framing, Outgoing, RequestHead, Version},
};

/// Fields of the upstream that never go on. `wire` has dropped what is hop-by-hop already.
const DROPPED: &[&[u8]] = &[
    // Ours to write, or not to.
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-allow-origin",
    b"access-control-expose-headers",
    b"access-control-max-age",
    b"referrer-policy",
    b"strict-transport-security",
    // Goes on sealed.
    session::FIELD.as_bytes(),
    // Tells an attacker what to look for.
    b"server",
    b"x-powered-by",
    // Leads elsewhere, perhaps with a key in it.
    b"alt-svc",
    b"content-location",
    b"link",
    b"location",
    b"refresh",
    // A browser's ambient rights have no place on an MCP route.
    b"set-cookie",
];

/// Brings the answer back.
pub(super) async fn relay(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    (head, entered): (&RequestHead, &McpEntered<'_, '_>),
    sent: &mut Sent<'_>,
    known: &Known,
) -> Result<End, Stopped> {
    let status = sent.answer.head.status.as_u16();
    if sent.admission.injected_key().is_some() && is_encoded(&sent.answer) {
        // What can't be read could hold the key, and nobody has asked for it.
        return Err(Denial::UpstreamBad.into());
    }
    if sent.admission.book.is_some() && !is_event_stream(&sent.answer) {
        return Box::pin(sifted(place, client, head, sent, known)).await;
    }
    let coding = coding(head, &sent.answer);
    let keeps = head.persistent && coding != Coding::UntilClose && !place.draining.has_begun();
    let is_stream = is_event_stream(&sent.answer) && !matches!(coding, Coding::Absent(_));
    let mut out = client.answer(sent.answer.head.status);
    write_head(&mut out, (place, known), sent, (coding, keeps, is_stream));
    let first_byte = sent.answer.at - known.started;
    let events = if is_stream { open_stream(place, known, head, sent) } else { None };
    if events.is_some() {
        record::stream_opened(place, known, status, client.used() - place.begins);
    }
    let server = Arc::clone(&sent.answer.server);
    let teaches = (&place.state.metrics, &*server);
    let learner = Learner::of(teaches, (known, sent.admission), &sent.answer);
    let mut pump = Pump::new(place, client, out, events);
    let seat = sent.seated.as_ref().map(Seated::seat);
    let at = Arc::clone(&sent.answer.endpoint);
    let said = Said { entered, admission: sent.admission, learner, at: &at, seat };
    let pumped = pump.run(&mut sent.answer, Some(said)).await;
    let words = match pumped {
        Pumped::UpstreamGone => respond::last_words(known, Denial::UpstreamGone),
        Pumped::Ended(why) => respond::parting(known, why),
        _ => Vec::new(),
    };
    let told = pump.end_with(pumped, &words).await;
    Ok(pumped.end((status, coding, keeps), (first_byte, pump.bytes_out()), told))
}

/// Brings back an answer that is no stream, where there are rules: whole, and without what may not be
/// used.
async fn sifted(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    head: &RequestHead,
    sent: &mut Sent<'_>,
    known: &Known,
) -> Result<End, Stopped> {
    let status = sent.answer.head.status;
    let refused = |why: NotPassed, sent: &Sent<'_>| why.denial(&sent.answer.server.upstream.name);
    if status == StatusCode::OK && is_encoded(&sent.answer) {
        return Err(refused(NotPassed::Encoded, sent).into());
    }
    let mut body = sieve::whole(place, client, &mut sent.answer).await?;
    if let Some(book) = &sent.admission.book
        && is_json(&sent.answer.head.fields)
    {
        let teaches = (&place.state.metrics, &*sent.answer.server);
        let learner = Learner::of(teaches, (known, sent.admission), &sent.answer);
        body = sieve::sifted(body, (book, learner)).map_err(|why| refused(why, sent))?;
    } else if status == StatusCode::OK && !body.is_empty() && waits_for_a_message(head, known) {
        // It could be a list to somebody.
        return Err(refused(NotPassed::OtherType, sent).into());
    }
    // Held until it was sent: a client may take its time.
    let (mut body, _share) = body.apart();
    if let Some(key) = sent.admission.injected_key()
        && let Some(mut veil) = Veil::over(key, status)
    {
        body = veil.pass(&body, key);
        body.extend(veil.lift());
    }
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let coding = match sent.answer.head.framing {
        Framing::None => Coding::Absent(sent.answer.head.length),
        _ => Coding::Length(length),
    };
    let keeps = head.persistent && !place.draining.has_begun();
    let mut out = client.answer(status);
    write_head(&mut out, (place, known), sent, (coding, keeps, false));
    if !matches!(coding, Coding::Absent(_)) {
        out.put_whole(body.into());
    }
    out.end();
    let written = tokio::select! {
        biased;
        written = client.send(&mut out, place.snapshot().timeouts.write_stall) => written,
        why = alive::ended(place.life.as_ref()) => {
            let told = (known.started.elapsed(), length);
            return Ok(End::severed((status.as_u16(), why), told));
        }
    };
    let written = record::was_sent(place, &written);
    Ok(End {
        status: Some(status.as_u16()),
        outcome: if written { Outcome::Answered } else { Outcome::ClientGone },
        reason: None,
        first_byte: Some(known.started.elapsed()),
        bytes_out: length,
        next: if written && keeps { Next::Keep } else { Next::Close },
    })
}

/// Whether the answer is a message to somebody; to a DELETE or a notification it is a courtesy.
fn waits_for_a_message(head: &RequestHead, known: &Known) -> bool {
    let mut messages = known.call.iter().flat_map(Body::messages);
    head.method == Method::Get || messages.any(|message| message.kind == Kind::Request)
}

/// Whether a body is JSON, or calls itself some sort of it (RFC 6838 4.2.8).
fn is_json(fields: &Fields) -> bool {
    let kind = fields.media_type();
    kind == b"application/json" || kind.ends_with(b"+json")
}

/// How the body goes on, given how it comes.
pub(super) fn coding(head: &RequestHead, answer: &Answered) -> Coding {
    match answer.head.framing {
        Framing::None => Coding::Absent(answer.head.length),
        // What the gateway says between events isn't in the upstream's length.
        Framing::Length(length) if length == 0 || !is_event_stream(answer) => {
            Coding::Length(length)
        }
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => match head.version {
            Version::Http11 | Version::Http2 => Coding::Parts,
            Version::Http10 => Coding::UntilClose,
        },
    }
}

/// An event stream that can be read. Compressed, it is only bytes.
pub(super) fn is_event_stream(answer: &Answered) -> bool {
    answer.head.fields.media_type() == b"text/event-stream" && !is_encoded(answer)
}

fn is_encoded(answer: &Answered) -> bool {
    let mut encodings = answer.head.fields.get_all("content-encoding");
    !encodings.all(|encoding| encoding.eq_ignore_ascii_case(b"identity"))
}

/// Counts the stream as open. The answer to a POST holds a slot of the key and of the address too, once
/// it is known to be a stream; it isn't refused any more, because the call has been done.
fn open_stream(
    place: &Place<'_>,
    known: &Known,
    head: &RequestHead,
    sent: &mut Sent<'_>,
) -> Option<Events> {
    let route = known.route.as_ref()?;
    if sent.admission.lease.is_none() {
        let holder = sent.admission.holder();
        let (of_key, of_address) = ((&route.name, holder, u32::MAX), (known.client, u32::MAX));
        sent.lease = place.state.leases.open(of_key, of_address).ok();
    }
    let consumer = known.consumer.as_ref().map(|consumer| &consumer.name);
    let guard = place.state.metrics.stream_opened(&route.name, consumer);
    let injected = sent.admission.injected_key().is_some();
    Some(Events::new((guard, known.id), head.method == Method::Get, injected))
}

fn write_head(
    out: &mut Outgoing,
    (place, known): (&Place<'_>, &Known),
    sent: &Sent<'_>,
    (coding, keeps, is_stream): (Coding, bool, bool),
) {
    let fields = &sent.answer.head.fields;
    let injected = sent.admission.injected_key();
    let reflects = |value: &[u8]| injected.is_some_and(|key| leak::shows(value, key));
    // The upstream's own would name an address that it alone knows, and make clients ask for OAuth.
    let refuses = sent.answer.head.status == StatusCode::UNAUTHORIZED;
    let challenge = refuses.then(|| respond::challenge(known));
    let is_ours = |name: &[u8]| challenge.is_some() && name == b"www-authenticate";
    for (name, value) in fields.iter().filter(|(name, _)| !DROPPED.contains(name)) {
        if !reflects(value) && !is_ours(name) {
            out.field(name, value);
        }
    }
    if let Some(challenge) = challenge {
        out.field("www-authenticate", challenge.as_bytes());
    }
    if let Some(session) = &sent.session {
        out.field(session::FIELD.as_bytes(), session.as_bytes());
    }
    if is_stream {
        write_unheld(out, fields);
    }
    respond::write_own_fields(out, place.door.kind, known);
    out.end_head(coding, keeps);
}

/// For the proxies between us and the client: nginx buffers without the first, and a CDN may
/// compress without the second.
pub(super) fn write_unheld(out: &mut Outgoing, fields: &Fields) {
    for (name, value) in [("x-accel-buffering", "no"), ("cache-control", "no-cache, no-transform")]
    {
        if !fields.contains(name) {
            out.field(name, value.as_bytes());
        }
    }
}
