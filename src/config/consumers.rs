//! `[[consumers]]`.

use std::sync::Arc;

use jiff::{civil, tz::TimeZone};
use toml::de::DeValue;

use super::{
    Span, access, audit, client_authorities, limits,
    mask::shown,
    once::{Once, unknown_name},
    reading::Reading,
    routes, rules, secrets,
    table::{Item, Table},
    tool_limits, value,
};
use crate::{
    policy::{AuditLevel, Consumer, Previous},
    types::{CertificateName, KeyDigest, Name, Secret},
};

/// A consumer as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Option<(Name, Span)>,
    digest: Option<(KeyDigest, Span)>,
    previous: Option<(KeyDigest, Span)>,
    pub(super) certificate: Option<(CertificateName, Span)>,
    /// The names of its routes.
    pub(super) routes: Option<Vec<(Name, Span)>>,
    /// Whether its calls are audited, where that is written.
    pub(super) audit: Option<(AuditLevel, Span)>,
    pub(super) consumer: Option<Consumer>,
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<Draft> {
    let Some(item) = root.take("consumers") else { return Vec::new() };
    if item.value.as_array().is_some_and(|list| list.is_empty()) {
        return Vec::new();
    }
    let mut names = Once::new("first here");
    let mut digests = Once::new("first here");
    let mut certificates = Once::new("first here");
    let mut drafts = Vec::new();
    for table in item.tables("[[consumers]]", reading) {
        let draft = one(table, reading);
        if let Some((name, at)) = &draft.name {
            names.note(name.clone(), at, "another consumer has this name", reading);
        }
        for (digest, at) in draft.digest.iter().chain(&draft.previous) {
            digests.note(*digest, at, "another consumer has this key", reading);
        }
        if let Some((name, at)) = &draft.certificate {
            certificates.note(name.clone(), at, "another consumer has this certificate", reading);
        }
        drafts.push(draft);
    }
    drafts
}

fn one(mut table: Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let name = table.require("name", "name = \"claude-desktop\"", reading);
    let name = name.and_then(|item| item.name(reading));
    let at = table.at().clone();
    let shows = shows(&mut table, reading);
    let upstream_key = table.take("upstream_key");
    if shows.is_keyless() {
        keyless((shows.previous.is_some(), upstream_key.is_some()), &at, reading);
    }
    let upstream_key = upstream_key.map(|item| upstream_key_of(&item, &shows, reading));
    let routes = table.take("routes").map(|item| {
        if item.value.as_array().is_some_and(|list| list.is_empty()) {
            reading.error(&item.at, "`routes` is empty").hint("leave it out for every route");
        }
        item.list_of(reading, value::name)
    });
    let nets = access::nets(&mut table, reading);
    let quota = limits::quota(&mut table, reading);
    let expires = table.take("expires");
    let expires_at = expires.map(|item| {
        let over = ("this consumer has expired: its key is refused", "or remove the consumer");
        end_of(&item, over, reading)
    });
    let rules = rules::read(&mut table, reading).map(Arc::new);
    let tool_limits = tool_limits::read(&mut table, reading);
    let audit = audit::level(&mut table, reading);
    table.finish(&[], reading);
    let consumer = || {
        Some(Consumer {
            name: name.as_ref()?.0.clone(),
            digest: shows.identity()?,
            has_key: !shows.is_keyless(),
            certificate: whole(&shows.certificate)?.map(|(name, _)| name.clone()),
            previous: whole(&shows.previous)?.map(|(previous, _)| *previous),
            upstream_key: upstream_key.map_or(Some(None), |key| key.map(Some))?,
            routes: routes.as_ref().map(|list| list.iter().map(|(name, _)| name.clone()).collect()),
            nets,
            rules,
            audit: audit.as_ref().map(|(level, _)| *level),
            quota,
            tool_limits,
            expires_at: expires_at.map_or(Some(None), |end| end.map(Some))?,
        })
    };
    let consumer = consumer();
    let Shows { key: digest, certificate, previous, .. } = shows;
    let previous = previous.flatten().map(|(key, at)| (key.digest, at));
    let certificate = certificate.flatten();
    Draft { name, digest, previous, certificate, routes, audit, consumer }
}

/// What a consumer has to show. What is written and can't be read is `Some(None)`.
struct Shows {
    has_key: bool,
    key: Option<(KeyDigest, Span)>,
    certificate: Option<Option<(CertificateName, Span)>>,
    previous: Option<Option<(Previous, Span)>>,
}

impl Shows {
    const fn is_keyless(&self) -> bool {
        !self.has_key && self.certificate.is_some()
    }

    /// What stands for it in buckets and budgets.
    fn identity(&self) -> Option<KeyDigest> {
        if self.is_keyless() {
            let (name, _) = self.certificate.as_ref()?.as_ref()?;
            return Some(name.identity());
        }
        self.key.as_ref().map(|(digest, _)| *digest)
    }
}

