//! Admission: everything that can refuse an exchange, in the order in which it is asked.
//!
//! Gates stand by cost and by how little is known: first what needs no memory, then where the
//! request goes and where it comes from, then who is calling, then what they ask. Each gate narrows
//! what is known or ends the exchange; none of them answers, logs or counts, but for what it takes from
//! buckets and budgets. Two of them wait: for the body, and where the configuration wants it for the
//! record of the call. What a head alone can be refused for (framing, sizes, time) is refused in `wire`
//! before it is a request at all. A redirect listener and a browser's preflight admit nothing, and are
//! answered in `exchange`.

use bytes::Bytes;

use super::{
    audit,
    body::read_whole,
    credential, gates, judge,
    memory::Held,
    oauth,
    place::{Known, McpEntered, Place, Source, Stopped, WebEntered},
    quota::{self, Payer},
    session::{self, Opened},
    shared,
    state::State,
    tool_limits::{self, Caller},
};
use crate::{
    live::{Life, Whose},
    mcp::{self, Body, Heads},
    policy::{Holder, Lease, Principal, Rulebook, Spending},
    snapshot::{Lead, McpLead, McpRoute, Route, WebLead},
    types::{Credential, Denial, Method, Secret},
    upstream::{Awaited, Turn, World},
    wire::{Client, RequestHead, Upgrade},
};

/// Proof that the page was read to its end. Nobody outside this file can make one, and `forward` asks
/// for it.
pub(super) struct Permit(());

/// An exchange that may go upstream.
pub(super) struct Admission {
    /// The proof.
    pub(super) permit: Permit,
    /// The key that was presented.
    pub(super) credential: Credential,
    /// Who that is.
    pub(super) principal: Principal,
    /// The sessions that the request names.
    pub(super) session: Opened,
    /// The rules that the call was judged by, and what is listed for it is.
    pub(super) book: Option<Rulebook>,
    /// The body, whole; empty where the method has none, and once it has been sent.
    pub(super) body: Held<Bytes>,
    /// The budgets that its calls of tools were taken from; nothing once they are on their way.
    pub(super) spending: Spending,
    /// Its calls, where their answers come on a stream that others share.
    pub(super) awaited: Option<Awaited>,
    /// The slot of the stream that will open, where one will.
    pub(super) lease: Option<Lease>,
    /// Its turn at the upstream, to the end of the answer.
    #[expect(dead_code, reason = "held")]
    pub(super) turn: Turn,
}

impl Admission {
    fn of(
        permit: Permit,
        (credential, principal, session): (Credential, Principal, Opened),
        (book, body): (Option<Rulebook>, Held<Bytes>),
        (spending, awaited, lease, turn): (Spending, Option<Awaited>, Option<Lease>, Turn),
    ) -> Self {
        Self { permit, credential, principal, session, book, body, spending, awaited, lease, turn }
    }

    /// The key that goes upstream: the consumer's own upstream key, or the one that was presented.
    pub(super) fn upstream_key(&self) -> &str {
        self.injected_key().unwrap_or_else(|| self.credential.key.expose())
    }

    /// The key that goes upstream where the client doesn't know it, and so must not see it.
    pub(super) fn injected_key(&self) -> Option<&str> {
        let consumer = self.principal.consumer()?;
        consumer.upstream_key.as_ref().map(Secret::expose)
    }

    /// Whose buckets and slots it uses.
    pub(super) fn holder(&self) -> Holder {
        self.principal.holder(self.credential.digest)
    }
}

/// A request that may go to a site, where nobody is asked for a key.
pub(super) struct Visit {
    /// The proof.
    pub(super) permit: Permit,
    /// The most that the body may come to, in bytes.
    pub(super) max_body: Option<u64>,
    /// The protocol that the client asks to switch to, where the route lets it.
    pub(super) upgrade: Option<Upgrade>,
    /// Its turn at the upstream, to the end of the answer.
    pub(super) turn: Turn,
}

/// The beginning of the page: the head alone, before anyone is asked who they are.
pub(super) fn enter<'s, 'a>(
    place: &Place<'s>,
    head: &'a RequestHead,
    known: &mut Known,
) -> Result<(Lead<'s, 'a>, Source<'s>), Denial> {
    let (access, routes) = (&place.snapshot().access, place.routes);
    gates::room(&place.room, place.state)?;
    gates::believed(place.certificate.map(|shown| &**shown))?;
    if head.method == Method::Other || head.target() == "*" {
        return Err(Denial::Method);
    }
    // One reading of the path. What is ambiguous is refused here and never cleaned, so that every
    // gate below, the log and the upstream see the same path.
    let lead = routes.find(head.host.name(), head.target());
    gates::discovery(head, lead.as_ref(), routes)?;
    let lead = lead?;
    known.routed(&lead);
    let route = lead.route();
    // The address before the credential: who may not come from there isn't told if a key is right.
    let client = gates::client_address(head, place.peer, access)?;
    known.client = client;
    known.would_be(gates::brought_by(client, [place.peer, place.via], access)?);
    known.would_be(gates::address(client, access, route)?);
    known.would_be(gates::banned(client, place)?);
    let scheme = gates::scheme(&head.fields, place.peer, place.door.kind, access);
    if let Lead::Mcp(lead) = &lead {
        known.origin = gates::origin(head, scheme, lead.rules)?;
        known.challenge = oauth::challenge(head, scheme, lead);
    }
    Ok((lead, Source { client, address_field: routes.address_field(), scheme }))
}

