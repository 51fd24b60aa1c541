use std::sync::Arc;

use super::{HostHeader, Upstream, UpstreamAuth};
use crate::{
    policy::{AddressPolicy, AuditLevel, Quota, Rules, ToolLimits},
    types::{Name, Template},
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
    /// What `Host` says upstream.
    pub host_header: HostHeader,
    /// Where the key stands upstream. Means nothing on a `web` route.
    pub upstream_auth: UpstreamAuth,
    /// From where it may be used.
    pub nets: AddressPolicy,
    /// The rate of one key, or of one address where there are no keys; `None` means no limit.
    pub quota: Option<Quota>,
    /// What it is for.
    pub kind: RouteKind,
    /// Which part of the upstream's OAuth it is, for the companions that `oauth = "upstream"` gives
    /// a route; `None` on every route of the file itself.
    pub oauth: Option<OauthPart>,
}

/// A part of the upstream's own OAuth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OauthPart {
    /// An endpoint of MCP whose 401 leads to the metadata.
    Resource,
    /// Pages to be read: metadata, and who a token is for.
    Read,
    /// Pages to be posted to: registrations and tokens.
    Write,
}

impl Route {
    /// What holds on an `mcp` route; `None` on any other.
    pub const fn mcp(&self) -> Option<&McpRoute> {
        match &self.kind {
            RouteKind::Mcp(rules) => Some(rules),
            RouteKind::Web(_) => None,
        }
    }

    /// Whether nobody is asked for a key here.
    pub const fn is_web(&self) -> bool {
        matches!(self.kind, RouteKind::Web(_))
    }
}

/// `kind`.
pub enum RouteKind {
    /// MCP: each request has a key.
    Mcp(McpRoute),
    /// Pages, uploads and whatever else a site has.
    Web(WebRoute),
}

/// What holds on an `mcp` route alone.
#[derive(Clone)]
pub struct McpRoute {
    /// What happens to keys that no consumer has.
    pub unknown_keys: UnknownKeys,
    /// Browser origins beside the route's own, lower-case: `https://inspector.example.com`.
    pub origins: Vec<Box<str>>,
    /// Open streams of one key.
    pub max_streams: u32,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// How a refused call is told.
    pub refusals: Refusals,
    /// What may be used there; `None` means whatever the server has.
    pub rules: Option<Arc<Rules>>,
    /// What calls of tools are held to, of each who uses it.
    pub tool_limits: ToolLimits,
    /// Whether calls are audited; the stricter of this and the consumer's counts.
    pub audit: Option<AuditLevel>,
}

/// What holds on a `web` route alone.
pub struct WebRoute {
    /// Whether a connection may be switched to WebSocket.
    pub websocket: bool,
    /// The largest body, in bytes; `None` means any size.
    pub max_body: Option<u64>,
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
