use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

/// Nanoseconds since this process first asked. One epoch for every limiter, so that their states
/// can share a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

static EPOCH: OnceLock<Instant> = OnceLock::new();

impl Nanos {
    /// The time now.
    pub fn now() -> Self {
        let elapsed = EPOCH.get_or_init(Instant::now).elapsed();
        // 584 years fit.
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The second of now, UTC since 1970, by the clock on the wall; 0 where that is broken.
pub fn second() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What the clock on the wall said at some moment of the other, which never jumps.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    wall: SystemTime,
    at: Instant,
}

/// So far a clock is set right, and hasn't jumped.
const SLEW: Duration = Duration::from_secs(2);

impl WallClock {
    /// Both as they are now.
    pub fn now() -> Self {
        Self { wall: SystemTime::now(), at: Instant::now() }
    }

    /// Whether the clock on the wall was put on or back since.
    pub fn has_jumped(&self) -> bool {
        Self::now().has_jumped_from(self)
    }

    fn has_jumped_from(&self, before: &Self) -> bool {
        let expected = before.wall + self.at.saturating_duration_since(before.at);
        let apart = match self.wall.duration_since(expected) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        apart > SLEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_with_the_other_has_not_jumped_and_one_that_was_set_has() {
        let before = WallClock::now();
        let hour = Duration::from_secs(3600);
        let later = |wall: SystemTime| WallClock { wall, at: before.at + hour };
        assert!(!later(before.wall + hour).has_jumped_from(&before));
        assert!(!later(before.wall + hour + SLEW).has_jumped_from(&before));
        assert!(later(before.wall + hour + 2 * SLEW).has_jumped_from(&before));
        assert!(later(before.wall).has_jumped_from(&before));
        assert!(later(SystemTime::UNIX_EPOCH).has_jumped_from(&before));
    }
}