/// The rest of the page for a site: how often an address may come, and how large a body may be.
pub(super) fn visit(
    place: &Place<'_>,
    head: &RequestHead,
    entered: &WebEntered<'_, '_>,
) -> Result<Visit, Denial> {
    let WebLead { route, rules, .. } = entered.lead;
    gates::page_method(head.method, route)?;
    quota::visit(place.state, route, entered.source.client)?;
    gates::body_has_a_meaning(head)?;
    gates::body_fits(head, rules)?;
    let upgrade = head.upgrade.filter(|_| rules.websocket);
    let turn = quota::turn(&place.world, route)?;
    Ok(Visit { permit: Permit(()), max_body: rules.max_body, upgrade, turn })
}

/// The rest of the page for MCP: who is calling and what they ask.
pub(super) async fn admit(
    place: &Place<'_>,
    head: &RequestHead,
    entered: &McpEntered<'_, '_>,
    client: &mut Client<'_>,
    known: &mut Known,
) -> Result<Admission, Stopped> {
    let (state, world, snapshot) = (place.state, &*place.world, place.snapshot());
    let McpLead { route, rules, ref path, key, .. } = entered.lead;
    gates::method(head.method)?;
    gates::media_type(head)?;
    // Who has shown a certificate may have no key; who has a key has to show its certificate with it.
    let certificate = place.certificate.map(|shown| &**shown);
    let presented = credential::present(&head.fields, path, key);
    let credential = credential::or_certificate(presented, certificate, &snapshot.consumers)?;
    known.key = Some(credential.digest);
    // Where many strangers share an address, wrong keys are held against how they begin: before the
    // look-up, or the answer would tell a right one.
    known.prefix = quota::prefix(snapshot, &credential, entered.source.client);
    quota::glance(state, snapshot, known.prefix)?;
    // Absent and wrong are different, and wrong never goes on as a stranger.
    let shown = (&credential.digest, certificate);
    let principal = gates::identify(shown, (state, snapshot), (&route.name, rules))?;
    known.consumer = principal.consumer().cloned();
    gates::key_fits_path(&credential, &principal, route.upstream_auth)?;
    gates::nothing_passes_for_a_key(&credential, &entered.lead)?;
    known.would_be(gates::consumer_address(&principal, entered.source.client)?);
    known.legacy = state.legacy.find(path.query(), &route.name, &credential.digest);
    let holder = principal.holder(credential.digest);
    let asks = (&principal, &**route, &holder);
    let knocked = quota::knock(state, snapshot, asks, (entered.source.client, known.prefix));
    // Behind the knock: what they answer is for who may ask. Another's session is unknown, like one
    // that never was.
    let silent = gates::stream_says_something(head.method, world, route);
    silent.map_err(|denial| quota::first_of(&knocked, denial))?;
    let heads = judge::heads(&head.fields);
    let named = (&head.fields, &heads);
    let session = session::open(&state.seal, named, &entered.lead, &credential.digest);
    let session = session.map_err(|denial| quota::first_of(&knocked, denial))?;
    let (asks, from) = ((head.method, path.query()), (known.legacy.as_ref(), &session));
    let heard = shared::answer_finds_its_way(world, route, asks, from);
    heard.map_err(|denial| quota::first_of(&knocked, denial))?;
    // The whole body before anything goes upstream: no half request ever does, and the bytes that
    // are judged are the bytes that are forwarded. The quota comes behind it, because what a call
    // costs and how its refusal is told depend on what it says.
    let bounds = quota::body_bounds(&knocked, head.framing, (rules.max_body, snapshot))?;
    known.body_begun = true;
    let whose = (&state.memory, entered.source.client);
    let body = read_whole(whose, client, head, bounds).await;
    let body = body.map_err(|stopped| quota::rather(&knocked, stopped))?;
    known.in_step = true;
    // A body that no method here gives a meaning to was read away; sent on, it could pass for a
    // request of its own.
    let body = if head.method == Method::Post { body } else { Held::nothing() };
    let who = (&principal, &credential);
    let payer = pay(place, (route, rules), (knocked, who), (head.method, &body), known)?;
    let caller = Caller { principal: &principal, key: &credential.digest, payer };
    let asked = known.call.as_ref().map(|call| (call, &body[..], &heads));
    let (book, spending) = allow(place, (route, rules), caller, asked)?;
    let opens = (head.method, known.call.as_ref());
    let per_address = snapshot.limits.streams_per_address;
    let bounds = (rules.max_streams, per_address);
    let lease = quota::stream(state, (&**route, holder), (entered.source.client, bounds), opens)?;
    // The last that is asked of the call itself: its record is there before the call is anywhere else.
    audit::begun(place, known, client).await?;
    let turn = quota::turn(world, route)?;
    // Last, because it waits for an answer. What was judged goes on, but for the names of the messages.
    let (body, awaited) = shared::awaited(known, body)?;
    let whose = (credential, principal, session);
    Ok(Admission::of(Permit(()), whose, (book, body), (spending, awaited, lease, turn)))
}

