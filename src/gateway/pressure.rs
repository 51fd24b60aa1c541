use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time;

use crate::{
    host,
    policy::{Descriptors, Pressure},
    snapshot::{Limits, MemoryMark},
    upstream::World,
};

/// How often the memory in use is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Where descriptors begin to be short. Half of what is left above the mark is for connections to
/// upstreams, the rest for everything else.
pub(super) fn of_descriptors(limits: &Limits) -> Pressure {
    let all = host::raise_descriptor_limit();
    let clients = limits.descriptors.of(all);
    Pressure::new(Descriptors { clients, upstreams: clients + (all - clients) / 2, all })
}

/// Looks at the memory in use again and again. Ends only where the system doesn't tell.
pub(super) async fn watch_memory(pressure: Pressure, world: Arc<ArcSwap<World>>) {
    if marks(world.load().snapshot.limits.memory).is_none() {
        return tracing::warn!("this system doesn't tell of memory: limits.memory isn't held");
    }
    let mut tick = time::interval(LOOK);
    loop {
        tick.tick().await;
        let marks = marks(world.load().snapshot.limits.memory);
        let Some((in_use, marks)) = host::resident_memory().zip(marks) else { continue };
        if pressure.memory(in_use, marks) {
            match pressure.memory_is_short() {
                true => tracing::warn!(in_use, mark = marks.0, "memory is short: shedding"),
                false => tracing::info!(in_use, "memory isn't short any more"),
            }
        }
    }
}

/// From where on memory is short, and below what it isn't any more: five points less.
fn marks(mark: MemoryMark) -> Option<(u64, u64)> {
    host::resident_memory()?;
    let (mark, whole) = match mark {
        MemoryMark::Share(share) => {
            let whole = host::memory_limit()?;
            (share.of(whole), whole)
        }
        MemoryMark::Size(size) => (size, size),
    };
    Some((mark, mark.saturating_sub(whole / 20)))
}