fn shows(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Shows {
    let example = "key_sha256 = \"...\"; `portcullis key new NAME` makes the key and this line";
    let certificate = table.take("certificate");
    let key = match &certificate {
        Some(_) => table.take("key_sha256"),
        None => table.require("key_sha256", example, reading),
    };
    let previous = table.take("previous");
    Shows {
        has_key: key.is_some(),
        key: key.and_then(|item| digest_of(&item, reading)),
        certificate: certificate.map(|item| client_authorities::name(&item, reading)),
        previous: previous.map(|item| previous_of(&item, reading)),
    }
}

/// What is written and could be read, or isn't written.
#[expect(clippy::option_option, reason = "written and unreadable is neither")]
const fn whole<T>(written: &Option<Option<T>>) -> Option<Option<&T>> {
    match written {
        Some(Some(read)) => Some(Some(read)),
        Some(None) => None,
        None => Some(None),
    }
}

/// Kept apart from a key that isn't set: a consumer whose secret can't be read must not run with its own
/// key instead.
fn upstream_key_of(item: &Item<'_>, shows: &Shows, reading: &mut Reading<'_>) -> Option<Secret> {
    let key = secrets::read(item, reading)?;
    if shows.key.as_ref().is_some_and(|(own, _)| key.digest() == *own) {
        reading
            .warning(&item.at, "the client has the very key of the upstream")
            .hint("give it a key of its own: `portcullis key new NAME`");
    }
    Some(key)
}

/// Who has no key of its own needs one for the server behind, and has none to change.
fn keyless((previous, upstream_key): (bool, bool), at: &Span, reading: &mut Reading<'_>) {
    if !upstream_key {
        reading
            .error(at, "a consumer with a certificate and no key has nothing for the server behind")
            .hint("add: upstream_key = \"env:NAME\", or key_sha256 to ask for both");
    }
    if previous {
        reading.error(at, "`previous` without `key_sha256`").hint("remove `previous`");
    }
}

fn digest_of(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<(KeyDigest, Span)> {
    let digest = item.value.as_str().and_then(KeyDigest::parse_hex);
    if digest.is_none() {
        // It may be the key itself, pasted by mistake.
        reading
            .error(&item.at, "`key_sha256` must be the SHA-256 of the key, 64 hex digits")
            .hint(
                "`portcullis key new NAME` prints it; for a key that exists: \
                   printf %s \"$KEY\" | sha256sum",
            )
            .conceal(&item.at);
    }
    digest.map(|digest| (digest, item.at.clone()))
}

/// The key that the consumer had before. It has to have an end: a key that is being replaced and
/// stays valid isn't replaced.
fn previous_of(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<(Previous, Span)> {
    let example = "write: previous = { key_sha256 = \"...\", expires = 2037-12-31 }";
    let message = "`previous` needs `key_sha256` and `expires`";
    if !item.value.is_table() {
        // It may be the key itself, pasted by mistake.
        reading.error(&item.at, message).hint(example).conceal(&item.at);
        return None;
    }
    let mut table = item.table("`previous`", reading)?;
    let (digest, expires) = (table.take("key_sha256"), table.take("expires"));
    if digest.is_none() || expires.is_none() {
        reading.error(&item.at, message).hint(example);
    }
    table.finish(&[], reading);
    let digest = digest.and_then(|item| digest_of(&item, reading));
    let expires_at = expires.and_then(|item| {
        let over = ("this key has ended: it is refused", "or remove `previous`");
        end_of(&item, over, reading)
    });
    let (digest, at) = digest?;
    Some((Previous { digest, expires_at: expires_at? }, at))
}

/// The first second after the last day, UTC. `over` is what to say where that has come, and what
/// else to do than to give it a later day.
fn end_of(item: &Item<'_>, over: (&str, &str), reading: &mut Reading<'_>) -> Option<u64> {
    let date = match item.value {
        DeValue::Datetime(written) if written.time.is_none() => written.date,
        _ => None,
    };
    let Some(date) = date else {
        reading.error(&item.at, "`expires` must be a date without a time").hint(
            "write it without quotes: expires = 2027-01-31; it is valid through that day, UTC",
        );
        return None;
    };
    let civil = || {
        let year = i16::try_from(date.year).ok()?;
        let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
        let next = civil::Date::new(year, month, day).ok()?.tomorrow().ok()?;
        let end = next.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        Some(u64::try_from(end).unwrap_or(0))
    };
    let end = civil();
    match end {
        None => {
            reading.error(&item.at, "`expires` is no day of the calendar");
        }
        Some(end) if end <= reading.now() => {
            let (message, remedy) = over;
            reading.warning(&item.at, message).hint(format!("give it a later day, {remedy}"));
        }
        Some(_) => {}
    }
    end
}

/// The consumer itself; `None` where its draft has an error.
pub(super) fn compile(
    draft: Draft,
    routes: &[routes::Draft],
    reading: &mut Reading<'_>,
) -> Option<Consumer> {
    let defined = || routes.iter().filter_map(|route| route.name.as_ref().map(|(name, _)| name));
    for (name, at) in draft.routes.iter().flatten() {
        if !defined().any(|route| route == name) {
            unknown_name("route", (name, at), defined(), reading);
        }
        let is_web = |route: &routes::Draft| {
            route.name.as_ref().is_some_and(|(defined, _)| defined == name) && route.mcp().is_none()
        };
        if routes.iter().any(is_web) {
            reading
                .error(
                    at,
                    format!("{} is a `web` route: no key is asked for there", shown(name.as_str())),
                )
                .hint("name `mcp` routes alone");
        }
    }
    draft.consumer
}
