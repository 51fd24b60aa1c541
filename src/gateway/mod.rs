//! The assembly, and the only part that knows all others: bind, run, drain. `main` and the tests
//! start the same one.

mod acme;
mod audit;
mod bans;
mod boot;
mod budgets;
mod certificates;
mod client_authorities;
mod crew;
mod doors;
mod entrance;
mod fleet;
mod front;
mod judging;
mod keepers;
mod kept;
mod kept_file;
mod pins;
mod planes;
mod pressure;
mod reload;
mod revocations;
mod sizes;
mod sockets;
mod stamps;
mod turnstile;
mod upgrade;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
pub use boot::BootError;
use crew::Muster;
use doors::Doors;
use entrance::Entrance;
use fleet::Fleet;
use jiff::Timestamp;
use keepers::Keepers;
use planes::Planes;
use reload::{Given, Parts, Reloader};
pub use reload::{Look, Running};
use tokio::sync::mpsc;
use upgrade::{Arrival, Departure};

pub use crate::host::{Hangups, Stop};
use crate::{
    admin::{Readiness, Stage},
    edge::{Challenges, Handshakes},
    host::{self, Ending, Notice, Service, Socket, Task},
    live::Living,
    observe::{LogSink, Metrics},
    policy::{Bans, Budgets, Leases, Limiter, Places, Revocations},
    proxy::{self, Door, Heard, LegacyStreams, Memory, Seal, State, Tokens},
    snapshot::Snapshot,
    types::{Drain, Draining, FingerprintKey, Name},
    upstream::World,
};

/// A gateway whose sockets are bound and which serves nobody yet.
pub struct Gateway {
    state: State,
    /// What is read again.
    file: Option<PathBuf>,
    as_loaded: Look,
    running: Running,
    given: mpsc::Receiver<Given>,
    doors: Arc<Doors>,
    opened: mpsc::UnboundedReceiver<Entrance>,
    admin: Planes,
    departure: Departure,
    keepers: Arc<Keepers>,
    readiness: Readiness,
    addresses: Vec<(Name, SocketAddr)>,
}

impl Gateway {
    /// Binds every socket and prepares what exchanges share. Asks no upstream anything.
    ///
    /// # Errors
    /// Where a socket can't be bound or the state directory can't be used; each error says how to
    /// mend it.
    pub fn bind(snapshot: Snapshot, log: LogSink) -> Result<Self, BootError> {
        let arrival = Arrival::alone(&snapshot)?;
        Self::arrive(snapshot, log, arrival)
    }

    /// Takes over from the process that runs: its sockets, its counts, its state. It serves until this one
    /// says that it does. Where none runs, this is [`bind`](Self::bind).
    ///
    /// # Errors
    /// The same, and where the process doesn't hand over. It goes on then as if nothing had been.
    pub fn upgrade(snapshot: Snapshot, log: LogSink) -> Result<Self, BootError> {
        let arrival = Arrival::upgrade(&snapshot)?;
        Self::arrive(snapshot, log, arrival)
    }

    fn arrive(snapshot: Snapshot, log: LogSink, arrival: Arrival) -> Result<Self, BootError> {
        let metrics = Metrics::new(&log);
        let seal = Seal::new(&arrival.secrets.seal).ok_or(BootError::Random)?;
        let salt = &arrival.secrets.salt;
        let limits = &snapshot.limits;
        let places = Places::new(limits.connections, limits.connections_per_address);
        let pressure = pressure::of_descriptors(limits);
        let challenges = Challenges::default();
        let (doors, opened) = open(&snapshot, (&places, &challenges), &arrival)?;
        let doors = Arc::new(doors);
        let audit = snapshot.audit.as_ref().map(|audit| audit::open(audit, salt)).transpose()?;
        if let Some(auditor) = &audit {
            metrics.show_audit(&auditor.sink);
        }
        let (admin, admin_file) = Planes::bind(&snapshot, &arrival.sockets)?;
        let mut addresses = doors.addresses();
        addresses.extend(Name::parse("admin").zip(admin.address()?));
        metrics.config_loaded();
        metrics.processes(1);
        let servers = fleet::servers(&snapshot, (&metrics, &pressure), None);
        let snapshot = Arc::new(snapshot);
        let world = World { snapshot: Arc::clone(&snapshot), servers };
        let buckets = &arrival.secrets.buckets;
        let state = State {
            limiter: Arc::new(Limiter::new(sizes::of_limiter(&snapshot), buckets)),
            bans: Arc::new(Bans::new(sizes::of_bans(&snapshot))),
            budgets: Arc::new(Budgets::new(sizes::BUDGETS, &snapshot.time_zone, Timestamp::now())),
            revocations: Arc::new(Revocations::default()),
            living: Living::default(),
            leases: Leases::new(buckets),
            places,
            pressure,
            memory: Memory::default(),
            legacy: LegacyStreams::default(),
            tokens: Tokens::default(),
            seal: Arc::new(seal),
            fingerprints: Arc::new(FingerprintKey::new(salt)),
            metrics,
            log,
            audit,
            world: Arc::new(ArcSwap::from_pointee(world)),
        };
        let (keepers, departure) = arrival.settle(&state, (&doors, &challenges), admin_file)?;
        let (running, given) = Running::new();
        Ok(Self {
            state,
            file: None,
            as_loaded: Look::NONE,
            running,
            given,
            doors,
            opened,
            admin,
            departure,
            keepers,
            readiness: Readiness::default(),
            addresses,
        })
    }

