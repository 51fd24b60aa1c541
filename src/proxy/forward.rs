//! The request goes upstream, and the head of the answer comes back.

use std::{
    io::{self, IoSlice},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    admit::{Admission, Permit},
    alive,
    compose::{self, Request, UpstreamPath},
    memory::Held,
    peek,
    place::{McpEntered, Place, Stopped},
    quota, session,
    shared::{self, Found},
    tool_limits,
};
use crate::{
    mcp,
    policy::{Lease, Spending},
    snapshot::{Endpoint, Route},
    types::{Denial, Limit, Method, Name, Secret},
    upstream::{
        Affinity, Awaited, Choice, InUse, Reached, Seated, Server, Unreachable, refuses_key,
    },
    wire::{
        Client, Connection, NoAnswer, RequestHead, ResponseHead, Transport, Upgrade, Written,
        is_answered, next_response_head,
    },
};
use http::StatusCode;

/// An answer whose head has come.
pub(super) struct Answered {
    pub(super) server: Arc<Server>,
    /// Which of its endpoints answers.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) upstream: Connection<Transport>,
    pub(super) head: ResponseHead,
    /// When it came.
    pub(super) at: Instant,
}

/// The answer to an MCP request.
pub(super) struct Sent<'a> {
    pub(super) answer: Answered,
    /// What it answers.
    pub(super) admission: &'a Admission,
    /// The upstream doesn't know the key, and has never known it.
    pub(super) key_refused: bool,
    /// The id of the session that it gives, as the client gets it.
    pub(super) session: Option<String>,
    /// Its session, until its end.
    #[expect(dead_code, reason = "held")]
    pub(super) in_use: Option<InUse>,
    /// The slot of a stream that nobody could know of before.
    pub(super) lease: Option<Lease>,
    /// Its seat, where others share what it answers.
    pub(super) seated: Option<Seated>,
}

impl Answered {
    /// Keeps the connection for another request, where both sides keep it open.
    pub(super) fn settle(self) {
        if self.head.persistent {
            self.server.keep(Reached { endpoint: self.endpoint, connection: self.upstream });
        }
    }
}

/// Forwards an admitted request.
pub(super) async fn forward<'a>(
    place: &Place<'_>,
    client: &mut Client<'_>,
    head: &RequestHead,
    entered: &McpEntered<'_, '_>,
    (admission, spending): (&'a mut Admission, &mut Spending),
) -> Result<Sent<'a>, Stopped> {
    let route = entered.lead.route;
    let server = place.world.server(route).ok_or(Denial::UpstreamDown)?;
    let path = compose::path(entered, admission);
    let asks = (&*admission, &path);
    let streams = shared::to_share(server, head.method, admission);
    // Boxed, because it is rare, and an exchange carries the room for all that it awaits.
    let found = match streams {
        None => Found::Own,
        Some(streams) => Box::pin(shared::find(place, client, streams, asks)).await?,
    };
    let opener = match found {
        Found::Seat(seated, pipe) => {
            quota::prove(place.state, route, &admission.holder());
            return Ok(shared::sent(server, admission, (seated, pipe)));
        }
        Found::Open(opener) => Some(opener),
        Found::Own => None,
    };
    if let Some(awaited) = &admission.awaited {
        Box::pin(shared::can_be_heard(place, client, awaited)).await?;
    }
    let what = (entered, (admission, spending), path);
    let (path, sent) = by_itself(place, client, (server, head), what).await?;
    match opener {
        None => Ok(sent),
        Some(opener) => {
            let asked = (head, entered, &path);
            Box::pin(shared::offer(place, client, asked, (opener, sent))).await
        }
    }
}

