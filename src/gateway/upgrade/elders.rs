use std::{sync::Arc, time::Duration};

use tokio::time::{self, MissedTickBehavior};

use crate::{
    admin::{Ask, Family},
    observe::Metrics,
    policy::{LeaseCounts, Leases},
    types::Method,
};

/// How often the older processes are asked.
const TURN: Duration = Duration::from_secs(1);

/// Counts the streams that are open in older processes with our own: a key that had all that it may have
/// open there doesn't get as many again here. Ends only when dropped.
pub(super) async fn count_leases(family: Arc<Family>, leases: Leases, metrics: Metrics) {
    let mut turns = time::interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let elders = family.elders().len();
        metrics.processes(1 + elders);
        if elders == 0 {
            return std::future::pending().await;
        }
        turns.tick().await;
        let (family, leases) = (Arc::clone(&family), leases.clone());
        let counted = tokio::task::spawn_blocking(move || {
            // Where one is too busy to say, what was known still holds.
            if let Some(counts) = counts(&family) {
                leases.set_elsewhere(counts);
            }
        });
        let _ = counted.await;
    }
}

fn counts(family: &Family) -> Option<LeaseCounts> {
    let mut all = LeaseCounts::default();
    for (elder, answer) in family.ask(&Ask { method: Method::Get, path: "/leases", body: None }) {
        let Ok(Ok(counts)) = answer.map(|body| serde_json::from_slice(&body)) else {
            tracing::warn!(elder.pid, "an older process doesn't say what is open there");
            return None;
        };
        all.add(&counts);
    }
    Some(all)
}
