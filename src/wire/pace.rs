//! How fast bytes have to come, and the one read that is held to it.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

use super::{connection::Connection, within::within};

/// How slowly a body may come once its time is over: a byte more than this each second, or it is
/// too slow.
const FLOOR_BYTES_PER_SECOND: u64 = 8 * 1024;

/// How fast a body has to come. The client has `patience`, and a second more for every 8 KiB that
/// it sent: at any moment it is faster than that, or it is too slow.
pub struct Pace {
    /// Most bodies come with their head, and no clock is looked at.
    start: Option<Instant>,
    patience: Duration,
    received: usize,
}

impl Pace {
    /// The pace of a body of which nothing has come.
    pub const fn new(patience: Duration) -> Self {
        Self { start: None, patience, received: 0 }
    }

    /// So much more has come.
    pub(super) const fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes);
    }

    /// When it is too slow, unless more comes.
    pub(super) fn until(&mut self) -> Instant {
        *self.start.get_or_insert_with(Instant::now) + self.patience + earned(self.received)
    }

    /// So long it was not the client who was waited for.
    pub fn excuse(&mut self, time: Duration) {
        if let Some(start) = &mut self.start {
            *start += time;
        }
    }
}

/// The time that so many bytes are worth.
fn earned(received: usize) -> Duration {
    let received = u64::try_from(received).unwrap_or(u64::MAX);
    Duration::from_millis(received.saturating_mul(1000) / FLOOR_BYTES_PER_SECOND)
}

/// Reads once. `None`: nothing came in time.
pub(super) async fn fill_until<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Connection<S>,
    until: Instant,
) -> io::Result<Option<usize>> {
    let mut waited = false;
    let timer = || {
        waited = true;
        sleep_until(until)
    };
    let filled = within(timer, conn.fill()).await;
    // Whoever always has a byte ready (a body of chunk extensions, say) never meets the timer.
    if !waited && Instant::now() > until {
        return Ok(None);
    }
    filled.transpose()
}
