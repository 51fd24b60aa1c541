//! The immutable compiled configuration. `config` makes it; the request path reads it and never
//! sees a default, a string that still has to be parsed, or a name that still has to be found.

mod acme;
mod audit;
mod endpoints;
mod listener;
mod route;
mod routes;
mod upstream;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use acme::Acme;
pub use audit::{Audit, AuditTo};
pub use endpoints::{Endpoint, Endpoints, HealthCheck, MOST_ENDPOINTS, Scheme, UpstreamTls};
use jiff::tz::TimeZone;
pub use listener::{
    Certificate, CertificateFiles, ClientAuthority, ClientAuthorityFiles, Listener, ListenerKind,
    Tls,
};
pub use route::{
    HostPattern, McpRoute, OauthPart, Refusals, Route, RouteKind, UnknownKeys, WebRoute,
};
pub use routes::{Lead, McpLead, NoRoute, Routes, WebLead};
pub use upstream::{Dialect, DialectSetting, HostHeader, PinSetting, Upstream, UpstreamAuth};

/// `log.format`.
pub use crate::observe::LogFormat;
use crate::{
    policy::{AddressPolicy, BanRules, Consumers, Rules, ToolLimits, TrustedProxies},
    types::Name,
};

/// Everything that the gateway was told, ready to be asked.
pub struct Snapshot {
    /// The listening sockets, in the order of the file.
    pub listeners: Vec<Listener>,
    /// The admin address, if there is one.
    pub admin: Option<SocketAddr>,
    /// The admin socket, if there is one.
    pub admin_socket: Option<PathBuf>,
    /// Whether the file that this comes from is read again when it changes.
    pub watch: bool,
    /// Where state is kept over a restart.
    pub state_dir: Option<PathBuf>,
    /// Who may connect.
    pub access: Access,
    /// Who is kept out for a while.
    pub bans: BanRules,
    /// What is too much.
    pub limits: Limits,
    /// Where a day begins and ends.
    pub time_zone: TimeZone,
    /// What is too slow.
    pub timeouts: Timeouts,
    /// Where a request goes. What lasts for hours holds these alone, and not who has keys and who may
    /// come from where: of a file with a hundred thousand of each, ten reloads would leave ten.
    pub routes: Arc<Routes>,
    /// Who has a key.
    pub consumers: Consumers,
    /// What is recorded of calls, and where; `None` means nothing.
    pub audit: Option<Audit>,
    /// How to log.
    pub log: Log,
}

impl Snapshot {
    /// The tools that rules, rates and budgets write out for whoever reaches an upstream.
    pub fn tools_named_for<'s>(&'s self, upstream: &Name) -> impl Iterator<Item = &'s str> {
        let routes: Vec<_> = self.routes.iter().filter(|r| r.upstream.name == *upstream).collect();
        let of_routes: Vec<(Option<&Rules>, &ToolLimits)> = routes
            .iter()
            .filter_map(|route| route.mcp())
            .map(|route| (route.rules.as_deref(), &route.tool_limits))
            .collect();
        let of_consumers = self.consumers.iter().filter_map(move |consumer| {
            let reaches = routes.iter().any(|r| r.mcp().is_some() && consumer.may_use(&r.name));
            reaches.then_some((consumer.rules.as_deref(), &consumer.tool_limits))
        });
        of_routes.into_iter().chain(of_consumers).flat_map(|(rules, limits)| {
            let of_rules = rules.into_iter().flat_map(Rules::each);
            of_rules.flat_map(|rules| rules.tools.written()).chain(limits.written())
        })
    }
}

/// `[access]`.
pub struct Access {
    /// The nets of `allow` and `deny`.
    pub nets: AddressPolicy,
    /// Peers whose forwarding header is believed.
    pub trusted_proxies: TrustedProxies,
    /// The lower-case name of the header that they write the client's address to.
    pub trusted_header: Arc<str>,
}

/// `[limits]`. Sizes are bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address group.
    pub connections_per_address: usize,
    /// TLS handshakes under way. Where there are so many, the address that has most makes way.
    pub handshakes: usize,
    /// The request target.
    pub target: usize,
    /// The whole head.
    pub head: usize,
    /// Fields in a head.
    pub fields: usize,
    /// Calls with keys that the upstream hasn't accepted yet, per address group.
    pub unproven_per_address: crate::policy::Quota,
    /// Open streams of one address group.
    pub streams_per_address: u32,
    /// Of the descriptors that the process may have.
    pub descriptors: Share,
    /// From where on memory is short.
    pub memory: MemoryMark,
}

/// A share of something, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u8);

/// A mark for the memory of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryMark {
    /// Of what it may have.
    Share(Share),
    /// So many bytes.
    Size(u64),
}

impl Share {
    /// That much of a whole.
    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.0) / 100;
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// `[timeouts]`.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A TLS handshake.
    pub handshake: Duration,
    /// A head, from its first byte.
    pub head: Duration,
    /// A body, before its floor on progress counts.
    pub body: Duration,
    /// A client that takes no byte.
    pub write_stall: Duration,
    /// A connection kept alive with nothing open.
    pub idle: Duration,
    /// A connection to the upstream.
    pub upstream_connect: Duration,
    /// The upstream's head.
    pub upstream_first_byte: Duration,
    /// Silence on an event stream before a comment is sent.
    pub keep_alive_comment: Duration,
    /// What open streams get at SIGTERM.
    pub shutdown: Duration,
    /// What they get at an upgrade.
    pub drain_timeout: Duration,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// A `tracing` level or filter; `RUST_LOG` overrides it.
    pub level: Box<str>,
}
