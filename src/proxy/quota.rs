//! Who pays for a call. A configured key has a bucket, a key that the upstream once accepted has
//! one, and all others of an address share one, so that made-up keys can't make buckets.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use super::{place::Stopped, state::State};
use crate::{
    mcp::{self, Body, Kind, Message},
    policy::{Aside, Charge, Holder, Lease, Principal},
    snapshot::{Route, Snapshot},
    types::{
        AddressGroup, Credential, CredentialForm, Denial, KeyDigest, Limit, Method, Nanos, Secret,
    },
    upstream::{Turn, World},
    wire::Framing,
};

/// How large a body may be that is read although its key was refused, in bytes.
const REFUSED_BODY: u64 = 16 * 1024;

/// How long such a body may take.
const REFUSED_PATIENCE: Duration = Duration::from_secs(1);

/// How many times the rate of any other address one has that strangers share.
pub(super) const SHARED: u32 = 10;

/// Whose bucket is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payer {
    /// A consumer.
    Consumer,
    /// A stranger whose key the upstream accepted.
    Proven,
    /// Anyone else: the address.
    Address(AddressGroup),
    /// Anyone else, where strangers share the address: all keys that begin alike, from there.
    Prefix(KeyDigest, AddressGroup),
}

/// How much of a key tells that it belongs to one guesser's list, in characters.
const PREFIX: usize = 8;

/// How a key begins, where that is what pays for wrong ones. Only a digest of it is kept.
pub(super) fn prefix(
    snapshot: &Snapshot,
    credential: &Credential,
    client: IpAddr,
) -> Option<KeyDigest> {
    let begins = || Secret::new(credential.key.expose().chars().take(PREFIX).collect());
    // No ban comes to a proxy either: it would be one of everybody behind it.
    let is_shared =
        snapshot.bans.limits_prefixes(client) || snapshot.access.trusted_proxies.trusts(client);
    let has_key = credential.form != CredentialForm::Certificate;
    (is_shared && has_key).then(|| begins().digest())
}

/// Whether keys that begin like this one may still be looked up. Takes nothing: what is looked up may
/// be right.
pub(super) fn glance(
    state: &State,
    snapshot: &Snapshot,
    prefix: Option<KeyDigest>,
) -> Result<(), Denial> {
    let Some(prefix) = prefix else { return Ok(()) };
    state.limiter.glance_at_prefix(prefix, snapshot.bans.wrong_keys, Nanos::now())
}

/// Before the body is read: an unproven key pays from its address's bucket for the asking, or a
/// flood of guesses would cost us their bodies and the upstream their look-ups.
pub(super) fn knock(
    state: &State,
    snapshot: &Snapshot,
    (principal, route, holder): (&Principal, &Route, &Holder),
    (client, prefix): (IpAddr, Option<KeyDigest>),
) -> Result<Payer, Denial> {
    let Principal::Stranger = principal else { return Ok(Payer::Consumer) };
    if is_proven(state, route, holder) {
        return Ok(Payer::Proven);
    }
    let at = (NonZeroU32::MIN, Nanos::now());
    let payer = match prefix {
        None => Payer::Address(client.into()),
        Some(prefix) => {
            // Keys that begin in a million ways share no bucket, and still come from somewhere.
            let quota = snapshot.limits.unproven_per_address.times(SHARED);
            state.limiter.charge_address(Charge::Shared(client.into()), quota, at)?;
            Payer::Prefix(prefix, client.into())
        }
    };
    unproven(state, snapshot, payer, at)?;
    Ok(payer)
}

/// Whether the upstream has accepted the key of a stranger.
pub(super) fn is_proven(state: &State, route: &Route, holder: &Holder) -> bool {
    state.limiter.is_proven(Charge::Key(&route.name, holder))
}

/// Takes from what keys share that aren't proven.
fn unproven(
    state: &State,
    snapshot: &Snapshot,
    payer: Payer,
    at: (NonZeroU32, Nanos),
) -> Result<(), Denial> {
    match payer {
        Payer::Address(group) => {
            let quota = snapshot.limits.unproven_per_address;
            state.limiter.charge_address(Charge::Unproven(group), quota, at)
        }
        Payer::Prefix(prefix, _) => {
            state.limiter.charge_prefix(prefix, snapshot.bans.wrong_keys, at)
        }
        Payer::Consumer | Payer::Proven => Ok(()),
    }
}

/// How much of a body is read, and how long it may take. Of a key that was refused at the door a
/// small one, or none: enough to tell a call its refusal by its id, little enough for a flood.
pub(super) fn body_bounds(
    knocked: &Result<Payer, Denial>,
    framing: Framing,
    (max_body, snapshot): (usize, &Snapshot),
) -> Result<(usize, Duration), Denial> {
    let patience = snapshot.timeouts.body;
    match (knocked, framing) {
        (Ok(_), _) => Ok((max_body, patience)),
        (Err(_), Framing::None | Framing::Length(0..=REFUSED_BODY)) => {
            Ok((max_body, patience.min(REFUSED_PATIENCE)))
        }
        (Err(denial), _) => Err(*denial),
    }
}

