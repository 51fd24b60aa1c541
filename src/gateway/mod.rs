//! The assembly, and the only part that knows all others: bind, run, drain. `main` and the tests
//! start the same one.

mod audit;
mod bans;
mod boot;
mod budgets;
mod crew;
mod entrance;
mod keepers;
mod kept;
mod kept_file;
mod pins;
mod planes;
mod pressure;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
pub use boot::BootError;
use crew::Muster;
use entrance::Entrance;
use jiff::Timestamp;
use keepers::Keepers;
use planes::Planes;

pub use crate::host::Stop;
use crate::{
    admin::{Readiness, SocketFile, Stage},
    edge::Handshakes,
    host::{self, Service, Socket, Task},
    observe::{LogSink, Metrics},
    policy::{BanMode, Bans, Budgets, Leases, Limiter, LimiterSizes, Places, Pressure, ToolLimits},
    proxy::{self, Door, Heard, LegacyStreams, Memory, State},
    snapshot::{ListenerKind, Snapshot, Upstream, UpstreamAuth},
    types::{Drain, Draining, FingerprintKey, Name},
    upstream::Server,
};

/// A gateway whose sockets are bound and which serves nobody yet.
pub struct Gateway {
    state: State,
    entrances: Vec<Entrance>,
    admin: Planes,
    admin_file: Option<SocketFile>,
    keepers: Arc<Keepers>,
    readiness: Readiness,
    addresses: Vec<(Name, SocketAddr)>,
}

/// Buckets for keys that the upstream accepted, and for addresses with keys that it didn't:
/// about a megabyte each.
const BUCKETS: usize = 64 * 1024;

/// Buckets for keys that begin alike, of addresses that strangers share.
const PREFIXES: usize = 16 * 1024;

/// Keys that no consumer has and whose budgets are counted: about ten megabytes, if so many come.
const BUDGETS: usize = 64 * 1024;

/// Nets whose wrong keys are counted: about two megabytes.
const BAN_ENTRIES: usize = 32 * 1024;

impl Gateway {
    /// Binds every socket and prepares what exchanges share. Asks no upstream anything.
    ///
    /// # Errors
    /// Where a socket can't be bound or the state directory can't be used; each error says how to
    /// mend it.
    pub fn bind(snapshot: Snapshot, log: LogSink) -> Result<Self, BootError> {
        let metrics = Metrics::new(&log);
        let salt = kept::salt(snapshot.state_dir.as_deref())?;
        let seal = kept::seal(snapshot.state_dir.as_deref())?;
        let limits = &snapshot.limits;
        let places = Places::new(limits.connections, limits.connections_per_address);
        let pressure = pressure::of_descriptors(limits);
        let handshakes = Arc::new(Handshakes::new(limits.handshakes, snapshot.timeouts.handshake));
        let mut entrances = Vec::new();
        for listener in &snapshot.listeners {
            entrances.push(Entrance::bind(listener, &places, &handshakes)?);
            if let ListenerKind::Tls(tls) = &listener.kind {
                for certificate in &tls.certificates {
                    metrics.certificate(&listener.name, &certificate.label, certificate.expires_at);
                }
            }
        }
        let audit = snapshot.audit.as_ref().map(|audit| audit::open(audit, &salt)).transpose()?;
        if let Some(auditor) = &audit {
            metrics.show_audit(&auditor.sink);
        }
        let (admin, admin_file) = Planes::bind(&snapshot)?;
        let mut addresses = Vec::new();
        for entrance in &entrances {
            addresses.push((entrance.name().clone(), entrance.address()?));
        }
        addresses.extend(Name::parse("admin").zip(admin.address()?));
        metrics.config_loaded();
        let state = State {
            limiter: Arc::new(Limiter::new(sizes(&snapshot))),
            bans: Arc::new(Bans::new(if_counted(&snapshot, BAN_ENTRIES))),
            budgets: Arc::new(Budgets::new(BUDGETS, &snapshot.time_zone, Timestamp::now())),
            leases: Leases::default(),
            places,
            servers: servers(&snapshot, &metrics, &pressure),
            pressure,
            memory: Memory::default(),
            legacy: LegacyStreams::default(),
            seal: Arc::new(seal),
            fingerprints: Arc::new(FingerprintKey::new(&salt)),
            metrics,
            log,
            audit,
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        };
        let keepers = Arc::new(Keepers::new(&state));
        let readiness = Readiness::default();
        Ok(Self { state, entrances, admin, admin_file, keepers, readiness, addresses })
    }

    /// The listeners' names and the addresses they were bound to, the admin address last as `admin`.
    pub fn addresses(&self) -> &[(Name, SocketAddr)] {
        &self.addresses
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.state.snapshot.load_full()
    }

    /// What its page says of a request that nobody sent: its head and body, from `peer`, through
    /// `door`.
    ///
    /// # Errors
    /// Where the machine has no loopback socket to spare.
    pub async fn hear(&self, door: &Door, peer: IpAddr, request: &[u8]) -> io::Result<Heard> {
        proxy::hear(&self.state, door, peer, request).await
    }

    /// Counts what the process that has this state directory has used of budgets, and writes nothing.
    pub fn look_into(&self, state_dir: &Path) {
        budgets::look_into(&self.state.budgets, state_dir);
    }

