//! `tls.acme`: a certificate that is ordered.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    Span, defaults, endpoints,
    mask::shown,
    reading::Reading,
    table::Item,
    value::{self, Fault},
};
use crate::snapshot::{Acme, Scheme};

/// Names of one certificate: no authority takes more.
const MOST_DOMAINS: usize = 100;

/// An order of a listener, as far as it could be read.
pub(super) struct Draft {
    pub(super) at: Span,
    pub(super) acme: Option<Acme>,
}

pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Draft {
    Draft { at: item.name_at.clone(), acme: order(item, reading) }
}

fn order(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Acme> {
    let mut table = item.table("`acme`", reading)?;
    let domains = table.require("domains", "domains = [\"postiz.example.com\"]", reading);
    let domains = domains.and_then(|item| domains_of(&item, reading));
    let contact = table.take("contact").map(|item| item.read(reading, contact));
    let directory = table.take("directory").map(|item| item.read(reading, directory));
    let ca = table.take("ca");
    let retry = table.take("retry").map(|item| retry(&item, reading));
    table.finish(&[], reading);
    let tls = endpoints::tls(Scheme::Https, (ca.as_ref(), &item.name_at), reading)?;
    let directory = directory.unwrap_or_else(|| Some(defaults::ACME_DIRECTORY.into()))?;
    let domains = domains?;
    Some(Acme {
        label: label(&domains, &directory)?,
        domains,
        contact: contact.map_or(Some(None), |contact| contact.map(Some))?,
        directory,
        tls,
        retry: retry.unwrap_or(Some(defaults::ACME_RETRY))?,
    })
}

fn domains_of(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Vec<Box<str>>> {
    let items = item.list(reading)?;
    if items.is_empty() || items.len() > MOST_DOMAINS {
        reading
            .error(&item.at, format!("`domains` must be from 1 to {MOST_DOMAINS} names"))
            .hint("several listeners can order several certificates");
        return None;
    }
    let mut domains: Vec<Box<str>> = Vec::new();
    for item in &items {
        let domain = item.read(reading, domain)?;
        if domains.contains(&domain) {
            reading
                .error(&item.at, format!("{} is named twice", shown(&domain)))
                .hint("remove one");
            return None;
        }
        domains.push(domain);
    }
    Some(domains)
}

fn domain(text: &str) -> Result<Box<str>, Fault> {
    let lower = text.to_ascii_lowercase();
    let fault = |hint: &'static str| {
        Fault::new(format!("no certificate can be ordered for {}", shown(text))).hint(hint)
    };
    if lower.starts_with("*.") {
        return Err(fault(
            "name each host: for a wildcard an authority wants a record in DNS, which the gateway \
             can't write; another program can, and `certificates` names its files",
        ));
    }
    let is_address = lower.parse::<std::net::IpAddr>().is_ok();
    if is_address || lower.contains('_') || !value::is_dns_name(&lower) {
        return Err(fault("write a public name: \"postiz.example.com\""));
    }
    Ok(lower.into())
}

fn contact(text: &str) -> Result<Box<str>, Fault> {
    let sound = text.strip_prefix("mailto:").is_some_and(|address| {
        address.contains('@') && address.bytes().all(|b| b.is_ascii_graphic())
    });
    let fault = || {
        Fault::new(format!("{} is no contact", shown(text)))
            .hint("write \"mailto:ops@example.com\", or leave it out")
    };
    sound.then(|| text.into()).ok_or_else(fault)
}

fn directory(text: &str) -> Result<Box<str>, Fault> {
    let sound = text.parse::<http::Uri>().is_ok_and(|url| {
        let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        url.scheme_str() == Some("https") && plain
    });
    let fault = || {
        Fault::new(format!("{} is no directory of an authority", shown(text)))
            .hint("write its URL: \"https://acme-v02.api.letsencrypt.org/directory\"")
    };
    sound.then(|| text.into()).ok_or_else(fault)
}

fn retry(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Duration> {
    let retry = item.read(reading, value::duration)?;
    if retry < defaults::ACME_RETRY {
        reading
            .warning(
                &item.at,
                "orders that fail are tried again sooner than public authorities allow",
            )
            .hint("leave it out, unless the authority is your own");
    }
    Some(retry)
}

/// The first name, and a digest of all that is asked of whom.
fn label(domains: &[Box<str>], directory: &str) -> Option<Box<str>> {
    let mut sorted: Vec<&str> = domains.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    let all = format!("{directory} {}", sorted.join(" "));
    let digest = hex::encode(digest(&SHA256, all.as_bytes()));
    // A name may be longer than a file's name.
    let first = domains.first()?.get(..64).or_else(|| domains.first().map(AsRef::as_ref))?;
    Some(format!("{first}-{}", digest.get(..8)?).into())
}
