//! `[[routes]]`.

use std::sync::Arc;

use super::{
    Span, access, audit, defaults, limits,
    mask::shown,
    oauth,
    once::{Once, unknown_name},
    reading::Reading,
    rules,
    table::Table,
    tool_limits, upstreams, value,
};
use crate::{
    policy::{AddressPolicy, AuditLevel, Quota},
    snapshot::{
        HostHeader, HostPattern, McpRoute, Refusals, Route, RouteKind, UnknownKeys, UpstreamAuth,
        WebRoute,
    },
    types::{Name, Template},
};

/// The largest `max_body`: a body of a call is held in memory, of which all bodies share so much.
const MOST_BODY: usize = 64 << 20;

/// The largest `max_body` of a `web` route, where a body passes and is held by nobody.
const MOST_PASSING_BODY: usize = 1 << 40;

/// A route as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Option<(Name, Span)>,
    pub(super) at: Span,
    pub(super) hosts: Vec<(HostPattern, Span)>,
    pub(super) paths: Vec<(Template, Span)>,
    pub(super) upstream: Option<(Name, Span)>,
    pub(super) kind: RouteKind,
    /// Where `oauth = "upstream"` is written, if it is.
    pub(super) oauth: Option<Span>,
    /// Whether a rate is written, sound or not.
    pub(super) has_rate: bool,
    /// Left out, the upstream decides.
    pub(super) auth: Option<UpstreamAuth>,
    /// Whether calls are audited, where that is written.
    pub(super) audit: Option<(AuditLevel, Span)>,
    quota: Option<Quota>,
    pub(super) nets: AddressPolicy,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Mcp,
    Web,
}

impl Draft {
    /// What holds where requests have keys; `None` on a `web` route.
    pub(super) const fn mcp(&self) -> Option<&McpRoute> {
        match &self.kind {
            RouteKind::Mcp(rules) => Some(rules),
            RouteKind::Web(_) => None,
        }
    }
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<Draft> {
    let example = "[[routes]] with name, paths and upstream";
    let Some(item) = root.require("routes", example, reading) else { return Vec::new() };
    let mut names = Once::new("first here");
    let mut drafts = Vec::new();
    for table in item.tables("[[routes]]", reading) {
        let draft = one(table, reading);
        if let Some((name, at)) = &draft.name {
            names.note(name.clone(), at, "another route has this name", reading);
        }
        drafts.push(draft);
    }
    drafts
}

fn one(mut table: Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let name = table.require("name", "name = \"mcp\"", reading);
    let upstream = table.require("upstream", "upstream = \"postiz\"", reading);
    let mut audit = None;
    let (kind, oauth, auth) = match kind(&mut table, reading) {
        Kind::Mcp => {
            audit = audit::level(&mut table, reading);
            let rules = mcp(&mut table, audit.as_ref().map(|(level, _)| *level), reading);
            let auth = upstreams::auth(&mut table, reading);
            (RouteKind::Mcp(rules), oauth::read(&mut table, reading), auth)
        }
        Kind::Web => (RouteKind::Web(web(&mut table, reading)), None, None),
    };
    let paths = paths(&mut table, reading);
    if let RouteKind::Web(_) = kind {
        refuse_keys(&paths, reading);
    }
    let draft = Draft {
        at: table.at().clone(),
        name: name.and_then(|item| item.name(reading)),
        hosts: hosts(&mut table, reading),
        paths,
        upstream: upstream.and_then(|item| item.name(reading)),
        kind,
        oauth,
        has_rate: table.has("rate"),
        auth,
        audit,
        quota: limits::quota(&mut table, reading),
        nets: access::nets(&mut table, reading),
    };
    table.finish(&[], reading);
    draft
}

fn kind(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Kind {
    let choices = [("mcp", Kind::Mcp), ("web", Kind::Web)];
    let written = table.take("kind").and_then(|item| item.choice(reading, &choices));
    written.unwrap_or(Kind::Mcp)
}

fn mcp(table: &mut Table<'_>, audit: Option<AuditLevel>, reading: &mut Reading<'_>) -> McpRoute {
    let origins = table.take("origins").map(|item| item.list_of(reading, value::origin));
    if let Some(item) = table.take("upgrade") {
        reading
            .error(&item.name_at, "an `mcp` route switches to no other protocol")
            .hint("remove it, or write it on a route of kind \"web\"");
    }
    McpRoute {
        unknown_keys: unknown_keys(table, reading),
        origins: origins.unwrap_or_default().into_iter().map(|(origin, _)| origin).collect(),
        max_streams: max_streams(table, reading),
        max_body: max_body(table, MOST_BODY, reading).unwrap_or(defaults::MAX_BODY),
        refusals: refusals(table, reading),
        rules: rules::read(table, reading).map(Arc::new),
        tool_limits: tool_limits::read(table, reading),
        audit,
    }
}

fn web(table: &mut Table<'_>, reading: &mut Reading<'_>) -> WebRoute {
    for of_keys in [
        "unknown_keys",
        "origins",
        "max_streams",
        "refusals",
        "upstream_auth",
        "tools",
        "prompts",
        "resources",
        "rates",
        "budgets",
        "oauth",
        "audit",
    ] {
        if let Some(item) = table.take(of_keys) {
            reading
                .error(&item.name_at, format!("`{of_keys}` means nothing on a `web` route"))
                .hint("remove it: nobody is asked for a key there");
        }
    }
    let max_body = max_body(table, MOST_PASSING_BODY, reading);
    WebRoute {
        websocket: upgrade(table, reading),
        max_body: max_body.map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX)),
    }
}

