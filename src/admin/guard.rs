//! Who may ask. Neither a web page in an operator's browser nor a server that was made to fetch an
//! address may: to both, the machine's own addresses are open.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::refusal;
use crate::{
    types::canonical,
    upstream::{Server, World},
};

/// Who asks at the address.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// The servers behind, whose machines have nothing to ask here.
pub(super) type Upstreams = Arc<ArcSwap<World>>;

/// What the HTTP libraries of servers call themselves; Postiz fetches what a tool's argument names
/// (`uploadFromUrlTool`). Whoever forges another name could ask from anywhere on the machine.
const FETCHERS: [&str; 5] = ["node", "undici", "axios", "node-fetch", "got"];

/// Lets pass at the address only what a monitor asks.
pub(super) async fn address(
    State(upstreams): State<Upstreams>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let fields = request.headers();
    if let Some(reason) = fetched(fields) {
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    // A target in absolute form outranks Host (RFC 9112 3.2.2).
    let named = request.uri().authority();
    if !named.is_none_or(is_ours) || !host(fields).as_ref().is_some_and(is_ours) {
        return refusal(StatusCode::FORBIDDEN, "host");
    }
    let peer = canonical(peer);
    let is_upstream = |server: &Arc<Server>| server.is_at(peer);
    if names_a_fetcher(fields)
        || !peer.is_loopback() && upstreams.load().servers.values().any(is_upstream)
    {
        return refusal(StatusCode::FORBIDDEN, "fetched");
    }
    // `HEAD` too, which the router would answer where it answers `GET`.
    if request.method() != Method::GET {
        let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "method");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET"));
        return refused;
    }
    next.run(request).await
}

/// Lets pass on the socket whatever no page can have sent. No URL leads to it, so this is for a proxy
/// that somebody puts before it.
pub(super) async fn socket(request: Request, next: Next) -> Response {
    match fetched(request.headers()) {
        Some(reason) => refusal(StatusCode::FORBIDDEN, reason),
        None => next.run(request).await,
    }
}

/// Why a request is one that a page made, or a server for somebody else.
fn fetched(fields: &HeaderMap) -> Option<&'static str> {
    if fields.contains_key(header::ORIGIN) {
        return Some("origin");
    }
    // Browsers and Node's own `fetch` tell so much of a request (Fetch Metadata, W3C).
    let tells = |name: &header::HeaderName| name.as_str().starts_with("sec-fetch-");
    let is_led = fields.contains_key(header::REFERER) || fields.keys().any(tells);
    is_led.then_some("fetched")
}

fn names_a_fetcher(fields: &HeaderMap) -> bool {
    let names = |agent: &header::HeaderValue| {
        let ends = |byte: &u8| matches!(byte, b' ' | b';' | b',' | b'(' | b')');
        agent.as_bytes().split(ends).any(|product| {
            let name = product.split(|byte| *byte == b'/').next().unwrap_or_default();
            FETCHERS.iter().any(|fetcher| name.eq_ignore_ascii_case(fetcher.as_bytes()))
        })
    };
    fields.get_all(header::USER_AGENT).iter().any(names)
}

/// The one Host; none where it is missing, repeated or not a host.
fn host(fields: &HeaderMap) -> Option<Authority> {
    let mut all = fields.get_all(header::HOST).iter();
    let (host, None) = (all.next()?, all.next()) else { return None };
    host.to_str().ok()?.parse().ok()
}

/// An address, or a name that never leaves the machine. Any other name may be one that a page's
/// owner has just pointed at this address: DNS rebinding.
fn is_ours(authority: &Authority) -> bool {
    // With a user before it, it is no Host (RFC 9110 7.2).
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}
