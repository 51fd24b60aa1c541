use std::sync::Arc;

use super::Upstream;
use crate::{
    policy::{NetList, Quota},
    types::{Denial, Malformation, Name, Path, Segment, Template},
};

/// Where requests for some hosts and paths go, and what holds for them.
pub struct Route {
    /// Its name: label and log field.
    pub name: Name,
    /// The hosts it is for; empty means any.
    pub hosts: Vec<HostPattern>,
    /// The paths it is for.
    pub paths: Vec<Template>,
    /// Where it leads.
    pub upstream: Arc<Upstream>,
    /// What happens to keys that no consumer has.
    pub unknown_keys: UnknownKeys,
    /// From where it may be used.
    pub nets: NetList,
    /// Browser origins beside the route's own, lower-case: `https://inspector.example.com`.
    pub origins: Vec<Box<str>>,
    /// The rate of one key; `None` means no limit.
    pub quota: Option<Quota>,
    /// Open streams of one key.
    pub max_streams: u32,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// How a refused call is told.
    pub refusals: Refusals,
}

/// A host that a route is for: lower-case, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(pub Box<str>);

/// `unknown_keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKeys {
    /// 401.
    Refuse,
    /// The upstream judges them.
    Forward,
}

/// `refusals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// 200 with a JSON-RPC error, which every client survives.
    InBand,
    /// The HTTP status.
    Http,
}

/// Every route, asked most specific first: a named host before any host, then the longer template.
#[derive(Default)]
pub struct Routes {
    /// Sorted by specificity when made.
    entries: Vec<Entry>,
    routes: Vec<Arc<Route>>,
}

struct Entry {
    host: Option<HostPattern>,
    template: Template,
    route: Arc<Route>,
}

impl Entry {
    fn is_for(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|pattern| &*pattern.0 == host)
    }
}

/// A route found for a request.
pub struct Found<'r, 'a> {
    /// The route.
    pub route: &'r Arc<Route>,
    /// The template that the path lies under.
    pub template: &'r Template,
    /// The segment at `{key}`.
    pub key: Option<Segment<'a>>,
    /// The segments behind the template: plain.
    pub rest: Vec<Segment<'a>>,
}

/// Why no route was found.
pub type NoRoute = Denial;

impl Routes {
    /// Orders the routes.
    pub fn new(routes: Vec<Arc<Route>>) -> Self {
        let mut entries = Vec::new();
        for route in &routes {
            for template in &route.paths {
                let entry =
                    |host| Entry { host, template: template.clone(), route: Arc::clone(route) };
                if route.hosts.is_empty() {
                    entries.push(entry(None));
                }
                entries.extend(route.hosts.iter().cloned().map(|host| entry(Some(host))));
            }
        }
        let rank = |entry: &Entry| (entry.host.is_some(), entry.template.specificity());
        entries.sort_by_key(|entry| std::cmp::Reverse(rank(entry)));
        Self { entries, routes }
    }

    /// The route of a host (lower-case, without port) and a path.
    ///
    /// # Errors
    /// `Host` where no route is for the host, `NoRoute` where none of the host's is for the path,
    /// `Malformed` where the path would lead to one but isn't plain outside `{key}`.
    pub fn find<'r, 'a>(&'r self, host: &str, path: &Path<'a>) -> Result<Found<'r, 'a>, NoRoute> {
        let mut host_known = false;
        for entry in &self.entries {
            if !entry.is_for(host) {
                continue;
            }
            host_known = true;
            let Some(matched) = entry.template.matches(path) else { continue };
            if !matched.rest_is_plain() {
                return Err(Denial::Malformed(Malformation::Path));
            }
            return Ok(Found {
                route: &entry.route,
                template: &entry.template,
                key: matched.key,
                rest: matched.rest.to_vec(),
            });
        }
        Err(if host_known { Denial::NoRoute } else { Denial::Host })
    }

    /// Whether some route is for the host (lower-case, without port).
    pub fn serve(&self, host: &str) -> bool {
        self.entries.iter().any(|entry| entry.is_for(host))
    }

    /// Every route, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}
