use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::AbortHandle;

use super::turnstile::Turnstile;

use crate::{
    observe::Metrics,
    policy::Pressure,
    snapshot::{Endpoint, Snapshot, Upstream, UpstreamAuth},
    types::Name,
    upstream::{Server, World},
};

/// The servers of a configuration. One that it had before, and has no other word for now, stays as it
/// is, with all that is known of it.
pub(super) fn servers(
    snapshot: &Snapshot,
    (metrics, pressure): (&Metrics, &Pressure),
    before: Option<&World>,
) -> HashMap<Name, Arc<Server>> {
    let server = |upstream: &Arc<Upstream>| {
        let old = before.and_then(|world| world.servers.get(&upstream.name));
        let stays = old.filter(|old| old.upstream.same_as(upstream)).map(Arc::clone);
        let server = stays.unwrap_or_else(|| {
            let shown = metrics.in_flight(&upstream.name);
            let server = Server::new(Arc::clone(upstream)).within(shown, pressure.clone());
            let server = server.counting(metrics.shared_streams(&upstream.name));
            let health = |at: &Endpoint| metrics.endpoint_health(&upstream.name, &at.authority);
            let server = server.watched(health);
            Arc::new(match old {
                Some(old) => server.after(old),
                None => server,
            })
        });
        server.tools().configure(snapshot.tools_named_for(&upstream.name));
        (upstream.name.clone(), server)
    };
    let mut servers = HashMap::new();
    for route in snapshot.routes.iter() {
        // Of one that many routes lead to there is one server, and not one more for each of them.
        if !servers.contains_key(&route.upstream.name) {
            let (name, server) = server(&route.upstream);
            servers.insert(name, server);
        }
    }
    servers
}

/// What is done for each server beside the exchanges.
pub(super) struct Fleet {
    tended: Mutex<Vec<Tended>>,
    turnstile: Turnstile,
}

struct Tended {
    server: Arc<Server>,
    wants_bearer: bool,
    task: AbortHandle,
}

impl Fleet {
    /// Nothing yet.
    pub(super) fn new(turnstile: Turnstile) -> Self {
        Self { tended: Mutex::default(), turnstile }
    }

    /// Tends the servers of a world, and no others any more.
    pub(super) fn tend(&self, world: &World) {
        let wants = |server: &Server| wants_bearer(&world.snapshot, &server.upstream.name);
        let is_there =
            |server: &Arc<Server>| world.servers.values().any(|wanted| Arc::ptr_eq(wanted, server));
        let mut tended = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        tended.retain(|old| {
            // What is said of its version depends on the routes, which may be others by now.
            let stays = is_there(&old.server) && wants(&old.server) == old.wants_bearer;
            if !stays {
                old.task.abort();
            }
            stays
        });
        for server in world.servers.values() {
            if tended.iter().any(|old| Arc::ptr_eq(&old.server, server)) {
                continue;
            }
            let wants_bearer = wants(server);
            let tending = tend(Arc::clone(server), wants_bearer, self.turnstile.clone());
            let task = tokio::spawn(tending).abort_handle();
            tended.push(Tended { server: Arc::clone(server), wants_bearer, task });
        }
    }
}

async fn tend(server: Arc<Server>, wants_bearer: bool, turnstile: Turnstile) {
    let sessions = async {
        tokio::select! {
            () = server.end_idle_sessions() => {}
            // Who uses one by now, only the process knows that has taken over.
            () = turnstile.gone() => {}
        }
    };
    tokio::join!(
        server.keep_names_fresh(),
        server.keep_dialect_known(wants_bearer),
        server.keep_health_known(),
        sessions,
    );
}

/// Whether some route puts keys into `Authorization` for this upstream.
fn wants_bearer(snapshot: &Snapshot, upstream: &Name) -> bool {
    let mut routes = snapshot.routes.iter().filter(|route| route.upstream.name == *upstream);
    routes.any(|route| !route.is_web() && route.upstream_auth == UpstreamAuth::Bearer)
}
