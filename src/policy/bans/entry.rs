use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;

use crate::{policy::Quota, types::Nanos};

/// Times of the table begin so long before the process does, because a kept ban may have ended then.
const BEFORE: u64 = 366 * 86_400 * 1_000_000_000;

/// How many times the rate of wrong keys is too many, whatever right ones come between.
const UNCLEARED: u64 = 10;

/// What is known of a net from which wrong keys came.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    /// Whom it is about; nobody where it is free.
    pub(super) net: Option<IpNet>,
    /// GCRA's theoretical arrival time of wrong keys.
    pub(super) arrival: u64,
    /// When the last wrong key came.
    pub(super) seen: u64,
    /// The same at ten times the rate, which no right key clears: whoever has a key could else put it
    /// between guesses, and guess for ever.
    pub(super) total: u64,
    /// The hash of the last wrong key.
    pub(super) last_key: u64,
    /// When the last ban ends or ended; 0 where there was none.
    pub(super) until: u64,
    pub(super) strikes: u32,
    pub(super) told: u8,
}

impl Entry {
    /// Counts a wrong key. How long the ban lasts that begins with it, if one does.
    pub(super) fn count(
        &mut self,
        quota: Quota,
        (first, longest): (Duration, Duration),
        now: u64,
    ) -> Option<Duration> {
        if self.until > now {
            // Of an exchange that was under way when the ban began.
            return None;
        }
        let cell = nanos(quota.period) / u64::from(quota.count.get());
        let most = cell.saturating_mul(u64::from(quota.burst.get()));
        let arrival = self.arrival.max(now).saturating_add(cell);
        let total = self.total.max(now).saturating_add(cell / UNCLEARED);
        if arrival - now <= most && total - now <= most {
            (self.arrival, self.total) = (arrival, total);
            return None;
        }
        let strikes = if self.is_forgiven(longest, now) { 0 } else { self.strikes };
        let doubled = 1_u32.checked_shl(strikes).unwrap_or(u32::MAX);
        let lasts = first.saturating_mul(doubled).min(longest);
        let until = now.saturating_add(nanos(lasts));
        let strikes = strikes.saturating_add(1);
        *self = Self { arrival: 0, total: 0, until, strikes, told: 0, ..*self };
        Some(lasts)
    }

    /// Whether the last ban ended so long ago that it doesn't count any more.
    pub(super) fn is_forgiven(&self, longest: Duration, now: u64) -> bool {
        self.until.saturating_add(nanos(longest)) <= now
    }
}

pub(super) fn at(now: Nanos) -> u64 {
    now.0.saturating_add(BEFORE)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn between(now: u64, then: u64) -> SignedDuration {
    let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    SignedDuration::from_nanos(signed(then) - signed(now))
}

pub(super) fn shifted(now: u64, by: SignedDuration) -> u64 {
    let by =
        i64::try_from(by.as_nanos()).unwrap_or(if by.is_negative() { i64::MIN } else { i64::MAX });
    now.saturating_add_signed(by)
}
