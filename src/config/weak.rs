//! What can run and is probably not meant: each a warning that says what it opens.

use super::{
    access, consumers,
    listeners::{self, Speaks},
    mask::shown,
    reading::Reading,
    routes, upstreams,
};
use crate::snapshot::{Dialect, DialectSetting, UnknownKeys, UpstreamAuth};

/// A listener that takes keys in clear from other machines.
pub(super) fn listeners(drafts: &[listeners::Draft], reading: &mut Reading<'_>) {
    for draft in drafts {
        let Some((address, at)) = &draft.address else { continue };
        if matches!(draft.speaks, Speaks::Plain) && !address.ip().is_loopback() {
            reading
                .warning(at, "keys travel in clear to this listener, and anyone between reads them")
                .hint(
                    "add `tls`, or redirect = \"https\"; behind something that ends TLS, listen on \
                     an address that only it can reach",
                );
        }
    }
}

/// Orders whose proof is asked for from addresses that are let in by no list.
pub(super) fn acme(drafts: &[listeners::Draft], access: &access::Draft, reading: &mut Reading<'_>) {
    for draft in drafts {
        let Speaks::Tls(_, Some(acme)) = &draft.speaks else { continue };
        if !access.access.nets.is_open() {
            reading
                .warning(&acme.at, "[access] keeps out the authority, which asks from any address")
                .hint("put the lists on the routes, or let another program order: `certificates`");
        }
    }
}

/// Address lists where whoever comes is a proxy on this machine, and nobody believes what it says.
pub(super) fn loopback(
    listeners: &[listeners::Draft],
    access: &access::Draft,
    (routes, consumers): (&[routes::Draft], &[consumers::Draft]),
    reading: &mut Reading<'_>,
) {
    let has_lists = !access.access.nets.is_open()
        || routes.iter().any(|route| !route.nets.is_open())
        || consumers.iter().filter_map(|c| c.consumer.as_ref()).any(|c| !c.nets.is_open());
    let addresses = || listeners.iter().filter_map(|listener| listener.address.as_ref());
    let reachable = addresses().any(|(address, _)| !address.ip().is_loopback());
    // Written and empty, it says that nobody stands before.
    if access.proxies.is_some() || reachable || !has_lists {
        return;
    }
    if let Some((_, at)) = addresses().next() {
        reading.warning(at, "every client has the address of the proxy before this listener").hint(
            "name the proxy in [access]: trusted_proxies = [\"127.0.0.1\"]; or, where there is \
                 none, write trusted_proxies = []",
        );
    }
}

/// Routes that let too much through, or nobody.
pub(super) fn routes(
    drafts: &[routes::Draft],
    consumers: &[consumers::Draft],
    reading: &mut Reading<'_>,
) {
    for draft in drafts {
        let at = draft.name.as_ref().map_or(&draft.at, |(_, at)| at);
        let may_use = |consumer: &&consumers::Draft| match (&consumer.routes, &draft.name) {
            (Some(routes), Some((name, _))) => routes.iter().any(|(route, _)| route == name),
            _ => true,
        };
        let Some(rules) = draft.mcp() else { continue };
        if let (Some(at), UnknownKeys::Refuse) = (&draft.oauth, rules.unknown_keys) {
            reading
                .warning(at, "no token of this OAuth gets in: tokens are keys that no consumer has")
                .hint("add: unknown_keys = \"forward\"");
        }
        match rules.unknown_keys {
            UnknownKeys::Forward if !draft.has_rate => {
                reading
                    .warning(at, "this route forwards keys that nobody configured, without a rate")
                    .hint("add: rate = \"100/min\"");
            }
            UnknownKeys::Refuse if !consumers.iter().any(|consumer| may_use(&consumer)) => {
                reading
                    .warning(
                        at,
                        "nobody can use this route: it refuses unknown keys, and no \
                                  consumer may use it",
                    )
                    .hint(
                        "add a consumer (`portcullis key new NAME` prints one), or \
                         unknown_keys = \"forward\" to let the upstream judge",
                    );
            }
            UnknownKeys::Forward | UnknownKeys::Refuse => {}
        }
    }
}

