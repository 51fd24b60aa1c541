//! What an exchange carries along: where it takes place, what became known of it, and how it ended.

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    admit::Admission,
    audit::Audited,
    legacy::Told,
    state::{Door, State},
    tools::Learner,
};
use crate::{
    live::Alive,
    mcp::Body,
    observe::{LoggablePath, Outcome},
    policy::{Consumer, Ticket},
    snapshot::{Endpoint, Lead, McpLead, McpRoute, Route, Routes, Snapshot, WebLead},
    types::{ClientCertificate, Denial, Draining, KeyDigest, Limit, Method, Name, RequestId},
    upstream::{Seat, World},
    wire::{Client, Framing},
};

/// Where an exchange takes place: what it can ask, and what it stands under.
pub(super) struct Place<'s> {
    pub(super) state: &'s State,
    /// What is in force. What lasts goes on with what is in force then.
    pub(super) world: Arc<World>,
    /// The routes of when it began, among them its own.
    pub(super) routes: &'s Routes,
    pub(super) door: &'s Door,
    pub(super) peer: IpAddr,
    /// Who told of that peer by a PROXY header; else the peer itself.
    pub(super) via: IpAddr,
    /// What the client has shown in the handshake, where it was asked to.
    pub(super) certificate: Option<&'s Arc<ClientCertificate>>,
    /// Where on the connection the request begins, in bytes.
    pub(super) begins: u64,
    pub(super) room: Room,
    /// An admitted request has used the connection: of a consumer, or with a key that the upstream
    /// accepted.
    pub(super) trusted: bool,
    pub(super) draining: Draining,
    /// Where the exchange can be ended from outside, once it was admitted.
    pub(super) life: Option<Alive>,
}

/// Where an exchange has its place, of those that connections have.
pub(super) enum Room {
    /// Its connection's own: it has that to itself.
    Connection,
    /// One beside it, for as long as it lasts.
    Own(#[expect(dead_code, reason = "held")] Ticket),
    /// None was left: by which cap.
    Lacking(Limit),
}

/// What became known of a request. `None` means that it ended before that was known.
pub(super) struct Known {
    pub(super) id: RequestId,
    pub(super) started: Instant,
    /// How often all that lives had been judged again when it came.
    pub(super) judgements: u64,
    pub(super) client: IpAddr,
    pub(super) method: Method,
    pub(super) path: LoggablePath,
    pub(super) route: Option<Arc<Route>>,
    pub(super) key: Option<KeyDigest>,
    /// How the key begins, where that is what pays for wrong ones.
    pub(super) prefix: Option<KeyDigest>,
    /// The upstream has said that the key is none.
    pub(super) key_refused: bool,
    pub(super) consumer: Option<Arc<Consumer>>,
    pub(super) call: Option<Body>,
    /// What the audit will have of it.
    pub(super) audited: Audited,
    /// The first refusal that would have been one if what is observed were in force.
    pub(super) observed: Option<Denial>,
    /// Which message was refused, and of a batch the others with it.
    pub(super) refused: Option<Judged>,
    /// Where it was sent.
    pub(super) upstream: Option<Name>,
    /// The open stream of the legacy transport that hears of this call.
    pub(super) legacy: Option<Told>,
    /// The browser origin, once it has passed its gate.
    pub(super) origin: Option<Box<str>>,
    /// What a 401 tells the client to do instead of the usual.
    pub(super) challenge: Option<Box<str>>,
    /// A part of the body may have been taken off the connection.
    pub(super) body_begun: bool,
    /// The request was read to its end: the next one begins where the connection stands.
    pub(super) in_step: bool,
}

/// Where a request goes and where it comes from.
pub(super) struct Entered<'s, L> {
    pub(super) lead: L,
    pub(super) source: Source<'s>,
}

/// A request to an `mcp` route.
pub(super) type McpEntered<'s, 'a> = Entered<'s, McpLead<'s, 'a>>;

/// A request to a `web` route.
pub(super) type WebEntered<'s, 'a> = Entered<'s, WebLead<'s, 'a>>;

/// Where a request comes from, as the upstream is told.
#[derive(Clone, Copy)]
pub(super) struct Source<'s> {
    pub(super) client: IpAddr,
    /// The field that a trusted proxy writes the client's address to.
    pub(super) address_field: &'s str,
    pub(super) scheme: &'static str,
}

/// What an MCP answer answers.
#[derive(Clone, Copy)]
pub(super) struct Said<'x> {
    pub(super) entered: &'x McpEntered<'x, 'x>,
    pub(super) admission: &'x Admission,
    /// Who learns from what it lists.
    pub(super) learner: Option<Learner<'x>>,
    /// The endpoint that it comes from.
    pub(super) at: &'x Arc<Endpoint>,
    /// The seat that it comes to, of a shared stream.
    pub(super) seat: Option<&'x Seat>,
}

