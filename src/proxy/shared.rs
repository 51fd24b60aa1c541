//! Streams of a server that clients of one key share, because it knows them no other way. This is where
//! an exchange meets one: a GET takes a seat at it or opens it for all, and a POST is written anew with
//! ids that are its client's alone.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{
    admit::Admission,
    alive,
    compose::{self, UpstreamPath},
    endpoint,
    forward::{Answered, Sent},
    legacy::{self, Told},
    memory::Held,
    peek,
    place::{Entered, Known, McpEntered, Place, Stopped},
    relay,
    session::{self, Opened as Sessions},
};
use crate::{
    mcp,
    snapshot::{Dialect, Lead, Route},
    types::{Denial, Limit, Method},
    upstream::{
        Awaited, Entrance, NotAwaited, Opened, Opener, Patience, Reached, Seated, Server,
        SharedStreams, World,
    },
    wire::{Client, Connection, Fields, PipeReader, RequestHead, Transport},
};

/// What of the head of a shared stream every client may see: the rest was said to who opened it.
const SEEN: [&str; 3] = ["content-type", "cache-control", "x-accel-buffering"];

/// Where the server answers on its stream, and tells clients apart neither by a session nor by anything
/// else, a message has to come from a seat: its answer would reach nobody, or everybody. By a 404 clients
/// know that they have to begin anew, and those that try a POST first, that they have to open a stream.
pub(super) fn answer_finds_its_way(
    world: &World,
    route: &Route,
    (method, query): (Method, Option<&str>),
    (told, sessions): (Option<&Told>, &Sessions),
) -> Result<(), Denial> {
    let server = world.server(route);
    let shares = server.and_then(|server| server.shared_streams());
    let seated = told.is_some_and(|told| told.seat.is_some());
    match shares {
        Some(streams) if method == Method::Post && !seated => {
            let apart = sessions.any() || told.is_some() || streams.tells_apart();
            match apart {
                true => Ok(()),
                false if legacy::has_token(query) => Err(Denial::Session),
                false => Err(Denial::NoRoute),
            }
        }
        _ => Ok(()),
    }
}

/// The body as it goes upstream, and what waits for the answers to it, where they come to a seat.
pub(super) fn awaited(
    known: &Known,
    body: Held<Bytes>,
) -> Result<(Held<Bytes>, Option<Awaited>), Denial> {
    let told = known.legacy.as_ref().filter(|_| known.method == Method::Post);
    let Some(seat) = told.and_then(|told| told.seat.as_ref()) else { return Ok((body, None)) };
    let (anew, awaited) = seat.expect(&body, known.id).map_err(denial)?;
    Ok((body.with(anew), Some(awaited)))
}

fn denial(why: NotAwaited) -> Denial {
    match why {
        NotAwaited::Ended => Denial::Session,
        NotAwaited::TooLong | NotAwaited::Unreadable => Denial::NotRpc,
        NotAwaited::TooMany => Denial::Overload(Limit::StreamCalls),
    }
}

/// Waits until an answer to these calls would be heard.
pub(super) async fn can_be_heard(
    place: &Place<'_>,
    client: &mut Client<'_>,
    awaited: &Awaited,
) -> Result<(), Stopped> {
    let mut draining = place.draining.clone();
    // A stream that isn't heard is opened anew, and then a third time.
    let patience = place.snapshot().timeouts.upstream_connect * 3;
    tokio::select! {
        biased;
        heard = awaited.can_be_heard() => heard.map_err(|why| denial(why).into()),
        () = client.gone() => Err(Stopped::Gone),
        () = draining.cut() => Err(Denial::Overload(Limit::Shutdown).into()),
        why = alive::ended(place.life.as_ref()) => Err(why.into()),
        () = tokio::time::sleep(patience) => {
            Err(Denial::UpstreamSlow(Limit::UpstreamConnect).into())
        }
    }
}

/// What a GET finds.
pub(super) enum Found {
    /// A seat at a stream that is open.
    Seat(Seated, PipeReader),
    /// Nothing: it opens one, for all.
    Open(Opener),
    /// Nothing that could be shared.
    Own,
}

/// The streams of the server, where a request may share one.
pub(super) fn to_share<'s>(
    server: &'s Server,
    method: Method,
    admission: &Admission,
) -> Option<&'s Arc<SharedStreams>> {
    // Who names a session has one, and its answers find their way by that.
    let may_share = method == Method::Get && admission.session.field.is_none();
    server.streams_to_share().filter(|_| may_share)
}