/// Budgets that a restart would fill again.
pub(super) fn budgets(
    has_state: bool,
    (routes, consumers): (&[routes::Draft], &[consumers::Draft]),
    reading: &mut Reading<'_>,
) {
    if has_state {
        return;
    }
    let of_routes = routes.iter().filter_map(|route| {
        let has_some = route.mcp()?.tool_limits.budgets.is_some();
        route.name.as_ref().filter(|_| has_some)
    });
    let of_consumers = consumers.iter().filter_map(|draft| {
        let has_some = draft.consumer.as_ref()?.tool_limits.budgets.is_some();
        draft.name.as_ref().filter(|_| has_some)
    });
    for (_, at) in of_routes.chain(of_consumers) {
        reading
            .warning(at, "what is used of these budgets is forgotten at every restart")
            .hint("add: [state] with dir = \"/var/lib/portcullis\"");
    }
}

/// Hosts of routes that no certificate is for, where there is TLS at all.
pub(super) fn hosts(
    routes: &[routes::Draft],
    listeners: &[listeners::Draft],
    reading: &mut Reading<'_>,
) {
    let speakers = || {
        listeners.iter().filter_map(|draft| match &draft.speaks {
            Speaks::Tls(tls, _) => Some(tls),
            Speaks::Plain | Speaks::Redirect(_) => None,
        })
    };
    let ordered = || speakers().filter_map(|tls| tls.acme.as_ref()).flat_map(|a| &a.domains);
    let certificates = || speakers().flat_map(|tls| &tls.certificates);
    let names = || certificates().flat_map(|certificate| &certificate.names).chain(ordered());
    if certificates().next().is_none() && ordered().next().is_none() {
        return;
    }
    for (host, at) in routes.iter().flat_map(|route| &route.hosts) {
        // TLS names no addresses (RFC 6066 3): a client that connects to one gets the first.
        if is_dns_host(&host.0) && !names().any(|name| is_for(name, &host.0)) {
            reading
                .warning(at, format!("no certificate is for {}", shown(&host.0)))
                .hint("add one that is: clients of this host will refuse the connection");
        }
    }
}

fn is_dns_host(host: &str) -> bool {
    !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err()
}

/// RFC 6125 6.4.3: a star stands for one whole label.
fn is_for(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => name == host,
    }
}

/// The port of the nginx inside Postiz's container.
const POSTIZ_NGINX_PORT: u16 = 5000;

/// Streams and keys through the nginx inside Postiz; the pages that it serves are fine.
pub(super) fn postiz_nginx(
    upstreams: &[upstreams::Draft],
    routes: &[routes::Draft],
    reading: &mut Reading<'_>,
) {
    let has_keys = |upstream: &upstreams::Draft| {
        let leads_here =
            |route: &&routes::Draft| route.upstream.as_ref().is_some_and(|u| u.0 == upstream.name);
        routes.iter().filter(leads_here).any(|route| route.mcp().is_some())
    };
    for draft in upstreams.iter().filter(|draft| has_keys(draft)) {
        let Some(upstream) = &draft.upstream else { continue };
        let endpoints = upstream.endpoints.iter().zip(&draft.endpoints_at);
        for (_, at) in endpoints.filter(|(endpoint, _)| endpoint.port == POSTIZ_NGINX_PORT) {
            reading
                .warning(
                    at,
                    "port 5000 is the nginx inside Postiz: it cuts a stream after 60 s of silence \
                     and logs keys",
                )
                .hint("use port 3000, the server behind it, with strip_prefix = \"/api\"");
        }
    }
}

/// Upstreams that no route leads to.
pub(super) fn upstreams(
    upstreams: &[upstreams::Draft],
    routes: &[routes::Draft],
    reading: &mut Reading<'_>,
) {
    for upstream in upstreams {
        let leads = routes.iter().filter_map(|route| route.upstream.as_ref());
        if !leads.into_iter().any(|(name, _)| *name == upstream.name) {
            reading
                .warning(&upstream.name_at, "no route leads to this upstream")
                .hint("remove it, or name it in a route");
        }
    }
}

/// Keys that go where the server never looks.
pub(super) fn bearer(
    upstreams: &[upstreams::Draft],
    routes: &[routes::Draft],
    reading: &mut Reading<'_>,
) {
    for upstream in upstreams {
        let Some((DialectSetting::Is(Dialect::LegacySse), at)) = &upstream.dialect else {
            continue;
        };
        let moves = |route: &routes::Draft| {
            let here = route.upstream.as_ref().is_some_and(|(name, _)| *name == upstream.name);
            let auth = route.auth.or(upstream.auth);
            here && route.mcp().is_some() && auth == Some(UpstreamAuth::Bearer)
        };
        if routes.iter().any(moves) {
            reading
                .warning(
                    at,
                    "a Postiz of this dialect reads a key in the path alone, and \
                     `upstream_auth = \"bearer\"` takes it out of there",
                )
                .hint("leave `upstream_auth` out");
        }
    }
}