/// Why an exchange went no further.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Refused.
    Denied(Denial),
    /// Refused for what one of its messages asks.
    Judged(Judged),
    /// The client is gone; there is nobody to answer.
    Gone,
}

/// A message that the rules don't let through.
#[derive(Debug)]
pub(super) struct Judged {
    /// Which of a batch it is.
    pub(super) element: usize,
    pub(super) denial: Denial,
    /// What the rule says that was broken, where it has words of its own.
    pub(super) words: Option<Arc<str>>,
}

/// What became of an exchange.
pub(super) struct End {
    pub(super) status: Option<u16>,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<&'static str>,
    pub(super) first_byte: Option<Duration>,
    pub(super) bytes_out: u64,
    pub(super) next: Next,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It carries another request.
    Keep,
    /// It is closed.
    Close,
    /// It is reset. Its end is the end of the body, and a clean one would pass for the whole.
    Reset,
    /// It is closed after what the client still sends was read away, or a reset would overtake
    /// the answer.
    Linger,
}

impl Place<'_> {
    /// The configuration in force.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.world.snapshot
    }

    /// Takes what is in force now. An old configuration lives no longer than until everything that was
    /// begun under it has moved.
    pub(super) fn keep_up(&mut self) {
        keep_up(&mut self.world, self.state);
    }
}

fn keep_up(world: &mut Arc<World>, state: &State) {
    let now = state.world.load();
    if !Arc::ptr_eq(&now, world) {
        *world = Arc::clone(&now);
    }
}

/// The same again and again, for what wakes by itself only to bring bytes. Ends only when dropped.
pub(super) async fn keeping_up(world: &mut Arc<World>, state: &State) -> Infallible {
    loop {
        sleep(KEEP_UP).await;
        keep_up(world, state);
    }
}

/// How soon what brings bytes both ways takes what is in force.
const KEEP_UP: Duration = Duration::from_secs(15);

impl Known {
    /// A request that came, of which nothing is understood.
    pub(super) fn arrived(place: &Place<'_>, method: Method, framing: Framing) -> Self {
        Self {
            id: RequestId::next(),
            started: Instant::now(),
            judgements: place.state.living.judgements(),
            client: crate::types::canonical(place.peer),
            method,
            path: LoggablePath::none(),
            route: None,
            key: None,
            prefix: None,
            key_refused: false,
            consumer: None,
            call: None,
            audited: Audited::default(),
            observed: None,
            refused: None,
            upstream: None,
            legacy: None,
            origin: None,
            challenge: None,
            body_begun: false,
            in_step: matches!(framing, Framing::None),
        }
    }

    /// The route is known, and with it what of the path may be shown.
    pub(super) fn routed(&mut self, lead: &Lead<'_, '_>) {
        let (path, route) = match lead {
            Lead::Mcp(lead) => (LoggablePath::mcp(lead.template, &lead.rest), lead.route),
            Lead::Web(lead) => (LoggablePath::web(&lead.path), lead.route),
        };
        self.path = path;
        self.route = Some(Arc::clone(route));
    }

    /// A gate let it by that would have refused it if what is observed were in force.
    pub(super) fn would_be(&mut self, refused: Option<Denial>) {
        self.observed = self.observed.or(refused);
    }

    /// What holds on its route, where that is an `mcp` route.
    pub(super) fn mcp_rules(&self) -> Option<&McpRoute> {
        self.route.as_ref()?.mcp()
    }
}

impl From<Denial> for Stopped {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Judged> for Stopped {
    fn from(judged: Judged) -> Self {
        Self::Judged(judged)
    }
}

impl From<io::Error> for Stopped {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl End {
    /// What was read of the request, head and body. Where the connection ends with it, all that had
    /// come.
    pub(super) fn bytes_in(&self, place: &Place<'_>, client: &Client<'_>) -> u64 {
        let until = if self.next == Next::Keep { client.used() } else { client.received() };
        until.saturating_sub(place.begins)
    }

    /// It was ended from outside in the middle of its answer.
    pub(super) fn severed(
        (status, why): (u16, Denial),
        (first_byte, bytes_out): (Duration, u64),
    ) -> Self {
        Self {
            status: Some(status),
            outcome: Outcome::Cut,
            reason: Some(why.face().reason),
            first_byte: Some(first_byte),
            bytes_out,
            next: Next::Reset,
        }
    }

    /// The client went before it was answered.
    pub(super) const fn gone() -> Self {
        Self {
            status: None,
            outcome: Outcome::ClientGone,
            reason: None,
            first_byte: None,
            bytes_out: 0,
            next: Next::Close,
        }
    }
}
