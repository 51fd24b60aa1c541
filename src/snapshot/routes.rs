//! Where the two readings of a path meet.

use std::sync::Arc;

use super::route::{HostPattern, McpRoute, Route, RouteKind, WebRoute};
use crate::types::{Denial, Malformation, Name, Path, Segment, Template, WebPath};

/// Every route, asked most specific first: a named host before any host, then the longer template.
pub struct Routes {
    /// Sorted by specificity when made.
    entries: Vec<Entry>,
    routes: Vec<Arc<Route>>,
    /// The lower-case name of the field that brings a client's address: it goes to no upstream.
    address_field: Arc<str>,
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

/// Where a request leads.
pub enum Lead<'r, 'a> {
    /// To an `mcp` route.
    Mcp(McpLead<'r, 'a>),
    /// To a `web` route.
    Web(WebLead<'r, 'a>),
}

impl<'r> Lead<'r, '_> {
    /// The route.
    pub const fn route(&self) -> &'r Arc<Route> {
        match self {
            Self::Mcp(lead) => lead.route,
            Self::Web(lead) => lead.route,
        }
    }
}

/// A path on an `mcp` route.
pub struct McpLead<'r, 'a> {
    /// The route.
    pub route: &'r Arc<Route>,
    /// What holds there.
    pub rules: &'r McpRoute,
    /// The template that the path lies under.
    pub template: &'r Template,
    /// The path.
    pub path: Path<'a>,
    /// The segment at `{key}`.
    pub key: Option<Segment<'a>>,
    /// The segments behind the template: plain.
    pub rest: Vec<Segment<'a>>,
}

/// A path on a `web` route.
pub struct WebLead<'r, 'a> {
    /// The route.
    pub route: &'r Arc<Route>,
    /// What holds there.
    pub rules: &'r WebRoute,
    /// The path.
    pub path: WebPath<'a>,
}

/// Why no route was found.
pub type NoRoute = Denial;

/// How a path lies under an `mcp` route.
struct Under<'r, 'a> {
    entry: &'r Entry,
    rules: &'r McpRoute,
    key: Option<Segment<'a>>,
    rest: Vec<Segment<'a>>,
}

impl<'r, 'a> Under<'r, 'a> {
    fn with(self, path: Path<'a>) -> McpLead<'r, 'a> {
        let Self { entry, rules, key, rest } = self;
        McpLead { route: &entry.route, rules, template: &entry.template, path, key, rest }
    }
}

impl Routes {
    /// Orders the routes.
    pub fn new(routes: Vec<Arc<Route>>, address_field: Arc<str>) -> Self {
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
        Self { entries, routes, address_field }
    }

    /// The route of a host (lower-case, without port) and a target.
    ///
    /// The two kinds read a path in two ways, and they meet here: what an `mcp` route would see in
    /// any spelling is never led to a `web` route, where nobody asks for a key.
    ///
    /// # Errors
    /// `Host` where no route is for the host, `NoRoute` where none of the host's is for the path,
    /// `Malformed` where the path can be read in two ways that lead to two places.
    pub fn find<'r, 'a>(&'r self, host: &str, target: &'a str) -> Result<Lead<'r, 'a>, NoRoute> {
        let plain = match Path::read(target) {
            Ok(path) => match self.find_mcp(host, &path) {
                Some(found) => return found.map(|under| Lead::Mcp(under.with(path))),
                None => Ok(path.is_plain()),
            },
            Err(what) => Err(Denial::Malformed(what)),
        };
        if let Some(found) = self.find_web(host, target, plain == Ok(true)) {
            return found.map(Lead::Web);
        }
        plain?;
        let known = self.entries.iter().any(|entry| entry.is_for(host));
        Err(if known { Denial::NoRoute } else { Denial::Host })
    }

    /// Where a path lies under an `mcp` route; `None` where a `web` route is more specific.
    fn find_mcp<'r, 'a>(
        &'r self,
        host: &str,
        path: &Path<'a>,
    ) -> Option<Result<Under<'r, 'a>, NoRoute>> {
        let mut entries = self.entries.iter().filter(|entry| entry.is_for(host));
        let (entry, matched) =
            entries.find_map(|entry| Some((entry, entry.template.matches(path)?)))?;
        let RouteKind::Mcp(rules) = &entry.route.kind else { return None };
        if !matched.rest_is_plain() {
            return Some(Err(Denial::Malformed(Malformation::Path)));
        }
        let (key, rest) = (matched.key, matched.rest.to_vec());
        Some(Ok(Under { entry, rules, key, rest }))
    }

