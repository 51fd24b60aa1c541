//! What is fine by itself and wrong together. Both places are always shown.

use std::{collections::HashMap, net::SocketAddr};

use super::{
    Span, access, audit, consumers,
    listeners::{self, Speaks},
    mask::shown,
    oauth,
    once::unknown_name,
    reading::Reading,
    routes, upstreams,
};
use crate::{policy::AuditLevel, snapshot::Acme, types::Template};

/// Checks listeners against each other and the admin address.
pub(super) fn listeners(
    listeners: &[listeners::Draft],
    admin: Option<&(SocketAddr, Span)>,
    reading: &mut Reading<'_>,
) {
    let mut taken: Vec<&(SocketAddr, Span)> = Vec::new();
    for address in listeners.iter().filter_map(|draft| draft.address.as_ref()).chain(admin) {
        if let Some(first) = taken.iter().find(|first| collide(first.0, address.0)) {
            let place = reading.place(&first.1);
            let message = format!("{} is listened on already", address.0);
            reading.error(&address.1, message).related(place, "first here");
        }
        taken.push(address);
    }
    for draft in listeners {
        let Speaks::Redirect(Some((to, at))) = &draft.speaks else { continue };
        let names = || listeners.iter().filter_map(|draft| draft.name.as_ref());
        let target = listeners.iter().find(|other| other.name.as_ref().is_some_and(|n| n.0 == *to));
        match target.map(|target| &target.speaks) {
            None => unknown_name("listener", (to, at), names().map(|(name, _)| name), reading),
            Some(Speaks::Tls(..)) => {}
            Some(Speaks::Plain | Speaks::Redirect(_)) => {
                reading
                    .error(at, format!("{} does not speak TLS", shown(to.as_str())))
                    .hint("a redirect leads to a listener with `tls`");
            }
        }
    }
}

/// A consumer's certificate that no listener asks for would keep it out for ever.
pub(super) fn client_certificates(
    listeners: &[listeners::Draft],
    consumers: &[consumers::Draft],
    reading: &mut Reading<'_>,
) {
    let asks = |draft: &listeners::Draft| match &draft.speaks {
        Speaks::Tls(tls, _) => tls.clients.is_some(),
        Speaks::Plain | Speaks::Redirect(_) => false,
    };
    if listeners.iter().any(asks) {
        return;
    }
    for (_, at) in consumers.iter().filter_map(|draft| draft.certificate.as_ref()) {
        reading.error(at, "no listener asks for client certificates").hint(
            "add to a listener's tls: client_ca = \"tls/clients.pem\", client_auth = \"optional\"",
        );
    }
}

/// What is ordered is kept: without a place for it each start would order anew, and an authority gives
/// a name few certificates a week. It counts the orders of a name, too, so nobody else orders for it.
pub(super) fn acme(drafts: &[listeners::Draft], is_kept: bool, reading: &mut Reading<'_>) {
    let orders = drafts.iter().filter_map(|draft| match &draft.speaks {
        Speaks::Tls(_, acme) => acme.as_ref(),
        Speaks::Plain | Speaks::Redirect(_) => None,
    });
    let mut first: HashMap<&str, (&Acme, &Span)> = HashMap::new();
    for draft in orders {
        if !is_kept {
            reading
                .error(&draft.at, "what `acme` orders is kept in a directory that isn't named")
                .hint("add: [state] with dir = \"/var/lib/portcullis\"");
        }
        let Some(acme) = &draft.acme else { continue };
        for domain in &acme.domains {
            let (other, at) = first.entry(domain).or_insert((acme, &draft.at));
            if *other != acme {
                let place = reading.place(at);
                reading
                    .error(&draft.at, format!("{} is ordered in two ways", shown(domain)))
                    .hint("write the same `acme` for both listeners: they share the certificate")
                    .related(place, "first here");
                break;
            }
        }
    }
}

/// A header that says who is behind a proxy is taken from proxies that are trusted, and from no other.
pub(super) fn proxy_protocol(
    listeners: &[listeners::Draft],
    access: &access::Draft,
    reading: &mut Reading<'_>,
) {
    if access.proxies.is_some_and(|proxies| proxies > 0) {
        return;
    }
    for at in listeners.iter().filter_map(|draft| draft.proxy_protocol.as_ref()) {
        reading
            .error(at, "no peer may send the PROXY header: `trusted_proxies` names nobody")
            .hint("add to [access]: trusted_proxies = [\"10.0.0.0/24\"], the nets of your proxies");
    }
}

/// Whether the second bind would fail. Port 0 is a new port each time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let covers = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_family && covers
}

