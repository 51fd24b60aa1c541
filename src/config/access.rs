//! `[access]`, and the nets of routes and consumers.

use http::HeaderName;
use ipnet::IpNet;

use super::{
    Span, defaults,
    mask::shown,
    reading::Reading,
    table::{Item, Table},
    value::{self, Fault},
};
use crate::{
    policy::{NetList, TrustedProxies},
    snapshot::Access,
};

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Access {
    let mut access = Access {
        nets: NetList::everyone(),
        trusted_proxies: TrustedProxies::new(&[]),
        trusted_header: defaults::TRUSTED_HEADER.into(),
    };
    let Some(mut table) = root.section("access", "[access]", reading) else { return access };
    access.nets = nets(&mut table, reading);
    if let Some(item) = table.take("trusted_proxies") {
        let proxies = item.list_of(reading, value::net);
        for (_, at) in proxies.iter().filter(|(net, _)| net.prefix_len() == 0) {
            reading
                .warning(at, "every peer is trusted to name its own address")
                .hint("name the nets of your proxies: anyone else can write any address there");
        }
        access.trusted_proxies = TrustedProxies::new(&only_nets(proxies));
    }
    if let Some(item) = table.take("trusted_header")
        && let Some(name) = item.read(reading, header)
    {
        access.trusted_header = name;
    }
    table.finish(&[], reading);
    access
}

/// The `allow` and `deny` of a table.
pub(super) fn nets(table: &mut Table<'_>, reading: &mut Reading<'_>) -> NetList {
    let allow = table.take("allow").map(|item| {
        let nets = item.list_of(reading, value::net);
        warn_if_empty(&item, reading);
        only_nets(nets)
    });
    let deny = table.take("deny").map(|item| only_nets(item.list_of(reading, value::net)));
    NetList::new(allow.as_deref(), &deny.unwrap_or_default())
}

fn warn_if_empty(allow: &Item<'_>, reading: &mut Reading<'_>) {
    if allow.value.as_array().is_some_and(|list| list.is_empty()) {
        reading
            .warning(&allow.at, "an empty `allow` lets nobody in")
            .hint("leave it out to let everyone in, or name the nets that may come");
    }
}

fn only_nets(nets: Vec<(IpNet, Span)>) -> Vec<IpNet> {
    nets.into_iter().map(|(net, _)| net).collect()
}

fn header(text: &str) -> Result<Box<str>, Fault> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Fault::new(format!("{} is no field name", shown(text))))?;
    if name == http::header::FORWARDED {
        return Err(Fault::new("`Forwarded` has a syntax of its own, which isn't read")
            .hint("let the proxy write X-Forwarded-For, or another field of plain addresses"));
    }
    Ok(name.as_str().into())
}