/// Forwards a request to the server, which answers it and nothing else.
async fn by_itself<'a>(
    place: &Place<'_>,
    client: &mut Client<'_>,
    (server, head): (&Arc<Server>, &RequestHead),
    (entered, (admission, spending), mut path): (
        &McpEntered<'_, '_>,
        (&'a mut Admission, &mut Spending),
        UpstreamPath,
    ),
) -> Result<(UpstreamPath, Sent<'a>), Stopped> {
    let route = entered.lead.route;
    let named = admission.session.field.as_ref();
    let bound = admission.session.at().cloned();
    let at = bound.as_ref().unwrap_or(server.upstream.endpoints.first());
    let in_use = named.and_then(|id| use_of(server, (head, entered), (admission, &path), (at, id)));
    let started = Instant::now();
    let choice = choice(server, bound.as_deref(), admission);
    let mut asked = Asked { place, client, server, choice, method: head.method, spending };
    let request = |at: &Endpoint| compose::request((head, at), entered, admission, &path);
    let sent = asked.send(&admission.permit, request).await;
    if matches!(sent, Err(Stopped::Gone)) {
        // Who has gone from a POST may be at its stream still.
        admission.awaited.iter_mut().for_each(Awaited::were_sent);
    }
    let (mut reached, mut answer) = sent?;
    if let Some(elsewhere) = slash_redirect(&answer, &path, &reached.endpoint) {
        // The upstream did nothing but ask for another spelling, so this isn't sending twice.
        asked.spending.not_sent();
        path = elsewhere;
        let request = |at: &Endpoint| compose::request((head, at), entered, admission, &path);
        (reached, answer) = Box::pin(asked.send(&admission.permit, request)).await?;
    }
    if answer.status.is_redirection() && answer.status != StatusCode::NOT_MODIFIED {
        // A redirect would carry the key to wherever it leads.
        spending.give_back();
        return Err(Denial::UpstreamBad.into());
    }
    let answered = Instant::now();
    place.state.metrics.upstream_answered(&server.upstream.name, answered - started);
    if answer.status.is_success() {
        quota::prove(place.state, route, &admission.holder());
        admission.awaited.iter_mut().for_each(Awaited::were_sent);
    } else {
        // Before the client reads it: nothing is to come on its stream behind a refusal.
        admission.awaited = None;
    }
    // What may have been done counts, whether or not an answer came; what wasn't doesn't, and whether
    // or not its client is there to hear of it.
    if tool_limits::was_not_done(answer.status, admission.session.any()) {
        spending.give_back();
    }
    let Reached { endpoint, connection: mut upstream } = reached;
    let refused = tokio::select! {
        refused = refused(&mut upstream, &answer, (place, route, admission)) => refused,
        () = client.gone() => return Err(Stopped::Gone),
        why = alive::ended(place.life.as_ref()) => return Err(why.into()),
    };
    if refused.is_some() {
        spending.give_back();
    }
    if refused == Some(Refused::Session) {
        in_use.into_iter().for_each(InUse::over);
        return Err(Denial::Session.into());
    }
    let bound_to = (&admission.session, &admission.credential.digest, &**route);
    let session = session::given(&place.state.seal, (&endpoint, &answer.fields), bound_to)?;
    let begun = |id: &Secret| use_of(server, (head, entered), (admission, &path), (&endpoint, id));
    let in_use = used_on(in_use, (head.method, &answer), session.is_some(), begun);
    // The answer may be a stream of hours.
    admission.body = Held::nothing();
    let server = Arc::clone(server);
    let answer = Answered { server, endpoint, upstream, head: answer, at: answered };
    let key_refused = refused == Some(Refused::Key);
    let sent = Sent { answer, admission, key_refused, session, in_use, lease: None, seated: None };
    Ok((path, sent))
}

/// What an upstream refuses with its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It doesn't know the session, and says so with 400 where the specification has 404: Postiz v2.8
    /// to v2.22 does, and clients that read 400 never begin a new session.
    Session,
    /// It doesn't know the key of a stranger.
    Key,
}

/// What of a request the upstream doesn't know, if that is why it refuses. Of a 400 its body tells, and
/// any other passes as it came.
async fn refused(
    upstream: &mut Connection<Transport>,
    answer: &ResponseHead,
    (place, route, admission): (&Place<'_>, &Route, &Admission),
) -> Option<Refused> {
    let is_guess = || {
        let holder = admission.holder();
        admission.principal.consumer().is_none() && !quota::is_proven(place.state, route, &holder)
    };
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => is_guess().then_some(Refused::Key),
        StatusCode::BAD_REQUEST => {
            let (named, guess) = (admission.session.any(), is_guess());
            if !named && !guess {
                return None;
            }
            let body = peek::small_body(upstream, answer).await?;
            if named && mcp::denies_session(&body) {
                return Some(Refused::Session);
            }
            (guess && refuses_key(&body)).then_some(Refused::Key)
        }
        _ => None,
    }
}

/// Notes that a session is used, where idle ones are ended.
fn use_of(
    server: &Server,
    (head, entered): (&RequestHead, &McpEntered<'_, '_>),
    (admission, path): (&Admission, &UpstreamPath),
    (at, id): (&Arc<Endpoint>, &Secret),
) -> Option<InUse> {
    let ending = || compose::ending((head, at), entered, (admission, path), id);
    server.use_session((at, id), ending)
}

/// Where a request may go: to the endpoint that has its session or its stream, else to the one that all
/// requests of its key upstream go to.
fn choice<'c>(server: &Server, bound: Option<&'c Endpoint>, admission: &Admission) -> Choice<'c> {
    let of_key = || Affinity::of(admission.upstream_key().as_bytes());
    bound.map_or_else(|| Choice::Of(server.affinity(of_key)), Choice::Bound)
}