/// What the body says, and who has paid for it. A refusal finds the call in what is known.
fn pay(
    place: &Place<'_>,
    (route, rules): (&Route, &McpRoute),
    (knocked, (principal, credential)): (Result<Payer, Denial>, (&Principal, &Credential)),
    (method, body): (Method, &Bytes),
    known: &mut Known,
) -> Result<Payer, Denial> {
    let (state, snapshot) = (place.state, place.snapshot());
    let holder = principal.holder(credential.digest);
    let call = (method == Method::Post).then(|| mcp::read(body)).transpose();
    // What can't be read costs as much as a call.
    let charged = {
        let call = call.as_ref().ok().and_then(Option::as_ref);
        quota::charge(state, snapshot, (knocked, principal), (route, &holder), call)
    };
    known.call = match (call, charged) {
        (Ok(call), _) => call,
        (Err(_), Err(denial)) | (Err(denial), Ok(())) => return Err(denial),
    };
    // Who was refused at the door has no call to record, or a flood would turn over the whole audit.
    if knocked.is_ok()
        && let Some(call) = &known.call
    {
        let whole = charged.is_ok();
        known.audited = audit::note(place, (rules, principal, credential), (call, body, whole));
    }
    // Who was refused at the door is refused by now.
    charged.and(knocked)
}

/// What they ask: it is one thing to every reader, the rules let it be, and there is some of it left.
fn allow(
    place: &Place<'_>,
    (route, rules): (&Route, &McpRoute),
    caller: Caller<'_>,
    asked: Option<(&Body, &[u8], &Heads<'_>)>,
) -> Result<(Option<Rulebook>, Spending), Stopped> {
    let (state, snapshot) = (place.state, place.snapshot());
    let book = judge::rulebook(
        rules,
        caller.principal.consumer(),
        place.world.server(route).map(|server| &**server),
    );
    let Some((call, body, heads)) = asked else { return Ok((book, Spending::default())) };
    judge::head_agrees(heads, call)?;
    judge::calls(book.as_ref(), heads, (call, body))?;
    // Behind the rules: what they refuse costs nothing.
    let spending = tool_limits::take(state, snapshot, (route, rules), caller, call)?;
    Ok((book, spending))
}

/// The page once more, for what was admitted when something was another, and is entered only now: an
/// operator may have ended it since, and have seen nothing of it.
pub(super) fn again(
    state: &State,
    world: &World,
    (life, since): (&Life, u64),
) -> Result<(), Denial> {
    if state.living.was_killed(life, since, &state.fingerprints) {
        return Err(Denial::Killed);
    }
    still(state, world, life)
}

/// The page once more, for what was admitted when the configuration was another: whether its address, its
/// key and what it asks for by name would be let in now. Where it leads, what it costs and what its
/// body says were asked once, and stay.
pub(super) fn still(state: &State, world: &World, life: &Life) -> Result<(), Denial> {
    let snapshot = &world.snapshot;
    let Whose { client, ref route, is_web, key, ref certificate, ref consumer, brought_by } =
        life.whose;
    gates::believed(certificate.as_deref())?;
    let route = snapshot.routes.named(route, is_web).ok_or(Denial::NoRoute)?;
    gates::brought_by(client, brought_by, &snapshot.access)?;
    gates::address(client, &snapshot.access, route)?;
    gates::banned_by_operator(client, (state, snapshot))?;
    let Some(rules) = route.mcp() else { return Ok(()) };
    let key = key.ok_or(Denial::KeyMissing)?;
    let shown = (&key, certificate.as_deref());
    let principal = gates::identify(shown, (state, snapshot), (&route.name, rules))?;
    gates::is_still(consumer.as_ref(), &principal)?;
    gates::consumer_address(&principal, client)?;
    let book =
        judge::rulebook(rules, principal.consumer(), world.server(route).map(|server| &**server));
    judge::still(book.as_ref(), &life.asked)
}
