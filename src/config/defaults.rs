//! What holds where the file says nothing. The whole list; nothing else has a default of its own.

use std::{num::NonZeroU32, time::Duration};

use jiff::tz::TimeZone;

use crate::{
    policy::{BanMode, BanRules, NetList, Quota},
    snapshot::{
        Limits, LogFormat, MemoryMark, Refusals, Share, Timeouts, UnknownKeys, UpstreamAuth,
    },
};

pub(super) const LIMITS: Limits = Limits {
    connections: 9_000,
    connections_per_address: 256,
    handshakes: 1_024,
    target: 8 << 10,
    head: 16 << 10,
    fields: 64,
    unproven_per_address: Quota { count: SIXTY, period: Duration::from_secs(60), burst: SIXTY },
    streams_per_address: 128,
    descriptors: Share(90),
    memory: MemoryMark::Share(Share(90)),
};

pub(super) const TIMEOUTS: Timeouts = Timeouts {
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(10),
    body: Duration::from_secs(15),
    write_stall: Duration::from_secs(30),
    idle: Duration::from_secs(60),
    upstream_connect: Duration::from_secs(5),
    // claude.ai waits that long, and a tool of Postiz may need more than a minute.
    upstream_first_byte: Duration::from_secs(300),
    keep_alive_comment: Duration::from_secs(15),
    shutdown: Duration::from_secs(8),
    drain_timeout: Duration::from_secs(60 * 60),
};

pub(super) fn bans() -> BanRules {
    BanRules {
        mode: BanMode::Enforce,
        wrong_keys: Quota { count: TEN, period: Duration::from_secs(60), burst: TEN },
        first: Duration::from_secs(60),
        longest: Duration::from_secs(24 * 60 * 60),
        exempt: NetList::new(Some(&[]), &[]),
    }
}

pub(super) const TIME_ZONE: TimeZone = TimeZone::UTC;
pub(super) const HTTP2: bool = true;
pub(super) const TRUSTED_HEADER: &str = "x-forwarded-for";
pub(super) const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
pub(super) const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const HEALTHY_AFTER: u32 = 1;
pub(super) const UNHEALTHY_AFTER: u32 = 2;
pub(super) const UPSTREAM_AUTH: UpstreamAuth = UpstreamAuth::AsReceived;
pub(super) const UNKNOWN_KEYS: UnknownKeys = UnknownKeys::Refuse;
pub(super) const MAX_STREAMS: u32 = 8;
pub(super) const MAX_BODY: usize = 4 << 20;
pub(super) const REFUSALS: Refusals = Refusals::InBand;
pub(super) const AUDIT_SIZE: usize = 64 << 20;
pub(super) const AUDIT_KEEP: u32 = 8;
pub(super) const ACME_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
pub(super) const ACME_RETRY: Duration = Duration::from_secs(60);
pub(super) const LOG_FORMAT: LogFormat = LogFormat::Json;
pub(super) const LOG_LEVEL: &str = "info";

const SIXTY: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
