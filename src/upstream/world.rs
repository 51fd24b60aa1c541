use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::Server;
use crate::{
    policy::Pins,
    snapshot::{Dialect, Route, Snapshot},
    types::Name,
};

/// What exchanges go by: one configuration, and the servers that it names. A reload puts another in its
/// place; an exchange never sees half of each.
pub struct World {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// The servers of its routes.
    pub servers: HashMap<Name, Arc<Server>>,
}

impl World {
    /// The server of a route.
    pub fn server(&self, route: &Route) -> Option<&Arc<Server>> {
        self.servers.get(&route.upstream.name)
    }

    /// The pinned tools of those servers that have some.
    pub fn pins(&self) -> BTreeMap<Name, Arc<Pins>> {
        let pins = |(name, server): (&Name, &Arc<Server>)| {
            Some((name.clone(), Arc::clone(server.pins()?)))
        };
        self.servers.iter().filter_map(pins).collect()
    }

    /// How the server of a route speaks, where that is known.
    pub fn dialect(&self, route: &Route) -> Option<Dialect> {
        self.server(route)?.dialect()
    }

    /// A configuration whose servers nobody asks.
    #[cfg(test)]
    pub fn alone(snapshot: Snapshot) -> Arc<arc_swap::ArcSwap<Self>> {
        let servers = snapshot.routes.iter().map(|route| &route.upstream);
        let servers = servers.map(|one| (one.name.clone(), Arc::new(Server::new(Arc::clone(one)))));
        let servers = servers.collect();
        Arc::new(arc_swap::ArcSwap::from_pointee(Self { snapshot: Arc::new(snapshot), servers }))
    }

    /// The same world for a worker, which has connections of its own: those that it has already to each
    /// server that stays, and none to the others.
    pub fn for_worker(&self, before: Option<(&Self, &Self)>) -> Self {
        let own = |(name, server): (&Name, &Arc<Server>)| {
            let kept = before.and_then(|(main, own)| {
                let stays = main.servers.get(name).is_some_and(|old| Arc::ptr_eq(old, server));
                own.servers.get(name).filter(|_| stays)
            });
            (name.clone(), kept.map_or_else(|| Arc::new(server.for_worker()), Arc::clone))
        };
        Self {
            snapshot: Arc::clone(&self.snapshot),
            servers: self.servers.iter().map(own).collect(),
        }
    }
}
