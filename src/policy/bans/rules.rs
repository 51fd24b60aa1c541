use std::time::Duration;

use crate::policy::{NetList, Quota};

/// `[bans]`.
pub struct BanRules {
    /// What is done with who is banned for wrong keys. What the operator bans is refused in each.
    pub mode: BanMode,
    /// How many wrong keys an address may send. With the next one it is banned.
    pub wrong_keys: Quota,
    /// How long the first ban lasts; each further one twice as long.
    pub first: Duration,
    /// How long a ban lasts at most, and how long after its end it is remembered.
    pub longest: Duration,
    /// Who is never banned: addresses that many strangers share.
    pub exempt: NetList,
}

/// `bans.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanMode {
    /// Who is banned is refused.
    Enforce,
    /// It is only said who would be.
    Observe,
    /// Wrong keys aren't counted.
    Off,
}

impl BanRules {
    /// Whether keys from an address are limited by how they begin, and not by the address.
    pub fn limits_prefixes(&self, client: std::net::IpAddr) -> bool {
        self.mode != BanMode::Off && self.exempt.lets_in(client)
    }
}
