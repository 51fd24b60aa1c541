use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::rand;

/// Names one exchange in the access log, in the answer to a refusal and in the client's own words.
///
/// 16 hex digits: a process-wide random start and a counter, mixed so that ids don't look alike. It is
/// a name and no secret. Short enough that the log writer's
/// second net doesn't take it for a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

static NEXT: AtomicU64 = AtomicU64::new(0);
static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();

impl RequestId {
    /// The next id of this process.
    pub fn next() -> Self {
        let seed = *SEED.get_or_init(|| {
            let mut bytes = [0; 8];
            // Without random bytes the ids are guessable, which costs nobody anything.
            let _ = rand::fill(&mut bytes);
            u64::from_le_bytes(bytes)
        });
        Self(mix(NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(seed)))
    }

    /// A number from `least` to `most` that is another's for another request, and always this one's.
    pub const fn spread(self, least: u64, most: u64) -> u64 {
        least + self.0 % (most - least + 1)
    }

    /// Reads an id as it is shown: 16 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(u64::from_be_bytes(bytes)))
    }

    /// The id in lower-case hex.
    pub fn digits(self) -> [u8; 16] {
        let mut digits = [0; 16];
        // The lengths fit, which is all that can be wrong.
        let _ = hex::encode_to_slice(self.0.to_be_bytes(), &mut digits);
        digits
    }
}

/// The finalizer of SplitMix64: a bijection, so distinct counters give distinct ids.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}
