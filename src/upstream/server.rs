use std::sync::{Arc, Once};

use tokio::task::JoinSet;

use super::{
    choice::Affinity,
    dialect::Known,
    instance::Instance,
    postiz,
    reach::Reached,
    sessions::Sessions,
    shared::SharedStreams,
    turns::{Turn, Turns},
};
use crate::{
    observe::{EndpointHealth, InFlight, KnownTools, SharedStreamsMeter},
    policy::{Pins, Pressure},
    snapshot::{Dialect, DialectSetting, Endpoint, Upstream},
    types::Name,
};

/// A server that requests are forwarded to: its configuration and what is known of it now.
pub struct Server {
    /// As configured.
    pub upstream: Arc<Upstream>,
    /// One for each endpoint, in the order of the file.
    pub(super) instances: Vec<Instance>,
    pub(super) dialect: Arc<Known>,
    tools: Arc<KnownTools>,
    pins: Option<Arc<Pins>>,
    /// Where those that nobody uses are ended.
    pub(super) sessions: Option<Arc<Sessions>>,
    shared: Arc<SharedStreams>,
    warned: Arc<Once>,
    turns: Arc<Turns>,
    pub(super) pressure: Pressure,
}

impl Server {
    /// A server with no connections yet. Asks nobody anything.
    pub fn new(upstream: Arc<Upstream>) -> Self {
        let instances = instances(&upstream, |_| None);
        let dialect = Known::new(upstream.dialect);
        let sessions = upstream.session_idle.map(|idle| Arc::new(Sessions::new(idle)));
        let turns = Arc::new(Turns::new(upstream.max_requests, None));
        let pins = upstream.pin.as_ref().map(|pin| Arc::new(pin.pins()));
        Self {
            upstream,
            instances,
            dialect: Arc::new(dialect),
            tools: Arc::default(),
            pins,
            sessions,
            shared: Arc::new(SharedStreams::new(None)),
            warned: Arc::new(Once::new()),
            turns,
            pressure: Pressure::none(),
        }
    }

    /// The same server with its requests shown, and no connections where descriptors are short.
    pub fn within(self, shown: InFlight, pressure: Pressure) -> Self {
        let turns = Arc::new(Turns::new(self.upstream.max_requests, Some(shown)));
        Self { turns, pressure, ..self }
    }

    /// The same server with its shared streams shown.
    pub fn counting(self, meter: SharedStreamsMeter) -> Self {
        Self { shared: Arc::new(SharedStreams::new(Some(meter))), ..self }
    }

    /// The same server, which another configuration had before. What its settings leave as it was stays:
    /// what is known of its tools, whom they are trusted by, how it speaks, the sessions that were left
    /// open, the turns that are taken; and the streams that clients share, of which a second one would
    /// deafen the first.
    pub fn after(mut self, old: &Self) -> Self {
        let (now, before) = (Arc::clone(&self.upstream), &old.upstream);
        (self.tools, self.warned) = (Arc::clone(&old.tools), Arc::clone(&old.warned));
        if now.pin == before.pin {
            self.pins.clone_from(&old.pins);
        }
        if now.max_requests == before.max_requests {
            self.turns = Arc::clone(&old.turns);
        }
        let is_there = now.endpoints == before.endpoints && now.tls == before.tls;
        if is_there && now.dialect == before.dialect {
            self.dialect = Arc::clone(&old.dialect);
            self.shared = Arc::clone(&old.shared);
        }
        if is_there && now.session_idle == before.session_idle {
            self.sessions.clone_from(&old.sessions);
        }
        self
    }

    /// The same server with the health of its endpoints shown: of one that is alone and isn't asked
    /// nobody knows.
    pub fn watched(self, shown: impl Fn(&Endpoint) -> EndpointHealth) -> Self {
        let known = self.upstream.health.is_some() || self.upstream.endpoints.are_several();
        let instances = instances(&self.upstream, |at| known.then(|| shown(at)));
        Self { instances, ..self }
    }

    /// The same server with connections of its own, for a worker's own runtime.
    pub fn for_worker(&self) -> Self {
        Self {
            upstream: Arc::clone(&self.upstream),
            instances: self.instances.iter().map(Instance::for_worker).collect(),
            dialect: Arc::clone(&self.dialect),
            tools: Arc::clone(&self.tools),
            pins: self.pins.clone(),
            sessions: self.sessions.clone(),
            shared: Arc::clone(&self.shared),
            warned: Arc::clone(&self.warned),
            turns: Arc::clone(&self.turns),
            pressure: self.pressure.clone(),
        }
    }

    /// A request's turn there, unless `max_requests` are under way.
    pub fn turn(&self) -> Option<Turn> {
        self.turns.take()
    }

    /// What it is that should bring requests of one key, or one address, to the same endpoint. Where
    /// there is one alone, nobody reckons.
    pub fn affinity(&self, of: impl FnOnce() -> Affinity) -> Affinity {
        if self.upstream.endpoints.are_several() { of() } else { Affinity::NONE }
    }

