//! `oauth = "upstream"`: Postiz's own OAuth, where Postiz says that it is.
//!
//! Postiz makes the addresses that it announces from its public origin and forgets the `/api` under
//! which it is reached. So a route with this setting has companions of its own name: for the paths
//! as announced, which lead to the same server with nothing taken off, and for the same paths behind
//! the prefix.

use std::sync::Arc;

use super::{Span, reading::Reading, table::Table};
use crate::{
    policy::Quota,
    snapshot::{OauthPart, Route, RouteKind, Upstream, UpstreamAuth, WebRoute},
    types::Template,
};

/// Every path of Postiz's OAuth that is let through. `/oauth/authorize` isn't here: it is a page of
/// the site. Neither are the documents of the root, which would make every client ask for OAuth.
const PATHS: [(OauthPart, &str); 9] = [
    (OauthPart::Resource, "/mcp-oauth"),
    (OauthPart::Resource, "/mcp-oauth-claude"),
    (OauthPart::Read, "/.well-known/oauth-protected-resource/mcp-oauth"),
    (OauthPart::Read, "/.well-known/oauth-protected-resource/mcp-oauth-claude"),
    (OauthPart::Read, "/.well-known/oauth-authorization-server/mcp-oauth"),
    (OauthPart::Read, "/.well-known/openid-configuration/mcp-oauth"),
    (OauthPart::Read, "/oauth/userinfo"),
    (OauthPart::Write, "/oauth/register"),
    (OauthPart::Write, "/oauth/token"),
];

/// The largest body of a registration or of a request for a token, in bytes.
const MOST_BODY: u64 = 64 << 10;

/// Where the setting is written, if it is.
pub(super) fn read(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<Span> {
    let item = table.take("oauth")?;
    item.choice(reading, &[("upstream", ())])?;
    Some(item.at)
}

/// The paths that a route claims by the setting, written there, whose upstream takes `prefix` off.
pub(super) fn claimed(at: &Span, prefix: Option<&Template>) -> Vec<(Template, Span)> {
    let prefix = prefix.map(|prefix| prefix.text().trim_end_matches('/'));
    let behind = prefix.into_iter().flat_map(templates);
    templates("").chain(behind).map(|(_, template)| (template, at.clone())).collect()
}

/// The paths behind a prefix. What is well known is so at the root alone (RFC 8615 3).
fn templates(prefix: &str) -> impl Iterator<Item = (OauthPart, Template)> {
    let known = |(_, path): &(OauthPart, &str)| prefix.is_empty() || !path.starts_with("/.well");
    PATHS.into_iter().filter(known).filter_map(move |(part, path)| {
        Some((part, Template::parse(&format!("{prefix}{path}"))?.exactly()))
    })
}

/// The companions of a route that has the setting. `quota` is what an address may ask of the pages:
/// Postiz itself lets anybody register as often as they like.
pub(super) fn companions(route: &Route, quota: Quota) -> Vec<Arc<Route>> {
    let root = Upstream { strip_prefix: Vec::new(), ..Upstream::clone(&route.upstream) };
    let mut below = vec![(String::new(), Arc::new(root))];
    let prefix: String = route.upstream.strip_prefix.iter().flat_map(|part| ["/", part]).collect();
    if !prefix.is_empty() {
        below.push((prefix, Arc::clone(&route.upstream)));
    }
    let parts = [OauthPart::Resource, OauthPart::Read, OauthPart::Write];
    let all = below.iter().flat_map(|below| parts.map(|part| (below, part)));
    let one = |((prefix, upstream), part): (&(String, Arc<Upstream>), OauthPart)| {
        let paths = templates(prefix).filter(|(of, _)| *of == part).map(|(_, path)| path);
        let (kind, quota) = match (&route.kind, part) {
            (RouteKind::Mcp(rules), OauthPart::Resource) => {
                (RouteKind::Mcp(rules.clone()), route.quota)
            }
            _ => (RouteKind::Web(page()), Some(quota)),
        };
        Arc::new(Route {
            name: route.name.clone(),
            hosts: route.hosts.clone(),
            paths: paths.collect(),
            upstream: Arc::clone(upstream),
            host_header: route.host_header.clone(),
            // Tokens come in Authorization, and Postiz reads them nowhere else there.
            upstream_auth: UpstreamAuth::AsReceived,
            nets: route.nets.clone(),
            quota,
            kind,
            oauth: Some(part),
        })
    };
    all.map(one).collect()
}

const fn page() -> WebRoute {
    WebRoute { websocket: false, max_body: Some(MOST_BODY) }
}
