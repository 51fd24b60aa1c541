use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::doors::Doors;
use crate::{
    proxy::{self, State},
    snapshot::Snapshot,
    types::second,
};

/// How soon what lives is held against what has changed.
const TURN: Duration = Duration::from_millis(200);

/// What lives was judged by this.
struct Judged {
    snapshot: Arc<Snapshot>,
    revocations: u64,
    /// How often what clients have shown was judged anew, listener by listener.
    shown: Vec<u64>,
    /// The second, and the next one at which some key ends.
    at: u64,
    next_end: Option<u64>,
}

/// Judges all that lives again when what it was admitted by changes: the configuration, revocations,
/// or the day. Ends only when dropped.
pub(super) async fn keep_judging(state: Arc<State>, doors: Arc<Doors>) {
    let changes = state.revocations.changes();
    let snapshot = Arc::clone(&state.world.load().snapshot);
    let mut judged = Some(Judged::by(&snapshot, (0, shown(&doors)), second()));
    loop {
        // A revocation ends what it meets itself; here it is what came in just then.
        sleep(TURN).await;
        let now = (Arc::clone(&state.world.load().snapshot), *changes.borrow(), second());
        let (shown, no_end) = (shown(&doors), now.2 < state.living.first_end());
        let holds = |judged: &Judged| judged.holds(&now) && judged.shown == shown;
        if no_end && judged.as_ref().is_some_and(holds) {
            continue;
        }
        let state = Arc::clone(&state);
        // Thousands may live, and a hundred thousand have keys.
        let judge = move || judge(&state, now, shown);
        judged = tokio::task::spawn_blocking(judge).await.ok();
    }
}

fn judge(
    state: &State,
    (snapshot, changes, at): (Arc<Snapshot>, u64, u64),
    shown: Vec<u64>,
) -> Judged {
    let ended = proxy::judge_again(state, at);
    if ended > 0 {
        tracing::info!(ended, "what was under way and would no longer be let in was ended");
    }
    Judged::by(&snapshot, (changes, shown), at)
}

impl Judged {
    fn by(snapshot: &Arc<Snapshot>, (revocations, shown): (u64, Vec<u64>), at: u64) -> Self {
        let next_end = snapshot.consumers.next_end(at);
        Self { snapshot: Arc::clone(snapshot), revocations, shown, at, next_end }
    }

    /// Whether nothing has changed since. A clock that was put back brings ends to come again.
    fn holds(&self, (snapshot, revocations, at): &(Arc<Snapshot>, u64, u64)) -> bool {
        let same = Arc::ptr_eq(&self.snapshot, snapshot) && self.revocations == *revocations;
        same && *at >= self.at && self.next_end.is_none_or(|end| *at < end)
    }
}

fn shown(doors: &Doors) -> Vec<u64> {
    doors.client_authorities().iter().map(|(_, clients)| clients.judgements()).collect()
}
