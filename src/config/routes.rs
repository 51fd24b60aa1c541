//! `[[routes]]`.

use std::sync::Arc;

use super::{
    Span, access, defaults, limits,
    once::{Once, unknown_name},
    reading::Reading,
    table::Table,
    upstreams, value,
};
use crate::{
    policy::{NetList, Quota},
    snapshot::{HostPattern, Refusals, Route, UnknownKeys},
    types::{Name, Template},
};

/// The largest `max_body`: a body of a call is held in memory, of which all bodies share so much.
const MOST_BODY: usize = 64 << 20;

/// A route as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Option<(Name, Span)>,
    pub(super) at: Span,
    pub(super) hosts: Vec<(HostPattern, Span)>,
    pub(super) paths: Vec<(Template, Span)>,
    pub(super) upstream: Option<(Name, Span)>,
    pub(super) unknown_keys: UnknownKeys,
    /// Whether a rate is written, sound or not.
    pub(super) has_rate: bool,
    quota: Option<Quota>,
    nets: NetList,
    origins: Vec<Box<str>>,
    max_streams: u32,
    max_body: usize,
    refusals: Refusals,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Mcp,
    Web,
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
    let origins = table.take("origins").map(|item| item.list_of(reading, value::origin));
    kind(&mut table, reading);
    let draft = Draft {
        at: table.at().clone(),
        name: name.and_then(|item| item.name(reading)),
        hosts: hosts(&mut table, reading),
        paths: paths(&mut table, reading),
        upstream: upstream.and_then(|item| item.name(reading)),
        unknown_keys: unknown_keys(&mut table, reading),
        has_rate: table.has("rate"),
        quota: limits::quota(&mut table, reading),
        nets: access::nets(&mut table, reading),
        origins: origins.unwrap_or_default().into_iter().map(|(origin, _)| origin).collect(),
        max_streams: max_streams(&mut table, reading),
        max_body: max_body(&mut table, reading),
        refusals: refusals(&mut table, reading),
    };
    upstreams::credentials_as_received(&mut table, reading);
    table.finish(&["upgrade", "oauth", "dialect", "tools", "prompts", "resources"], reading);
    draft
}

fn kind(table: &mut Table<'_>, reading: &mut Reading<'_>) {
    let Some(item) = table.take("kind") else { return };
    if item.choice(reading, &[("mcp", Kind::Mcp), ("web", Kind::Web)]) == Some(Kind::Web) {
        reading
            .error(&item.at, "routes of kind \"web\" are not in this version yet")
            .hint("remove this route, and let the pages be served beside the gateway");
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

fn max_body(table: &mut Table<'_>, reading: &mut Reading<'_>) -> usize {
    let written = table.take("max_body");
    let written =
        written.and_then(|item| item.read(reading, |text| value::size(text, (1, MOST_BODY))));
    written.unwrap_or(defaults::MAX_BODY)
}

/// The route itself; `None` where its draft has an error.
pub(super) fn compile(
    draft: Draft,
    upstreams: &[upstreams::Draft],
    reading: &mut Reading<'_>,
) -> Option<Arc<Route>> {
    let (to, at) = draft.upstream.as_ref()?;
    let Some(upstream) = upstreams.iter().find(|upstream| upstream.name == *to) else {
        unknown_name("upstream", (to, at), upstreams.iter().map(|u| &u.name), reading);
        return None;
    };
    Some(Arc::new(Route {
        name: draft.name?.0,
        hosts: draft.hosts.into_iter().map(|(host, _)| host).collect(),
        paths: draft.paths.into_iter().map(|(path, _)| path).collect(),
        upstream: Arc::clone(upstream.upstream.as_ref()?),
        unknown_keys: draft.unknown_keys,
        nets: draft.nets,
        origins: draft.origins,
        quota: draft.quota,
        max_streams: draft.max_streams,
        max_body: draft.max_body,
        refusals: draft.refusals,
    }))
}