/// Checks that no two paths fit the same requests equally well.
pub(super) fn routes(
    drafts: &[routes::Draft],
    upstreams: &[upstreams::Draft],
    reading: &mut Reading<'_>,
) {
    let claimed = |draft: &routes::Draft| {
        let (at, (name, _)) = draft.oauth.as_ref().zip(draft.upstream.as_ref())?;
        let upstream = upstreams.iter().find(|upstream| upstream.name == *name);
        let prefix = upstream.and_then(|upstream| upstream.strip_prefix.as_ref());
        Some(oauth::claimed(at, prefix.map(|(prefix, _)| prefix)))
    };
    let by_oauth: Vec<_> = drafts.iter().map(|d| claimed(d).unwrap_or_default()).collect();
    let mut claims: HashMap<Option<&str>, Vec<&(Template, Span)>> = HashMap::new();
    for (draft, by_oauth) in drafts.iter().zip(&by_oauth) {
        let named = draft.hosts.iter().map(|(host, _)| Some(&*host.0));
        let any = draft.hosts.is_empty().then_some(None);
        let hosts: Vec<Option<&str>> = named.chain(any).collect();
        for path in draft.paths.iter().chain(by_oauth) {
            let clash = hosts.iter().find_map(|host| {
                let claimed = claims.get(host)?.iter().find(|first| first.0.overlaps(&path.0))?;
                Some((*host, *claimed))
            });
            if let Some((host, first)) = clash {
                claimed_twice(host, first, path, reading);
            }
            for host in &hosts {
                claims.entry(*host).or_default().push(path);
            }
        }
    }
}

fn claimed_twice(
    host: Option<&str>,
    (first, first_at): &(Template, Span),
    (template, at): &(Template, Span),
    reading: &mut Reading<'_>,
) {
    let host = host.map_or_else(|| "any host".to_owned(), shown);
    let (path, other) = (shown(template.text()), shown(first.text()));
    let message = if template.text().eq_ignore_ascii_case(first.text()) {
        format!("{path} is claimed twice for {host}")
    } else {
        format!("{path} fits paths that {other} fits too, for {host}")
    };
    let place = reading.place(first_at);
    reading
        .error(at, message)
        .hint("give the routes different hosts or paths, or make one of the two")
        .related(place, "first here");
}

/// Checks that what an upstream strips is there on every path that leads to it.
pub(super) fn prefixes(
    upstreams: &[upstreams::Draft],
    drafts: &[routes::Draft],
    reading: &mut Reading<'_>,
) {
    for upstream in upstreams {
        let Some((prefix, prefix_at)) = &upstream.strip_prefix else { continue };
        let leads_here =
            |draft: &&routes::Draft| draft.upstream.as_ref().is_some_and(|u| u.0 == upstream.name);
        for (path, at) in drafts.iter().filter(leads_here).flat_map(|draft| &draft.paths) {
            let mut parts = path.parts();
            let starts = prefix.parts().all(|fixed| match (fixed, parts.next()) {
                (Some(fixed), Some(Some(part))) => fixed.eq_ignore_ascii_case(part),
                _ => false,
            });
            if !starts {
                let place = reading.place(prefix_at);
                let message = format!(
                    "{} does not begin with the {} that its upstream takes off",
                    shown(path.text()),
                    shown(prefix.text())
                );
                reading
                    .error(at, message)
                    .hint("begin the path with it, or lead it to another upstream")
                    .related(place, "taken off here");
            }
        }
    }
}

/// Checks that what has to be recorded can be, and that digests are the same after a restart.
pub(super) fn audit(
    draft: Option<&audit::Draft>,
    has_state: bool,
    (routes, consumers): (&[routes::Draft], &[consumers::Draft]),
    reading: &mut Reading<'_>,
) {
    if let Some(at) = draft.and_then(|draft| draft.digest_at.as_ref()).filter(|_| !has_state) {
        reading
            .warning(at, "without [state] the same arguments have another digest after each start")
            .hint("add: [state] dir = \"/var/lib/portcullis\"");
    }
    if draft.is_some() {
        return;
    }
    let of_routes = routes.iter().filter_map(|draft| draft.audit.as_ref());
    let all = of_routes.chain(consumers.iter().filter_map(|draft| draft.audit.as_ref()));
    for (_, at) in all.filter(|(level, _)| *level != AuditLevel::Off) {
        reading
            .error(at, "there is no [audit], so nothing would be recorded")
            .hint("add: [audit] file = \"/var/log/portcullis/audit.jsonl\"");
    }
}