/// A seat for a GET, or the duty to open a stream. While another client opens one it is waited for.
pub(super) async fn find(
    place: &Place<'_>,
    client: &mut Client<'_>,
    streams: &Arc<SharedStreams>,
    (admission, path): (&Admission, &UpstreamPath),
) -> Result<Found, Stopped> {
    let whose = compose::whose(admission, path);
    let mut draining = place.draining.clone();
    let patience = tokio::time::sleep(place.snapshot().timeouts.upstream_first_byte);
    tokio::pin!(patience);
    loop {
        let mut other = match streams.enter(whose) {
            Entrance::Seat(seated, pipe) => return Ok(Found::Seat(seated, pipe)),
            Entrance::Open(opener) => return Ok(Found::Open(opener)),
            Entrance::Apart => return Ok(Found::Own),
            Entrance::Wait(other) => other,
        };
        tokio::select! {
            biased;
            // Nothing is ever sent: it ends when the other one is done.
            _ = other.changed() => {}
            () = client.gone() => return Err(Stopped::Gone),
            () = draining.cut() => return Err(Denial::Overload(Limit::Shutdown).into()),
            why = alive::ended(place.life.as_ref()) => return Err(why.into()),
            () = &mut patience => {
                return Err(Denial::UpstreamSlow(Limit::UpstreamFirstByte).into());
            }
        }
    }
}

/// The answer to a GET that took a seat.
pub(super) fn sent<'a>(
    server: &Arc<Server>,
    admission: &'a Admission,
    (seated, pipe): (Seated, PipeReader),
) -> Sent<'a> {
    let answer = Answered {
        server: Arc::clone(server),
        endpoint: Arc::clone(seated.at()),
        upstream: Connection::new(Transport::Pipe(pipe)),
        head: seated.head(),
        at: Instant::now(),
    };
    let seated = Some(seated);
    Sent { answer, admission, key_refused: false, session: None, in_use: None, lease: None, seated }
}

/// Gives a stream that was opened to all, where it is one that can be shared; else it stays the client's
/// own. Then whoever waits for it opens one too.
pub(super) async fn offer<'a>(
    place: &Place<'_>,
    client: &mut Client<'_>,
    (head, entered, path): (&RequestHead, &McpEntered<'_, '_>, &UpstreamPath),
    (opener, mut sent): (Opener, Sent<'a>),
) -> Result<Sent<'a>, Stopped> {
    let answer = &mut sent.answer;
    if !answer.head.status.is_success() || !relay::is_event_stream(answer) {
        return Ok(sent);
    }
    let event = tokio::select! {
        event = peek::first_event(&mut answer.upstream, &answer.head) => event,
        () = client.gone() => return Err(Stopped::Gone),
        why = alive::ended(place.life.as_ref()) => return Err(why.into()),
    };
    let server = Arc::clone(&sent.answer.server);
    let announced = event.as_deref().and_then(announced);
    let Some((event, announced)) = event.zip(announced) else {
        // A server that sends every answer to each stream of a key would bring this client those of all
        // others, on a stream of its own.
        let mixes = server.dialect() == Some(Dialect::LegacySse);
        return if mixes { Err(Denial::UpstreamBad.into()) } else { Ok(sent) };
    };
    if has_session(&announced, server.shared_streams()) || sent.session.is_some() {
        return Ok(sent);
    }
    let posts_to = posts_to(place, (head, entered), (&announced, sent.admission));
    let to = (head, &*sent.answer.endpoint);
    let asks =
        posts_to.and_then(|posts_to| compose::asks(to, entered, (sent.admission, path), &posts_to));
    let Some(asks) = asks else { return Ok(sent) };
    let Sent { answer, admission, .. } = sent;
    let opened = Opened {
        framing: answer.head.framing,
        fields: seen(&answer.head.fields),
        reached: Reached { endpoint: answer.endpoint, connection: answer.upstream },
        endpoint: event,
        asks,
    };
    let timeouts = &place.snapshot().timeouts;
    let patience =
        Patience { reach: timeouts.upstream_connect, silence: timeouts.keep_alive_comment };
    let seat = opener.open(&server, opened, (patience, place.draining.clone()));
    let seat = seat.ok_or(Denial::UpstreamBad)?;
    Ok(self::sent(&server, admission, seat))
}

/// The endpoint that an event announces.
fn announced(event: &[u8]) -> Option<String> {
    let mut announced = None;
    let _ = mcp::replace_data(event, |endpoint| {
        announced = Some(endpoint.to_owned());
        None
    });
    announced
}

/// Whether the server tells its streams apart by a session. Then it does so with all of them.
fn has_session(announced: &str, streams: Option<&Arc<SharedStreams>>) -> bool {
    let has = announced.split_once('?').is_some_and(|(_, query)| session::is_named_in(query));
    if let Some(streams) = streams.filter(|_| has) {
        streams.are_apart();
    }
    has
}

/// Where messages go upstream that a client posts to that endpoint: the way that they would take.
fn posts_to(
    place: &Place<'_>,
    (head, entered): (&RequestHead, &McpEntered<'_, '_>),
    (announced, admission): (&str, &Admission),
) -> Option<UpstreamPath> {
    let target = endpoint::target(announced, entered, admission)?;
    match place.routes.find(head.host.name(), &target).ok()? {
        Lead::Mcp(lead) if lead.route.upstream.name == entered.lead.route.upstream.name => {
            Some(compose::path(&Entered { lead, source: entered.source }, admission))
        }
        _ => None,
    }
}

fn seen(fields: &Fields) -> Fields {
    let mut seen = Fields::new();
    for name in SEEN {
        fields.get_all(name).for_each(|value| seen.push(name, value));
    }
    seen
}