/// Who was refused at the door isn't told another reason.
pub(super) fn first_of(knocked: &Result<Payer, Denial>, denial: Denial) -> Denial {
    knocked.err().unwrap_or(denial)
}

/// The same for a body that wasn't read whole.
pub(super) fn rather(knocked: &Result<Payer, Denial>, stopped: Stopped) -> Stopped {
    match stopped {
        Stopped::Denied(denial) => Stopped::Denied(first_of(knocked, denial)),
        stopped => stopped,
    }
}

/// After the body is read: the call is charged, a batch by its elements, and what has a bucket beside
/// the calls to that.
pub(super) fn charge(
    state: &State,
    snapshot: &Snapshot,
    (knocked, principal): (Result<Payer, Denial>, &Principal),
    (route, holder): (&Route, &Holder),
    body: Option<&Body>,
) -> Result<(), Denial> {
    let aside = body.and_then(Body::single).and_then(aside);
    let at = (body.map_or(NonZeroU32::MIN, Body::cells), Nanos::now());
    let own = principal.consumer().and_then(|consumer| Some((&consumer.name, consumer.quota?)));
    let quota = own.map(|(_, quota)| quota).or(route.quota);
    let quota = if aside.is_some() { quota.map(|q| q.times(Aside::FACTOR)) } else { quota };
    let bucket = match (aside, own) {
        (Some(aside), _) => Charge::Aside(aside, &route.name, holder),
        (None, Some((consumer, _))) => Charge::Consumer(consumer),
        (None, None) => Charge::Key(&route.name, holder),
    };
    let charged = match (knocked, quota) {
        (Err(denial), _) => Err(denial),
        (Ok(Payer::Consumer), Some(quota)) => state.limiter.charge_configured(bucket, quota, at),
        (Ok(Payer::Proven), Some(quota)) => state.limiter.charge_proven(bucket, quota, at),
        (Ok(payer @ (Payer::Address(_) | Payer::Prefix(..))), _) => {
            match NonZeroU32::new(at.0.get() - 1) {
                // The first call was paid for at the door.
                Some(more) => unproven(state, snapshot, payer, (more, at.1)),
                None => Ok(()),
            }
        }
        (Ok(_), None) => Ok(()),
    };
    charged.map_err(|denial| match denial {
        Denial::Rate { retry_after, limit } if aside == Some(Aside::Discover) => {
            Denial::DiscoverRate { retry_after, limit }
        }
        other => other,
    })
}

/// Which bucket beside the calls a message is charged to, if one. A notification by its name too: a
/// server may do a `tools/call` that has no id.
fn aside(message: &Message) -> Option<Aside> {
    let is_request = message.kind == Kind::Request;
    match message.method {
        mcp::Method::Discover => Some(Aside::Discover),
        mcp::Method::Initialize if is_request => Some(Aside::Initialize),
        mcp::Method::Known("ping") if is_request => Some(Aside::Ping),
        _ if message.kind == Kind::Response => Some(Aside::Notification),
        _ if is_request => None,
        _ => message.method_text().starts_with("notifications/").then_some(Aside::Notification),
    }
}

/// The slot of a stream, for requests whose answer is sure to stay open: a GET, and the
/// `subscriptions/listen` that took its place in 2026-07-28.
pub(super) fn stream(
    state: &State,
    (route, holder): (&Route, Holder),
    (client, (max_streams, per_address)): (IpAddr, (u32, u32)),
    (method, body): (Method, Option<&Body>),
) -> Result<Option<Lease>, Denial> {
    let listens =
        body.is_some_and(|b| b.messages().iter().any(|m| m.method == mcp::Method::Listen));
    if method != Method::Get && !listens {
        return Ok(None);
    }
    let of_key = (&route.name, holder, max_streams);
    state.leases.open(of_key, (client, per_address)).map(Some)
}

/// A turn at the upstream: a slow one is not helped by more requests.
pub(super) fn turn(world: &World, route: &Route) -> Result<Turn, Denial> {
    let server = world.server(route).ok_or(Denial::UpstreamDown)?;
    server.turn().ok_or(Denial::Overload(Limit::MaxRequests))
}

/// On a site, where there are no keys: the address pays.
pub(super) fn visit(state: &State, route: &Route, client: IpAddr) -> Result<(), Denial> {
    let Some(quota) = route.quota else { return Ok(()) };
    let visitor = Charge::Visitor(&route.name, AddressGroup::from(client));
    state.limiter.charge_address(visitor, quota, (NonZeroU32::MIN, Nanos::now()))
}

/// The upstream answered 2xx: the key is real, and gets a bucket of its own.
pub(super) fn prove(state: &State, route: &Route, holder: &Holder) {
    if matches!(holder, Holder::Key(_)) {
        state.limiter.prove(Charge::Key(&route.name, holder), Nanos::now());
    }
}
