//! `endpoints` and `ca` of an upstream: where it is, and whom to believe that it is there.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{Span, endpoint, files, mask::shown, reading::Reading, table::Item};
use crate::snapshot::{Endpoint, Endpoints, MOST_ENDPOINTS, Scheme, UpstreamTls};

/// The endpoints, and where each of them is written; `None` where one can't be read.
pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> (Option<Endpoints>, Vec<Span>) {
    let Some(list) = item.list(reading) else { return (None, Vec::new()) };
    if list.is_empty() {
        reading.missing(&item.at, "`endpoints` is empty", "\"http://127.0.0.1:3000\"");
    }
    if let Some(more) = list.get(MOST_ENDPOINTS) {
        let message = format!("there can be {MOST_ENDPOINTS} endpoints, and this is one more");
        reading.error(&more.at, message).hint("a name with several addresses is one endpoint");
        return (None, Vec::new());
    }
    let (mut found, mut places) = (Vec::<Endpoint>::new(), Vec::<Span>::new());
    for item in &list {
        let Some(endpoint) = one(item, reading) else { continue };
        if found.first().is_some_and(|first| first.scheme != endpoint.scheme) {
            reading
                .error(&item.at, "some endpoints are http:// and some https://")
                .hint("an upstream is in clear or under TLS; make two upstreams of it");
        } else if found.iter().any(|other| other.authority == endpoint.authority) {
            reading.error(&item.at, "this endpoint is there already").hint("remove it");
        }
        found.push(endpoint);
        places.push(item.at.clone());
    }
    let whole = found.len() == list.len();
    (Endpoints::of(found).filter(|_| whole), places)
}

fn one(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Endpoint> {
    if item.value.as_str().is_some_and(|text| text.contains('@')) {
        reading
            .error(&item.at, "an endpoint holds no user and password")
            .hint("write scheme, host and port alone")
            .conceal(&item.at);
        return None;
    }
    item.read(reading, endpoint::parse)
}

/// How to connect to `https://` endpoints: trusting `ca` alone, or what the system trusts.
pub(super) fn tls(
    scheme: Scheme,
    (ca, endpoint_at): (Option<&Item<'_>>, &Span),
    reading: &mut Reading<'_>,
) -> Option<UpstreamTls> {
    let mut found = match (scheme, ca) {
        (Scheme::Http, None) => return None,
        (Scheme::Http, Some(ca)) => {
            let message = "`ca` without an https:// endpoint is never asked";
            reading.error(&ca.name_at, message).hint("remove it, or connect with https://");
            return None;
        }
        (Scheme::Https, Some(ca)) => {
            let contents = files::read(ca, ca.text(reading)?, reading)?;
            CertificateDer::pem_slice_iter(&contents.bytes).flatten().collect::<Vec<_>>()
        }
        (Scheme::Https, None) => rustls_native_certs::load_native_certs().certs,
    };
    // The same set in another order, or written twice, is the same.
    found.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
    found.dedup();
    let mut digest = Context::new(&SHA256);
    found.iter().for_each(|certificate| digest.update(certificate));
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found).0 == 0 {
        match ca {
            Some(item) => {
                let path = shown(item.text(reading)?);
                reading
                    .error(&item.at, format!("{path} holds no certificate"))
                    .hint("it must be PEM: -----BEGIN CERTIFICATE-----");
            }
            None => {
                reading
                    .error(endpoint_at, "this system trusts no certificate authority")
                    .hint("install ca-certificates, or name the authority: ca = \"ca.pem\"");
            }
        }
        return None;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let trusts = digest.finish().as_ref().try_into().ok()?;
    Some(UpstreamTls { config: Arc::new(config), trusts })
}