    /// Keeps a connection for the next request to its endpoint. Only for one whose answer was read to
    /// its end and that both sides keep open.
    pub fn keep(&self, Reached { endpoint, connection }: Reached) {
        let mut instances = self.instances.iter();
        if let Some(instance) = instances.find(|own| Arc::ptr_eq(&own.endpoint, &endpoint)) {
            instance.pool.keep(connection);
        }
    }

    /// Warns of how the server is set up: once in the life of the process, whoever sees it.
    pub fn warn_once(&self, warn: impl FnOnce(&Name)) {
        self.warned.call_once(|| warn(&self.upstream.name));
    }

    /// Asks for the server's addresses again and again. Ends only when dropped.
    pub async fn keep_names_fresh(&self) {
        let mut asking = JoinSet::new();
        for instance in &self.instances {
            let known = Arc::clone(&instance.known);
            asking.spawn(async move { known.names.keep_fresh().await });
        }
        while asking.join_next().await.is_some() {}
    }

    /// Whether one of its hosts is at an address now. The address is canonical.
    pub fn is_at(&self, ip: std::net::IpAddr) -> bool {
        self.instances.iter().any(|instance| instance.known.names.is_at(ip))
    }

    /// Its tools that are known by name.
    pub fn tools(&self) -> &KnownTools {
        &self.tools
    }

    /// Its tools as they were trusted, where the configuration pins them.
    pub fn pins(&self) -> Option<&Arc<Pins>> {
        self.pins.as_ref()
    }

    /// How it speaks MCP, where that is configured or was found out.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect.get()
    }

    /// Its streams that clients share, where it is of those that know no client from another of one key.
    pub fn shared_streams(&self) -> Option<&Arc<SharedStreams>> {
        self.streams_to_share().filter(|_| self.dialect() == Some(Dialect::LegacySse))
    }

    /// The same, and where it may be one of those: while that is being found out, a stream of its own
    /// would bring a client the answers of all others.
    pub fn streams_to_share(&self) -> Option<&Arc<SharedStreams>> {
        let may_be = match (self.dialect(), self.upstream.dialect) {
            (Some(dialect), _) => dialect == Dialect::LegacySse,
            (None, setting) => setting == Some(DialectSetting::Auto),
        };
        (self.upstream.shared_streams && may_be).then_some(&self.shared)
    }

    /// Finds out how it speaks, again and again, where the configuration wants that; else it ends at
    /// once. `wants_bearer`: some route puts keys into `Authorization`, which not all can read.
    pub async fn keep_dialect_known(&self, wants_bearer: bool) {
        self.dialect.keep_asking((&self.upstream.name, wants_bearer), || postiz::find(self)).await;
    }

    /// Closes connections that were idle for too long.
    pub fn sweep_idle(&self) {
        self.instances.iter().for_each(|instance| instance.pool.sweep());
    }
}

/// What is known of each endpoint of an upstream, and shown where `shown` shows it.
fn instances(
    upstream: &Upstream,
    shown: impl Fn(&Endpoint) -> Option<EndpointHealth>,
) -> Vec<Instance> {
    let endpoints = upstream.endpoints.iter();
    endpoints.map(|at| Instance::new(at, upstream.tls.clone(), shown(at))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time;
    use tokio::{net::TcpListener, select};

    use super::*;
    use crate::upstream::{Choice, tests::server};

    const ANY: Choice<'_> = Choice::Of(Affinity::NONE);

    #[tokio::test(start_paused = true)]
    async fn where_no_address_answers_the_name_is_asked_for_again() {
        const PATIENCE: Duration = Duration::from_secs(5);
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let living = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server("name.test", 1);
        let now = std::sync::Mutex::new(vec![gone]);
        let ask = || async { Ok(now.lock().unwrap().clone()) };
        let moved = async {
            assert!(server.connection(ANY, PATIENCE).await.is_err());
            *now.lock().unwrap() = vec![gone, living.local_addr().unwrap()];
            time::sleep(Duration::from_secs(2)).await;
            for _ in 0..2 {
                assert!(server.connection(ANY, PATIENCE).await.is_ok());
            }
            let first = server.instances[0].known.names.addresses().await.first().copied();
            assert_eq!(first, living.local_addr().ok(), "the one that answered is begun with");
        };
        select! {
            () = server.instances[0].known.names.keep_asking(ask) => {}
            () = moved => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_name_service_holds_a_request_no_longer_than_its_deadline() {
        let server = server("name.test", 1);
        let begun = time::Instant::now();
        let connection = async {
            assert!(server.connection(ANY, Duration::from_secs(5)).await.is_err());
            assert_eq!(begun.elapsed().as_secs(), 5);
        };
        select! {
            () = server.instances[0].known.names.keep_asking(std::future::pending) => {}
            () = connection => {}
        }
    }
}