/// `upgrade`: whether WebSocket is in the list.
fn upgrade(table: &mut Table<'_>, reading: &mut Reading<'_>) -> bool {
    let Some(item) = table.take("upgrade") else { return false };
    let items = item.list(reading).unwrap_or_default();
    items.iter().filter_map(|item| item.choice(reading, &[("websocket", true)])).any(|found| found)
}

/// A path without keys has no segment that stands for one.
fn refuse_keys(paths: &[(Template, Span)], reading: &mut Reading<'_>) {
    for (template, at) in paths.iter().filter(|(template, _)| template.has_key()) {
        reading
            .error(at, format!("{} has a key, and this is a `web` route", shown(template.text())))
            .hint("make it a route of kind \"mcp\", or write the path without {key}");
    }
}

fn hosts(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<(HostPattern, Span)> {
    let Some(item) = table.take("hosts") else { return Vec::new() };
    if item.value.as_array().is_some_and(|list| list.is_empty()) {
        reading.error(&item.at, "`hosts` is empty").hint("leave it out for any host");
    }
    item.list_of(reading, value::host)
}

fn paths(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<(Template, Span)> {
    let example = "paths = [\"/api/mcp/{key}\", \"/api/mcp\"]";
    let Some(item) = table.require("paths", example, reading) else { return Vec::new() };
    if item.value.as_array().is_some_and(|list| list.is_empty()) {
        reading.missing(&item.at, "`paths` is empty", example);
    }
    item.list_of(reading, value::template)
}

fn unknown_keys(table: &mut Table<'_>, reading: &mut Reading<'_>) -> UnknownKeys {
    let choices = [("refuse", UnknownKeys::Refuse), ("forward", UnknownKeys::Forward)];
    let written = table.take("unknown_keys").and_then(|item| item.choice(reading, &choices));
    written.unwrap_or(defaults::UNKNOWN_KEYS)
}

fn refusals(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Refusals {
    let choices = [("in_band", Refusals::InBand), ("http", Refusals::Http)];
    let written = table.take("refusals").and_then(|item| item.choice(reading, &choices));
    written.unwrap_or(defaults::REFUSALS)
}

fn max_streams(table: &mut Table<'_>, reading: &mut Reading<'_>) -> u32 {
    let written = table.take("max_streams").and_then(|item| item.count(reading, (1, 1_000_000)));
    written.unwrap_or(defaults::MAX_STREAMS)
}

fn max_body(table: &mut Table<'_>, most: usize, reading: &mut Reading<'_>) -> Option<usize> {
    table.take("max_body")?.read(reading, |text| value::size(text, (1, most)))
}

/// The route itself, and behind it its companions for OAuth, where an address may ask `unproven` of
/// a page. `None` where the draft has an error.
pub(super) fn compile(
    draft: Draft,
    upstreams: &[upstreams::Draft],
    unproven: Quota,
    reading: &mut Reading<'_>,
) -> Option<Vec<Arc<Route>>> {
    let (to, at) = draft.upstream.as_ref()?;
    let Some(upstream) = upstreams.iter().find(|upstream| upstream.name == *to) else {
        unknown_name("upstream", (to, at), upstreams.iter().map(|u| &u.name), reading);
        return None;
    };
    let host_header = upstream.host_header.clone().unwrap_or(match draft.kind {
        RouteKind::Mcp(_) => HostHeader::Endpoint,
        RouteKind::Web(_) => HostHeader::Client,
    });
    let route = Route {
        name: draft.name?.0,
        hosts: draft.hosts.into_iter().map(|(host, _)| host).collect(),
        paths: draft.paths.into_iter().map(|(path, _)| path).collect(),
        upstream: Arc::clone(upstream.upstream.as_ref()?),
        host_header,
        upstream_auth: draft.auth.or(upstream.auth).unwrap_or(defaults::UPSTREAM_AUTH),
        nets: draft.nets,
        quota: draft.quota,
        kind: draft.kind,
        oauth: None,
    };
    let oauth = draft.oauth.map(|_| oauth::companions(&route, unproven)).unwrap_or_default();
    Some(std::iter::once(Arc::new(route)).chain(oauth).collect())
}
