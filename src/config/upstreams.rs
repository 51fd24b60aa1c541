//! `[upstreams.NAME]`.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    Span, endpoint, files,
    mask::shown,
    pins,
    reading::Reading,
    table::{Item, Table},
    value::{self, Fault},
};
use crate::{
    snapshot::{Dialect, DialectSetting, Endpoint, HostHeader, Scheme, Upstream, UpstreamAuth},
    types::{Name, Template},
};

/// An upstream as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Name,
    pub(super) name_at: Span,
    pub(super) strip_prefix: Option<(Template, Span)>,
    /// Where the endpoint is written.
    pub(super) endpoint_at: Option<Span>,
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
    let endpoints = table.require("endpoints", example, reading);
    let endpoint = endpoints.and_then(|item| only_endpoint(&item, reading));
    let strip_prefix = table.take("strip_prefix");
    let strip_prefix = strip_prefix.and_then(|item| {
        let prefix = item.read(reading, prefix)?;
        Some((prefix, item.at))
    });
    let host_header = table.take("host_header").and_then(|item| item.read(reading, host_header));
    let ca = table.take("ca");
    let auth = auth(&mut table, reading);
    let dialect = dialect(&mut table, reading);
    let session_idle =
        table.take("session_idle").and_then(|item| item.read(reading, value::duration));
    let max_requests =
        table.take("max_requests").and_then(|item| item.count(reading, (1, 1_000_000)));
    let pin = pins::read(&name, &mut table, reading);
    let shared_streams = table.take("shared_streams").and_then(|item| item.flag(reading));
    table.finish(&["health"], reading);
    let tls = match &endpoint {
        Some((Endpoint { scheme: Scheme::Https, .. }, at)) => tls(ca.as_ref(), at, reading),
        Some(_) => {
            if let Some(ca) = &ca {
                let message = "`ca` without an https:// endpoint is never asked";
                reading.error(&ca.name_at, message).hint("remove it, or connect with https://");
            }
            None
        }
        None => None,
    };
    let fixed = |prefix: &Template| prefix.parts().flatten().map(Into::into).collect();
    let endpoint_at = endpoint.as_ref().map(|(_, at)| at.clone());
    let upstream = endpoint.map(|(endpoint, _)| {
        Arc::new(Upstream {
            name: name.clone(),
            endpoint,
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
    Draft { name, name_at, strip_prefix, endpoint_at, host_header, auth, dialect, upstream }
}

fn only_endpoint(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<(Endpoint, Span)> {
    let list = item.list(reading)?;
    let Some(first) = list.first() else {
        reading.missing(&item.at, "`endpoints` is empty", "\"http://127.0.0.1:3000\"");
        return None;
    };
    if let Some(second) = list.get(1) {
        reading
            .error(&second.at, "several endpoints are not in this version yet")
            .hint("name one endpoint");
    }
    if first.value.as_str().is_some_and(|text| text.contains('@')) {
        reading
            .error(&first.at, "an endpoint holds no user and password")
            .hint("write scheme, host and port alone")
            .conceal(&first.at);
        return None;
    }
    let endpoint = first.read(reading, endpoint::parse)?;
    Some((endpoint, first.at.clone()))
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

/// How to connect to an `https://` endpoint: trusting `ca` alone, or what the system trusts.
fn tls(
    ca: Option<&Item<'_>>,
    endpoint_at: &Span,
    reading: &mut Reading<'_>,
) -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(item) => {
            let path = item.text(reading)?;
            let contents = files::read(item, path, reading)?;
            let found: Vec<_> = CertificateDer::pem_slice_iter(&contents.bytes).flatten().collect();
            if roots.add_parsable_certificates(found).0 == 0 {
                reading
                    .error(&item.at, format!("{} holds no certificate", shown(path)))
                    .hint("it must be PEM: -----BEGIN CERTIFICATE-----");
                return None;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                reading
                    .error(endpoint_at, "this system trusts no certificate authority")
                    .hint("install ca-certificates, or name the authority: ca = \"ca.pem\"");
                return None;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
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
