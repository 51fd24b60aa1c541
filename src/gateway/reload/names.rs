use std::sync::Arc;

use crate::{observe, proxy::State, snapshot::Snapshot};

/// Whether something may be counted of names that were taken away.
#[derive(Default)]
pub(super) struct Names {
    /// By which configuration it was looked for last, and whether another was still in use then.
    looked: Option<(Arc<Snapshot>, bool)>,
}

impl Names {
    /// Forgets what is counted of names that are no more: soon after a reload, and once more when nothing
    /// goes by what was before, for that is counted under its own names.
    pub(super) fn turn(&mut self, state: &State, alone: bool) {
        let now = Arc::clone(&state.world.load().snapshot);
        let Some((looked, was_alone)) = &mut self.looked else {
            // Of a process that has just begun all names are its own.
            self.looked = Some((now, true));
            return;
        };
        let same = Arc::ptr_eq(looked, &now);
        if same && (*was_alone || !alone) {
            return;
        }
        self.looked = Some((Arc::clone(&now), alone));
        let metrics = state.metrics.clone();
        // A hundred thousand consumers take a while.
        tokio::task::spawn_blocking(move || metrics.keep_only(&of(&now)));
    }
}

fn of(snapshot: &Snapshot) -> observe::Names<'_> {
    let upstreams = || snapshot.routes.iter().map(|route| &route.upstream);
    let endpoints = upstreams().flat_map(|upstream| {
        upstream.endpoints.iter().map(|endpoint| (upstream.name.as_str(), &*endpoint.authority))
    });
    observe::Names {
        routes: snapshot.routes.iter().map(|route| route.name.as_str()).collect(),
        consumers: snapshot.consumers.iter().map(|consumer| consumer.name.as_str()).collect(),
        listeners: snapshot.listeners.iter().map(|listener| listener.name.as_str()).collect(),
        upstreams: upstreams().map(|upstream| upstream.name.as_str()).collect(),
        endpoints: endpoints.collect(),
    }
}
