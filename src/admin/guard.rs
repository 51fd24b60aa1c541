use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::refusal;

/// Lets pass only what no web page can have sent.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let fields = request.headers();
    if fields.contains_key(header::ORIGIN) {
        return refusal(StatusCode::FORBIDDEN, "origin");
    }
    // A target in absolute form outranks Host (RFC 9112 3.2.2).
    let named = request.uri().authority();
    if !named.is_none_or(is_ours) || !host(fields).as_ref().is_some_and(is_ours) {
        return refusal(StatusCode::FORBIDDEN, "host");
    }
    next.run(request).await
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
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}