    /// The same gateway, which reads its configuration again from that file.
    #[must_use]
    pub fn reloading(self, file: PathBuf, as_loaded: Look) -> Self {
        Self { file: Some(file), as_loaded, ..self }
    }

    /// The listeners' names and the addresses they were bound to, the admin address last as `admin`.
    pub fn addresses(&self) -> &[(Name, SocketAddr)] {
        &self.addresses
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state.world.load().snapshot)
    }

    /// The gateway as it will run, for who has another configuration for it.
    pub fn running(&self) -> Running {
        self.running.clone()
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
        for (listener, address) in &self.addresses {
            tracing::info!(%listener, %address, "listening");
        }
        warn_of_descriptors(self.state.world.load().snapshot.limits.connections);
        if self.state.world.load().snapshot.state_dir.is_none() {
            tracing::info!("no [state]: nothing is kept over a restart");
        }
        let world = Arc::clone(&self.state.world);
        let (log, audit) = (self.state.log.clone(), self.state.audit.clone());
        let (drain, draining) = Drain::new();
        let (readiness, keepers) = (self.readiness.clone(), Arc::clone(&self.keepers));
        let (lent, answering) = (self.departure.lent.clone(), self.admin.answering.clone());
        let turnstile = self.departure.turnstile.clone();
        let handed_over = self.departure.handed_over.take();
        let (services, departure) = self.services(draining, matches!(stop, Stop::Signals));
        let acme = Arc::clone(&keepers.acme);
        let begin = move || {
            readiness.set(Stage::Draining);
            // Of one that has handed over it would be the end of another process, to systemd.
            if !turnstile.is_gone() {
                host::notify(Notice::Stopping);
            }
            acme.rest();
            // A second handle would keep a socket open that nobody accepts from.
            lent.close();
            world.load().snapshot.timeouts.shutdown
        };
        let begin = Box::new(begin);
        host::run(services, Ending { stop, handed_over, drain, begin, answering });
        keepers.turn();
        departure.end();
        if let Some(auditor) = audit {
            auditor.sink.flush();
        }
        log.flush();
    }

    fn services(mut self, draining: Draining, signals: bool) -> (Vec<Service>, Departure) {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (muster, mut services) = Muster::call(&self.state, workers);
        let (reload, asked) = mpsc::channel(1);
        let departure = &mut self.departure;
        let planes = self.admin.serve(&self.state, self.readiness.clone(), (reload, departure));
        let answer = departure.answer(&self.state);
        let main = Arc::new(self.state);
        let reloader = Reloader {
            file: self.file.clone(),
            as_loaded: self.as_loaded,
            parts: Arc::new(Parts {
                main: Arc::clone(&main),
                workers: muster.states(),
                doors: Arc::clone(&self.doors),
                fleet: Fleet::new(departure.turnstile.clone()),
                turnstile: departure.turnstile.clone(),
            }),
            given: self.given,
            asked,
            family: departure.family(),
            followed: departure.followed.take(),
        };
        let judging = judging::keep_judging(Arc::clone(&main), Arc::clone(&self.doors));
        let begun = begun(self.readiness, departure.serving(self.file));
        let passing = (draining, departure.turnstile.clone());
        let front = front::front(main, self.opened, muster, (begun, passing));
        services.push(service("front", self.doors.sockets(), Box::pin(front)));
        let keepers = self.keepers;
        let beside = async move {
            tokio::join!(planes, keepers.keep(), reloader.run(signals), judging, answer);
        };
        services.push(service("admin", Vec::new(), Box::pin(beside)));
        (services, self.departure)
    }
}

/// What is done once it accepts: it is told to whom it concerns.
fn begun(readiness: Readiness, serving: impl FnOnce() -> bool + Send) -> impl FnOnce() + Send {
    move || {
        readiness.set(Stage::Ready);
        // One that takes over isn't the service yet, and has no word in it.
        if !serving() {
            host::notify(Notice::Ready);
        }
    }
}

/// Binds every listener, and shows what was ordered for them before.
fn open(
    snapshot: &Snapshot,
    (places, challenges): (&Places, &Challenges),
    arrival: &Arrival,
) -> Result<(Doors, mpsc::UnboundedReceiver<Entrance>), BootError> {
    let proofs = challenges.server_config();
    let proofs = proofs.map_err(|source| BootError::Tls { listener: "all".into(), source })?;
    let handshakes = Arc::new(Handshakes::new(snapshot.limits.handshakes, proofs));
    let (doors, opened) = Doors::new((places.clone(), handshakes), arrival.doors());
    doors.change(doors.prepare(snapshot)?);
    for (_, certificates) in doors.certificates() {
        acme::begin(snapshot, &certificates)?;
    }
    Ok((doors, opened))
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
