use crate::{
    policy::{BanMode, LimiterSizes, ToolLimits},
    snapshot::Snapshot,
};

/// Buckets for keys that the upstream accepted, and for addresses with keys that it didn't:
/// about a megabyte each.
const BUCKETS: usize = 64 * 1024;

/// Buckets for keys that begin alike, of addresses that strangers share.
const PREFIXES: usize = 16 * 1024;

/// Keys that no consumer has and whose budgets are counted: about ten megabytes, if so many come.
pub(super) const BUDGETS: usize = 64 * 1024;

/// Nets whose wrong keys are counted: about two megabytes.
const BAN_ENTRIES: usize = 32 * 1024;

/// A consumer has a bucket for each route, for each rate of tools, and those beside the calls, of which
/// hardly two are in use at once, for they refill in no time; four times the room makes a full set
/// unlikely beyond notice.
pub(super) fn of_limiter(snapshot: &Snapshot) -> LimiterSizes {
    let routes = snapshot.routes.iter().count();
    let rates = |limits: &ToolLimits| limits.rates.as_ref().map_or(0, |rates| rates.len());
    let of_routes = snapshot.routes.iter().filter_map(|route| route.mcp());
    let of_routes: usize = of_routes.map(|route| rates(&route.tool_limits)).sum();
    let of_consumer = |own: usize| if own > 0 { own } else { of_routes };
    let consumers = snapshot.consumers.iter();
    let buckets =
        consumers.map(|consumer| 2 * routes + 1 + of_consumer(rates(&consumer.tool_limits)));
    LimiterSizes {
        configured: 4 * buckets.sum::<usize>(),
        proven: BUCKETS,
        addresses: BUCKETS,
        prefixes: if_counted(snapshot, PREFIXES),
    }
}

/// Nets whose wrong keys can be counted.
pub(super) fn of_bans(snapshot: &Snapshot) -> usize {
    if_counted(snapshot, BAN_ENTRIES)
}

/// Room for what is counted of wrong keys, where they are.
fn if_counted(snapshot: &Snapshot, entries: usize) -> usize {
    if snapshot.bans.mode == BanMode::Off { 1 } else { entries }
}