    /// Serves until `stop`, drains, and returns. At once when nothing is open.
    pub fn run(mut self, stop: Stop) {
        // Removed on every way out.
        let _file = self.admin_file.take();
        for (listener, address) in &self.addresses {
            tracing::info!(%listener, %address, "listening");
        }
        warn_of_descriptors(self.state.snapshot.load().limits.connections);
        if self.state.snapshot.load().state_dir.is_none() {
            tracing::info!("no [state]: nothing is kept over a restart");
        }
        let grace = self.state.snapshot.load().timeouts.shutdown;
        let (log, audit) = (self.state.log.clone(), self.state.audit.clone());
        let (drain, draining) = Drain::new();
        let (readiness, keepers) = (self.readiness.clone(), Arc::clone(&self.keepers));
        let services = self.services(draining);
        host::run(services, stop, (drain, grace), move || readiness.set(Stage::Draining));
        keepers.turn();
        if let Some(auditor) = audit {
            auditor.sink.flush();
        }
        log.flush();
    }

    fn services(self, draining: Draining) -> Vec<Service> {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (muster, mut services) = Muster::call(&self.state, workers);
        let sockets = self.entrances.iter().map(Entrance::socket).collect();
        let planes = self.admin.serve(&self.state, self.readiness.clone());
        let front = front(self.state, self.entrances, muster, (self.readiness, draining));
        services.push(service("front", sockets, Box::pin(front)));
        let keepers = self.keepers;
        let beside = async move {
            tokio::join!(planes, keepers.keep());
        };
        services.push(service("admin", Vec::new(), Box::pin(beside)));
        services
    }
}

/// A connection takes a descriptor on either side. Without enough, accepting would fail under load
/// where the cap on connections should have refused.
fn warn_of_descriptors(connections: usize) {
    let descriptors = host::raise_descriptor_limit();
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2);
    if descriptors < wanted {
        tracing::warn!(
            descriptors,
            wanted,
            "too few file descriptors for limits.connections; raise LimitNOFILE or lower the cap"
        );
    }
}

fn service(name: &'static str, sockets: Vec<Socket>, task: Task) -> Service {
    Service { name, sockets, task: Mutex::new(Some(task)) }
}

/// Accepts on every listener and gives connections to the workers. It ends when no listener accepts
/// any more; connections live on.
async fn front(
    state: State,
    entrances: Vec<Entrance>,
    muster: Muster,
    (readiness, draining): (Readiness, Draining),
) {
    for server in state.servers.values() {
        let server = Arc::clone(server);
        let wants_bearer = wants_bearer(&state.snapshot.load(), &server.upstream.name);
        tokio::spawn(async move {
            tokio::join!(
                server.keep_names_fresh(),
                server.keep_dialect_known(wants_bearer),
                server.end_idle_sessions(),
            )
        });
    }
    let memory = state.snapshot.load().limits.memory;
    tokio::spawn(pressure::watch_memory(state.pressure.clone(), memory));
    let (crew, state) = (Arc::new(muster.gather().await), Arc::new(state));
    let mut accepting = tokio::task::JoinSet::new();
    for entrance in entrances {
        accepting.spawn(entrance.serve(Arc::clone(&crew), Arc::clone(&state), draining.clone()));
    }
    drop(draining);
    readiness.set(Stage::Ready);
    while accepting.join_next().await.is_some() {}
}

/// Whether some route puts keys into `Authorization` for this upstream.
fn wants_bearer(snapshot: &Snapshot, upstream: &Name) -> bool {
    let mut routes = snapshot.routes.iter().filter(|route| route.upstream.name == *upstream);
    routes.any(|route| !route.is_web() && route.upstream_auth == UpstreamAuth::Bearer)
}

fn servers(
    snapshot: &Snapshot,
    metrics: &Metrics,
    pressure: &Pressure,
) -> HashMap<Name, Arc<Server>> {
    let upstreams = snapshot.routes.iter().map(|route| &route.upstream);
    let server = |upstream: &Arc<Upstream>| {
        let shown = metrics.in_flight(&upstream.name);
        let server = Server::new(Arc::clone(upstream)).within(shown, pressure.clone());
        let server = server.counting(metrics.shared_streams(&upstream.name));
        server.tools().configure(snapshot.tools_named_for(&upstream.name));
        (upstream.name.clone(), Arc::new(server))
    };
    upstreams.map(server).collect()
}

/// A consumer has a bucket for each route, for each rate of tools, and those beside the calls, of which
/// hardly two are in use at once, for they refill in no time; four times the room makes a full set
/// unlikely beyond notice.
fn sizes(snapshot: &Snapshot) -> LimiterSizes {
    let routes = snapshot.routes.iter().count();
    let rates = |limits: &ToolLimits| limits.rates.as_ref().map_or(0, |rates| rates.len());
    let of_routes = snapshot.routes.iter().filter_map(|route| route.mcp());
    let of_routes: usize = of_routes.map(|route| rates(&route.tool_limits)).sum();
    let of_consumer = |own: usize| if own > 0 { own } else { of_routes };
    let consumers = snapshot.consumers.iter();
    let buckets =
        consumers.map(|consumer| 2 * routes + 1 + of_consumer(rates(&consumer.tool_limits)));
    LimiterSizes {
        configured: 4 * buckets.sum::<usize>(),
        proven: BUCKETS,
        addresses: BUCKETS,
        prefixes: if_counted(snapshot, PREFIXES),
    }
}

/// Room for what is counted of wrong keys, where they are.
fn if_counted(snapshot: &Snapshot, entries: usize) -> usize {
    if snapshot.bans.mode == BanMode::Off { 1 } else { entries }
}
