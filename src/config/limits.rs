//! `[limits]`, `[timeouts]`, and the rates of routes and consumers.

use std::num::NonZeroU32;

use jiff::tz::TimeZone;

use super::{defaults, reading::Reading, table::Table, tool_limits, value};
use crate::{
    policy::Quota,
    snapshot::{Limits, Timeouts},
};

const MOST: u32 = 1_000_000;

/// The limits, and the time zone in which a day of theirs begins.
pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> (Limits, TimeZone) {
    let (mut limits, mut time_zone) = (defaults::LIMITS, defaults::TIME_ZONE);
    let Some(mut table) = root.section("limits", "[limits]", reading) else {
        return (limits, time_zone);
    };
    if let Some(item) = table.take("time_zone")
        && let Some(zone) = item.read(reading, tool_limits::time_zone)
    {
        time_zone = zone;
    }
    for (name, most, slot) in [
        ("connections", MOST, &mut limits.connections),
        ("connections_per_address", MOST, &mut limits.connections_per_address),
        ("handshakes", MOST, &mut limits.handshakes),
        ("fields", 1_000, &mut limits.fields),
    ] {
        if let Some(item) = table.take(name)
            && let Some(count) = item.count(reading, (1, most))
        {
            *slot = usize::try_from(count).unwrap_or(usize::MAX);
        }
    }
    let mut target_at = None;
    for (name, bounds, slot) in
        [("target", (64, 64 << 10), &mut limits.target), ("head", (256, 1 << 20), &mut limits.head)]
    {
        let Some(item) = table.take(name) else { continue };
        if let Some(size) = item.read(reading, |text| value::size(text, bounds)) {
            *slot = size;
            target_at = target_at.or(Some(item.at));
        }
    }
    if let Some(at) = target_at.filter(|_| limits.target > limits.head) {
        let head = value::shown_size(limits.head);
        reading.error(&at, format!("`target` is larger than `head` ({head}), which holds it"));
    }
    if let Some(item) = table.take("unproven_per_address")
        && let Some(quota) = item.read(reading, value::quota)
    {
        limits.unproven_per_address = quota;
    }
    if let Some(item) = table.take("streams_per_address")
        && let Some(count) = item.count(reading, (1, MOST))
    {
        limits.streams_per_address = count;
    }
    if let Some(item) = table.take("descriptors")
        && let Some(share) = item.read(reading, value::share)
    {
        limits.descriptors = share;
    }
    if let Some(item) = table.take("memory")
        && let Some(mark) = item.read(reading, value::memory_mark)
    {
        limits.memory = mark;
    }
    table.finish(&[], reading);
    (limits, time_zone)
}

pub(super) fn timeouts(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Timeouts {
    let mut timeouts = defaults::TIMEOUTS;
    let Some(mut table) = root.section("timeouts", "[timeouts]", reading) else { return timeouts };
    for (name, slot) in [
        ("handshake", &mut timeouts.handshake),
        ("head", &mut timeouts.head),
        ("body", &mut timeouts.body),
        ("write_stall", &mut timeouts.write_stall),
        ("idle", &mut timeouts.idle),
        ("upstream_connect", &mut timeouts.upstream_connect),
        ("upstream_first_byte", &mut timeouts.upstream_first_byte),
        ("keep_alive_comment", &mut timeouts.keep_alive_comment),
        ("shutdown", &mut timeouts.shutdown),
        ("drain_timeout", &mut timeouts.drain_timeout),
    ] {
        if let Some(item) = table.take(name)
            && let Some(duration) = item.read(reading, value::duration)
        {
            *slot = duration;
        }
    }
    table.finish(&[], reading);
    timeouts
}

/// The `rate` and `burst` of a table.
pub(super) fn quota(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<Quota> {
    let rate = table.take("rate");
    let burst = table.take("burst");
    let quota = rate.as_ref().and_then(|item| item.read(reading, value::quota));
    let Some(burst) = burst else { return quota };
    let count = burst.count(reading, (1, MOST)).and_then(NonZeroU32::new);
    if rate.is_none() {
        reading
            .error(&burst.name_at, "`burst` without a `rate` limits nothing")
            .hint("add: rate = \"100/min\"");
    }
    let quota = quota?;
    Some(Quota { burst: count.unwrap_or(quota.burst), ..quota })
}
