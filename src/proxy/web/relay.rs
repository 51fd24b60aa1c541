//! The site's answer comes back: its head with our own origin put for the upstream's, its body as
//! it comes.

use std::borrow::Cow;

use super::super::{
    events::Events,
    forward::Answered,
    place::{End, Known, Place, WebEntered},
    pumped::Pumped,
    record,
    relay::{coding, is_event_stream, write_unheld},
    respond,
    state::DoorKind,
    stream::Pump,
};
use crate::{
    snapshot::Endpoint,
    wire::{Client, Coding, Outgoing, RequestHead, Version},
};

/// Fields of the site that never go on. `wire` has dropped what is hop-by-hop already.
const DROPPED: &[&[u8]] = &[
    // Leads clients past the gateway.
    b"alt-svc",
    // Tells an attacker what to look for.
    b"server",
    b"x-powered-by",
];

/// Fields in which Postiz shows a visitor's session where it runs with `NOT_SECURED`.
const NOT_SECURED: [&str; 3] = ["auth", "showorg", "impersonate"];

/// Brings the answer back.
pub(super) async fn relay(
    place: &mut Place<'_>,
    client: &mut Client<'_>,
    (head, entered): (&RequestHead, &WebEntered<'_, '_>),
    answer: &mut Answered,
    known: &Known,
) -> End {
    let status = answer.head.status.as_u16();
    let coding = coding(head, answer);
    let persists = head.persistent && known.in_step && head.upgrade.is_none();
    let keeps = persists && coding != Coding::UntilClose && !place.draining.has_begun();
    let is_stream = is_event_stream(answer) && !matches!(coding, Coding::Absent(_));
    warn_of_shown_sessions(answer);
    let mut out = client.answer(answer.head.status);
    write_fields(&mut out, place.door.kind, (head, entered), answer);
    if is_stream {
        write_unheld(&mut out, &answer.head.fields);
    }
    out.end_head(coding, keeps);
    let events = is_stream.then(|| {
        let route = &entered.lead.route.name;
        let guard = place.state.metrics.stream_opened(route, None);
        Events::new((guard, known.id), false, false)
    });
    if is_stream {
        record::stream_opened(place, known, status, client.used() - place.begins);
    }
    let first_byte = answer.at - known.started;
    let mut pump = Pump::new(place, client, out, events);
    if !known.in_step && head.version != Version::Http2 {
        pump.ignore_client();
    }
    let pumped = pump.run(answer, None).await;
    let told = match pumped {
        Pumped::Ended(why) => pump.end_with(pumped, &respond::parting(known, why)).await,
        _ => false,
    };
    pumped.end((status, coding, keeps), (first_byte, pump.bytes_out()), told)
}

/// Writes what the site says of its answer, and what every answer of a site has.
pub(super) fn write_fields(
    out: &mut Outgoing,
    door: DoorKind,
    (head, entered): (&RequestHead, &WebEntered<'_, '_>),
    answer: &Answered,
) {
    for (name, value) in answer.head.fields.iter().filter(|(name, _)| !DROPPED.contains(name)) {
        match name {
            b"location" | b"content-location" => {
                out.field(name, &public((value, &answer.endpoint), (head, entered)));
            }
            _ => out.field(name, value),
        }
    }
    respond::write_site_fields(out, door, &answer.head.fields);
}

/// An address of the upstream's own origin, as the public one; any other as it is.
fn public<'v>(
    (value, at): (&'v [u8], &Endpoint),
    (head, entered): (&RequestHead, &WebEntered<'_, '_>),
) -> Cow<'v, [u8]> {
    let upstream = &entered.lead.route.upstream;
    let behind_origin = |scheme: &[u8]| {
        let rest = value.strip_prefix(scheme)?;
        let rest = rest.strip_prefix(at.authority.as_bytes())?;
        matches!(rest.first(), None | Some(b'/' | b'?' | b'#')).then_some(rest)
    };
    let Some(rest) = behind_origin(b"http://").or_else(|| behind_origin(b"https://")) else {
        return Cow::Borrowed(value);
    };
    let mut address = format!("{}://{}", entered.source.scheme, head.host);
    for segment in &upstream.strip_prefix {
        address.push('/');
        address.push_str(segment);
    }
    Cow::Owned([address.as_bytes(), rest].concat())
}

/// Once, and not for each visitor.
fn warn_of_shown_sessions(answer: &Answered) {
    if NOT_SECURED.iter().any(|name| answer.head.fields.contains(name)) {
        answer.server.warn_once(|upstream| {
            tracing::warn!(
                %upstream,
                "the site shows sessions in response headers: Postiz runs with NOT_SECURED set; \
                 unset it, any value counts, for its cookies lack Secure and HttpOnly too"
            );
        });
    }
}
