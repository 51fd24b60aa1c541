//! Somebody with a right to be answered, who calls ten times a second whatever happens.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{self, Instant},
};
use tokio_rustls::client::TlsStream;

use super::{
    Outcome,
    door::{Door, FRIEND, FRIENDS_KEY, GUEST, GUESTS_KEY, Protocol},
    upstream::ANSWER,
    wire::{CALL, Wire, post},
};

/// The longest that a call may take, in any circumstances.
const PATIENCE: Duration = Duration::from_secs(10);

/// How one calls.
#[derive(Clone, Copy)]
struct Habit {
    from: Ipv4Addr,
    key: &'static str,
    every: Duration,
    /// Whether one connection carries all calls, or each has a fresh one.
    keeps: bool,
}

/// The friend, who calls ten times a second: half on one connection, half on a fresh one each.
const FRIENDLY: Habit =
    Habit { from: FRIEND, key: FRIENDS_KEY, every: Duration::from_millis(200), keeps: true };

/// Somebody whose key no consumer has. Sixty calls a minute are what an address may make with keys
/// that aren't proven: who calls this often lives by its key's own bucket.
const A_GUEST: Habit =
    Habit { from: GUEST, key: GUESTS_KEY, every: Duration::from_millis(20), keeps: true };

/// How the calls fared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) ok: usize,
    /// Why, for each that failed.
    pub(crate) failed: Vec<String>,
    /// From when a call was due to the end of its answer.
    times: Vec<Duration>,
}

impl Calls {
    /// The time within which this share of the calls was answered, in percent.
    pub(crate) fn within(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.ok += more.ok;
        self.failed.extend(more.failed);
        self.times.extend(more.times);
    }
}

/// The friend at work, on a thread of its own. Stops when dropped.
pub(crate) struct Friend {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome<Calls>>>,
}

impl Friend {
    pub(crate) fn begin(door: Door, with_guest: bool) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(call_all(&door, with_guest, &told)))
        });
        Self { ends, thread: Some(thread) }
    }

    /// Lets the calls under way end, and says how all fared.
    pub(crate) fn end(mut self) -> Outcome<Calls> {
        self.ends.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("it ended before")?;
        thread.join().map_err(|_| "the friend panicked")?
    }
}

impl Drop for Friend {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

async fn call_all(door: &Door, with_guest: bool, ends: &AtomicBool) -> Calls {
    let (kept, fresh) = (FRIENDLY, Habit { keeps: false, ..FRIENDLY });
    let guest =
        async { if with_guest { call_often(door, A_GUEST, ends).await } else { Calls::default() } };
    let fresh = async {
        time::sleep(fresh.every / 2).await;
        call_often(door, fresh, ends).await
    };
    let (mut calls, fresh, mut guests) = tokio::join!(call_often(door, kept, ends), fresh, guest);
    calls.add(fresh);
    // They are counted, and not timed: the row's times are the friend's.
    guests.times.clear();
    calls.add(guests);
    calls
}

/// Calls by the clock. A call that comes late because the one before took long is late all the same.
async fn call_often(door: &Door, habit: Habit, ends: &AtomicBool) -> Calls {
    let mut calls = Calls::default();
    let mut due = Instant::now();
    let mut kept = None;
    while !ends.load(Ordering::Relaxed) {
        time::sleep_until(due).await;
        match time::timeout(PATIENCE, call(door, habit, &mut kept)).await {
            Ok(Ok(())) => calls.ok += 1,
            Ok(Err(error)) => calls.failed.push(error.to_string()),
            Err(_) => calls.failed.push("no answer".to_owned()),
        }
        calls.times.push(due.elapsed());
        due += habit.every;
        if !habit.keeps {
            kept = None;
        }
    }
    calls
}

type Connection = Wire<TlsStream<TcpStream>>;

/// One call. A connection on which it failed isn't kept.
async fn call(door: &Door, habit: Habit, kept: &mut Option<Connection>) -> Outcome<()> {
    let mut wire = match kept.take() {
        Some(wire) => wire,
        None => Wire::new(door.tls(habit.from, Protocol::Http1).await?),
    };
    let answer = wire.ask(post(habit.key, "", CALL).as_bytes()).await?;
    if answer.status != 200 || answer.body != ANSWER {
        return Err(format!("answered {} {}", answer.status, answer.body.escape_ascii()).into());
    }
    *kept = Some(wire);
    Ok(())
}
