//! Admission: everything that can refuse an exchange, in the order in which it is asked.
//!
//! Gates stand by cost and by how little is known: first what needs no memory, then where the
//! request goes and where it comes from, then who is calling, then what they ask. Each gate narrows
//! what is known or ends the exchange; none of them writes, logs or counts. What a head alone can be
//! refused for (framing, sizes, time) is refused in `wire` before it is a request at all.

use bytes::Bytes;

use super::{
    body::read_whole,
    credential, gates,
    memory::Held,
    place::{Entered, Known, Place, Stopped},
    quota,
};
use crate::{
    mcp,
    policy::{Lease, Principal},
    types::{Credential, Denial, Method, Path, Secret},
    wire::{Client, RequestHead},
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
    /// The body, whole; empty where the method has none, and once it has been sent.
    pub(super) body: Held<Bytes>,
    /// The slot of the stream that will open, where one will.
    pub(super) lease: Option<Lease>,
}

impl Admission {
    /// The key that goes upstream: the consumer's own upstream key, or the one that was presented.
    pub(super) fn upstream_key(&self) -> &str {
        self.injected_key().unwrap_or_else(|| self.credential.key.expose())
    }

    /// The key that goes upstream where the client doesn't know it, and so must not see it.
    pub(super) fn injected_key(&self) -> Option<&str> {
        let consumer = self.principal.consumer()?;
        consumer.upstream_key.as_ref().map(Secret::expose)
    }
}

/// The first half of the page: the head alone, before anyone is asked who they are.
pub(super) fn enter<'s, 'a>(
    place: &Place<'s>,
    head: &'a RequestHead,
    known: &mut Known,
) -> Result<Entered<'s, 'a>, Denial> {
    let access = &place.snapshot.access;
    if head.method == Method::Other || head.target() == "*" {
        return Err(Denial::Method);
    }
    // One reading of the path. What is ambiguous is refused here and never cleaned, so that every
    // gate below, the log and the upstream see the same path.
    let path = Path::read(head.target()).map_err(Denial::Malformed)?;
    gates::discovery(head, &path, &place.snapshot.routes)?;
    let found = place.snapshot.routes.find(head.host.name(), &path)?;
    known.routed(&found);
    // The address before the credential: who may not come from there isn't told if a key is right.
    let client = gates::client_address(head, place.peer, access)?;
    known.client = client;
    gates::address(client, access, found.route)?;
    let scheme = gates::scheme(&head.fields, place.peer, place.door.kind, access);
    known.origin = gates::origin(head, scheme, found.route)?;
    Ok(Entered { path, found, client, trusted_header: &access.trusted_header, scheme })
}

/// The second half of the page: who is calling and what they ask.
pub(super) async fn admit(
    place: &Place<'_>,
    head: &RequestHead,
    entered: &Entered<'_, '_>,
    client: &mut Client<'_>,
    known: &mut Known,
) -> Result<Admission, Stopped> {
    let (state, snapshot, route) = (place.state, place.snapshot, &**entered.found.route);
    gates::method(head.method)?;
    gates::media_type(head)?;
    let credential = credential::present(&head.fields, &entered.path, entered.found.key)?;
    known.key = Some(credential.digest);
    // Absent and wrong are different, and wrong never goes on as a stranger.
    let principal = gates::identify(&credential, snapshot, route)?;
    known.consumer = principal.consumer().cloned();
    gates::consumer_address(&principal, entered.client)?;
    known.legacy = state.legacy.find(entered.path.query(), &route.name, &credential.digest);
    let asks = (&principal, route, &credential.digest);
    let knocked = quota::knock(state, snapshot, asks, entered.client);
    // The whole body before anything goes upstream: no half request ever does, and the bytes that
    // are judged are the bytes that are forwarded. The quota comes behind it, because what a call
    // costs and how its refusal is told depend on what it says.
    let bounds = quota::body_bounds(&knocked, head.framing, (route, snapshot))?;
    known.body_begun = true;
    let body = read_whole(&state.memory, client, head, bounds).await;
    let body = body.map_err(|stopped| quota::rather(&knocked, stopped))?;
    known.in_step = true;
    // A body that no method here gives a meaning to was read away; sent on, it could pass for a
    // request of its own.
    let body = if head.method == Method::Post { body } else { Held::nothing() };
    let call = (head.method == Method::Post).then(|| mcp::read(&body)).transpose();
    let asks = (route, &credential.digest);
    // What can't be read costs as much as a call. A refusal finds the call in what is known.
    let charged = {
        let call = call.as_ref().ok().and_then(Option::as_ref);
        quota::charge(state, snapshot, (knocked, &principal), asks, call)
    };
    known.call = match (call, charged) {
        (Ok(call), _) => call,
        (Err(_), Err(denial)) | (Err(denial), Ok(())) => return Err(denial.into()),
    };
    charged?;
    let opens = (head.method, known.call.as_ref());
    let lease = quota::stream(state, route, credential.digest, opens)?;
    Ok(Admission { permit: Permit(()), credential, principal, body, lease })
}
