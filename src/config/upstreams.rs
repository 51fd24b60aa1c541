//! `[upstreams.NAME]`.

use std::sync::Arc;

use super::{
    Span, endpoint, endpoints, health,
    mask::shown,
    pins,
    reading::Reading,
    table::Table,
    value::{self, Fault},
};
use crate::{
    snapshot::{Dialect, DialectSetting, HostHeader, Upstream, UpstreamAuth},
    types::{Name, Template},
};

/// An upstream as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Name,
    pub(super) name_at: Span,
    pub(super) strip_prefix: Option<(Template, Span)>,
    /// Where its endpoints are written, each that could be read.
    pub(super) endpoints_at: Vec<Span>,
    /// Left out, the kind of a route decides.
    pub(super) host_header: Option<HostHeader>,
    /// What holds on a route that doesn't say otherwise.
    pub(super) auth: Option<UpstreamAuth>,
    pub(super) dialect: Option<(DialectSetting, Span)>,
    pub(super) upstream: Option<Arc<Upstream>>,
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<Draft> {
    let example = "[upstreams.postiz] with endpoints = [\"http://127.0.0.1:3000\"]";
    let Some(item) = root.require("upstreams", example, reading) else { return Vec::new() };
    let Some(mut named) = item.table("[upstreams]", reading) else { return Vec::new() };
    let items = named.take_all();
    if items.is_empty() {
        reading.missing(&item.name_at, "`upstreams` is empty", example);
    }
    let mut drafts = Vec::new();
    for item in items {
        let name = match value::name(item.name) {
            Ok(name) => name,
            Err(fault) => {
                reading.error(&item.name_at, fault.message).hint = fault.hint;
                continue;
            }
        };
        if let Some(table) = item.table("[upstreams.NAME]", reading) {
            drafts.push(one((name, item.name_at), table, reading));
        }
    }
    drafts
}

fn one((name, name_at): (Name, Span), mut table: Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let example = "endpoints = [\"http://127.0.0.1:3000\"]";
    let item = table.require("endpoints", example, reading);
    let (endpoints, endpoints_at) =
        item.map(|item| endpoints::read(&item, reading)).unwrap_or_default();
    let strip_prefix = table.take("strip_prefix");
    let strip_prefix = strip_prefix.and_then(|item| {
        let prefix = item.read(reading, prefix)?;
        Some((prefix, item.at))
    });
    let host_header = table.take("host_header").and_then(|item| item.read(reading, host_header));
    let ca = table.take("ca");
    let health = table.take("health").and_then(|item| health::read(&item, reading));
    let auth = auth(&mut table, reading);
    let dialect = dialect(&mut table, reading);
    let session_idle =
        table.take("session_idle").and_then(|item| item.read(reading, value::duration));
    let max_requests =
        table.take("max_requests").and_then(|item| item.count(reading, (1, 1_000_000)));
    let pin = pins::read(&name, &mut table, reading);
    let shared_streams = table.take("shared_streams").and_then(|item| item.flag(reading));
    table.finish(&[], reading);
    let at = endpoints_at.first();
    let tls = endpoints.as_ref().zip(at).and_then(|(endpoints, at)| {
        endpoints::tls(endpoints.first().scheme, (ca.as_ref(), at), reading)
    });
    let fixed = |prefix: &Template| prefix.parts().flatten().map(Into::into).collect();
    let upstream = endpoints.map(|endpoints| {
        Arc::new(Upstream {
            name: name.clone(),
            endpoints,
            health,
            strip_prefix: strip_prefix
                .as_ref()
                .map(|(prefix, _)| fixed(prefix))
                .unwrap_or_default(),
            dialect: dialect.as_ref().map(|(dialect, _)| *dialect),
            tls,
            session_idle,
            max_requests,
            pin,
            shared_streams: shared_streams.unwrap_or(true),
        })
    });
    Draft { name, name_at, strip_prefix, endpoints_at, host_header, auth, dialect, upstream }
}

fn prefix(text: &str) -> Result<Template, Fault> {
    let prefix = value::template(text)?;
    if prefix.has_key() || prefix.parts().next().is_none() {
        return Err(Fault::new(format!("{} is no prefix that can be taken off", shown(text)))
            .hint("write fixed segments: \"/api\"; to take nothing off, leave it out"));
    }
    Ok(prefix)
}

fn host_header(text: &str) -> Result<HostHeader, Fault> {
    match text {
        "endpoint" => Ok(HostHeader::Endpoint),
        "client" => Ok(HostHeader::Client),
        _ => {
            let sound =
                endpoint::split_port(text).is_some_and(|(host, _)| value::host(host).is_ok());
            let fault = || {
                Fault::new(format!("{} is no host", shown(text)))
                    .hint("write \"endpoint\", \"client\", or a host: \"postiz.example.com\"")
            };
            sound.then(|| HostHeader::Fixed(text.to_ascii_lowercase().into())).ok_or_else(fault)
        }
    }
}

fn dialect(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<(DialectSetting, Span)> {
    let known = [Dialect::LegacySse, Dialect::Session, Dialect::Stateless];
    let known = known.map(|dialect| (dialect.as_str(), DialectSetting::Is(dialect)));
    let choices: Vec<_> = std::iter::once(("auto", DialectSetting::Auto)).chain(known).collect();
    let item = table.take("dialect")?;
    Some((item.choice(reading, &choices)?, item.at))
}

/// `upstream_auth`, of an upstream or of a route that has its own way.
pub(super) fn auth(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<UpstreamAuth> {
    let choices = [
        ("bearer", UpstreamAuth::Bearer),
        ("path", UpstreamAuth::Path),
        ("as_received", UpstreamAuth::AsReceived),
    ];
    let item = table.take("upstream_auth")?;
    if item.value.as_str().is_some_and(|text| choices.iter().any(|(word, _)| *word == text)) {
        return item.choice(reading, &choices);
    }
    // Whoever reads the name in a hurry writes the key itself.
    reading
        .error(&item.at, "`upstream_auth` says where the key goes upstream, and this is no place")
        .hint("write \"bearer\", \"path\" or \"as_received\"")
        .conceal(&item.at);
    None
}