    /// The `web` route of a target; `None` where none of the host's is for it.
    fn find_web<'r, 'a>(
        &'r self,
        host: &str,
        target: &'a str,
        spelled_plainly: bool,
    ) -> Option<Result<WebLead<'r, 'a>, NoRoute>> {
        let webs =
            || self.entries.iter().filter(|entry| entry.is_for(host) && entry.route.is_web());
        webs().next()?;
        let path = match WebPath::read(target) {
            Ok(path) => path,
            Err(what) => return Some(Err(Denial::Malformed(what))),
        };
        // Of any host: which of them the upstream would take it for isn't ours to know.
        let ambiguous = !spelled_plainly && self.touch_mcp(&path);
        // The first that some reading leads to; the others have to lead there too.
        let entry = webs().find(|entry| path.touches(&entry.template))?;
        if ambiguous || !path.is_under(&entry.template) {
            return Some(Err(Denial::Malformed(Malformation::Path)));
        }
        if let Some(denial) = self.leads_past(host, &path, entry) {
            return Some(Err(denial));
        }
        let RouteKind::Web(rules) = &entry.route.kind else { return None };
        Some(Ok(WebLead { route: &entry.route, rules, path }))
    }

    /// Why a path that is a page here would be MCP behind it, past all that `mcp` routes ask.
    fn leads_past(&self, host: &str, path: &WebPath<'_>, web: &Entry) -> Option<Denial> {
        let here = &web.route.upstream;
        self.entries.iter().filter(|entry| !entry.route.is_web()).find_map(|mcp| {
            let there = &mcp.route.upstream;
            // The path as it goes upstream, for the same server.
            let (taken, less) = (here.strip_prefix.len(), there.strip_prefix.len());
            let same_server = here
                .endpoints
                .meet(&there.endpoints, |a, b| (&a.host, a.port) == (&b.host, b.port));
            let as_judged = taken == less && mcp.is_for(host);
            if same_server && !as_judged && path.touches_below(taken, (&mcp.template, less)) {
                return Some(Denial::NoRoute);
            }
            // An MCP path that is spelled plainly, of a host that its route isn't for; the server may
            // not look at the host.
            let same_machine = here.endpoints.meet(&there.endpoints, |a, b| a.host == b.host);
            let elsewhere = !mcp.is_for(host) && same_machine && path.touches(&mcp.template);
            elsewhere.then_some(Denial::Host)
        })
    }

    /// Whether some `mcp` route is for the host (lower-case, without port).
    pub fn serve_mcp(&self, host: &str) -> bool {
        self.entries.iter().any(|entry| entry.is_for(host) && !entry.route.is_web())
    }

    /// Whether a path is one of an `mcp` route, of any host, in any spelling.
    pub fn touch_mcp(&self, path: &WebPath<'_>) -> bool {
        self.entries.iter().any(|entry| !entry.route.is_web() && path.touches(&entry.template))
    }

    /// Whether a path is one of an OAuth that passes, of any host, in any spelling: a code or a token
    /// is burnt as a key is.
    pub fn touch_oauth(&self, path: &WebPath<'_>) -> bool {
        let of_oauth = |entry: &&Entry| entry.route.oauth.is_some();
        self.entries.iter().filter(of_oauth).any(|entry| path.touches(&entry.template))
    }

    /// The lower-case name of the field that brings a client's address.
    pub fn address_field(&self) -> &str {
        &self.address_field
    }

    /// Whether a text in lower case names, somewhere in it, what stands before the key of an `mcp`
    /// path.
    pub fn name_mcp(&self, text: &[u8]) -> bool {
        self.entries.iter().filter(|entry| entry.template.has_key()).any(|entry| {
            let before = entry.template.parts().map_while(|part| part);
            let before: String = before.flat_map(|part| ["/", part]).collect();
            let before = before.to_ascii_lowercase() + "/";
            memchr::memmem::find(text, before.as_bytes()).is_some()
        })
    }

    /// The route of that name and kind: of a companion's, whichever comes first, for they have their nets
    /// in common.
    pub fn named(&self, name: &Name, is_web: bool) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.name == *name && route.is_web() == is_web)
    }

    /// Every route of the file, in its order. Companions have their route's name and server, so to
    /// who counts and names they are one with it.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().filter(|route| route.oauth.is_none())
    }
}
