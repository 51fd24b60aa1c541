use std::sync::Arc;

use tokio::{sync::mpsc, task::JoinSet};

use super::{crew::Muster, entrance::Entrance, pressure, turnstile::Turnstile};
use crate::{proxy::State, types::Draining};

/// Accepts on every listener, also on those that a reload opens, and gives connections to the workers.
/// It ends when no listener accepts any more; connections live on.
pub(super) async fn front(
    state: Arc<State>,
    mut opened: mpsc::UnboundedReceiver<Entrance>,
    muster: Muster,
    (begun, (mut draining, turnstile)): (impl FnOnce() + Send, (Draining, Turnstile)),
) {
    tokio::spawn(pressure::watch_memory(state.pressure.clone(), Arc::clone(&state.world)));
    let crew = Arc::new(muster.gather().await);
    let mut accepting = JoinSet::new();
    let mut accept = |entrance: Entrance, draining: &Draining| {
        let passing = (draining.clone(), turnstile.clone());
        accepting.spawn(entrance.serve(Arc::clone(&crew), Arc::clone(&state), passing));
    };
    while let Ok(entrance) = opened.try_recv() {
        accept(entrance, &draining);
    }
    begun();
    let watched = draining.clone();
    loop {
        tokio::select! {
            Some(entrance) = opened.recv() => accept(entrance, &watched),
            () = draining.begun() => break,
        }
    }
    // Held here, it would keep the drain from its end.
    drop((draining, watched));
    while accepting.join_next().await.is_some() {}
}
