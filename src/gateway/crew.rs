use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

use super::service;
use crate::{
    host::{Service, Task},
    proxy::State,
};

/// How often idle connections to servers are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// The workers: one thread each, with a runtime and upstream connections of its own. A connection
/// stays with one of them, so that no byte of it ever wakes another thread. Measured beside one
/// work-stealing runtime on two cores: a tenth less processor time per call.
pub(super) struct Crew(Vec<Worker>);

struct Worker {
    runtime: Handle,
    state: Arc<State>,
    open: Arc<AtomicUsize>,
}

/// Workers that were called and haven't come yet.
pub(super) struct Muster(Vec<(oneshot::Receiver<Handle>, Arc<State>)>);

/// One connection's place at a worker; returned by drop.
pub(super) struct Post(Arc<AtomicUsize>);

impl Muster {
    /// So many workers, and the services that they run as.
    pub(super) fn call(state: &State, workers: usize) -> (Self, Vec<Service>) {
        let (mut called, mut services) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let state = Arc::new(state.for_worker());
            let (come, coming) = oneshot::channel();
            services.push(service("worker", Vec::new(), work(Arc::clone(&state), come)));
            called.push((coming, state));
        }
        (Self(called), services)
    }

    /// What each of them goes by.
    pub(super) fn states(&self) -> Vec<Arc<State>> {
        self.0.iter().map(|(_, state)| Arc::clone(state)).collect()
    }

    /// Waits until all have come.
    pub(super) async fn gather(self) -> Crew {
        let mut workers = Vec::new();
        for (coming, state) in self.0 {
            if let Ok(runtime) = coming.await {
                workers.push(Worker { runtime, state, open: Arc::default() });
            }
        }
        Crew(workers)
    }
}

fn work(state: Arc<State>, come: oneshot::Sender<Handle>) -> Task {
    Box::pin(async move {
        let _ = come.send(Handle::current());
        let mut tick = tokio::time::interval(SWEEP);
        // For as long as the runtime lives.
        loop {
            tick.tick().await;
            state.world.load().servers.values().for_each(|server| server.sweep_idle());
        }
    })
}

impl Crew {
    /// Gives a connection to the worker with the fewest: streams live for hours, so a draw by lot
    /// would leave one core with most of them.
    ///
    /// What `serve` gives is spawned as it is: a future that awaits another holds it twice.
    pub(super) fn take<F>(&self, serve: impl FnOnce(Arc<State>, Post) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let fewest = self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed));
        let Some(worker) = fewest else { return };
        worker.open.fetch_add(1, Ordering::Relaxed);
        let post = Post(Arc::clone(&worker.open));
        worker.runtime.spawn(serve(Arc::clone(&worker.state), post));
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