/// What is in use once the head of the answer is there: nothing, where the session is over with it; a
/// session that has just begun, where it gives one.
fn used_on(
    in_use: Option<InUse>,
    (method, answer): (Method, &ResponseHead),
    gives: bool,
    begun: impl FnOnce(&Secret) -> Option<InUse>,
) -> Option<InUse> {
    let ended = method == Method::Delete && answer.status.is_success();
    match in_use {
        Some(in_use) if ended || answer.status == StatusCode::NOT_FOUND => {
            in_use.over();
            None
        }
        None if gives && !ended && answer.status.is_success() => {
            let id = std::str::from_utf8(answer.fields.get(session::FIELD)?).ok()?;
            begun(&Secret::new(id.to_owned()))
        }
        in_use => in_use,
    }
}

fn slash_redirect(
    answer: &ResponseHead,
    path: &UpstreamPath,
    endpoint: &Endpoint,
) -> Option<UpstreamPath> {
    if !matches!(answer.status.as_u16(), 307 | 308) {
        return None;
    }
    let location = std::str::from_utf8(answer.fields.get("location")?).ok()?;
    path.redirected(location, &endpoint.authority)
}

/// One request on its way, and the client who waits for it.
struct Asked<'p, 's, 'c, 'a> {
    place: &'p Place<'s>,
    client: &'c mut Client<'a>,
    server: &'p Arc<Server>,
    choice: Choice<'p>,
    method: Method,
    /// What it costs.
    spending: &'p mut Spending,
}

impl Asked<'_, '_, '_, '_> {
    /// Sends the request, as `request` writes it for the endpoint that it goes to, and waits for the
    /// head of its answer. What may have reached the upstream is never sent twice: a call that
    /// schedules a post must not schedule two.
    async fn send<'r>(
        &mut self,
        _permit: &Permit,
        request: impl Fn(&Endpoint) -> Request<'r>,
    ) -> Result<(Reached, ResponseHead), Stopped> {
        let patience = self.place.snapshot().timeouts.upstream_first_byte;
        let wanted = (&self.server.upstream.name, self.method, patience);
        let mut draining = self.place.draining.clone();
        let asked = async {
            let connect = self.place.snapshot().timeouts.upstream_connect;
            let connected = self.server.connection(self.choice, connect).await;
            let Reached { endpoint, mut connection } =
                connected.map_err(|why| unreachable(self.place, why))?;
            let Request { head, body } = request(&endpoint);
            // Before the first byte: who is gone in the middle of it may have had it done.
            self.spending.sent();
            let stall = self.place.snapshot().timeouts.write_stall;
            let mut parts = [IoSlice::new(&head), IoSlice::new(body)];
            let written = connection.write_until_heard(&mut parts, stall, is_answered).await;
            if matches!(&written, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
                return Err(Denial::UpstreamSlow(Limit::WriteStall));
            }
            // An upstream may answer before it has read all, and hang up: its answer counts. So a
            // failed write is an error only if no answer can be read either.
            let mut answer = match (&written, head_of_answer(&mut connection, wanted, None).await) {
                (_, Ok(answer)) => answer,
                (Err(_), Err(_)) => return Err(Denial::UpstreamDown),
                (Ok(_), Err(denial)) => return Err(denial),
            };
            // It still waits for the rest of this request, and would take the next one for that.
            answer.persistent &= matches!(written, Ok(Written::Whole));
            Ok((Reached { endpoint, connection }, answer))
        };
        tokio::select! {
            biased;
            answer = asked => answer.map_err(Stopped::Denied),
            // Its going is the upstream's to know at once: the connection is dropped with us.
            () = self.client.gone() => Err(Stopped::Gone),
            () = draining.cut() => Err(Denial::Overload(Limit::Shutdown).into()),
            why = alive::ended(self.place.life.as_ref()) => Err(why.into()),
        }
    }
}

/// What a client is told of an upstream that couldn't be connected to.
pub(super) fn unreachable(place: &Place<'_>, why: Unreachable) -> Denial {
    match why {
        Unreachable::NoRoom => return Denial::Overload(Limit::Descriptors),
        // So its client begins a new one, at another endpoint (MCP transports, *Session Management*).
        Unreachable::Lost => return Denial::Session,
        Unreachable::Late => place.state.metrics.reached(Limit::UpstreamConnect),
        Unreachable::Refused => {}
    }
    Denial::UpstreamDown
}

/// The head of the answer; of a switch too, where one was asked for.
pub(super) async fn head_of_answer(
    upstream: &mut Connection<Transport>,
    (name, method, patience): (&Name, Method, Duration),
    asked_for: Option<Upgrade>,
) -> Result<ResponseHead, Denial> {
    let head = next_response_head(upstream, (method, patience), asked_for).await;
    head.map_err(|why| match why {
        NoAnswer::Gone => Denial::UpstreamDown,
        NoAnswer::Late => Denial::UpstreamSlow(Limit::UpstreamFirstByte),
        NoAnswer::Unasked => Denial::UpstreamBad,
        NoAnswer::Unreadable(fault) => {
            tracing::warn!(upstream = %name, %fault, "bad answer");
            Denial::UpstreamBad
        }
    })
}
